/**
 * @file lookup.c  A host name into addresses, off the loop
 *
 * The thread shares nothing with the loop but one end of a socket pair: it
 * writes its answer there and ends.  Whoever loses interest closes the other
 * end, so nobody has to wait for a name server that is silent.
 */

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "sipis/med/lookup.h"


struct lookup {
	struct tmr tmr;
	struct sa literal;
	int fd;
	lookup_h *h;
	void *arg;
};

/** What the thread owns */
struct job {
	int fd;
	char serv[8];
	char host[];
};

/** What it writes, in one datagram */
struct answer {
	int err;
	unsigned n;
	struct sa addrv[LOOKUP_MAX];
};


static int gai_errno(int e)
{
	switch (e) {
	case EAI_SYSTEM:
		return errno;
	case EAI_MEMORY:
		return ENOMEM;
	case EAI_AGAIN:
		return EAGAIN;
	default:
		return EHOSTUNREACH;
	}
}


static void look_up(struct answer *ans, const struct job *job)
{
	const struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV,
	};
	struct addrinfo *res = NULL, *r;
	const int e = getaddrinfo(job->host, job->serv, &hints, &res);

	if (e) {
		ans->err = gai_errno(e);
		return;
	}

	for (r = res; r && ans->n < LOOKUP_MAX; r = r->ai_next)
		if (!sa_set_sa(&ans->addrv[ans->n], r->ai_addr))
			++ans->n;

	ans->err = ans->n ? 0 : EHOSTUNREACH;
	freeaddrinfo(res);
}


static void *thread_main(void *arg)
{
	struct job *job = arg;
	struct answer ans;

	memset(&ans, 0, sizeof(ans));
	look_up(&ans, job);
	(void)send(job->fd, &ans, sizeof(ans), MSG_NOSIGNAL);
	(void)close(job->fd);
	free(job);

	return NULL;
}


static int thread_start(struct job *job)
{
	sigset_t all, old;
	pthread_attr_t attr;
	pthread_t tid;
	int err = pthread_attr_init(&attr);

	if (err)
		return err;

	(void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&tid, &attr, thread_main, job);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	(void)pthread_attr_destroy(&attr);

	return err;
}


static void destructor(void *data)
{
	struct lookup *r = data;

	tmr_cancel(&r->tmr);
	if (r->fd >= 0) {
		fd_close(r->fd);
		(void)close(r->fd);
	}
}


static void answer_handler(int flags, void *arg)
{
	struct lookup *r = arg;
	struct answer ans;
	const ssize_t n = recv(r->fd, &ans, sizeof(ans), MSG_DONTWAIT);
	(void)flags;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;

	fd_close(r->fd);
	(void)close(r->fd);
	r->fd = -1;

	if (n != (ssize_t)sizeof(ans)) {
		memset(&ans, 0, sizeof(ans));
		ans.err = EPIPE;
	}
	r->h(ans.err, ans.addrv, ans.n, r->arg);
}


static void literal_handler(void *arg)
{
	struct lookup *r = arg;

	r->h(0, &r->literal, 1, r->arg);
}


static int ask(struct lookup *r, const char *host, uint16_t port)
{
	const size_t len = strlen(host);
	struct job *job = NULL;
	int err, fdv[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fdv))
		return errno;

	r->fd = fdv[0];
	job = malloc(sizeof(*job) + len + 1);
	if (!job) {
		err = ENOMEM;
		goto out;
	}

	job->fd = fdv[1];
	memcpy(job->host, host, len + 1);
	(void)snprintf(job->serv, sizeof(job->serv), "%u", port);

	err = fd_listen(r->fd, FD_READ, answer_handler, r);
	if (!err)
		err = thread_start(job);

out:
	if (err) {
		free(job);
		(void)close(fdv[1]);
	}

	return err;
}


int lookup_alloc(struct lookup **rp, const char *host, uint16_t port,
		 lookup_h *h, void *arg)
{
	struct lookup *r;
	int err = 0;

	if (!rp || !host || !h)
		return EINVAL;

	r = mem_zalloc(sizeof(*r), destructor);
	if (!r)
		return ENOMEM;

	r->fd = -1;
	r->h = h;
	r->arg = arg;

	if (!sa_set_str(&r->literal, host, port))
		tmr_start(&r->tmr, 0, literal_handler, r);
	else
		err = ask(r, host, port);

	if (err)
		mem_deref(r);
	else
		*rp = r;

	return err;
}


static int port_decode(uint16_t *port, const struct pl *pl)
{
	uint32_t v = 0;

	for (size_t i = 0; i < pl->l; i++) {
		if (pl->p[i] < '0' || pl->p[i] > '9' || i > 4)
			return EINVAL;
		v = 10 * v + (uint32_t)(pl->p[i] - '0');
	}
	if (!v || v > 65535)
		return EINVAL;

	*port = (uint16_t)v;
	return 0;
}


int lookup_split(char *host, size_t size, uint16_t *port, const char *s,
		 uint16_t default_port)
{
	struct pl h, p = PL_INIT;
	const char *rest;
	struct sa sa;

	if (!host || !size || !port || !s)
		return EINVAL;

	*port = default_port;
	h.p = s;
	h.l = strcspn(s, ":");
	if (!sa_set_str(&sa, s, 0)) { /* also IPv6 without brackets */
		h.l = strlen(s);
	}
	else if (s[0] == '[') {
		h.p = s + 1;
		h.l = strcspn(s + 1, "]");
		if (!h.p[h.l])
			return EINVAL;
	}

	rest = h.p + h.l + (s[0] == '[');
	if (*rest == ':') {
		p.p = rest + 1;
		p.l = strlen(p.p);
		if (port_decode(port, &p))
			return EINVAL;
	}
	else if (*rest) {
		return EINVAL;
	}

	return h.l && !pl_strcpy(&h, host, size) ? 0 : EINVAL;
}
