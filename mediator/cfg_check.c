/**
 * @file mediator/cfg_check.c  The rules between keys, and those on files
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>
#include <curl/curl.h>
#include <re/re.h>
#include "common/log.h"
#include "mediator/cfg_check.h"
#include "mediator/drv/endpoint.h"

enum {
	APPLE_ID_LEN = 10,
	KEY_SIZE = 96,
	PORT_LEN = 5,
};

struct check {
	const struct mcfg *cfg;
	const char *path;
	struct cfgfile_err *e;
};


int mcfg_file_fail(struct cfgfile_err *e, const char *path, const char *key,
		   const char *file, int err)
{
	const char *cure = err == ENOENT  ? "give the path of a file that "
					    "exists"
			   : err == EPERM ? "others may read or write it; "
					    "chmod 0400"
					  : "give a file that this user can "
					    "read";
	int rc = cfgfile_fail(e, path, key, "cannot use \"%s\": %s; %s", file,
			      strerror(err), cure);

	if (err == ENOENT)
		e->exit_code = EX_NOINPUT;
	else if (err == EACCES || err == EPERM)
		e->exit_code = EX_NOPERM;

	return rc;
}


static int file_check(const struct check *c, const char *key, const char *file)
{
	struct stat st;

	if (!file)
		return 0;
	if (stat(file, &st) || access(file, R_OK))
		return mcfg_file_fail(c->e, c->path, key, file, errno);
	if (!S_ISREG(st.st_mode))
		return mcfg_file_fail(c->e, c->path, key, file, EINVAL);

	return 0;
}


static int name_check(const struct check *c, const char *key, const char *name)
{
	return cfgfile_name(c->e, c->path, key, name);
}


static int twice(const struct check *c, const char *key, const char *what,
		 const char *name)
{
	return cfgfile_fail(c->e, c->path, key,
			    "two %s are called \"%s\"; give each a name of "
			    "its own",
			    what, name);
}


static const struct mcfg_credential *credential_find(const struct mcfg *cfg,
						     const char *name)
{
	for (uint32_t i = 0; i < cfg->credentials_count; i++)
		if (!strcmp(cfg->credentials[i].name, name))
			return &cfg->credentials[i];

	return NULL;
}


static bool app_known(const struct mcfg *cfg, const char *name)
{
	for (uint32_t i = 0; i < cfg->apps_count; i++)
		if (!strcmp(cfg->apps[i].name, name))
			return true;

	return false;
}


static int tenant_check(const struct check *c, uint32_t i)
{
	const struct mcfg_tenant *t = &c->cfg->tenants[i];
	char key[KEY_SIZE];
	int err;

	(void)re_snprintf(key, sizeof(key), "tenants[%u].name", i);
	err = name_check(c, key, t->name);
	if (err)
		return err;
	for (uint32_t j = 0; j < i; j++)
		if (!strcmp(t->name, c->cfg->tenants[j].name))
			return twice(c, key, "tenants", t->name);

	for (uint32_t j = 0; j < t->apps_count; j++) {
		(void)re_snprintf(key, sizeof(key), "tenants[%u].apps[%u]", i,
				  j);
		if (!app_known(c->cfg, t->apps[j]))
			return cfgfile_fail(c->e, c->path, key,
					    "there is no app \"%s\"; give the "
					    "name of one under apps",
					    t->apps[j]);
	}

	return 0;
}


static int reference_missing(const struct check *c, uint32_t i,
			     const char *kind, const char *name)
{
	char key[KEY_SIZE];

	(void)re_snprintf(key, sizeof(key), "apps[%u].%s.credential", i, kind);
	return cfgfile_fail(c->e, c->path, key,
			    "there is no credential \"%s\" for %s; give the "
			    "name of one under credentials",
			    name, kind);
}


static int references_check(const struct check *c, uint32_t i)
{
	const struct mcfg_app *a = &c->cfg->apps[i];
	const struct mcfg_credential *cr;

	if (a->apns) {
		cr = credential_find(c->cfg, a->apns->credential);
		if (!cr || !cr->apns)
			return reference_missing(c, i, "apns",
						 a->apns->credential);
	}
	if (a->fcm) {
		cr = credential_find(c->cfg, a->fcm->credential);
		if (!cr || !cr->fcm)
			return reference_missing(c, i, "fcm",
						 a->fcm->credential);
	}
	if (a->webpush) {
		cr = credential_find(c->cfg, a->webpush->credential);
		if (!cr || !cr->webpush)
			return reference_missing(c, i, "webpush",
						 a->webpush->credential);
	}

	return 0;
}


static int topic_check(const struct check *c, uint32_t i, const char *topic)
{
	size_t n = strlen(topic);
	char key[KEY_SIZE];

	if (n <= 200 && strspn(topic, CFGFILE_NAME_CHARS) == n &&
	    (n < 5 || strcmp(topic + n - 5, ".voip")))
		return 0;

	(void)re_snprintf(key, sizeof(key), "apps[%u].apns.topic", i);
	return cfgfile_fail(c->e, c->path, key,
			    "\"%s\" is no bundle id; give it as in Xcode, "
			    "without .voip, which calls get by themselves",
			    topic);
}


static int app_check(const struct check *c, uint32_t i)
{
	const struct mcfg_app *a = &c->cfg->apps[i];
	char key[KEY_SIZE];
	int err;

	(void)re_snprintf(key, sizeof(key), "apps[%u].name", i);
	err = name_check(c, key, a->name);
	if (err)
		return err;
	for (uint32_t j = 0; j < i; j++)
		if (!strcmp(a->name, c->cfg->apps[j].name))
			return twice(c, key, "apps", a->name);

	if (!a->apns && !a->fcm && !a->webpush)
		return cfgfile_fail(c->e, c->path, key,
				    "app \"%s\" has neither apns nor fcm nor "
				    "webpush; give at least one",
				    a->name);
	err = references_check(c, i);
	if (!err && a->apns)
		err = topic_check(c, i, a->apns->topic);

	return err;
}


static int url_check(const struct check *c, const char *key, const char *url)
{
	CURLU *u = url ? curl_url() : NULL;
	char *scheme = NULL, *path = NULL, *query = NULL;
	bool ok;

	if (!u)
		return url ? ENOMEM : 0;

	ok = !curl_url_set(u, CURLUPART_URL, url, 0) &&
	     !curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) &&
	     !strcmp(scheme, "https") &&
	     !curl_url_get(u, CURLUPART_PATH, &path, 0) &&
	     !strcmp(path, "/") && url[strlen(url) - 1] != '/' &&
	     curl_url_get(u, CURLUPART_QUERY, &query, 0);
	curl_free(scheme);
	curl_free(path);
	curl_free(query);
	curl_url_cleanup(u);
	if (ok)
		return 0;

	return cfgfile_fail(c->e, c->path, key,
			    "\"%s\" is not usable; give https://host[:port] "
			    "and nothing behind it",
			    url);
}


static int apple_id_check(const struct check *c, const char *key,
			  const char *id)
{
	if (strlen(id) == APPLE_ID_LEN &&
	    strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == APPLE_ID_LEN)
		return 0;

	return cfgfile_fail(c->e, c->path, key,
			    "\"%s\" is not one of Apple's ids; give the ten "
			    "capital letters and digits",
			    id);
}


static int apns_check(const struct check *c, uint32_t i)
{
	const struct mcfg_apns *a = c->cfg->credentials[i].apns;
	char key[KEY_SIZE];
	int err;

#define KEY(name)                                                          \
	((void)re_snprintf(key, sizeof(key), "credentials[%u].apns." name, \
			   i),                                             \
	 key)
	err = apple_id_check(c, KEY("team_id"), a->team_id);
	if (!err)
		err = apple_id_check(c, KEY("key_id"), a->key_id);
	if (!err)
		err = file_check(c, KEY("key_file"), a->key_file);
	if (!err)
		err = url_check(c, KEY("production_url"), a->production_url);
	if (!err)
		err = url_check(c, KEY("sandbox_url"), a->sandbox_url);
	if (!err)
		err = file_check(c, KEY("link.ca"), a->link.ca);
#undef KEY

	return err;
}


static int fcm_check(const struct check *c, uint32_t i)
{
	const struct mcfg_fcm *f = c->cfg->credentials[i].fcm;
	char key[KEY_SIZE];
	int err;

#define KEY(name)                                                             \
	((void)re_snprintf(key, sizeof(key), "credentials[%u].fcm." name, i), \
	 key)
	err = file_check(c, KEY("service_account_file"),
			 f->service_account_file);
	if (!err)
		err = url_check(c, KEY("url"), f->url);
	if (!err)
		err = file_check(c, KEY("link.ca"), f->link.ca);
#undef KEY

	return err;
}


/* Push services refuse a subject that they could not write to; Apple by its
   letters */
