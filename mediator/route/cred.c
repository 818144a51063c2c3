/**
 * @file route/cred.c  One credential and the places it opens
 */

#include <errno.h>
#include <string.h>
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
	uint8_t print[32]; /**< of everything it was made of */
};


static void destructor(void *arg)
{
	struct cred *c = arg;

	list_unlink(&c->le);
	for (int i = 0; i < PLACES; i++)
		mem_deref(c->dest[i]);
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


/* Two credentials with the same print are the same in every respect */
static int print_make(uint8_t md[32], const struct cred_prm *prm,
		      const char *secret)
{
	const struct mcfg_apns *a = prm->cfg->apns;
	const struct mcfg_fcm *f = prm->cfg->fcm;
	const struct mcfg_link *l = a ? &a->link : &f->link;
	char *text = NULL;
	int err = re_sdprintf(
		&text, "%s|%s|%s|%s|%s|%s|%s|%u|%u|%u|%u|%u|%u|%s",
		prm->cfg->name, a ? a->team_id : "", a ? a->key_id : "",
		a && a->production_url ? a->production_url : "",
		a && a->sandbox_url ? a->sandbox_url : "",
		f && f->url ? f->url : "", l->ca ? l->ca : "", l->connections,
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


static int secret_load(char **secretp, const struct cred_prm *prm,
		       struct cfgfile_err *e)
{
	bool apns = prm->cfg->apns != NULL;
	const char *file = apns ? prm->cfg->apns->key_file
				: prm->cfg->fcm->service_account_file;
	char key[KEY_SIZE];
	size_t len;
	int err = secret_read_file(secretp, &len, file, SECRET_MAX);

	if (!err)
		return 0;

	(void)re_snprintf(key, sizeof(key), "credentials[%u].%s", prm->index,
			  apns ? "apns.key_file" : "fcm.service_account_file");
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

	return err;
}
