/**
 * @file tests/bench/edge/way.c  A socket that speaks SIP
 *
 * A connection holds no buffer while nothing comes, so that 50,000 of them
 * fit into the load's own process.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include "way.h"

enum { RCVBUF = 32 << 20 };

struct way {
	struct way_prm prm;
	int fd;
	SSL *ssl;
	bool up, lost;
	char *rest; /**< the beginning of a message, or NULL */
	size_t len;
	char local[32];
};


static int open_socket(struct way *w)
{
	const bool udp = w->prm.tp == WAY_UDP;
	const int on = 1, size = RCVBUF;
	socklen_t len = sizeof(w->prm.local);
	char ip[INET_ADDRSTRLEN];

	w->fd = socket(AF_INET,
		       (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK |
			       SOCK_CLOEXEC,
		       0);
	if (w->fd < 0)
		return errno;

	if (udp)
		(void)setsockopt(w->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size,
				 sizeof(size));
	else
		(void)setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &on,
				 sizeof(on));
	if (bind(w->fd, (struct sockaddr *)&w->prm.local, len))
		return errno;
	if (w->prm.peer &&
	    connect(w->fd, (const struct sockaddr *)w->prm.peer,
		    sizeof(*w->prm.peer)) &&
	    errno != EINPROGRESS)
		return errno;
	if (getsockname(w->fd, (struct sockaddr *)&w->prm.local, &len))
		return errno;

	(void)inet_ntop(AF_INET, &w->prm.local.sin_addr, ip, sizeof(ip));
	(void)snprintf(w->local, sizeof(w->local), "%s:%u", ip,
		       ntohs(w->prm.local.sin_port));
	return 0;
}


static int watch(struct way *w, int op, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };

	return epoll_ctl(w->prm.epoll, op, w->fd, &ev) ? errno : 0;
}


int way_alloc(struct way **wp, const struct way_prm *prm)
{
	struct way *w = calloc(1, sizeof(*w));
	int err;

	if (!w)
		return ENOMEM;

	w->prm = *prm;
	w->up = prm->tp == WAY_UDP;
	err = open_socket(w);
	err = err ? err
		  : watch(w, EPOLL_CTL_ADD,
			  w->up ? EPOLLIN : EPOLLIN | EPOLLOUT);
	if (!err && prm->tp == WAY_TLS) {
		w->ssl = SSL_new(prm->ctx);
		if (!w->ssl || !SSL_set_fd(w->ssl, w->fd))
			err = ENOMEM;
		else
			SSL_set_connect_state(w->ssl);
	}

	if (err)
		way_free(w);
	else
		*wp = w;
	return err;
}


void way_free(struct way *w)
{
	if (!w)
		return;
	SSL_free(w->ssl);
	if (w->fd >= 0)
		(void)close(w->fd);
	free(w->rest);
	free(w);
}


const char *way_local(const struct way *w)
{
	return w->local;
}


const char *way_name(enum way_tp tp)
{
	static const char *const v[] = { "UDP", "TCP", "TLS" };

	return v[tp];
}


bool way_send(struct way *w, const struct out *o, const struct sockaddr_in *to)
{
	ssize_t n;

	if (w->ssl)
		return SSL_write(w->ssl, o->buf, (int)o->len) == (int)o->len;

	n = sendto(w->fd, o->buf, o->len, MSG_NOSIGNAL,
		   (const struct sockaddr *)to, to ? sizeof(*to) : 0);
	return n == (ssize_t)o->len;
}


static void give_up(struct way *w)
{
	if (w->lost)
		return;
	w->lost = true;
	(void)epoll_ctl(w->prm.epoll, EPOLL_CTL_DEL, w->fd, NULL);
	w->prm.losth(w->prm.arg);
}


static void datagrams(struct way *w)
{
	char buf[MSG_MAX + 1];
	struct sockaddr_in from;
	struct msg m;

	for (;;) {
		socklen_t len = sizeof(from);
		const ssize_t n = recvfrom(w->fd, buf, MSG_MAX, 0,
					   (struct sockaddr *)&from, &len);

		if (n < 0)
			return;
		buf[n] = '\0';
		if (msg_read(&m, buf, (size_t)n))
			w->prm.msgh(&m, &from, w->prm.arg);
	}
}


static void connected(struct way *w)
{
	int r = w->ssl ? SSL_do_handshake(w->ssl) : 1;

	if (r == 1) {
		w->up = true;
		(void)watch(w, EPOLL_CTL_MOD, EPOLLIN);
		w->prm.uph(w->prm.arg);
		return;
	}

	r = SSL_get_error(w->ssl, r);
	if (r == SSL_ERROR_WANT_READ)
		(void)watch(w, EPOLL_CTL_MOD, EPOLLIN);
	else if (r != SSL_ERROR_WANT_WRITE)
		give_up(w);
}


/* 0: nothing there, < 0: over */
static int read_some(struct way *w, char *buf, int size)
{
	ssize_t n;

	if (w->ssl) {
		const int r = SSL_read(w->ssl, buf, size);

		if (r > 0)
			return r;
		return SSL_get_error(w->ssl, r) == SSL_ERROR_WANT_READ ? 0
								       : -1;
	}

	n = recv(w->fd, buf, (size_t)size, 0);
	if (n > 0)
		return (int)n;
	return n < 0 && errno == EAGAIN ? 0 : -1;
}


static bool keep(struct way *w, const char *buf, size_t len)
{
	char *rest = NULL;

	if (len) {
		rest = malloc(len);
		if (!rest)
			return false;
		memcpy(rest, buf, len);
	}
	free(w->rest);
	w->rest = rest;
	w->len = len;

	return true;
}


static void stream(struct way *w)
{
	char buf[2 * MSG_MAX + 1];
	size_t len = w->len, at = 0, size;
	struct msg m;
	int n;

	memcpy(buf, w->rest ? w->rest : "", len);
	while ((n = read_some(w, buf + len, (int)(2 * MSG_MAX - len))) > 0) {
		len += (size_t)n;
		buf[len] = '\0';
		at = 0;
		while (at < len && (size = msg_size(buf + at, len - at))) {
			if (msg_read(&m, buf + at, size))
				w->prm.msgh(&m, NULL, w->prm.arg);
			at += size;
		}
		memmove(buf, buf + at, len - at);
		len -= at;
	}

	if (n < 0 || !keep(w, buf, len))
		give_up(w);
}


void way_turn(struct way *w)
{
	if (w->prm.tp == WAY_UDP)
		datagrams(w);
	else if (!w->up)
		connected(w);
	else
		stream(w);
}
