/**
 * @file pn.c  What a client says of its pushes in its Contact; RFC 8599, pure
 */

#include <string.h>
#include "proto/wire.h"
#include "sipis/edge/pn.h"


#define USE(u) (1u << WIRE__USE__USE_##u)

enum {
	USES_ALL = USE(CALL) | USE(MESSAGE) | USE(VOICEMAIL) | USE(ENDED) |
		   USE(WAKE) | USE(TEST),
	/* a VoIP push that brings no call ends the app's right to them */
	USES_QUIET = USES_ALL & ~(unsigned)USE(CALL),
};


static bool param(char *dst, size_t size, const struct uri *uri,
		  const char *name)
{
	struct pl pl;

	*dst = '\0';
	return !msg_param_decode(&uri->params, name, &pl) &&
	       re_snprintf(dst, size, "%H", uri_param_unescape, &pl) > 0;
}


/* "TEAM.bundle.voip" -> "TEAM.bundle", and what stood behind */
static const char *services_cut(char *text)
{
	static const char *const known[] = { "voip", "remote", "remote&voip",
					     "voip&remote" };
	char *dot = strrchr(text, '.');

	for (size_t i = 0; dot && i < sizeof(known) / sizeof(known[0]); i++)
		if (!strcmp(dot + 1, known[i])) {
			*dot = '\0';
			return known[i];
		}

	return "";
}


static bool token_add(struct edge_pn *pn, const char *token, size_t len,
		      uint32_t uses, const char *topic, const char *env)
{
	const unsigned i = pn->tokenc;

	if (i == 2 || !len || len >= EDGE_PN_TOKEN)
		return false;

	memcpy(pn->text[i], token, len);
	pn->text[i][len] = '\0';
	(void)str_ncpy(pn->topic[i], topic, sizeof(pn->topic[i]));
	pn->tokenv[i] = (struct inst_token){
		.uses = uses,
		.provider = pn->provider,
		.token = pn->text[i],
		.topic = pn->topic[i],
		.environment = env,
	};
	++pn->tokenc;

	return true;
}


/* One of "TOKEN", "TOKEN:voip", "TOKEN:remote" */
static bool apns_one(struct edge_pn *pn, const char *one, size_t len,
		     const char *service, const char *bundle, const char *env)
{
	const char *colon = memchr(one, ':', len);
	const size_t token = colon ? (size_t)(colon - one) : len;
	char topic[EDGE_PN_NAME];
	bool voip;

	if (colon) {
		service = colon + 1;
		len -= token + 1;
	}
	else {
		len = strlen(service);
	}

	voip = len == 4 && !strncmp(service, "voip", 4);
	(void)re_snprintf(topic, sizeof(topic), "%s%s", bundle,
			  voip ? ".voip" : "");

	return token_add(pn, one, token,
			 voip ? USE(CALL) : (uint32_t)USES_QUIET, topic, env);
}


static bool apns_tokens(struct edge_pn *pn, const char *prid,
			const char *service, const char *bundle,
			const char *env)
{
	bool ok = true;

	while (ok && *prid) {
		const size_t len = strcspn(prid, "&");

		ok = apns_one(pn, prid, len, service, bundle, env);
		prid += len + (prid[len] == '&');
	}

	/* the only one has to do everything */
	if (ok && pn->tokenc == 1 && !(pn->tokenv[0].uses & USE(CALL)))
		pn->tokenv[0].uses = USES_ALL;

	return ok && pn->tokenc;
}


enum push { APNS, FCM, WEBPUSH, SERVICES };

struct service {
	const char *name, *platform;
	enum push push;
};

static const struct service services[] = {
	[APNS] = { "apns", "ios", APNS },
	[FCM] = { "fcm", "android", FCM },
	[WEBPUSH] = { "webpush", "web", WEBPUSH },
};


/* What an app is called there; NULL: it is not */
static const char *name_at(const struct edge_push_cfg *app,
			   const struct service *s)
{
	if (s->push == WEBPUSH)
		return app->webpush;

	return s->push == APNS ? app->apns : app->fcm;
}


/* name NULL: the one that has this service */
static const struct edge_push_cfg *app_of(const struct edge_cfg *cfg,
					  const struct service *s,
					  const char *name)
{
	for (uint32_t i = 0; i < cfg->push_count; i++) {
		const char *own = name_at(&cfg->push[i], s);

		if (own && (!name || !strcmp(own, name)))
			return &cfg->push[i];
	}

	return NULL;
}


