/**
 * @file route/cred.c  One credential and the places it opens
 */

#include <errno.h>
#include <string.h>
#include "common/ident.h"
#include "common/log.h"
#include "common/secret.h"
#include "mediator/auth/account.h"
#include "mediator/cfg_check.h"
#include "mediator/route/cred.h"

#define APNS_PRODUCTION "https://api.push.apple.com"
#define APNS_SANDBOX    "https://api.sandbox.push.apple.com"
#define FCM_URL         "https://fcm.googleapis.com"

enum {
	SECRET_MAX = 65536,
	PLACES = 2,
	KEY_SIZE = 96,
};

struct cred {
	struct le le;
	char *name;
	struct auth *auth;
	struct dest *dest[PLACES];
	struct origins *origins; /**< webpush; has destinations of its own */
	uint8_t print[32];       /**< of everything it was made of */
};


static void destructor(void *arg)
{
	struct cred *c = arg;

	list_unlink(&c->le);
	for (int i = 0; i < PLACES; i++)
		mem_deref(c->dest[i]);
	mem_deref(c->origins);
	mem_deref(c->auth);
	mem_deref(c->name);
}


struct le *cred_le(struct cred *c)
{
	return &c->le;
}


struct cred *cred_find(const struct list *creds, const char *name)
{
	struct le *le;

	LIST_FOREACH (creds, le) {
		struct cred *c = le->data;

		if (!strcmp(c->name, name))
			return c;
	}

	return NULL;
}


struct dest *cred_dest(const struct cred *c, int i)
{
	return c ? c->dest[i] : NULL;
}


struct origins *cred_origins(const struct cred *c)
{
	return c ? c->origins : NULL;
}


static const struct mcfg_link *link_of(const struct mcfg_credential *cfg)
{
	if (cfg->webpush)
		return &cfg->webpush->link;

	return cfg->apns ? &cfg->apns->link : &cfg->fcm->link;
}


static int print_kind(struct re_printf *pf, const struct mcfg_credential *cfg)
{
	const struct mcfg_apns *a = cfg->apns;
	const struct mcfg_fcm *f = cfg->fcm;
	const struct mcfg_webpush *w = cfg->webpush;
	int err = re_hprintf(pf, "%s|%s|%s|%s|%s", a ? a->team_id : "",
			     a ? a->key_id : "",
			     a && a->production_url ? a->production_url : "",
			     a && a->sandbox_url ? a->sandbox_url : "",
			     f && f->url ? f->url : "");

	if (!w)
		return err;

	err |= re_hprintf(pf, "|%s|%d", w->subject, w->private_addresses);
	for (uint32_t i = 0; i < w->endpoints_count; i++)
		err |= re_hprintf(pf, "|%s", w->endpoints[i]);

	return err;
}


/* Two credentials with the same print are the same in every respect */
static int print_make(uint8_t md[32], const struct cred_prm *prm,
		      const char *secret)
{
	const struct mcfg_link *l = link_of(prm->cfg);
	char *text = NULL;
	int err = re_sdprintf(
		&text, "%s|%H|%s|%u|%u|%u|%u|%u|%u|%s", prm->cfg->name,
		print_kind, prm->cfg, l->ca ? l->ca : "", l->connections,
		l->streams, l->call_timeout_ms, l->timeout_ms,
		l->connect_timeout_ms, l->user_timeout_ms, secret);
	if (err)
		return err;

	err = secret_sha256(md, text, strlen(text));
	explicit_bzero(text, strlen(text));
	mem_deref(text);
	return err;
}


static int place_make(struct cred *c, int i, const struct cred_prm *prm,
		      const struct drv *drv, const char *kind, const char *url,
		      const char *project, const struct mcfg_link *link)
{
	char name[128];
	struct dest_prm dprm = {
		.drv = drv,
		.name = name,
		.auth = c->auth,
		.url = url,
		.project = project,
		.link = link,
		.counters = prm->counters,
		.resulth = prm->resulth,
		.arg = prm->arg,
	};

	(void)re_snprintf(name, sizeof(name), "%s/%s", prm->cfg->name, kind);
	return dest_alloc(&c->dest[i], &dprm);
}


static int bad_key(const struct cred_prm *prm, struct cfgfile_err *e,
		   const char *what, const char *file, const char *reason)
{
	char key[KEY_SIZE];

	(void)re_snprintf(key, sizeof(key), "credentials[%u].%s", prm->index,
			  what);
	return cfgfile_fail(e, prm->path, key, "cannot use \"%s\": %s", file,
			    reason);
}


static int apns_make(struct cred *c, const struct cred_prm *prm,
		     const char *secret, struct cfgfile_err *e)
{
	const struct mcfg_apns *cfg = prm->cfg->apns;
	struct auth_apns_prm aprm = {
		.signer = prm->signer,
		.name = prm->cfg->name,
		.team_id = cfg->team_id,
		.key_id = cfg->key_id,
		.pem = secret,
		.state_dir = prm->state_dir,
		.seal_key = prm->seal_key,
	};
	char reason[128] = "";
	int err = auth_apns_alloc(&c->auth, &aprm, reason, sizeof(reason));

	if (err && reason[0])
		return bad_key(prm, e, "apns.key_file", cfg->key_file, reason);
	if (!err)
		err = place_make(c, 0, prm, &drv_apns, "production",
				 cfg->production_url ? cfg->production_url
						     : APNS_PRODUCTION,
				 NULL, &cfg->link);
	if (!err)
		err = place_make(c, 1, prm, &drv_apns, "sandbox",
				 cfg->sandbox_url ? cfg->sandbox_url
						  : APNS_SANDBOX,
				 NULL, &cfg->link);

	return err;
}


