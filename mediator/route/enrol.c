/**
 * @file route/enrol.c  A token into a handle
 */

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include "mediator/route/enrol.h"

#define VOIP_SUFFIX ".voip"

enum { TOKEN_MAX = 2048 };


static uint32_t uses_of(const Wire__Enrol *f)
{
	uint32_t uses = 0;

	for (size_t i = 0; i < f->n_use; i++)
		if ((unsigned)f->use[i] < 16)
			uses |= 1u << f->use[i];

	return uses;
}


/* "bundle", "bundle.voip" or nothing, which means what the uses say */
static const char *topic_read(struct push_target *t, const char *bundle,
			      const char *topic)
{
	const uint32_t call = 1u << WIRE__USE__USE_CALL;
	size_t n = strlen(bundle);

	bool own = !strncmp(topic, bundle, n);

	if (!*topic)
		t->voip = t->uses == call;
	else if (own && !strcmp(topic + n, VOIP_SUFFIX))
		t->voip = true;
	else if (!own || topic[n])
		return "topic is not the app's";

	if (t->voip && t->uses & ~call)
		return "a PushKit token serves use call only; enrol the "
		       "other token for the other uses";
	if (t->voip)
		t->uses = call;
	t->topic = bundle;

	return NULL;
}


static const char *environment_read(struct push_target *t, const char *env)
{
	if (!*env || !strcmp(env, "production"))
		t->sandbox = false;
	else if (!strcmp(env, "sandbox"))
		t->sandbox = true;
	else
		return "environment is neither production nor sandbox";

	return NULL;
}


static void lower(char *dst, const char *src)
{
	while ((*dst++ = (char)tolower((unsigned char)*src++)))
		;
}


/* Endpoint and keys, as the driver wants them in one piece */
static const char *subscription_read(char *token, const Wire__Enrol *f)
{
	if (!*f->p256dh != !*f->auth)
		return "of p256dh and auth give both or none";
	if (re_snprintf(token, TOKEN_MAX + 1, "%s%s%s%s%s", f->token,
			*f->auth ? " " : "", f->p256dh, *f->auth ? " " : "",
			f->auth) < 0)
		return "token is too long";

	return NULL;
}


static const char *target_read(struct push_target *t, char *token,
			       const struct site *s, const Wire__Enrol *f)
{
	const struct drv *drv = drv_find(f->provider);
	const char *bundle, *wrong = NULL;

	if (!drv)
		return "provider is not known here";
	if (strlen(f->token) > TOKEN_MAX)
		return "token is too long";

	t->provider = drv->name;
	t->app = f->app;
	t->uses = uses_of(f);
	t->topic = "";
	t->token = token;
	if (drv == &drv_apns) {
		/* Apps print the bytes as they like */
		lower(token, f->token);
		bundle = site_topic(s, f->app);
		wrong = bundle ? topic_read(t, bundle, f->topic) : NULL;
		if (!wrong)
			wrong = environment_read(t, f->environment);
	}
	else if (drv == &drv_webpush) {
		wrong = subscription_read(token, f);
	}
	else {
		memcpy(token, f->token, strlen(f->token) + 1);
	}
	if (!wrong && drv->token_check(token))
		wrong = "token is malformed";

	return wrong;
}


static void refuse(struct enrol_result *res, Wire__Outcome outcome,
		   const char *reason)
{
	res->outcome = outcome;
	res->reason = reason;
	res->handle_len = 0;
}


void enrol(struct enrol_result *res, const struct site *s,
	   const struct tenant *tenant, const Wire__Enrol *frame,
	   int64_t now_ms)
{
	struct push_target t = { .enrolled_ms = now_ms };
	char token[TOKEN_MAX + 1];
	const char *wrong;
	int err;

	/* First, so that a tenant learns nothing about another's app */
	if (!tenant_may(tenant, frame->app)) {
		refuse(res, WIRE__OUTCOME__NOT_ALLOWED,
		       "not an app of this tenant");
		return;
	}

	wrong = target_read(&t, token, s, frame);
	if (wrong) {
		refuse(res, WIRE__OUTCOME__REJECTED, wrong);
		return;
	}
	err = site_allows(s, tenant, &t);
	if (err) {
		refuse(res,
		       err == EACCES ? WIRE__OUTCOME__REJECTED
				     : WIRE__OUTCOME__NOT_ALLOWED,
		       err == EACCES ? "the push service of this endpoint is "
				       "not one of ours"
				     : "this app has no such provider");
		return;
	}

	err = handle_seal(res->handle, &res->handle_len,
			  &site_handle_keys(s)->v[0], tenant->name, &t);
	explicit_bzero(token, sizeof(token));
	if (err) {
		refuse(res, WIRE__OUTCOME__RETRY_LATER, strerror(err));
		return;
	}

	res->outcome = WIRE__OUTCOME__DELIVERED;
	res->reason = "";
}
