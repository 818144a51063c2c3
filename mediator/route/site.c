/**
 * @file route/site.c  What a configuration means at run time
 */

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <openssl/ssl.h>
#include "common/clock.h"
#include "common/log.h"
#include "common/secret.h"
#include "common/tlsctx.h"
#include "mediator/cfg_check.h"
#include "mediator/route/cred.h"
#include "mediator/route/site.h"

enum { KEY_FILE_MAX = 256 };

struct app {
	struct le le;
	char *name;
	char *topic;
	/* No app, no dest, no line: NULL */
	struct dest *apns[2], *fcm; /**< [1] = sandbox; references */
	struct dest_line *apns_line[2], *fcm_line;
	struct origins *webpush; /**< reference */
};

struct site {
	struct mcfg *cfg;
	struct tls *tls;
	struct handle_keys keys;
	struct list tenants; /**< owns struct seat */
	struct list creds, apps;
};

/* A tenant is in the old and in the new site for a moment */
struct seat {
	struct le le;
	struct tenant *t;             /**< reference */
	struct tenant_rights *rights; /**< reference; t's once it is granted */
};

struct making {
	struct site *s;
	const struct site *old;
	const struct site_prm *prm;
	struct cfgfile_err *e;
};


static void destructor(void *arg)
{
	struct site *s = arg;

	list_flush(&s->apps);
	list_flush(&s->creds);
	list_flush(&s->tenants);
	mem_deref(s->tls);
	explicit_bzero(&s->keys, sizeof(s->keys));
	mcfg_free(s->cfg);
}


static int handle_key_load(const struct making *m, const char *where,
			   const char *file)
{
	struct handle_keys *ks = &m->s->keys;
	uint8_t key[HANDLE_KEY_LEN];
	char *text = NULL;
	size_t len = 0, hex;
	int err = secret_read_file(&text, &len, file, KEY_FILE_MAX);

	if (err)
		return mcfg_file_fail(m->e, m->prm->path, where, file, err);

	hex = strspn(text, "0123456789abcdefABCDEF");
	if (len == HANDLE_KEY_LEN) {
		memcpy(key, text, sizeof(key));
	}
	else if (hex == sizeof(uint8_t[2 * HANDLE_KEY_LEN]) &&
		 !strcmp(text + hex, len > hex ? "\n" : "")) {
		text[hex] = '\0';
		err = ident_unhex(key, sizeof(key), text);
	}
	else {
		err = EINVAL;
	}

	if (!err)
		err = handle_key_init(&ks->v[ks->n++], key);
	else
		err = cfgfile_fail(m->e, m->prm->path, where,
				   "\"%s\" holds no key; give 32 bytes or 64 "
				   "hex digits, as from openssl rand -hex 32",
				   file);
	explicit_bzero(key, sizeof(key));
	secret_free(text);
	return err;
}


static int handle_keys_load(const struct making *m)
{
	const struct mcfg *cfg = m->s->cfg;
	int err = handle_key_load(m, "handle_key_file", cfg->handle_key_file);

	for (uint32_t i = 0; !err && i < cfg->old_handle_key_files_count;
	     i++) {
		char where[64];

		(void)re_snprintf(where, sizeof(where),
				  "old_handle_key_files[%u]", i);
		err = handle_key_load(m, where, cfg->old_handle_key_files[i]);
	}

	return err;
}


/* openssl reads the key by itself, so it is not refused, but told */
static void key_check(const char *file)
{
	struct stat st;

	if (!stat(file, &st) && st.st_mode & (S_IRWXO | S_IRGRP | S_IWGRP))
		log_warning("main", "-",
			    "%s holds the server's key and its mode lets "
			    "others at it; chmod 0400",
			    file);
}


static int tls_make(const struct making *m)
{
	const struct mcfg_server *cfg = &m->s->cfg->server;
	struct tlsctx_prm prm = {
		.cert = cfg->certificate,
		.key = cfg->key,
		.ca = cfg->client_ca,
		.min_version = TLS1_3_VERSION,
		.require_client = true,
	};
	char reason[256] = "";

	key_check(cfg->key ? cfg->key : cfg->certificate);
	if (!tlsctx_alloc(&m->s->tls, &prm, reason, sizeof(reason)))
		return 0;

	return cfgfile_fail(m->e, m->prm->path, "server.certificate",
			    "%s; give a PEM chain, its key and the CA of the "
			    "tenants",
			    reason);
}


static void seat_destructor(void *arg)
{
	struct seat *st = arg;

	list_unlink(&st->le);
	mem_deref(st->t);
	mem_deref(st->rights);
}


