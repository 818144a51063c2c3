/**
 * @file turnstile.c  How many connections an address may have open
 *
 *     accept --> a guest of its host --> below the limit: goes in
 *                      |
 *                      +--> at the limit: who has gone, or is known by now,
 *                           is struck off; still there: closed
 *
 * Nobody tells when a connection ends.  It shows when its descriptor is given
 * to another, and at the limit, where each guest is looked at; between two
 * such looks a host is refused unseen.  So an accept costs two look-ups.
 *
 * Descriptors are given lowest first: one that is near the end says that they
 * run out.  libre would accept until accept() fails, and then spin, for its
 * socket stays readable; PBX, mediators and the store would starve.
 */

#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include "common/clock.h"
#include "common/log.h"
#include "sipis/edge/turnstile.h"


enum {
	HOSTS = 4096,
	GUARDS = 16, /* listeners of the configuration */
	LOOK_MS = 100,
	LOG_MS = 60000,
};

/** An address, or a network of IPv6 */
struct host {
	struct le he;
	struct sa addr;
	struct list guests;
	uint32_t n;              /**< of them */
	uint64_t looked, logged; /**< monotonic ms; 0 never */
};

/** A connection */
struct guest {
	struct le le;
	struct turnstile *t;
	struct host *host;
	struct sa peer;
	int fd;
};

struct turnstile {
	struct turnstile_prm prm;
	struct sa guardv[GUARDS];
	unsigned guardc;
	struct hash *hosts;
	struct guest **guestv; /**< by descriptor */
	struct sa *peerv;      /**< the same, also of those that are known */
	size_t guestc;
	uint64_t logged;
};

#pragma GCC visibility push(default)
int tcp_accept(struct tcp_conn **tcp, struct tcp_sock *ts, tcp_estab_h *eh,
	       tcp_recv_h *rh, tcp_close_h *ch, void *arg);
#pragma GCC visibility pop

typedef int(accept_h)(struct tcp_conn **tcp, struct tcp_sock *ts,
		      tcp_estab_h *eh, tcp_recv_h *rh, tcp_close_h *ch,
		      void *arg);

/* libre's function names no turnstile: it goes by thread, like its loop */
static _Thread_local struct turnstile *here;


static void destructor(void *data)
{
	struct turnstile *t = data;

	if (here == t)
		here = NULL;
	for (size_t i = 0; i < t->guestc; i++)
		mem_deref(t->guestv[i]); /* hosts go with their last one */
	mem_deref(t->guestv);
	mem_deref(t->peerv);
	mem_deref(t->hosts);
}


static void host_destructor(void *data)
{
	struct host *host = data;

	hash_unlink(&host->he);
}


static void guest_destructor(void *data)
{
	struct guest *g = data;
	struct host *host = g->host;

	list_unlink(&g->le);
	g->t->guestv[g->fd] = NULL;
	if (!--host->n)
		mem_deref(host);
}


int turnstile_alloc(struct turnstile **tp, const struct turnstile_prm *prm)
{
	accept_h *const ours = tcp_accept;
	struct turnstile *t;
	int err;

	if (!tp || !prm || !prm->h || !prm->refused || !prm->per_address)
		return EINVAL;
	if (here)
		return EALREADY;
	if (dlsym(RTLD_DEFAULT, "tcp_accept") != *(void *const *)&ours)
		return ENOSYS;

	t = mem_zalloc(sizeof(*t), destructor);
	if (!t)
		return ENOMEM;

	t->prm = *prm;
	err = hash_alloc(&t->hosts, HOSTS);
	if (err) {
		mem_deref(t);
		return err;
	}

	*tp = here = t;

	return 0;
}


int turnstile_guard(struct turnstile *t, const struct sa *laddr)
{
	if (!t || !laddr)
		return EINVAL;
	if (t->guardc == GUARDS)
		return EOVERFLOW;

	t->guardv[t->guardc++] = *laddr;

	return 0;
}


/* Whoever has one address of IPv6 has 2^64 of them */
static struct sa network(const struct sa *peer)
{
	struct sa sa = *peer;

	sa_set_port(&sa, 0);
	if (sa_af(&sa) == AF_INET6) {
		sa.u.in6.sin6_scope_id = 0;
		memset((uint8_t *)&sa.u.in6.sin6_addr + 8, 0, 8);
	}

	return sa;
}


static struct host *host_find(const struct turnstile *t, const struct sa *addr)
{
	struct le *le = list_head(hash_list(t->hosts, sa_hash(addr, SA_ADDR)));

	for (; le; le = le->next) {
		struct host *host = le->data;

		if (sa_cmp(&host->addr, addr, SA_ADDR))
			return host;
	}

	return NULL;
}


static struct host *host_get(struct turnstile *t, const struct sa *peer)
{
	const struct sa addr = network(peer);
	struct host *host = host_find(t, &addr);

	if (host)
		return host;

	host = mem_zalloc(sizeof(*host), host_destructor);
	if (!host)
		return NULL;

	host->addr = addr;
	hash_append(t->hosts, sa_hash(&addr, SA_ADDR), &host->he, host);

	return host;
}


