/**
 * @file stack.c  The sockets of one profile
 *
 * libre shows neither its sockets nor their descriptors.  A listening TCP
 * socket gets a fence, which finds it by its address.  A UDP socket is found
 * by a letter: a datagram to ourselves brings a message, and the message its
 * socket.  With the socket comes a filter that drops what strangers send
 * before anything is parsed, and what is no SIP before libre complains of it.
 */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/handshake.h"
#include "common/log.h"
#include "sipis/sip/fence.h"
#include "sipis/sip/gate.h"
#include "sipis/sip/stack.h"


enum {
	FILTER_LAYER = -100, /* below everything libre has there */
};

struct transport {
	struct le le;
	struct stack *s;
	enum sip_transp tp;
	struct sa laddr;
	struct udp_sock *us; /* once the letter is here */
	struct udp_helper *filter;
	struct fence *fence; /* of a listening one */
	char via[64];        /* what the PBX is to see, as text */
	char letter[33];     /* Call-ID of the letter under way, "" if none */
};

struct stack {
	struct list l; /* struct transport */
	struct sip *sip;
	struct tls *tls;
	char *local_address;
	struct sa public_address; /* unset: our own */
	uint16_t local_port;
	stack_allow_h *allowh;
	stack_recv_h *recvh;
	struct trust *trust;
	fence_stranger_h *strangerh;
	void *arg;
};


static void destructor(void *data)
{
	struct stack *s = data;

	list_flush(&s->l);
	mem_deref(s->tls);
	mem_deref(s->local_address);
}


static void transport_destructor(void *data)
{
	struct transport *t = data;

	list_unlink(&t->le);
	mem_deref(t->fence);
	mem_deref(t->filter);
	mem_deref(t->us);
}


/* Of a PBX that opens connections to us by itself */
static void failed_handler(const struct sa *peer, const char *why, void *arg)
{
	(void)peer;
	(void)arg;

	log_info("sip", NULL, "TLS of somebody who connected failed: %s", why);
}


int stack_alloc(struct stack **sp, const struct stack_prm *prm)
{
	static const struct handshake_watch watch = { .failedh =
							      failed_handler };
	struct stack *s;
	int err = 0;

	if (!sp || !prm || !prm->sip || !prm->allowh || !prm->recvh ||
	    !prm->trust || !prm->strangerh)
		return EINVAL;

	s = mem_zalloc(sizeof(*s), destructor);
	if (!s)
		return ENOMEM;

	s->sip = prm->sip;
	s->tls = mem_ref(prm->tls);
	s->local_port = prm->local_port;
	s->allowh = prm->allowh;
	s->recvh = prm->recvh;
	s->trust = prm->trust;
	s->strangerh = prm->strangerh;
	s->arg = prm->arg;
	sa_init(&s->public_address, AF_UNSPEC);
	if (prm->public_address)
		err = sa_set_str(&s->public_address, prm->public_address, 0);
	if (!err && prm->local_address)
		err = str_dup(&s->local_address, prm->local_address);
	if (!err && s->tls)
		err = handshake_watch(s->tls, &watch);

	if (err)
		mem_deref(s);
	else
		*sp = s;

	return err;
}