static int tenant_make(struct making *m, uint32_t i)
{
	const struct mcfg_tenant *cfg = &m->s->cfg->tenants[i];
	struct tenant *t = m->old ? site_tenant(m->old, cfg->name) : NULL;
	struct seat *st = mem_zalloc(sizeof(*st), seat_destructor);
	int err = 0;

	if (!st)
		return ENOMEM;

	if (t)
		st->t = mem_ref(t);
	else
		err = tenant_alloc(&st->t, cfg->name);
	if (!err)
		err = tenant_rights_alloc(&st->rights, cfg);

	list_append(&m->s->tenants, &st->le, st);
	return err;
}


static int cred_make(struct making *m, uint32_t i)
{
	struct cred *c = NULL;
	struct cred_prm prm = {
		.cfg = &m->s->cfg->credentials[i],
		.index = i,
		.path = m->prm->path,
		.state_dir = m->s->cfg->state_dir,
		.seal_key = m->s->keys.v[0].key,
		.signer = m->prm->signer,
		.counters = m->prm->counters,
		.resulth = m->prm->resulth,
		.arg = m->prm->arg,
	};
	int err = cred_alloc(&c, m->old ? &m->old->creds : NULL, &prm, m->e);

	if (!err)
		list_append(&m->s->creds, cred_le(c), c);

	return err;
}


static void app_destructor(void *arg)
{
	struct app *a = arg;

	list_unlink(&a->le);
	for (int i = 0; i < 2; i++) {
		mem_deref(a->apns[i]);
		mem_deref(a->apns_line[i]);
	}
	mem_deref(a->fcm);
	mem_deref(a->fcm_line);
	mem_deref(a->webpush);
	mem_deref(a->topic);
	mem_deref(a->name);
}


static struct app *app_find(const struct site *s, const char *name)
{
	struct le *le;

	LIST_FOREACH (&s->apps, le) {
		struct app *a = le->data;

		if (!strcmp(a->name, name))
			return a;
	}

	return NULL;
}


static int app_apns(struct making *m, struct app *a,
		    const struct mcfg_app_apns *cfg)
{
	struct cred *c = cred_find(&m->s->creds, cfg->credential);
	struct drv_app prm = { .topic = cfg->topic };
	int err = str_dup(&a->topic, cfg->topic);

	for (int i = 0; !err && i < 2; i++) {
		a->apns[i] = mem_ref(cred_dest(c, i));
		err = dest_line_alloc(&a->apns_line[i], a->name, &prm);
	}

	return err;
}


static int app_fcm(struct making *m, struct app *a,
		   const struct mcfg_app_fcm *cfg)
{
	struct cred *c = cred_find(&m->s->creds, cfg->credential);
	struct drv_app prm = { .package = cfg->package };

	a->fcm = mem_ref(cred_dest(c, 0));
	return dest_line_alloc(&a->fcm_line, a->name, &prm);
}


static int app_make(struct making *m, uint32_t i)
{
	const struct mcfg_app *cfg = &m->s->cfg->apps[i];
	struct app *a = mem_zalloc(sizeof(*a), app_destructor);
	int err;

	if (!a)
		return ENOMEM;

	list_append(&m->s->apps, &a->le, a);
	err = str_dup(&a->name, cfg->name);
	if (!err && cfg->apns)
		err = app_apns(m, a, cfg->apns);
	if (!err && cfg->fcm)
		err = app_fcm(m, a, cfg->fcm);
	if (!err && cfg->webpush)
		a->webpush = mem_ref(cred_origins(
			cred_find(&m->s->creds, cfg->webpush->credential)));

	return err;
}


int site_alloc(struct site **sp, struct mcfg *cfg, const struct site *old,
	       const struct site_prm *prm, struct cfgfile_err *e)
{
	struct making m = { .old = old, .prm = prm, .e = e };
	int err;

	m.s = mem_zalloc(sizeof(*m.s), destructor);
	if (!m.s) {
		mcfg_free(cfg);
		return ENOMEM;
	}

	m.s->cfg = cfg;
	e->text[0] = '\0';
	err = handle_keys_load(&m);
	if (!err)
		err = tls_make(&m);
	for (uint32_t i = 0; !err && i < cfg->credentials_count; i++)
		err = cred_make(&m, i);
	for (uint32_t i = 0; !err && i < cfg->apps_count; i++)
		err = app_make(&m, i);
	for (uint32_t i = 0; !err && i < cfg->tenants_count; i++)
		err = tenant_make(&m, i);

	if (err) {
		if (!e->text[0])
			(void)cfgfile_fail(e, prm->path, "", "%s",
					   strerror(err));
		mem_deref(m.s);
	}
	else {
		*sp = m.s;
	}

	return err;
}


