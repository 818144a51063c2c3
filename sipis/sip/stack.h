/**
 * @file stack.h  The sockets of one profile
 *
 * libre wants a concrete local address for each transport and has no setting
 * for buffers, backlog or who may speak; this module finds the address by the
 * route to the PBX, opens what a hop needs when it is first needed, and sees
 * to the rest.
 */

#ifndef SIPIS_STACK_H
#define SIPIS_STACK_H

#include "sipis/sip/fence.h"

/** To be dropped before the transports are */
struct stack;

/** May this datagram from src be parsed? */
typedef bool(stack_allow_h)(const struct sa *src, const struct mbuf *mb,
			    void *arg);
/** A datagram of the PBX, before libre sees it; true: it need not */
typedef bool(stack_recv_h)(const struct mbuf *mb, void *arg);

struct stack_prm {
	struct sip *sip;            /**< must live as long, transports too */
	struct tls *tls;            /**< NULL: no TLS */
	const char *local_address;  /**< NULL: by route */
	const char *public_address; /**< for a Via over UDP; NULL: our own */
	uint16_t local_port;        /**< TLS: one above; 0: any */
	stack_allow_h *allowh;
	stack_recv_h *recvh;
	struct trust *trust; /**< must live as long: who may connect */
	fence_stranger_h *strangerh;
	void *arg;
};

int stack_alloc(struct stack **sp, const struct stack_prm *prm);

/** Makes sure that there is a transport for dst; ENETUNREACH without a route,
    EPROTONOSUPPORT: TLS without a context, EADDRINUSE */
int stack_open(struct stack *s, enum sip_transp tp, const struct sa *dst);

/** Our address towards dst as the PBX is to see it */
int stack_address(struct stack *s, enum sip_transp tp, const struct sa *dst,
		  struct sa *addr);

/** The UDP socket towards dst, and that address as text for a Via; EAGAIN
    while it is not known yet */
int stack_udp(const struct stack *s, const struct sa *dst,
	      struct udp_sock **usp, const char **laddr);

/** For each message, before anything else: true if it was our own letter to
    ourselves and has served its purpose */
bool stack_sees(struct stack *s, const struct sip_msg *msg);

#endif