/* The kernel knows the route: a connected UDP socket tells its own end */
static int route_address(struct sa *laddr, const struct sa *dst)
{
	struct sa to = *dst;
	int fd, err = 0;

	if (!sa_port(&to))
		sa_set_port(&to, SIP_PORT);

	fd = socket(sa_af(dst), SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errno;

	sa_init(laddr, sa_af(dst));
	laddr->len = sizeof(laddr->u);
	if (connect(fd, &to.u.sa, to.len) ||
	    getsockname(fd, &laddr->u.sa, &laddr->len))
		err = errno;

	(void)close(fd);
	if (!err && sa_is_any(laddr))
		err = ENETUNREACH;
	sa_set_port(laddr, 0);

	return err;
}


static int local_address(const struct stack *s, struct sa *laddr,
			 enum sip_transp tp, const struct sa *dst)
{
	uint16_t port = s->local_port;
	int err = 0;

	if (tp == SIP_TRANSP_TLS && port)
		++port;

	if (!s->local_address || sa_set_str(laddr, s->local_address, 0) ||
	    sa_af(laddr) != sa_af(dst))
		err = route_address(laddr, dst);

	sa_set_port(laddr, port);

	return err;
}


/* True: eaten */
static bool filter_handler(struct sa *src, struct mbuf *mb, void *arg)
{
	const struct stack *s = ((struct transport *)arg)->s;

	return !s->allowh(src, mb, s->arg) || !gate_is_sip(mb) ||
	       s->recvh(mb, s->arg);
}


static void udp_found(struct transport *t, struct udp_sock *us)
{
	t->letter[0] = '\0';
	t->us = mem_ref(us);
	gate_widen(us);

	if (udp_register_helper(&t->filter, us, FILTER_LAYER, NULL,
				filter_handler, t))
		log_warning("sip", "-", "no filter on the UDP socket");
}


static void send_letter(struct transport *t)
{
	char buf[512];
	int fd, n;

	(void)re_snprintf(t->letter, sizeof(t->letter), "%016llx%016llx",
			  rand_u64(), rand_u64());
	n = re_snprintf(buf, sizeof(buf),
			"OPTIONS sip:%J SIP/2.0\r\n"
			"Via: SIP/2.0/UDP %J;branch=z9hG4bK%s\r\n"
			"Max-Forwards: 1\r\n"
			"To: <sip:%J>\r\n"
			"From: <sip:%J>;tag=1\r\n"
			"Call-ID: %s\r\n"
			"CSeq: 1 OPTIONS\r\n"
			"Content-Length: 0\r\n\r\n",
			&t->laddr, &t->laddr, t->letter, &t->laddr, &t->laddr,
			t->letter);
	if (n < 0)
		return;

	fd = socket(sa_af(&t->laddr), SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;

	if (sendto(fd, buf, (size_t)n, 0, &t->laddr.u.sa, t->laddr.len) < 0)
		log_warning("sip", "-", "own UDP socket not reached: %s",
			    strerror(errno));
	(void)close(fd);
}


/* Behind NAT that maps address to address; the port stays */
static void make_public(const struct stack *s, struct sa *addr)
{
	const uint16_t port = sa_port(addr);

	if (sa_af(&s->public_address) != sa_af(addr))
		return;

	*addr = s->public_address;
	sa_set_port(addr, port);
}


static int fence_add(struct transport *t)
{
	const struct stack *s = t->s;
	const struct fence_prm prm = {
		.laddr = &t->laddr,
		.trust = s->trust,
		.h = s->strangerh,
		.arg = s->arg,
	};

	return fence_alloc(&t->fence, &prm);
}


static void describe(struct transport *t)
{
	struct sa seen = t->laddr;
	char own[sizeof(t->via)];

	make_public(t->s, &seen);
	(void)re_snprintf(t->via, sizeof(t->via), "%J", &seen);
	(void)re_snprintf(own, sizeof(own), "%J", &t->laddr);
	log_info("sip", "-", "listening transport=%s address=%s",
		 sip_transp_name(t->tp), own);
}


static int transport_add(struct stack *s, enum sip_transp tp,
			 const struct sa *dst)
{
	struct transport *t;
	struct sa laddr;
	int err;

	if (tp == SIP_TRANSP_TLS && !s->tls)
		return EPROTONOSUPPORT;

	err = local_address(s, &laddr, tp, dst);
	if (err)
		return err;

	t = mem_zalloc(sizeof(*t), transport_destructor);
	if (!t)
		return ENOMEM;

	t->s = s;
	t->tp = tp;
	err = sip_transp_add(s->sip, tp, &laddr, s->tls);
	err = err ? err : sip_transp_laddr(s->sip, &t->laddr, tp, dst);
	if (!err && tp != SIP_TRANSP_UDP)
		err = fence_add(t);
	if (err)
		goto out;

	list_append(&s->l, &t->le, t);
	describe(t);
	if (tp == SIP_TRANSP_UDP)
		send_letter(t);

out:
	if (err)
		mem_deref(t);

	return err;
}


int stack_open(struct stack *s, enum sip_transp tp, const struct sa *dst)
{
	if (!s || !dst)
		return EINVAL;

	for (struct le *le = s->l.head; le; le = le->next) {
		const struct transport *t = le->data;

		if (t->tp == tp && sa_af(&t->laddr) == sa_af(dst))
			return 0;
	}

	return transport_add(s, tp, dst);
}


int stack_address(struct stack *s, enum sip_transp tp, const struct sa *dst,
		  struct sa *addr)
{
	int err;

	if (!addr)
		return EINVAL;

	err = stack_open(s, tp, dst);
	err = err ? err : sip_transp_laddr(s->sip, addr, tp, dst);
	if (!err)
		make_public(s, addr);

	return err;
}


int stack_udp(const struct stack *s, const struct sa *dst,
	      struct udp_sock **usp, const char **laddr)
{
	if (!s || !dst || !usp || !laddr)
		return EINVAL;

	for (struct le *le = s->l.head; le; le = le->next) {
		struct transport *t = le->data;

		if (t->us && sa_af(&t->laddr) == sa_af(dst)) {
			*usp = t->us;
			*laddr = t->via;
			return 0;
		}
	}

	return EAGAIN;
}


bool stack_sees(struct stack *s, const struct sip_msg *msg)
{
	if (!s || !msg || msg->tp != SIP_TRANSP_UDP || !msg->req)
		return false;

	for (struct le *le = s->l.head; le; le = le->next) {
		struct transport *t = le->data;

		if (!t->letter[0] || pl_strcmp(&msg->callid, t->letter))
			continue;
		udp_found(t, msg->sock);
		return true;
	}

	return false;
}
