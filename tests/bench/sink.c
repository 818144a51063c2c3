/**
 * @file tests/bench/sink.c  An HTTPS server that takes posts
 *
 * The provider of the peer of "invite-to-push": HTTP/1.1 over TLS with kept
 * connections, no authentication, an answer after a fixed delay.  It asks
 * less of its client than Apple does, so that the peer is at its best.
 * On SIGTERM it writes "request_us path" of each request.
 */

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

enum { IN_MAX = 8192, PATH_LEN = 64 };

/** One answer that waits; the queue is in order since the delay is fixed */
struct due {
	struct due *next;
	uint64_t at_us;
	struct conn *conn;
};

struct conn {
	SSL *ssl;
	int fd;
	unsigned waiting; /**< answers in the queue */
	bool dead;
	size_t len;
	char buf[IN_MAX];
};

struct hit {
	uint64_t at_us;
	char path[PATH_LEN];
};

struct sink {
	SSL_CTX *ctx;
	int ep, listener, sig;
	uint64_t delay_us;
	struct due *head, **tail;
	struct hit *hits;
	size_t hitn, hitsz;
};


static uint64_t now_us(clockid_t clock)
{
	struct timespec ts;

	(void)clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}


static void conn_drop(struct conn *c)
{
	if (!c->dead) {
		SSL_free(c->ssl);
		(void)close(c->fd);
		c->dead = true;
	}
	if (!c->waiting)
		free(c);
}


static void answer(struct conn *c)
{
	static const char text[] = "HTTP/1.1 200 OK\r\n"
				   "Content-Type: application/json\r\n"
				   "Content-Length: 2\r\n\r\n{}";

	/* 80 bytes always fit into the socket of a client that waits */
	if (!c->dead)
		(void)SSL_write(c->ssl, text, sizeof(text) - 1);
}


static int hit_add(struct sink *s, uint64_t at_us, const char *path)
{
	struct hit *h;

	if (s->hitn == s->hitsz) {
		size_t n = s->hitsz ? 2 * s->hitsz : 65536;

		h = realloc(s->hits, n * sizeof(*h));
		if (!h)
			return ENOMEM;
		s->hits = h;
		s->hitsz = n;
	}

	h = &s->hits[s->hitn++];
	h->at_us = at_us;
	(void)snprintf(h->path, sizeof(h->path), "%s", path);
	return 0;
}


static int request_done(struct sink *s, struct conn *c, const char *path)
{
	struct due *d;

	if (hit_add(s, now_us(CLOCK_REALTIME), path))
		return ENOMEM;
	if (!s->delay_us) {
		answer(c);
		return 0;
	}

	d = calloc(1, sizeof(*d));
	if (!d)
		return ENOMEM;
	d->conn = c;
	d->at_us = now_us(CLOCK_MONOTONIC) + s->delay_us;
	++c->waiting;
	*s->tail = d;
	s->tail = &d->next;
	return 0;
}


/** Takes whole requests off the buffer */
static int parse(struct sink *s, struct conn *c)
{
	for (;;) {
		char path[PATH_LEN] = "";
		char *end, *p;
		size_t body = 0, all;

		c->buf[c->len] = '\0';
		end = strstr(c->buf, "\r\n\r\n");
		if (!end)
			return c->len < IN_MAX - 1 ? 0 : EMSGSIZE;
		if (sscanf(c->buf, "POST %63s HTTP/1.1", path) != 1)
			return EBADMSG;
		*end = '\0';
		p = strcasestr(c->buf, "\r\ncontent-length:");
		if (p)
			body = strtoul(p + 17, NULL, 10);
		*end = '\r';
		all = (size_t)(end + 4 - c->buf) + body;
		if (all >= IN_MAX)
			return EMSGSIZE;
		if (c->len < all)
			return 0;
		if (request_done(s, c, path))
			return ENOMEM;
		c->len -= all;
		memmove(c->buf, c->buf + all, c->len);
	}
}


static void conn_read(struct sink *s, struct conn *c)
{
	for (;;) {
		int n = SSL_read(c->ssl, c->buf + c->len,
				 (int)(IN_MAX - 1 - c->len));

		if (n <= 0) {
			int e = SSL_get_error(c->ssl, n);

			ERR_clear_error();
			if (e != SSL_ERROR_WANT_READ &&
			    e != SSL_ERROR_WANT_WRITE)
				conn_drop(c);
			return;
		}
		c->len += (size_t)n;
		if (parse(s, c)) {
			conn_drop(c);
			return;
		}
	}
}


