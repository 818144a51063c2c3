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
#include <strings.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>
#include <openssl/ssl.h>
#include <re/re.h>
#include "common/ident.h"
#include "common/log.h"
#include "common/secret.h"
#include "common/tlsctx.h"
#include "sipis/cfg_check.h"
#include "sipis/edge/listen.h"
#include "sipis/sip/cidr.h"

#define ANY_NAME "peer.invalid" /* tlsctx makes none without a name */

/* RFC 8292 3.2: a point of P-256, uncompressed, in base64url */
#define VAPID_CHARS                                   \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopq" \
	"rstuvwxyz0123456789-_"

enum { KEY_FILE_MAX = 4096, VAPID_LEN = 65, VAPID_FIRST = 4 };

struct check {
	const struct sipis_cfg *cfg;
	const char *path;
	struct cfgfile_err *e;
};

/** "pbx[2].ca": where a key stands */
struct where {
	char text[160];
};


static struct where at(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));


static struct where at(const char *fmt, ...)
{
	struct where w;
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(w.text, sizeof(w.text), fmt, ap);
	va_end(ap);

	return w;
}


static int file_check(const struct check *c, struct where key,
		      const char *file)
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
	int err = file_check(c, at("key_file"), file);

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


/** A context of these files, thrown away again: whether certificate, key and
    CA are good and fit together.  key is what to blame */
static int tls_check(const struct check *c, struct where key,
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
		.peer_name = ANY_NAME,
	};
	const struct tlsctx_prm med = {
		.cert = cfg->mediator.certificate,
		.key = cfg->mediator.key,
		.ca = cfg->mediator.ca,
		.min_version = TLS1_3_VERSION,
		.peer_name = ANY_NAME,
	};
	int err = key_file_check(c);

	if (!err)
		err = file_check(c, at("api.certificate"), api.cert);
	if (!err)
		err = file_check(c, at("api.key"), api.key);
	if (!err)
		err = tls_check(c, at("api.certificate"), &api);
	if (!err)
		err = file_check(c, at("mediator.ca"), med.ca);
	if (!err)
		err = file_check(c, at("mediator.certificate"), med.cert);
	if (!err)
		err = file_check(c, at("mediator.key"), med.key);
	return err ? err : tls_check(c, at("mediator.certificate"), &med);
}


/** "address:port" or "[address]:port"; sa_decode() would cut a port of more
    than 16 bits */
static int listen_check(const struct check *c, struct where key,
			const char *text, bool loopback)
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


