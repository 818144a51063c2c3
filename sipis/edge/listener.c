/**
 * @file listener.c  The sockets of the edge
 *
 * "tls:192.0.2.20:5061": libre prints the listening address into Via and
 * Record-Route, so each one is concrete.
 */

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <openssl/ssl.h>
#include "common/handshake.h"
#include "common/log.h"
#include "common/tlsctx.h"
#include "sipis/edge/flow.h"
#include "sipis/edge/listen.h"
#include "sipis/edge/priv.h"
#include "sipis/edge/turnstile.h"
#include "sipis/sip/gate.h"


enum {
	BACKLOG = 1024,
	SPARE_FDS = 256,     /* for PBX, mediators, store; at most 1 of 8 */
	FILTER_LAYER = -100, /* below everything libre has there */
};


/* libre listens with a backlog of 5 and shows no descriptor */
static bool listens_at(int fd, const struct sa *laddr)
{
	socklen_t len = sizeof(int);
	struct sa sa;
	int on = 0;

	sa_init(&sa, sa_af(laddr));
	sa.len = sizeof(sa.u);

	return !getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) && on &&
	       !getsockname(fd, &sa.u.sa, &sa.len) &&
	       sa_cmp(&sa, laddr, SA_ALL);
}


static void backlog_raise(const struct sa *laddr)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *de;

	while (dir && (de = readdir(dir))) {
		char *end;
		const long fd = strtol(de->d_name, &end, 10);

		if (end != de->d_name && !*end && listens_at((int)fd, laddr))
			(void)listen((int)fd, BACKLOG);
	}

	if (dir)
		(void)closedir(dir);
}


struct udp {
	struct le le;
	struct edge *edge;
	struct udp_sock *us;
	struct udp_helper *filter;
};


static void udp_destructor(void *data)
{
	struct udp *u = data;

	list_unlink(&u->le);
	mem_deref(u->filter);
	mem_deref(u->us);
}


/* What keeps a UDP flow alive (RFC 5626, section 4.4.2): a STUN Binding
 * request, which libre answers. */
static bool is_ping(const struct mbuf *mb)
{
	static const uint8_t type[] = { 0x00, 0x01 };
	static const uint8_t cookie[] = { 0x21, 0x12, 0xa4, 0x42 };
	const uint8_t *p = mbuf_buf(mb);

	return mbuf_get_left(mb) >= STUN_HEADER_SIZE &&
	       !memcmp(p, type, sizeof(type)) &&
	       !memcmp(p + 4, cookie, sizeof(cookie));
}


/* Some keep it alive like a connection, and want no answer */
static bool is_crlf(const struct mbuf *mb)
{
	const size_t len = mbuf_get_left(mb);

	return len <= 4 && !memcmp(mbuf_buf(mb), "\r\n\r\n", len);
}


/* True: eaten */
static bool filter_handler(struct sa *src, struct mbuf *mb, void *arg)
{
	struct udp *u = arg;

	if (is_crlf(mb)) {
		(void)edge_welcomes(u->edge, src, SIP_TRANSP_UDP);
		return true;
	}

	return !(gate_is_sip(mb) || is_ping(mb)) ||
	       !edge_welcomes(u->edge, src, SIP_TRANSP_UDP);
}


void edge_listen_seen(struct edge *e, const struct sip_msg *msg)
{
	struct udp *u;

	for (struct le *le = e->udps.head; le; le = le->next) {
		u = le->data;
		if (u->us == msg->sock)
			return;
	}

	u = mem_zalloc(sizeof(*u), udp_destructor);
	if (!u)
		return;

	u->edge = e;
	u->us = mem_ref(msg->sock);
	gate_widen(u->us);
	if (udp_register_helper(&u->filter, u->us, FILTER_LAYER, NULL,
				filter_handler, u))
		mem_deref(u);
	else
		list_append(&e->udps, &u->le, u);
}