static bool subject_good(const char *subject)
{
	const char *at = strrchr(subject, '@');

	for (const char *p = subject; *p; p++)
		if (*p <= ' ' || *p >= 0x7f || strchr("<>\"\\", *p))
			return false;
	if (!strncmp(subject, "https://", 8))
		return strchr(subject + 8, '.') != NULL;

	return !strncmp(subject, "mailto:", 7) && at && at > subject + 7 &&
	       strchr(at, '.');
}


static int endpoints_check(const struct check *c, uint32_t i)
{
	const struct mcfg_webpush *w = c->cfg->credentials[i].webpush;
	char key[KEY_SIZE];

	for (uint32_t j = 0; j < w->endpoints_count; j++) {
		(void)re_snprintf(key, sizeof(key),
				  "credentials[%u].webpush.endpoints[%u]", i,
				  j);
		if (endpoint_pattern_check(w->endpoints[j]))
			return cfgfile_fail(c->e, c->path, key,
					    "\"%s\" is no host; give host, "
					    "host:port, *.domain or *",
					    w->endpoints[j]);
		if (w->private_addresses && !strcmp(w->endpoints[j], "*"))
			return cfgfile_fail(
				c->e, c->path, key,
				"\"*\" with private_addresses lets "
				"every user of the app reach all "
				"of this network; name the hosts, "
				"or leave private_addresses out");
	}

	return 0;
}


