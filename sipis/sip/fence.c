/**
 * @file fence.c  Who may connect to a listening SIP port, and how often
 *
 * libre shows neither the socket nor the connections that it accepted.  The
 * socket is found among our descriptors by its address, and a duplicate of it
 * tells when somebody knocks; the connections are found the same way right
 * behind libre's accept(), before it reads from them.  They are disconnected
 * and not closed: the descriptor stays libre's, which sees an error on it and
 * cleans up.
 *
 *     knock --> count --> strangers: reset
 *                 |       too many of one address, or in all: the longest
 *                 |       silent are reset
 *                 +-----> many strangers: sieve, for FENCE_WINDOW_MS
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/bucket.h"
#include "common/clock.h"
#include "common/log.h"
#include "sipis/sip/fence.h"
#include "sipis/sip/sieve.h"


enum {
	BACKLOG = 1024,
	COUNT_RATE = 20, /* a count looks at every descriptor */
	COUNT_BURST = 32,
	COUNT_MAX = 2 * FENCE_TOTAL,
};

struct fence {
	int fd; /* of libre's listening socket, a duplicate */
	struct sa laddr;
	struct trust *trust;
	struct tmr tmr, window;
	struct bucket counts;
	unsigned strangers;
	bool sieve;
	fence_stranger_h *h;
	void *arg;
};

struct guest {
	int fd;
	struct sa peer;
	uint32_t silent_ms;
};

struct count {
	struct fence *f;
	struct guest v[COUNT_MAX];
	unsigned n;
};


static void destructor(void *data)
{
	struct fence *f = data;

	tmr_cancel(&f->tmr);
	tmr_cancel(&f->window);
	if (f->fd < 0)
		return;

	fd_close(f->fd);
	(void)close(f->fd);
}


typedef bool(each_fd_h)(int fd, void *arg);

/* Calls h for each open descriptor until it says true */
static void each_fd(each_fd_h *h, void *arg)
{
	struct dirent *de;
	DIR *dir = opendir("/proc/self/fd");

	if (!dir)
		return;

	while ((de = readdir(dir))) {
		char *end;
		long fd = strtol(de->d_name, &end, 10);

		if (end != de->d_name && !*end && fd != dirfd(dir) &&
		    h((int)fd, arg))
			break;
	}

	(void)closedir(dir);
}


typedef int(name_h)(int fd, struct sockaddr *name, socklen_t *len);

static bool name_of(struct sa *sa, int fd, name_h *h)
{
	sa_init(sa, AF_UNSPEC);
	sa->len = sizeof(sa->u);

	return !h(fd, &sa->u.sa, &sa->len);
}


static bool is_at(int fd, const struct sa *laddr)
{
	struct sa sa;

	return name_of(&sa, fd, getsockname) && sa_cmp(&sa, laddr, SA_ALL);
}


static bool listen_handler(int fd, void *arg)
{
	struct fence *f = arg;
	int on = 0;
	socklen_t len = sizeof(on);

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) || !on ||
	    !is_at(fd, &f->laddr))
		return false;

	(void)listen(fd, BACKLOG);
	f->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return true;
}


/* What it has sent is thrown away as well: no byte of it is read */
static void turn_away(int fd)
{
	const struct sockaddr sa = { .sa_family = AF_UNSPEC };

	(void)connect(fd, &sa, sizeof(sa));
}


static uint32_t silent_ms(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	memset(&info, 0, sizeof(info));
	(void)getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len);

	return info.tcpi_last_data_recv;
}


static bool count_handler(int fd, void *arg)
{
	struct count *c = arg;
	struct fence *f = c->f;
	struct guest *g = &c->v[c->n];
	struct sa peer;

	if (!is_at(fd, &f->laddr) || !name_of(&peer, fd, getpeername))
		return false;

	if (!trust_has(f->trust, &peer, clock_mono_ms())) {
		turn_away(fd);
		++f->strangers;
		f->h(&peer, f->arg);
		return false;
	}

	if (c->n >= COUNT_MAX) {
		turn_away(fd);
		return false;
	}

	g->fd = fd;
	g->peer = peer;
	g->silent_ms = silent_ms(fd);
	++c->n;

	return false;
}


static int by_silence(const void *a, const void *b)
{
	const struct guest *ga = a, *gb = b;

	return (ga->silent_ms > gb->silent_ms) -
	       (ga->silent_ms < gb->silent_ms);
}