static int room_for(struct turnstile *t, size_t fd)
{
	size_t n = t->guestc ? t->guestc : 256;
	struct guest **v;
	struct sa *peerv;

	if (fd < t->guestc)
		return 0;

	while (n <= fd)
		n *= 2;
	v = mem_zalloc(n * sizeof(*v), NULL);
	peerv = mem_zalloc(n * sizeof(*peerv), NULL);
	if (!v || !peerv) {
		mem_deref(v);
		mem_deref(peerv);
		return ENOMEM;
	}

	if (t->guestc) {
		memcpy(v, t->guestv, t->guestc * sizeof(*v));
		memcpy(peerv, t->peerv, t->guestc * sizeof(*peerv));
	}
	mem_deref(t->guestv);
	mem_deref(t->peerv);
	t->guestv = v;
	t->peerv = peerv;
	t->guestc = n;

	return 0;
}


static int guest_add(struct turnstile *t, struct host *host, int fd,
		     const struct sa *peer)
{
	struct guest *g = mem_zalloc(sizeof(*g), guest_destructor);

	if (!g)
		return ENOMEM;

	g->t = t;
	g->host = host;
	g->peer = *peer;
	g->fd = fd;
	t->guestv[fd] = g;
	list_append(&host->guests, &g->le, g);
	++host->n;

	return 0;
}


static bool is_open(int fd, const struct sa *peer)
{
	struct sa sa;

	sa_init(&sa, AF_UNSPEC);
	sa.len = sizeof(sa.u);

	return !getpeername(fd, &sa.u.sa, &sa.len) &&
	       sa_cmp(&sa, peer, SA_ALL);
}


int turnstile_fd(const struct turnstile *t, const struct sa *peer)
{
	for (size_t fd = 0; t && fd < t->guestc; fd++)
		if (sa_cmp(&t->peerv[fd], peer, SA_ALL) &&
		    is_open((int)fd, peer))
			return (int)fd;

	return -1;
}


/* The host stays though all may go: there is one who waits */
static void look(struct turnstile *t, struct host *host, uint64_t now)
{
	struct le *le = host->guests.head;

	if (host->looked && now < host->looked + LOOK_MS)
		return;

	host->looked = now;
	++host->n;
	while (le) {
		struct guest *g = le->data;

		le = le->next;
		if (!is_open(g->fd, &g->peer) ||
		    t->prm.h(&g->peer, t->prm.arg))
			mem_deref(g);
	}
	--host->n;
}


static bool is_time(uint64_t *logged, uint64_t now)
{
	if (*logged && now < *logged + LOG_MS)
		return false;

	*logged = now;

	return true;
}


static int let_in(struct turnstile *t, int fd, const struct sa *peer)
{
	const uint64_t now = clock_mono_ms();
	struct host *host;
	char text[64];
	int err;

	if (t->prm.fds && fd >= t->prm.fds) {
		if (is_time(&t->logged, now))
			log_error("edge", NULL,
				  "descriptors run out; phones that connect "
				  "are sent away. Raise files");
		return EMFILE;
	}

	err = room_for(t, (size_t)fd);
	if (err)
		return err;
	mem_deref(t->guestv[fd]); /* that one has gone */
	t->peerv[fd] = *peer;

	host = host_get(t, peer);
	if (!host)
		return ENOMEM;

	if (host->n >= t->prm.per_address)
		look(t, host, now);
	if (host->n < t->prm.per_address) {
		err = guest_add(t, host, fd, peer);
		if (err && !host->n)
			mem_deref(host);
		return err;
	}

	if (is_time(&host->logged, now)) {
		(void)re_snprintf(text, sizeof(text), "%j", peer);
		log_warning("edge", NULL,
			    "%u connections of %s over which no phone has "
			    "registered; more are closed at once",
			    host->n, text);
	}

	return ECONNREFUSED;
}


static bool is_guarded(const struct turnstile *t, const struct tcp_conn *tc)
{
	struct sa laddr;

	if (tcp_conn_local_get(tc, &laddr))
		return false;

	for (unsigned i = 0; i < t->guardc; i++)
		if (sa_cmp(&t->guardv[i], &laddr, SA_ALL))
			return true;

	return false;
}


/* The error goes to libre's sip, which forgets the connection */
int tcp_accept(struct tcp_conn **tcp, struct tcp_sock *ts, tcp_estab_h *eh,
	       tcp_recv_h *rh, tcp_close_h *ch, void *arg)
{
	accept_h *theirs;
	struct sa peer;
	int err;

	*(void **)&theirs = dlsym(RTLD_NEXT, "tcp_accept");
	err = theirs ? theirs(tcp, ts, eh, rh, ch, arg) : ENOSYS;
	if (err || !here || !is_guarded(here, *tcp))
		return err;

	err = tcp_conn_peer_get(*tcp, &peer);
	err = err ? err : let_in(here, tcp_conn_fd(*tcp), &peer);
	if (err) {
		metric_inc(here->prm.refused);
		*tcp = mem_deref(*tcp);
	}
	else if (here->prm.enterh)
		here->prm.enterh(&peer, here->prm.arg);

	return err;
}