static int webpush_check(const struct check *c, uint32_t i)
{
	const struct mcfg_webpush *w = c->cfg->credentials[i].webpush;
	char key[KEY_SIZE];
	int err;

#define KEY(name)                                                             \
	((void)re_snprintf(key, sizeof(key), "credentials[%u].webpush." name, \
			   i),                                                \
	 key)
	if (!subject_good(w->subject))
		return cfgfile_fail(c->e, c->path, KEY("subject"),
				    "\"%s\" is no contact; give "
				    "mailto:name@domain or https://host/",
				    w->subject);
	err = file_check(c, KEY("key_file"), w->key_file);
	if (!err)
		err = file_check(c, KEY("link.ca"), w->link.ca);
#undef KEY
	if (!err)
		err = endpoints_check(c, i);

	return err;
}


static int credential_check(const struct check *c, uint32_t i)
{
	const struct mcfg_credential *cr = &c->cfg->credentials[i];
	const int kinds =
		(cr->apns != NULL) + (cr->fcm != NULL) + (cr->webpush != NULL);
	char key[KEY_SIZE];
	int err;

	(void)re_snprintf(key, sizeof(key), "credentials[%u].name", i);
	err = name_check(c, key, cr->name);
	if (err)
		return err;
	for (uint32_t j = 0; j < i; j++)
		if (!strcmp(cr->name, c->cfg->credentials[j].name))
			return twice(c, key, "credentials", cr->name);

	if (kinds != 1)
		return cfgfile_fail(c->e, c->path, key,
				    "credential \"%s\" has %s; give exactly "
				    "one of apns, fcm and webpush",
				    cr->name,
				    kinds ? "several kinds" : "no kind");
	if (cr->webpush)
		return webpush_check(c, i);

	return cr->apns ? apns_check(c, i) : fcm_check(c, i);
}


/* libre takes the lower 16 bits of any number for a port */
static bool port_fits(const char *addr)
{
	const char *p = strrchr(addr, ':');
	size_t n = p ? strlen(++p) : 0;

	return n && n <= PORT_LEN && strspn(p, "0123456789") == n &&
	       strtoul(p, NULL, 10) <= UINT16_MAX;
}


static int address_check(const struct check *c, const char *key,
			 const char *addr, bool loopback)
{
	struct sa sa;

	if (port_fits(addr) && !sa_decode(&sa, addr, strlen(addr)) &&
	    (!loopback || sa_is_loopback(&sa)))
		return 0;

	return cfgfile_fail(c->e, c->path, key,
			    "\"%s\" is not usable; give %s", addr,
			    loopback ? "127.0.0.1:port or [::1]:port"
				     : "address:port or [address]:port");
}


