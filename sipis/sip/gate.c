/**
 * @file gate.c  In front of libre's transaction layer
 */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include "sipis/sip/gate.h"


enum {
	UDP_BUFFER = 4 * 1024 * 1024,
	/* libre's 8192 cut the answer of a well-used AOR; above 64 KiB malloc
	   tidies up at every free() */
	UDP_DATAGRAM = 32 * 1024,
	FIRST_LINE_MAX = 4096,
};


/* Every listener of libre begins with its list element */
int gate_first(struct sip_lsnr *lsnr)
{
	struct le *le = (struct le *)(void *)lsnr;
	struct list *l = le->list;

	if (le->data != (void *)lsnr || !l)
		return ENOSYS;

	list_unlink(le);
	list_prepend(l, le, lsnr);

	return 0;
}


bool gate_whole(const struct sip_msg *msg)
{
	return pl_isset(&msg->via.branch) && pl_isset(&msg->via.sentby) &&
	       pl_isset(&msg->callid) && pl_isset(&msg->from.tag) &&
	       pl_isset(&msg->to.auri) && pl_isset(&msg->cseq.met) &&
	       !pl_cmp(&msg->cseq.met, &msg->met);
}


bool gate_is_sip(const struct mbuf *mb)
{
	const char *p = (const char *)mbuf_buf(mb);
	size_t l = mbuf_get_left(mb), n;
	const char *lf;

	if (l > FIRST_LINE_MAX)
		l = FIRST_LINE_MAX;

	lf = memchr(p, '\n', l);
	if (!lf)
		return false;

	n = (size_t)(lf - p);
	if (n > 0 && p[n - 1] == '\r')
		--n;
	if (n <= 7)
		return false;

	return !memcmp(p, "SIP/2.0", 7) || !memcmp(p + n - 7, "SIP/2.0", 7) ||
	       memmem(p, n, "SIP/2.0", 7);
}


void gate_widen(struct udp_sock *us)
{
	const int size = UDP_BUFFER;

	udp_rxsz_set(us, UDP_DATAGRAM);

	/* As large as we may; the kernel cuts the second one to its limit */
	if (udp_setsockopt(us, SOL_SOCKET, SO_RCVBUFFORCE, &size,
			   sizeof(size)))
		(void)udp_sockbuf_set(us, size);
}
