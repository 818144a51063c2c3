/**
 * @file server/server.c  The listeners on 24998 and their sessions
 */

#include <errno.h>
#include <string.h>
#include "common/log.h"
#include "mediator/server/server_impl.h"

enum {
	BACKLOG = 4096,
	NETWORK_LEN = 8,   /* bytes, of an IPv6 address */
	ADDRESS_SHARE = 8, /* one address may be an eighth of the strangers */
};

struct sock {
	struct le le;
	struct server *srv;
	struct tcp_sock *ts;
	struct sa addr; /**< as configured */
};


static void sock_destructor(void *arg)
{
	struct sock *s = arg;

	list_unlink(&s->le);
	mem_deref(s->ts);
}


static void destructor(void *arg)
{
	struct server *s = arg;

	list_flush(&s->socks);
	while (s->sess.head)
		ses_bury(s->sess.head->data);
	mem_deref(s->tls);
	mem_deref(s->node);
}


static int metrics_register(struct server *s, struct metrics *ms)
{
	static const struct {
		const char *name, *help;
	} v[SERVER_METRICS] = {
		{ "mediator_connections_total", "Connections of sipis" },
		{ "mediator_rejected_total",
		  "Connections closed at once, too many before login" },
		{ "mediator_faults_total",
		  "Connections closed for what the peer did" },
	};

	for (int i = 0; i < SERVER_METRICS; i++) {
		s->metrics[i].name = v[i].name;
		s->metrics[i].help = v[i].help;
	}

	return ms ? metrics_add(ms, s->metrics, SERVER_METRICS) : 0;
}


int server_alloc(struct server **sp, const struct server_prm *prm)
{
	struct server *s;
	int err;

	if (!sp || !prm || !prm->tenanth || !prm->pushh || !prm->enrolh)
		return EINVAL;

	s = mem_zalloc(sizeof(*s), destructor);
	if (!s)
		return ENOMEM;

	s->prm = *prm;
	err = str_dup(&s->node, prm->node);
	if (!err)
		err = metrics_register(s, prm->metrics);
	if (err)
		mem_deref(s);
	else
		*sp = s;

	return err;
}


/* Whoever has an IPv6 address has the 2^64 beside it too */
static bool same_network(const struct sa *a, const struct sa *b)
{
	struct in6_addr n, m;

	if (sa_af(a) != AF_INET6 || sa_af(b) != AF_INET6)
		return sa_cmp(a, b, SA_ADDR);

	n = a->u.in6.sin6_addr;
	m = b->u.in6.sin6_addr;
	return !memcmp(&n, &m,
		       IN6_IS_ADDR_V4MAPPED(&n) ? sizeof(n) : NETWORK_LEN);
}


/* Strangers must leave room for who comes from elsewhere */
static bool crowded(const struct server *s, const struct sa *peer)
{
	uint32_t max = s->max_unauthenticated, n = 0;
	struct le *le;

	if (list_count(&s->strangers) >= max)
		return true;
	LIST_FOREACH (&s->strangers, le)
		n += same_network(ses_peer(le->data), peer);

	return n >= (max + ADDRESS_SHARE - 1) / ADDRESS_SHARE;
}


static void conn_handler(const struct sa *peer, void *arg)
{
	struct sock *sock = arg;
	struct server *s = sock->srv;
	int err;

	if (s->drain_ms || crowded(s, peer)) {
		metric_inc(&s->metrics[SERVER_REJECTS]);
		tcp_reject(sock->ts);
		return;
	}

	metric_inc(&s->metrics[SERVER_CONNS]);
	err = ses_accept(s, sock->ts, peer);
	if (err)
		log_warning("server", "-", "cannot accept: %s", strerror(err));
}


static struct sock *sock_find(const struct list *l, const struct sa *addr)
{
	struct le *le;

	LIST_FOREACH (l, le) {
		struct sock *s = le->data;

		if (sa_cmp(&s->addr, addr, SA_ALL))
			return s;
	}

	return NULL;
}