/* NULL: none of ours */
static const struct service *service_of(const char *provider)
{
	if (!strcmp(provider, "apns.dev"))
		return &services[APNS];
	for (size_t i = 0; i < SERVICES; i++)
		if (!strcmp(provider, services[i].name))
			return &services[i];

	return NULL;
}


static bool apns_read(struct edge_pn *pn, const struct edge_cfg *cfg,
		      const char *provider, char *name, const char *prid)
{
	const char *service = services_cut(name);
	const struct edge_push_cfg *app = app_of(cfg, &services[APNS], name);
	const char *bundle = strchr(name, '.');

	if (!app || !bundle)
		return false;

	pn->app = app->app;
	return apns_tokens(pn, prid, service, bundle + 1,
			   strcmp(provider, "apns") ? "sandbox"
						    : "production");
}


static bool other_read(struct edge_pn *pn, const struct edge_cfg *cfg,
		       const struct service *s, const char *name,
		       const char *prid)
{
	const bool web = s == &services[WEBPUSH];
	const struct edge_push_cfg *app = app_of(cfg, s, web ? NULL : name);

	if (!app || (web && strncmp(prid, "https://", 8)))
		return false;

	pn->app = app->app;
	return token_add(pn, prid, strlen(prid), USES_ALL, "", "");
}


void edge_pn_read(struct edge_pn *pn, const struct edge_cfg *cfg,
		  const struct uri *uri)
{
	char provider[32], name[EDGE_PN_NAME], prid[2 * EDGE_PN_TOKEN];
	const struct service *s;
	struct pl end;
	bool ok;

	memset(pn, 0, sizeof(*pn));
	if (!param(provider, sizeof(provider), uri, "pn-provider")) {
		if (!msg_param_exists(&uri->params, "pn-provider", &end))
			pn->kind = EDGE_PN_ASKS;
		return;
	}

	pn->kind = EDGE_PN_FOREIGN;
	pn->hash = hash_joaat((const uint8_t *)uri->params.p, uri->params.l);
	s = service_of(provider);
	if (!s || (s == &services[WEBPUSH] && !app_of(cfg, s, NULL)))
		return;

	pn->provider = s->name;
	pn->platform = s->platform;
	if (!param(prid, sizeof(prid), uri, "pn-prid")) {
		pn->kind = EDGE_PN_ASKS;
		return;
	}
	if (!param(name, sizeof(name), uri, "pn-param") &&
	    s != &services[WEBPUSH])
		return;

	ok = s == &services[APNS] ? apns_read(pn, cfg, provider, name, prid)
				  : other_read(pn, cfg, s, name, prid);
	if (ok)
		pn->kind = EDGE_PN_TOKENS;
}


static int caps_line(struct re_printf *pf, const struct edge_pn_offer *offer,
		     const struct service *s, const struct edge_push_cfg *app)
{
	const bool mine = !str_cmp(offer->provider, s->name);
	int err = re_hprintf(pf, "Feature-Caps: *;+sip.pns=\"%s\"", s->name);

	/* RFC 8292: with it the phone makes its subscription */
	if (s == &services[WEBPUSH])
		err |= re_hprintf(pf, ";+sip.vapid=\"%s\"", app->webpush);
	if (mine && offer->pnsreg_s)
		err |= re_hprintf(pf, ";+sip.pnsreg=\"%u\"", offer->pnsreg_s);
	if (mine && offer->purr)
		err |= re_hprintf(pf, ";+sip.pnspurr=\"%s\"", offer->purr);

	return err | re_hprintf(pf, "\r\n");
}


int edge_pn_caps(struct re_printf *pf, const struct edge_pn_offer *offer)
{
	int err = 0;

	/* RFC 8599 5.6.1: who names one hears of that one */
	for (size_t i = 0; i < SERVICES; i++) {
		const struct service *s = &services[i];
		const struct edge_push_cfg *app = app_of(offer->cfg, s, NULL);

		if (app &&
		    (!offer->provider || !strcmp(offer->provider, s->name)))
			err |= caps_line(pf, offer, s, app);
	}

	return err;
}
