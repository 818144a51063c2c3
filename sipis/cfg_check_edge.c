/**
 * @file sipis/cfg_check_edge.c  The rules of the edge
 */

#include <string.h>
#include <openssl/ssl.h>
#include <re/re.h>
#include "common/ident.h"
#include "sipis/cfg_check_priv.h"
#include "sipis/edge/listen.h"

/* RFC 8292 3.2: a point of P-256, uncompressed, in base64url */
#define VAPID_CHARS                                   \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopq" \
	"rstuvwxyz0123456789-_"

enum { VAPID_LEN = 65, VAPID_FIRST = 4 };


static int edge_listen_check(const struct check *c, uint32_t i, bool *tls)
{
	const char *text = c->cfg->edge.listen[i];
	enum sip_transp tp;
	struct sa sa;

	if (edge_listen_decode(&tp, &sa, text))
		return cfgfile_fail(
			c->e, c->path, cfg_check_at("edge.listen[%u]", i).text,
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
				cfg_check_at("edge.push[%u].webpush", i).text,
				"app \"%s\" has webpush already, and a phone "
				"cannot say which it is; give it to one app",
				first);
		if (ident_unb64(point, sizeof(point), &n, key) ||
		    n != sizeof(point) || point[0] != VAPID_FIRST ||
		    strspn(key, VAPID_CHARS) != strlen(key))
			return cfgfile_fail(
				c->e, c->path,
				cfg_check_at("edge.push[%u].webpush", i).text,
				"\"%s\" is no VAPID public key; give the 87 "
				"characters that the mediator's log tells",
				key);
		first = edge->push[i].app;
	}

	return 0;
}


int cfg_check_edge(const struct check *c)
{
	const struct edge_cfg *edge = &c->cfg->edge;
	const struct tlsctx_prm prm = {
		.cert = edge->certificate,
		.key = edge->key,
		.min_version = TLS1_2_VERSION,
		.peer_name = CFG_CHECK_ANY_NAME,
	};
	bool tls = false;
	int err = 0;

	for (uint32_t i = 0; !err && i < edge->listen_count; i++)
		err = edge_listen_check(c, i, &tls);
	if (!err && edge->host)
		err = cfg_check_host(c, cfg_check_at("edge.host"), edge->host);
	if (!err)
		err = edge_push_check(c);
	if (err || !tls)
		return err;

	if (!edge->certificate || !edge->key)
		return cfgfile_fail(c->e, c->path, "edge.certificate",
				    "tls: needs a certificate and a key, of "
				    "the name that phones call");

	err = cfg_check_file(c, cfg_check_at("edge.certificate"),
			     edge->certificate);
	if (!err)
		err = cfg_check_file(c, cfg_check_at("edge.key"), edge->key);
	return err ? err
		   : cfg_check_tls(c, cfg_check_at("edge.certificate"), &prm);
}
