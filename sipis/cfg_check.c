/**
 * @file sipis/cfg_check.c  The rules between keys, and those on files
 *
 * --check-config and the start run the same checks, and with the same
 * loaders that will be used later: a certificate is good if a TLS context
 * takes it.
 */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>
#include <openssl/ssl.h>
#include <re/re.h>
#include "common/log.h"
#include "common/secret.h"
#include "common/tlsctx.h"
#include "sipis/cfg_check.h"
#include "sipis/cfg_check_priv.h"

enum { KEY_FILE_MAX = 4096 };


struct where cfg_check_at(const char *fmt, ...)
{
	struct where w;
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(w.text, sizeof(w.text), fmt, ap);
	va_end(ap);

	return w;
}


int cfg_check_file(const struct check *c, struct where key, const char *file)
{
	const int reason = file && access(file, R_OK) ? errno : 0;
	int err;

	if (!reason)
		return 0;

	err = cfgfile_fail(c->e, c->path, key.text,
			   "cannot read \"%s\": %s; give the path of a file "
			   "that this user can read",
			   file, strerror(reason));
	c->e->exit_code = reason == EACCES ? EX_NOPERM : EX_NOINPUT;
	return err;
}


static int key_file_check(const struct check *c)
{
	const char *file = c->cfg->key_file;
	char *buf = NULL;
	size_t len = 0;
	int err = cfg_check_file(c, cfg_check_at("key_file"), file);

	if (err)
		return err;

	err = secret_read_file(&buf, &len, file, KEY_FILE_MAX);
	if (!err && len != 32 && strspn(buf, "0123456789abcdefABCDEF") != 64)
		err = EINVAL;
	secret_free(buf);
	if (!err)
		return 0;

	(void)cfgfile_fail(c->e, c->path, "key_file",
			   "\"%s\": %s; it holds 32 bytes or 64 hex digits, "
			   "and nobody else may read it (chmod 0400)",
			   file, strerror(err));
	c->e->exit_code = err == EPERM ? EX_NOPERM : EX_CONFIG;
	return EINVAL;
}


int cfg_check_tls(const struct check *c, struct where key,
		  const struct tlsctx_prm *prm)
{
	char reason[256] = "";
	struct tls *tls = NULL;
	int err = tlsctx_alloc(&tls, prm, reason, sizeof(reason));

	mem_deref(tls);
	return err ? cfgfile_fail(c->e, c->path, key.text, "%s", reason) : 0;
}


static int files_check(const struct check *c)
{
	const struct sipis_cfg *cfg = c->cfg;
	const struct tlsctx_prm api = {
		.cert = cfg->api.certificate,
		.key = cfg->api.key,
		.min_version = TLS1_2_VERSION,
		.peer_name = CFG_CHECK_ANY_NAME,
	};
	const struct tlsctx_prm med = {
		.cert = cfg->mediator.certificate,
		.key = cfg->mediator.key,
		.ca = cfg->mediator.ca,
		.min_version = TLS1_3_VERSION,
		.peer_name = CFG_CHECK_ANY_NAME,
	};
	int err = key_file_check(c);

	if (!err)
		err = cfg_check_file(c, cfg_check_at("api.certificate"),
				     api.cert);
	if (!err)
		err = cfg_check_file(c, cfg_check_at("api.key"), api.key);
	if (!err)
		err = cfg_check_tls(c, cfg_check_at("api.certificate"), &api);
	if (!err)
		err = cfg_check_file(c, cfg_check_at("mediator.ca"), med.ca);
	if (!err)
		err = cfg_check_file(c, cfg_check_at("mediator.certificate"),
				     med.cert);
	if (!err)
		err = cfg_check_file(c, cfg_check_at("mediator.key"), med.key);
	return err ? err
		   : cfg_check_tls(c, cfg_check_at("mediator.certificate"),
				   &med);
}


/* sa_decode() would cut a port of more than 16 bits */
int cfg_check_listen(const struct check *c, struct where key, const char *text,
		     bool loopback)
{
	const char *colon = strrchr(text, ':');
	struct sa sa;

	if (colon && strlen(colon + 1) <= 5 && atoi(colon + 1) <= UINT16_MAX &&
	    !sa_decode(&sa, text, strlen(text)) &&
	    (!loopback || sa_is_loopback(&sa)))
		return 0;

	return cfgfile_fail(c->e, c->path, key.text,
			    "\"%s\" is not usable; give %s", text,
			    loopback ? "127.0.0.1:port or [::1]:port: these "
				       "pages ask for no login"
				     : "address:port or [address]:port");
}


/** Is what stands before end made of labels, RFC 1035 section 2.3.4? */
static bool labels_good(const char *name, const char *end)
{
	if (end - name > 253)
		return false;

	while (name < end) {
		const char *dot = memchr(name, '.', (size_t)(end - name));
		const char *stop = dot ? dot : end;

		if (stop == name || stop - name > 63)
			return false;
		name = stop + 1;
	}

	return true;
}


int cfg_check_host(const struct check *c, struct where key, const char *text)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789.-_";
	const char *port = strrchr(text, ':');
	size_t host = strspn(text, letters);
	struct sa sa;

	if (!sa_set_str(&sa, text, 0))
		return 0;
	if (port && (strlen(port + 1) > 5 || !port[1] ||
		     port[1 + strspn(port + 1, "0123456789")] ||
		     atoi(port + 1) > UINT16_MAX || !atoi(port + 1)))
		goto bad;
	if (*text == '[' && !sa_decode(&sa, text, strlen(text)))
		return 0;
	if (host && (!text[host] || text + host == port) &&
	    labels_good(text, text + host))
		return 0;