static int sock_listen(struct list *l, struct server *srv,
		       const struct sa *addr)
{
	struct sock *s = mem_zalloc(sizeof(*s), sock_destructor);
	int err;

	if (!s)
		return ENOMEM;

	s->srv = srv;
	s->addr = *addr;
	list_append(l, &s->le, s);
	/* tcp_listen() has room for five; a restart brings everybody */
	err = tcp_sock_alloc(&s->ts, addr, conn_handler, s);
	if (!err)
		err = tcp_sock_bind(s->ts, addr);
	if (!err)
		err = tcp_sock_listen(s->ts, BACKLOG);

	return err;
}


/* Any address and one address cannot have the same port at the same time, and
   the old listener must go on until the new one is there */
static bool in_our_way(const struct list *l, const struct sa *addr)
{
	struct le *le;

	LIST_FOREACH (l, le) {
		const struct sock *s = le->data;

		if (sa_port(&s->addr) == sa_port(addr) &&
		    (sa_is_any(&s->addr) || sa_is_any(addr)))
			return true;
	}

	return false;
}


/* New addresses into fresh, those kept moved there */
static int socks_make(struct list *fresh, struct server *s,
		      const struct mcfg_server *cfg, char *reason, size_t sz)
{
	for (uint32_t i = 0; i < cfg->listen_count; i++) {
		const char *text = cfg->listen[i];
		struct sa addr;
		int err = sa_decode(&addr, text, strlen(text));

		if (!err && !sock_find(&s->socks, &addr))
			err = sock_listen(fresh, s, &addr);
		if (err) {
			bool way = err == EADDRINUSE &&
				   in_our_way(&s->socks, &addr);

			(void)re_snprintf(
				reason, sz, "cannot listen on %s: %s%s", text,
				strerror(err),
				way ? "; this change needs a restart" : "");
			return err;
		}
	}

	return 0;
}


static void socks_keep(struct list *fresh, struct server *s,
		       const struct mcfg_server *cfg)
{
	for (uint32_t i = 0; i < cfg->listen_count; i++) {
		struct sock *sock;
		struct sa addr;

		if (sa_decode(&addr, cfg->listen[i], strlen(cfg->listen[i])))
			continue;
		sock = sock_find(&s->socks, &addr);
		if (!sock)
			continue;
		list_unlink(&sock->le);
		list_append(fresh, &sock->le, sock);
	}

	list_flush(&s->socks);
	while (fresh->head) {
		struct sock *sock = fresh->head->data;

		list_unlink(&sock->le);
		list_append(&s->socks, &sock->le, sock);
	}
}


static void port_read(struct server *s)
{
	const struct sock *sock = list_ledata(s->socks.head);
	struct sa addr;

	if (sock && !tcp_sock_local_get(sock->ts, &addr))
		s->port = sa_port(&addr);
}


int server_configure(struct server *s, const struct mcfg_server *cfg,
		     struct tls *tls, char *reason, size_t reason_sz)
{
	struct list fresh = LIST_INIT;
	int err = socks_make(&fresh, s, cfg, reason, reason_sz);

	if (err) {
		list_flush(&fresh);
		return err;
	}

	socks_keep(&fresh, s, cfg);
	port_read(s);
	mem_ref(tls);
	mem_deref(s->tls);
	s->tls = tls;
	s->max_unauthenticated = cfg->unauthenticated;
	s->window = cfg->window;
	s->ping_ms = cfg->ping_ms;
	s->handshake_ms = cfg->handshake_ms;
	return 0;
}


void server_prune(struct server *s)
{
	struct le *le = s->sess.head;

	while (le) {
		struct ses *ses = le->data;

		le = le->next;
		ses_prune(ses);
	}
}


void server_drain(struct server *s, uint32_t grace_ms)
{
	struct le *le = s->sess.head;

	s->drain_ms = grace_ms;
	list_flush(&s->socks);
	while (le) {
		struct ses *ses = le->data;

		le = le->next;
		ses_drain(ses);
	}
}


uint32_t server_sessions(const struct server *s)
{
	return list_count(&s->sess);
}


uint16_t server_port(const struct server *s)
{
	return s->port;
}


struct ses *server_find(const struct server *s, const struct tenant *t)
{
	struct le *le;

	LIST_FOREACH (&s->sess, le) {
		if (ses_ready_for(le->data, t))
			return le->data;
	}

	return NULL;
}