static int fcm_make(struct cred *c, const struct cred_prm *prm,
		    const char *secret, struct cfgfile_err *e)
{
	const struct mcfg_fcm *cfg = prm->cfg->fcm;
	struct account *acc = NULL;
	char reason[128] = "";
	int err = account_parse(&acc, secret, reason, sizeof(reason));

	if (!err) {
		struct auth_fcm_prm aprm = {
			.signer = prm->signer,
			.name = prm->cfg->name,
			.email = acc->client_email,
			.key_id = acc->private_key_id,
			.token_uri = acc->token_uri,
			.pem = acc->private_key,
			.ca = cfg->link.ca,
		};

		err = auth_fcm_alloc(&c->auth, &aprm, reason, sizeof(reason));
	}
	if (err && reason[0])
		err = bad_key(prm, e, "fcm.service_account_file",
			      cfg->service_account_file, reason);
	if (!err)
		err = place_make(c, 0, prm, &drv_fcm, acc->project_id,
				 cfg->url ? cfg->url : FCM_URL,
				 acc->project_id, &cfg->link);

	mem_deref(acc);
	return err;
}


/* Apps make their subscriptions with it, and sipis tells it to phones */
static int public_tell(const char *name, const struct signer_key *key)
{
	uint8_t point[P256_POINT];
	char text[4 * ((P256_POINT + 2) / 3) + 1];
	int err = signer_key_point(point, key);

	if (err)
		return err;

	(void)ident_b64url(text, point, sizeof(point));
	log_info("main", "-", "credential \"%s\": VAPID public key %s", name,
		 text);
	return 0;
}


static int webpush_make(struct cred *c, const struct cred_prm *prm,
			const char *secret, struct cfgfile_err *e)
{
	const struct mcfg_webpush *cfg = prm->cfg->webpush;
	struct origins_prm oprm = {
		.name = prm->cfg->name,
		.cfg = cfg,
		.signer = prm->signer,
		.counters = prm->counters,
		.resulth = prm->resulth,
		.arg = prm->arg,
	};
	char reason[128] = "";
	int err = signer_key_load(&oprm.key, SIGNER_ES256, secret, reason,
				  sizeof(reason));

	if (err && reason[0])
		return bad_key(prm, e, "webpush.key_file", cfg->key_file,
			       reason);
	if (!err)
		err = origins_alloc(&c->origins, &oprm);
	if (!err)
		err = public_tell(prm->cfg->name, oprm.key);
	mem_deref(oprm.key);

	return err;
}


static const char *secret_file(const struct mcfg_credential *cfg,
			       const char **key)
{
	if (cfg->webpush) {
		*key = "webpush.key_file";
		return cfg->webpush->key_file;
	}

	*key = cfg->apns ? "apns.key_file" : "fcm.service_account_file";
	return cfg->apns ? cfg->apns->key_file
			 : cfg->fcm->service_account_file;
}


static int secret_load(char **secretp, const struct cred_prm *prm,
		       struct cfgfile_err *e)
{
	const char *which;
	const char *file = secret_file(prm->cfg, &which);
	char key[KEY_SIZE];
	size_t len;
	int err = secret_read_file(secretp, &len, file, SECRET_MAX);

	if (!err)
		return 0;

	(void)re_snprintf(key, sizeof(key), "credentials[%u].%s", prm->index,
			  which);
	return mcfg_file_fail(e, prm->path, key, file, err);
}


int cred_alloc(struct cred **cp, const struct list *old,
	       const struct cred_prm *prm, struct cfgfile_err *e)
{
	struct cred *c, *same;
	char *secret = NULL;
	int err;

	if (!cp || !prm || !e)
		return EINVAL;

	c = mem_zalloc(sizeof(*c), destructor);
	if (!c)
		return ENOMEM;

	err = secret_load(&secret, prm, e);
	if (!err)
		err = str_dup(&c->name, prm->cfg->name);
	if (!err)
		err = print_make(c->print, prm, secret);
	if (err)
		goto out;

	same = old ? cred_find(old, c->name) : NULL;
	if (same && secret_equal(same->print, c->print, sizeof(c->print))) {
		c->auth = mem_ref(same->auth);
		for (int i = 0; i < PLACES; i++)
			c->dest[i] = mem_ref(same->dest[i]);
		c->origins = mem_ref(same->origins);
	}
	else if (prm->cfg->webpush) {
		err = webpush_make(c, prm, secret, e);
	}
	else if (prm->cfg->apns) {
		err = apns_make(c, prm, secret, e);
	}
	else {
		err = fcm_make(c, prm, secret, e);
	}

out:
	secret_free(secret);
	if (err)
		mem_deref(c);
	else
		*cp = c;

	return err;
}


int cred_print(struct re_printf *pf, const struct cred *c)
{
	int err = 0;

	for (int i = 0; i < PLACES; i++)
		if (c->dest[i])
			err |= dest_print(pf, c->dest[i]);
	if (c->origins)
		err |= origins_print(pf, c->origins);

	return err;
}