bad:
	return cfgfile_fail(c->e, c->path, key.text,
			    "\"%s\" is no host; give a name or an address, "
			    "with :port if it is not the usual one",
			    text);
}


/* Who answers DNS must not choose whom we believe: behind an SRV name every
   mediator proves one name, which stands in the configuration */
static int srv_check(const struct check *c, uint32_t i)
{
	const struct med_cfg *med = &c->cfg->mediator;
	const struct where key = cfg_check_at("mediator.addresses[%u]", i);
	const char *name = med->addresses[i];

	if (!strstr(name, "._tcp.") || strchr(name, ':'))
		return cfgfile_fail(c->e, c->path, key.text,
				    "\"%s\" is no SRV name; give one like "
				    "_sipis-mediator._tcp.example.net, "
				    "without a port",
				    name);
	if (med->addresses_count > 1)
		return cfgfile_fail(c->e, c->path, key.text,
				    "an SRV name stands for all mediators; "
				    "give it alone");
	if (!med->name)
		return cfgfile_fail(c->e, c->path, "mediator.name",
				    "with an SRV name, give the name that the "
				    "mediators' certificates prove");
	return 0;
}


/* Phones find the API by its port: "any" is none */
static int api_port_check(const struct check *c, uint32_t i)
{
	const char *text = c->cfg->api.listen[i];
	struct sa sa;

	if (!sa_decode(&sa, text, strlen(text)) && sa_port(&sa))
		return 0;

	return cfgfile_fail(c->e, c->path,
			    cfg_check_at("api.listen[%u]", i).text,
			    "\"%s\" has port 0; give the one that the phones "
			    "are told, from 1 to 65535",
			    text);
}


static int state_dir_check(const struct check *c)
{
	const char *dir = c->cfg->state_dir;

	if (dir[0] != '/')
		return cfgfile_fail(c->e, c->path, "state_dir",
				    "\"%s\" depends on where the daemon is "
				    "started; give a path from /, as "
				    "/var/lib/sipis",
				    dir);

	return cfgfile_dir(c->e, c->path, "state_dir", dir);
}


/** Could both be listened on at once? */
static bool collide(const char *one, const char *other)
{
	struct sa a, b;

	if (sa_decode(&a, one, strlen(one)) ||
	    sa_decode(&b, other, strlen(other)))
		return false;

	return sa_port(&a) && sa_port(&a) == sa_port(&b) &&
	       sa_af(&a) == sa_af(&b) &&
	       (sa_is_any(&a) || sa_is_any(&b) || sa_cmp(&a, &b, SA_ADDR));
}


/* Among the first n of api.listen */
static int taken_check(const struct check *c, struct where key,
		       const char *text, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (collide(text, c->cfg->api.listen[i]))
			return cfgfile_fail(c->e, c->path, key.text,
					    "\"%s\" is in use by "
					    "api.listen[%u], %s; give another "
					    "port",
					    text, i, c->cfg->api.listen[i]);

	return 0;
}


static int addresses_check(const struct check *c)
{
	const struct sipis_cfg *cfg = c->cfg;
	int err = 0;

	for (uint32_t i = 0; !err && i < cfg->api.listen_count; i++)
		err = cfg_check_listen(c, cfg_check_at("api.listen[%u]", i),
				       cfg->api.listen[i], false);
	for (uint32_t i = 0; !err && i < cfg->api.listen_count; i++)
		err = api_port_check(c, i);
	for (uint32_t i = 0; !err && i < cfg->api.listen_count; i++)
		err = taken_check(c, cfg_check_at("api.listen[%u]", i),
				  cfg->api.listen[i], i);
	if (!err && cfg->admin.listen) {
		err = cfg_check_listen(c, cfg_check_at("admin.listen"),
				       cfg->admin.listen, true);
		err = err ? err
			  : taken_check(c, cfg_check_at("admin.listen"),
					cfg->admin.listen,
					cfg->api.listen_count);
	}
	for (uint32_t i = 0; !err && i < cfg->mediator.addresses_count; i++)
		err = cfg->mediator.addresses[i][0] == '_'
			      ? srv_check(c, i)
			      : cfg_check_host(
					c,
					cfg_check_at("mediator.addresses[%u]",
						     i),
					cfg->mediator.addresses[i]);

	return err;
}


int cfg_check(const struct sipis_cfg *cfg, const char *path,
	      struct cfgfile_err *e)
{
	const struct check c = { cfg, path, e };
	enum log_level level;
	int err;

	if (!cfg->pbx_count)
		return cfgfile_fail(e, path, "pbx",
				    "no PBX is allowed; list at least one "
				    "under pbx, with name and domains");

	if (cfg->log_level && log_level_decode(&level, cfg->log_level))
		return cfgfile_fail(e, path, "log_level",
				    "\"%s\" is no level; give error, "
				    "warning, info or debug",
				    cfg->log_level);

	err = state_dir_check(&c);
	if (!err)
		err = addresses_check(&c);
	if (!err)
		err = cfg_check_edge(&c);
	for (uint32_t i = 0; !err && i < cfg->pbx_count; i++)
		err = cfg_check_pbx(&c, i);
	return err ? err : files_check(&c);
}