static void peer_handler(struct sa *peer, void *arg)
{
	const struct edge *e = arg;

	*peer = e->newest;
}


static void failed_handler(const struct sa *peer, const char *why, void *arg)
{
	struct edge *e = arg;
	char text[64];

	metric_inc(&e->metricv[EDGE_M_TLS_FAILED]);
	(void)re_snprintf(text, sizeof(text), "%J", peer);
	if (edge_may_log(e, peer))
		log_info("edge", NULL, "TLS of %s failed: %s", text, why);
}


static int tls_make(struct edge *e, char *reason, size_t reason_sz)
{
	const struct tlsctx_prm prm = {
		.cert = e->prm.cfg->certificate,
		.key = e->prm.cfg->key,
		.min_version = TLS1_2_VERSION,
		.peer_name = "peer.invalid", /* it calls nobody */
	};
	const struct handshake_watch watch = { .peerh = peer_handler,
					       .failedh = failed_handler,
					       .arg = e };
	int err = tlsctx_alloc(&e->tls, &prm, reason, reason_sz);

	/* a phone proves itself by its password, not by a certificate */
	if (!err)
		SSL_CTX_set_verify(tls_openssl_context(e->tls),
				   SSL_VERIFY_NONE, NULL);
	if (err)
		return err;

	err = handshake_watch(e->tls, &watch);
	if (err)
		(void)re_snprintf(reason, reason_sz,
				  "edge: cannot watch handshakes: %m", err);

	return err;
}


static int listen_one(struct edge *e, const char *text)
{
	enum sip_transp tp;
	struct sa sa;
	int err = edge_listen_decode(&tp, &sa, text);

	if (!err)
		err = sip_transp_add(e->sip, tp, &sa, e->tls);
	if (err)
		return err;

	if (tp != SIP_TRANSP_UDP) {
		backlog_raise(&sa);
		err = turnstile_guard(e->turnstile, &sa);
	}
	if (err)
		return err;

	log_info("edge", NULL, "listening %s", text);

	return 0;
}


static bool known_handler(const struct sa *peer, void *arg)
{
	const struct edge *e = arg;

	const struct edge_flow *f = edge_flow_at(e, peer, SIP_TRANSP_TLS);

	f = f ? f : edge_flow_at(e, peer, SIP_TRANSP_TCP);

	return f && f->here;
}


static void enter_handler(const struct sa *peer, void *arg)
{
	struct edge *e = arg;

	e->newest = *peer;
}


static int turnstile_make(struct edge *e)
{
	struct turnstile_prm prm = {
		.per_address = e->prm.cfg->connections_per_address,
		.refused = &e->metricv[EDGE_M_TURNED_AWAY],
		.h = known_handler,
		.enterh = enter_handler,
		.arg = e,
	};
	uint32_t fds = e->prm.files;
	struct rlimit lim;

	if (!getrlimit(RLIMIT_NOFILE, &lim) && lim.rlim_cur < fds)
		fds = (uint32_t)lim.rlim_cur;
	prm.fds = (int)(fds - (fds / 8 < SPARE_FDS ? fds / 8 : SPARE_FDS));

	return turnstile_alloc(&e->turnstile, &prm);
}


int edge_listen_all(struct edge *e, char *reason, size_t reason_sz)
{
	const struct edge_cfg *cfg = e->prm.cfg;
	int err = turnstile_make(e);

	if (err)
		(void)re_snprintf(reason, reason_sz,
				  "edge: cannot count connections: %m", err);
	if (!err && cfg->certificate)
		err = tls_make(e, reason, reason_sz);

	for (uint32_t i = 0; !err && i < cfg->listen_count; i++) {
		err = listen_one(e, cfg->listen[i]);
		if (err)
			(void)re_snprintf(reason, reason_sz,
					  "edge: cannot listen on %s: %m",
					  cfg->listen[i], err);
	}

	return err;
}
