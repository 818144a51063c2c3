/**
 * @file udp.c  One UDP socket, many datagrams per system call
 */

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "udp.h"

enum { BATCH = 64, RCVBUF = 64 << 20 };

struct slot {
	char buf[UDP_MSG];
	struct sockaddr_in addr;
	struct iovec iov;
};

struct udp {
	int fd;
	struct sockaddr_in laddr;
	struct slot in[BATCH], out[BATCH];
	struct mmsghdr inv[BATCH], outv[BATCH];
	unsigned outn;
	unsigned failed;
};


static void slots_wire(struct slot *s, struct mmsghdr *v)
{
	for (unsigned i = 0; i < BATCH; i++) {
		s[i].iov.iov_base = s[i].buf;
		s[i].iov.iov_len = UDP_MSG;
		v[i].msg_hdr.msg_iov = &s[i].iov;
		v[i].msg_hdr.msg_iovlen = 1;
		v[i].msg_hdr.msg_name = &s[i].addr;
		v[i].msg_hdr.msg_namelen = sizeof(s[i].addr);
	}
}


int udpsock_alloc(struct udp **up, const struct sockaddr_in *laddr)
{
	struct udp *u = calloc(1, sizeof(*u));
	const int size = RCVBUF;
	socklen_t len = sizeof(u->laddr);
	int err;

	if (!u)
		return ENOMEM;

	slots_wire(u->in, u->inv);
	slots_wire(u->out, u->outv);
	u->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (u->fd < 0 ||
	    bind(u->fd, (const struct sockaddr *)laddr, sizeof(*laddr)) ||
	    getsockname(u->fd, (struct sockaddr *)&u->laddr, &len)) {
		err = errno;
		udpsock_free(u);
		return err;
	}

	/* without the right to force it, as much as the system allows */
	if (setsockopt(u->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		(void)setsockopt(u->fd, SOL_SOCKET, SO_RCVBUF, &size,
				 sizeof(size));
	*up = u;
	return 0;
}


void udpsock_free(struct udp *u)
{
	if (u->fd >= 0)
		(void)close(u->fd);
	free(u);
}


int udpsock_fd(const struct udp *u)
{
	return u->fd;
}


const struct sockaddr_in *udpsock_laddr(const struct udp *u)
{
	return &u->laddr;
}


int udpsock_rcvbuf(const struct udp *u)
{
	int size = 0;
	socklen_t len = sizeof(size);

	(void)getsockopt(u->fd, SOL_SOCKET, SO_RCVBUF, &size, &len);
	return size;
}


int udpsock_recv(struct udp *u, udp_recv_h *h, void *arg)
{
	int n;

	for (unsigned i = 0; i < BATCH; i++)
		u->inv[i].msg_hdr.msg_namelen = sizeof(u->in[i].addr);

	n = recvmmsg(u->fd, u->inv, BATCH, 0, NULL);
	for (int i = 0; i < n; i++)
		h(u->in[i].buf, u->inv[i].msg_len, &u->in[i].addr, arg);

	return n > 0 ? n : 0;
}


char *udpsock_next(struct udp *u)
{
	if (u->outn == BATCH)
		u->failed += udpsock_flush(u);

	return u->out[u->outn].buf;
}


void udpsock_commit(struct udp *u, size_t len, const struct sockaddr_in *to)
{
	struct slot *s = &u->out[u->outn++];

	s->iov.iov_len = len;
	s->addr = *to;
}


unsigned udpsock_flush(struct udp *u)
{
	unsigned done = 0, failed = u->failed;

	while (done < u->outn) {
		int n = sendmmsg(u->fd, u->outv + done, u->outn - done, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) { /* this one; a closed port answers the next */
			++failed;
			n = 1;
		}
		done += (unsigned)n;
	}

	u->outn = u->failed = 0;
	return failed;
}