void site_grant(const struct site *s)
{
	uint64_t now = clock_mono_ms();
	struct le *le;

	LIST_FOREACH (&s->tenants, le) {
		const struct seat *st = le->data;

		tenant_grant(st->t, st->rights, now);
	}
}


const struct mcfg *site_cfg(const struct site *s)
{
	return s->cfg;
}


struct tls *site_tls(const struct site *s)
{
	return s->tls;
}


const struct handle_keys *site_handle_keys(const struct site *s)
{
	return &s->keys;
}


struct tenant *site_tenant(const struct site *s, const char *name)
{
	struct le *le;

	LIST_FOREACH (&s->tenants, le) {
		struct seat *st = le->data;

		if (!strcmp(st->t->name, name))
			return st->t;
	}

	return NULL;
}


const char *site_topic(const struct site *s, const char *app)
{
	const struct app *a = app_find(s, app);

	return a ? a->topic : NULL;
}


static bool app_has(const struct app *a, const struct push_target *t)
{
	if (!strcmp(t->provider, drv_webpush.name))
		return a->webpush != NULL;
	if (!strcmp(t->provider, drv_apns.name))
		return a->apns[t->sandbox] != NULL;

	return a->fcm != NULL;
}


static int app_of(const struct app **ap, const struct site *s,
		  const struct tenant *tenant, const struct push_target *t)
{
	if (!tenant_may(tenant, t->app))
		return EPERM;

	*ap = app_find(s, t->app);
	return *ap && app_has(*ap, t) ? 0 : ENOENT;
}


int site_allows(const struct site *s, const struct tenant *tenant,
		const struct push_target *t)
{
	const struct app *a;
	int err = app_of(&a, s, tenant, t);

	if (err || strcmp(t->provider, drv_webpush.name))
		return err;

	return origins_allow(a->webpush, t->token) ? 0 : EACCES;
}


int site_route(const struct site *s, const struct tenant *tenant,
	       const struct push_target *t, struct dest **dp,
	       struct dest_line **lp)
{
	const struct app *a;
	int err = app_of(&a, s, tenant, t);

	if (err)
		return err;
	if (!strcmp(t->provider, drv_webpush.name))
		return origins_route(a->webpush, a->name, t->token, dp, lp);

	if (!strcmp(t->provider, drv_apns.name)) {
		*dp = a->apns[t->sandbox];
		*lp = a->apns_line[t->sandbox];
	}
	else {
		*dp = a->fcm;
		*lp = a->fcm_line;
	}

	return 0;
}


static int tenant_pushes(struct re_printf *pf, const struct tenant *t)
{
	int err = 0;

	for (unsigned i = 0; i < TENANT_OUTCOMES; i++)
		if (t->outcome[i])
			err |= re_hprintf(
				pf,
				"mediator_tenant_pushes_total{tenant=\"%s\","
				"outcome=\"%s\"} %llu\n",
				t->name, wire_outcome_name((Wire__Outcome)i),
				(unsigned long long)t->outcome[i]);

	return err;
}


int site_metrics(struct re_printf *pf, const struct site *s)
{
	struct le *le;
	int err = re_hprintf(
		pf, "# HELP mediator_tenant_connections Sessions of a "
		    "tenant\n# TYPE mediator_tenant_connections gauge\n");

	LIST_FOREACH (&s->tenants, le) {
		const struct seat *st = le->data;

		err |= re_hprintf(
			pf, "mediator_tenant_connections{tenant=\"%s\"} %u\n",
			st->t->name, st->t->connections);
	}

	err |= re_hprintf(
		pf, "# HELP mediator_tenant_pushes_total Pushes of a tenant "
		    "by outcome\n# TYPE mediator_tenant_pushes_total "
		    "counter\n");
	LIST_FOREACH (&s->tenants, le) {
		const struct seat *st = le->data;

		err |= tenant_pushes(pf, st->t);
	}

	return err;
}


int site_print(struct re_printf *pf, const struct site *s)
{
	struct le *le;
	int err = 0;

	LIST_FOREACH (&s->tenants, le) {
		const struct seat *st = le->data;

		err |= re_hprintf(
			pf, "tenant %s: connections %u, waiting %u + %u\n",
			st->t->name, st->t->connections,
			st->t->waiting[QUEUE_CALLS],
			st->t->waiting[QUEUE_OTHERS]);
	}
	LIST_FOREACH (&s->creds, le)
		err |= cred_print(pf, le->data);

	return err;
}