/* Those of one address stand side by side */
static int by_address(const void *a, const void *b)
{
	const struct guest *ga = a, *gb = b;
	struct sa sa = ga->peer, sb = gb->peer;
	int d;

	sa_set_port(&sa, 0);
	sa_set_port(&sb, 0);
	d = memcmp(&sa.u, &sb.u,
		   sa_af(&sa) == AF_INET ? sizeof(sa.u.in) : sizeof(sa.u.in6));

	return d ? d : by_silence(a, b);
}


static unsigned thin_addresses(struct count *c)
{
	unsigned kept = 0, same = 0;

	qsort(c->v, c->n, sizeof(c->v[0]), by_address);

	for (unsigned i = 0; i < c->n; i++) {
		same = i && sa_cmp(&c->v[i].peer, &c->v[i - 1].peer, SA_ADDR)
			       ? same + 1
			       : 1;
		if (same > FENCE_PER_ADDRESS)
			turn_away(c->v[i].fd);
		else
			c->v[kept++] = c->v[i];
	}

	return kept;
}


static void thin(struct count *c)
{
	const unsigned before = c->n;
	unsigned kept;

	c->n = kept = thin_addresses(c);
	if (c->n > FENCE_TOTAL) {
		qsort(c->v, c->n, sizeof(c->v[0]), by_silence);
		for (kept = FENCE_TOTAL; c->n > kept; c->n--)
			turn_away(c->v[c->n - 1].fd);
	}

	if (kept < before)
		log_warning("sip", "-",
			    "too many connections of the PBX; the longest "
			    "silent are closed kept=%u closed=%u",
			    kept, before - kept);
}


/* --- the sieve --- */

static void window_handler(void *arg)
{
	struct fence *f = arg;

	if (f->sieve)
		(void)sieve_detach(f->fd);
	f->sieve = false;
	f->strangers = 0;
}


static void sieve_on(struct fence *f)
{
	struct cidr *v = NULL;
	size_t n = 0;
	int err = trust_ranges(&v, &n, f->trust, clock_mono_ms());

	if (!err)
		err = sieve_attach(f->fd, sa_af(&f->laddr), v, n);
	mem_deref(v);
	f->sieve = !err;
	tmr_start(&f->window, FENCE_WINDOW_MS, window_handler, f);

	if (err)
		log_warning("sip", "-",
			    "many connections of strangers, and "
			    "the kernel takes no filter: %s",
			    strerror(err));
	else
		log_info("sip", "-",
			 "many connections of strangers; for a "
			 "while they end in the kernel");
}


static void see_strangers(struct fence *f)
{
	if (!f->strangers || f->sieve)
		return;

	if (!tmr_isrunning(&f->window))
		tmr_start(&f->window, FENCE_WINDOW_MS, window_handler, f);
	if (f->strangers > FENCE_STRANGERS)
		sieve_on(f);
}


static void count_now(void *arg)
{
	struct fence *f = arg;
	struct count c = { .f = f, .n = 0 };

	bucket_charge(&f->counts, 1, clock_mono_ms());
	each_fd(count_handler, &c);
	thin(&c);
	see_strangers(f);
}


/* libre's handler of the same socket accepts in this turn of the loop, and
   timers come behind all handlers */
static void knock_handler(int flags, void *arg)
{
	struct fence *f = arg;
	(void)flags;

	if (!tmr_isrunning(&f->tmr))
		tmr_start(&f->tmr, bucket_wait(&f->counts, 1, clock_mono_ms()),
			  count_now, f);
}


int fence_alloc(struct fence **fp, const struct fence_prm *prm)
{
	struct fence *f;
	int err;

	if (!fp || !prm || !prm->laddr || !prm->trust || !prm->h)
		return EINVAL;

	f = mem_zalloc(sizeof(*f), destructor);
	if (!f)
		return ENOMEM;

	f->fd = -1;
	bucket_init(&f->counts, COUNT_RATE, COUNT_BURST, clock_mono_ms());
	f->laddr = *prm->laddr;
	f->trust = prm->trust;
	f->h = prm->h;
	f->arg = prm->arg;

	each_fd(listen_handler, f);
	err = f->fd < 0 ? ENOENT : fd_listen(f->fd, FD_READ, knock_handler, f);
	if (err)
		mem_deref(f);
	else
		*fp = f;

	return err;
}