/* By one of the first n, which are good; all addresses of a family are
   taken by its "any" */
static bool address_taken(const struct mcfg_server *s, uint32_t n,
			  const char *addr)
{
	struct sa a, b;

	if (sa_decode(&a, addr, strlen(addr)))
		return false;
	for (uint32_t i = 0; i < n; i++)
		if (!sa_decode(&b, s->listen[i], strlen(s->listen[i])) &&
		    sa_port(&a) && sa_port(&a) == sa_port(&b) &&
		    sa_af(&a) == sa_af(&b) &&
		    (sa_is_any(&a) || sa_is_any(&b) ||
		     sa_cmp(&a, &b, SA_ADDR)))
			return true;

	return false;
}


/* Sites find us by the port: "any" is none */
static int port_check(const struct check *c, const char *key, const char *addr)
{
	struct sa sa;

	if (!sa_decode(&sa, addr, strlen(addr)) && sa_port(&sa))
		return 0;

	return cfgfile_fail(c->e, c->path, key,
			    "\"%s\" has port 0; give the one that the sites "
			    "are told, from 1 to 65535",
			    addr);
}


static int admin_check(const struct check *c)
{
	const struct mcfg_server *s = &c->cfg->server;
	const char *addr = c->cfg->admin.listen;
	int err = address_check(c, "admin.listen", addr, true);

	if (err || !address_taken(s, s->listen_count, addr))
		return err;

	return cfgfile_fail(c->e, c->path, "admin.listen",
			    "\"%s\" is in use by server.listen; give another "
			    "port",
			    addr);
}


static int listen_check(const struct check *c)
{
	const struct mcfg_server *s = &c->cfg->server;
	char key[KEY_SIZE];

	for (uint32_t i = 0; i < s->listen_count; i++) {
		int err;

		(void)re_snprintf(key, sizeof(key), "server.listen[%u]", i);
		err = address_check(c, key, s->listen[i], false);
		if (err)
			return err;
		err = port_check(c, key, s->listen[i]);
		if (err)
			return err;
		if (address_taken(s, i, s->listen[i]))
			return cfgfile_fail(c->e, c->path, key,
					    "\"%s\" stands here twice; give "
					    "each address once",
					    s->listen[i]);
	}

	return c->cfg->admin.listen ? admin_check(c) : 0;
}


static int handle_keys_check(const struct check *c)
{
	const struct mcfg *cfg = c->cfg;
	int err = file_check(c, "handle_key_file", cfg->handle_key_file);

	for (uint32_t i = 0; !err && i < cfg->old_handle_key_files_count;
	     i++) {
		char key[KEY_SIZE];

		(void)re_snprintf(key, sizeof(key), "old_handle_key_files[%u]",
				  i);
		err = file_check(c, key, cfg->old_handle_key_files[i]);
	}

	return err;
}


static int top_check(const struct check *c)
{
	const struct mcfg *cfg = c->cfg;
	enum log_level level;
	int err;

	if (cfg->log_level && log_level_decode(&level, cfg->log_level))
		return cfgfile_fail(c->e, c->path, "log_level",
				    "\"%s\" is no level; give error, warning, "
				    "info or debug",
				    cfg->log_level);

	err = cfgfile_dir(c->e, c->path, "state_dir", cfg->state_dir);
	if (!err)
		err = handle_keys_check(c);
	if (!err)
		err = listen_check(c);
	if (!err)
		err = file_check(c, "server.certificate",
				 cfg->server.certificate);
	if (!err)
		err = file_check(c, "server.key", cfg->server.key);
	if (!err)
		err = file_check(c, "server.client_ca", cfg->server.client_ca);

	return err;
}


int mcfg_check(const struct mcfg *cfg, const char *path, struct cfgfile_err *e)
{
	const struct check c = { .cfg = cfg, .path = path, .e = e };
	int err = top_check(&c);

	for (uint32_t i = 0; !err && i < cfg->credentials_count; i++)
		err = credential_check(&c, i);
	for (uint32_t i = 0; !err && i < cfg->apps_count; i++)
		err = app_check(&c, i);
	for (uint32_t i = 0; !err && i < cfg->tenants_count; i++)
		err = tenant_check(&c, i);

	return err;
}