/** "host", "host:port", "address" or "[address]:port" */
static int host_check(const struct check *c, struct where key,
		      const char *text)
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
	const struct where key = at("mediator.addresses[%u]", i);
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

	return cfgfile_fail(c->e, c->path, at("api.listen[%u]", i).text,
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


/* It would end a call that rings before the phone has had its time to wake */
static int times_check(const struct check *c, uint32_t i)
{
	const struct pbx_cfg *pbx = &c->cfg->pbx[i];

	if (pbx->ring_timeout_s >= pbx->wake_timeout_s)
		return 0;

	return cfgfile_fail(c->e, c->path,
			    at("pbx[%u].ring_timeout_s", i).text,
			    "%u is less than the wake_timeout_s of %u; give "
			    "at least as much",
			    pbx->ring_timeout_s, pbx->wake_timeout_s);
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
		err = listen_check(c, at("api.listen[%u]", i),
				   cfg->api.listen[i], false);
	for (uint32_t i = 0; !err && i < cfg->api.listen_count; i++)
		err = api_port_check(c, i);
	for (uint32_t i = 0; !err && i < cfg->api.listen_count; i++)
		err = taken_check(c, at("api.listen[%u]", i),
				  cfg->api.listen[i], i);
	if (!err && cfg->admin.listen) {
		err = listen_check(c, at("admin.listen"), cfg->admin.listen,
				   true);
		err = err ? err
			  : taken_check(c, at("admin.listen"),
					cfg->admin.listen,
					cfg->api.listen_count);
	}
	for (uint32_t i = 0; !err && i < cfg->mediator.addresses_count; i++)
		err = cfg->mediator.addresses[i][0] == '_'
			      ? srv_check(c, i)
			      : host_check(c, at("mediator.addresses[%u]", i),
					   cfg->mediator.addresses[i]);

	return err;
}


static const struct pbx_cfg *domain_owner(const struct sipis_cfg *cfg,
					  uint32_t before, const char *domain)
{
	for (uint32_t j = 0; j < before; j++)
		for (uint32_t k = 0; k < cfg->pbx[j].domains_count; k++)
			if (!strcasecmp(domain, cfg->pbx[j].domains[k]))
				return &cfg->pbx[j];

	return NULL;
}


static int domains_check(const struct check *c, uint32_t i)
{
	const struct pbx_cfg *pbx = &c->cfg->pbx[i];

	for (uint32_t d = 0; d < pbx->domains_count; d++) {
		const struct where key = at("pbx[%u].domains[%u]", i, d);
		const struct pbx_cfg *owner =
			domain_owner(c->cfg, i, pbx->domains[d]);
		int err;

		for (uint32_t k = 0; k < d; k++)
			if (!strcasecmp(pbx->domains[k], pbx->domains[d]))
				return cfgfile_fail(
					c->e, c->path, key.text,
					"\"%s\" stands here twice; letter "
					"case "
					"makes no difference, leave one",
					pbx->domains[d]);

		if (owner)
			return cfgfile_fail(c->e, c->path, key.text,
					    "\"%s\" is a domain of pbx \"%s\" "
					    "already; a domain belongs to one "
					    "pbx",
					    pbx->domains[d], owner->name);

		err = host_check(c, key, pbx->domains[d]);
		if (err)
			return err;
	}

	return 0;
}


/* Bindings at the PBX name this port and outlive us: it must be the same at
   the next start, so there is no "any" */
static int port_check(const struct check *c, uint32_t i)
{
	const struct where key = at("pbx[%u].local_port", i);
	const struct pbx_cfg *pbx = &c->cfg->pbx[i];

	if (!pbx->local_port || pbx->local_port == UINT16_MAX)
		return cfgfile_fail(c->e, c->path, key.text,
				    "%u cannot be used; give a free port that "
				    "stays the same, from 1 to 65534 (TLS "
				    "listens one above)",
				    pbx->local_port);

	for (uint32_t j = 0; j < i; j++) {
		const struct pbx_cfg *other = &c->cfg->pbx[j];
		int apart = (int)pbx->local_port - (int)other->local_port;

		if (pbx->local_address && other->local_address &&
		    strcmp(pbx->local_address, other->local_address))
			continue;
		if (apart >= -1 && apart <= 1)
			return cfgfile_fail(
				c->e, c->path, key.text,
				"%u is too close to the %u of pbx \"%s\"; "
				"keep them two apart, TLS listens one above",
				pbx->local_port, other->local_port,
				other->name);
	}

	return 0;
}


static int pbx_tls_check(const struct check *c, uint32_t i)
{
	const struct pbx_cfg *pbx = &c->cfg->pbx[i];
	const struct tlsctx_prm prm = {
		.cert = pbx->certificate,
		.key = pbx->key,
		.ca = pbx->ca,
		.min_version = TLS1_2_VERSION,
		.peer_name = ANY_NAME,
	};
	int err;

	if (!pbx->certificate != !pbx->key)
		return cfgfile_fail(c->e, c->path,
				    at("pbx[%u].certificate", i).text,
				    "certificate and key go together; give "
				    "both or neither");

	err = file_check(c, at("pbx[%u].ca", i), pbx->ca);
	if (!err)
		err = file_check(c, at("pbx[%u].certificate", i),
				 pbx->certificate);
	if (!err)
		err = file_check(c, at("pbx[%u].key", i), pbx->key);
	if (!err && (pbx->ca || pbx->certificate))
		err = tls_check(c,
				at("pbx[%u].%s", i,
				   pbx->certificate ? "certificate" : "ca"),
				&prm);
	return err;
}


static int public_check(const struct check *c, uint32_t i)
{
	const struct pbx_cfg *pbx = &c->cfg->pbx[i];
	const struct where key = at("pbx[%u].public_address", i);
	struct sa sa, own;

	if (!pbx->public_address)
		return 0;

	if (sa_set_str(&sa, pbx->public_address, 0) || sa_is_any(&sa))
		return cfgfile_fail(c->e, c->path, key.text,
				    "\"%s\" is no address; give the one that "
				    "NAT maps to this host, without a port",
				    pbx->public_address);

	if (pbx->local_address && !sa_set_str(&own, pbx->local_address, 0) &&
	    sa_af(&own) != sa_af(&sa))
		return cfgfile_fail(c->e, c->path, key.text,
				    "\"%s\" cannot stand for the "
				    "local_address %s; give two of IPv4 or "
				    "two of IPv6",
				    pbx->public_address, pbx->local_address);

	return 0;
}


static int ranges_check(const struct check *c, uint32_t i)
{
	const struct pbx_cfg *pbx = &c->cfg->pbx[i];

	for (uint32_t k = 0; k < pbx->addresses_count; k++) {
		const struct where key = at("pbx[%u].addresses[%u]", i, k);
		const char *text = pbx->addresses[k];
		struct cidr cidr;
		const int err = cidr_decode(&cidr, text);

		if (err)
			return cfgfile_fail(
				c->e, c->path, key.text,
				"\"%s\" %s; give an address or a range like "
				"192.0.2.0/24",
				text,
				err == EDOM ? "has bits behind its prefix"
				: err == ERANGE
					? "is everybody, and would let "
					  "anybody ring the phones"
					: "is no range of addresses");
	}

	return 0;
}


static int edge_listen_check(const struct check *c, uint32_t i, bool *tls)
{
	const char *text = c->cfg->edge.listen[i];
	enum sip_transp tp;
	struct sa sa;

	if (edge_listen_decode(&tp, &sa, text))
		return cfgfile_fail(
			c->e, c->path, at("edge.listen[%u]", i).text,
			"\"%s\" is not usable; give udp:, tcp: or "
			"tls: and an address of this host with its "
			"port, as tls:192.0.2.20:5061",
			text);

	*tls |= tp == SIP_TRANSP_TLS;
	return 0;
}


/* RFC 8599 gives a webpush phone no word for the app that it is */
static int edge_push_check(const struct check *c)
{
	const struct edge_cfg *edge = &c->cfg->edge;
	const char *first = NULL;

	for (uint32_t i = 0; i < edge->push_count; i++) {
		const char *key = edge->push[i].webpush;
		uint8_t point[VAPID_LEN];
		size_t n = 0;

		if (!key)
			continue;
		if (first)
			return cfgfile_fail(
				c->e, c->path,
				at("edge.push[%u].webpush", i).text,
				"app \"%s\" has webpush already, and a phone "
				"cannot say which it is; give it to one app",
				first);
		if (ident_unb64(point, sizeof(point), &n, key) ||
		    n != sizeof(point) || point[0] != VAPID_FIRST ||
		    strspn(key, VAPID_CHARS) != strlen(key))
			return cfgfile_fail(
				c->e, c->path,
				at("edge.push[%u].webpush", i).text,
				"\"%s\" is no VAPID public key; give the 87 "
				"characters that the mediator's log tells",
				key);
		first = edge->push[i].app;
	}

	return 0;
}


static int edge_check(const struct check *c)
{
	const struct edge_cfg *edge = &c->cfg->edge;
	const struct tlsctx_prm prm = {
		.cert = edge->certificate,
		.key = edge->key,
		.min_version = TLS1_2_VERSION,
		.peer_name = ANY_NAME,
	};
	bool tls = false;
	int err = 0;

	for (uint32_t i = 0; !err && i < edge->listen_count; i++)
		err = edge_listen_check(c, i, &tls);
	if (!err && edge->host)
		err = host_check(c, at("edge.host"), edge->host);
	if (!err)
		err = edge_push_check(c);
	if (err || !tls)
		return err;

	if (!edge->certificate || !edge->key)
		return cfgfile_fail(c->e, c->path, "edge.certificate",
				    "tls: needs a certificate and a key, of "
				    "the name that phones call");

	err = file_check(c, at("edge.certificate"), edge->certificate);
	if (!err)
		err = file_check(c, at("edge.key"), edge->key);
	return err ? err : tls_check(c, at("edge.certificate"), &prm);
}


static int relay_check(const struct check *c, uint32_t i)
{
	const struct pbx_cfg *pbx = &c->cfg->pbx[i];

	if (pbx->handover != CFG_HANDOVER_RELAY)
		return 0;

	/* what is said in a call may come over a connection of the PBX's */
	if (pbx->transport == CFG_TP_TLS && !pbx->certificate)
		return cfgfile_fail(
			c->e, c->path, at("pbx[%u].certificate", i).text,
			"the PBX opens TLS connections to us in a relayed "
			"call; give certificate and key");

	if (c->cfg->edge.listen_count)
		return 0;

	return cfgfile_fail(
		c->e, c->path,
		at("pbx[%u].%s", i,
		   pbx->mode == CFG_MODE_CONTINUOUS ? "mode" : "handover")
			.text,
		"phones get their calls over the edge; give it a "
		"listener under edge");
}


static int challenges_check(const struct check *c, uint32_t i)
{
	if (c->cfg->pbx[i].challenges == CFG_CHALLENGES_PASS ||
	    c->cfg->edge.listen_count)
		return 0;

	return cfgfile_fail(c->e, c->path, at("pbx[%u].challenges", i).text,
			    "what phones ask of the PBX passes the edge; "
			    "give it a listener under edge");
}


static int media_check(const struct check *c, uint32_t i)
{
	const struct media_cfg *media = &c->cfg->pbx[i].media;

	for (uint32_t k = 0; k < media->rtpengine_count; k++) {
		const struct where key =
			at("pbx[%u].media.rtpengine[%u]", i, k);
		const char *text = media->rtpengine[k];
		struct sa sa;
		int err = listen_check(c, key, text, false);

		if (err)
			return err;
		if (sa_decode(&sa, text, strlen(text)) || !sa_port(&sa) ||
		    sa_is_any(&sa))
			return cfgfile_fail(c->e, c->path, key.text,
					    "\"%s\" cannot be asked; give the "
					    "address and port of its "
					    "listen-ng",
					    text);
	}

	if (!media->phone_interface != !media->pbx_interface)
		return cfgfile_fail(
			c->e, c->path,
			at("pbx[%u].media.phone_interface", i).text,
			"phone_interface and pbx_interface go "
			"together; give both or neither");

	if (!media->rtpengine_count || c->cfg->edge.listen_count)
		return 0;

	return cfgfile_fail(c->e, c->path, at("pbx[%u].media", i).text,
			    "media is relayed for calls over the edge; give "
			    "it a listener under edge");
}


static int pbx_check(const struct check *c, uint32_t i)
{
	const struct pbx_cfg *pbx = &c->cfg->pbx[i];
	struct sa sa;
	int err = cfgfile_name(c->e, c->path, at("pbx[%u].name", i).text,
			       pbx->name);

	if (err)
		return err;

	for (uint32_t j = 0; j < i; j++)
		if (!strcmp(pbx->name, c->cfg->pbx[j].name))
			return cfgfile_fail(c->e, c->path,
					    at("pbx[%u].name", i).text,
					    "two pbx are called \"%s\"; give "
					    "each a name of its own",
					    pbx->name);

	if (pbx->local_address &&
	    (sa_set_str(&sa, pbx->local_address, 0) || sa_is_any(&sa)))
		return cfgfile_fail(c->e, c->path,
				    at("pbx[%u].local_address", i).text,
				    "\"%s\" is no address that the PBX can "
				    "answer to; give one of this host's, "
				    "without a port, or leave it out",
				    pbx->local_address);

	err = times_check(c, i);
	err = err ? err : public_check(c, i);
	err = err ? err : ranges_check(c, i);
	err = err ? err : relay_check(c, i);
	err = err ? err : media_check(c, i);
	err = err ? err : challenges_check(c, i);
	err = err ? err : domains_check(c, i);
	if (!err && pbx->outbound_proxy)
		err = host_check(c, at("pbx[%u].outbound_proxy", i),
				 pbx->outbound_proxy);
	if (!err)
		err = port_check(c, i);
	return err ? err : pbx_tls_check(c, i);
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
		err = edge_check(&c);
	for (uint32_t i = 0; !err && i < cfg->pbx_count; i++)
		err = pbx_check(&c, i);
	return err ? err : files_check(&c);
}