static void conn_accept(struct sink *s)
{
	const int on = 1;
	struct epoll_event ev = { .events = EPOLLIN };
	struct conn *c;
	int fd =
		accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	c = calloc(1, sizeof(*c));
	if (!c) {
		(void)close(fd);
		return;
	}

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c->fd = fd;
	c->ssl = SSL_new(s->ctx);
	if (!c->ssl || SSL_set_fd(c->ssl, fd) != 1) {
		conn_drop(c);
		return;
	}
	SSL_set_accept_state(c->ssl);
	ev.data.ptr = c;
	(void)epoll_ctl(s->ep, EPOLL_CTL_ADD, fd, &ev);
}


static void answers_due(struct sink *s)
{
	const uint64_t now = now_us(CLOCK_MONOTONIC);

	while (s->head && s->head->at_us <= now) {
		struct due *d = s->head;

		s->head = d->next;
		if (!s->head)
			s->tail = &s->head;
		answer(d->conn);
		--d->conn->waiting;
		if (d->conn->dead)
			conn_drop(d->conn);
		free(d);
	}
}


/** Until the next answer is due */
static int wait_events(struct sink *s, struct epoll_event *ev, int max)
{
	struct timespec ts = { 0 };
	uint64_t now = now_us(CLOCK_MONOTONIC);

	if (!s->head)
		return epoll_pwait2(s->ep, ev, max, NULL, NULL);
	if (s->head->at_us > now) {
		ts.tv_sec = (time_t)((s->head->at_us - now) / 1000000);
		ts.tv_nsec = (long)((s->head->at_us - now) % 1000000 * 1000);
	}
	return epoll_pwait2(s->ep, ev, max, &ts, NULL);
}


static void loop(struct sink *s)
{
	struct epoll_event ev[64];

	for (;;) {
		int n = wait_events(s, ev, 64);

		for (int i = 0; i < n; i++) {
			if (ev[i].data.ptr == &s->sig)
				return;
			if (ev[i].data.ptr == &s->listener)
				conn_accept(s);
			else
				conn_read(s, ev[i].data.ptr);
		}
		answers_due(s);
	}
}


static int start(struct sink *s, uint16_t port, const char *cert,
		 const char *key)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct epoll_event ev = { .events = EPOLLIN };
	const int on = 1;
	sigset_t set;

	s->tail = &s->head;
	s->ctx = SSL_CTX_new(TLS_server_method());
	if (!s->ctx || SSL_CTX_use_certificate_chain_file(s->ctx, cert) != 1 ||
	    SSL_CTX_use_PrivateKey_file(s->ctx, key, SSL_FILETYPE_PEM) != 1) {
		ERR_print_errors_fp(stderr);
		return EPROTO;
	}

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	s->sig = signalfd(-1, &set, SFD_CLOEXEC);
	s->ep = epoll_create1(EPOLL_CLOEXEC);
	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &on,
			 sizeof(on));
	if (s->listener < 0 || s->sig < 0 || s->ep < 0 ||
	    bind(s->listener, (struct sockaddr *)&sa, sizeof(sa)) ||
	    listen(s->listener, 1024))
		return errno;

	ev.data.ptr = &s->sig;
	(void)epoll_ctl(s->ep, EPOLL_CTL_ADD, s->sig, &ev);
	ev.data.ptr = &s->listener;
	(void)epoll_ctl(s->ep, EPOLL_CTL_ADD, s->listener, &ev);
	return 0;
}


int main(int argc, char **argv)
{
	struct sink s = { 0 };
	FILE *f;
	int err;

	if (argc != 6) {
		fputs("usage: sink PORT CERT KEY DELAY_MS LOG\n", stderr);
		return 64;
	}

	(void)signal(SIGPIPE, SIG_IGN);
	(void)prctl(PR_SET_TIMERSLACK, 1);
	s.delay_us = strtoul(argv[4], NULL, 10) * 1000;
	err = start(&s, (uint16_t)strtoul(argv[1], NULL, 10), argv[2],
		    argv[3]);
	if (err) {
		fprintf(stderr, "sink: %s\n", strerror(err));
		return 1;
	}

	puts("{\"ready\":true}");
	(void)fflush(stdout);
	loop(&s);

	f = fopen(argv[5], "w");
	for (size_t i = 0; f && i < s.hitn; i++)
		fprintf(f, "%llu %s\n", (unsigned long long)s.hits[i].at_us,
			s.hits[i].path);
	free(s.hits);
	SSL_CTX_free(s.ctx);
	return f && !fclose(f) ? 0 : 1;
}
