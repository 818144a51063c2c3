/**
 * @file forward_impl.h  What the files of a forward share
 *
 *     forward.c           out, and its answers
 *       forward_adrift.c    its flow is gone
 *         forward_cancel.c    its CANCEL and its end
 */

#ifndef SIPIS_EDGE_FORWARD_IMPL_H
#define SIPIS_EDGE_FORWARD_IMPL_H

#include "sipis/edge/forward.h"
#include "sipis/edge/priv.h"

struct edge_forward {
	struct le le; /**< of the flow, or of those that are leaving */
	struct le le_flow;
	struct edge *edge;
	struct sip *sip;
	struct sip_request *req;
	struct sip_msg *msg;
	char *uri;
	struct sa dst;
	enum sip_transp tp;
	struct copy_prm copy; /**< of it pop and CSeq are kept */
	char *via;            /**< of the request that is out, after a 1xx */
	char *reason;
	struct tmr tmr, tmr_cancel, tmr_again;
	unsigned cancels;
	bool invite, timer_c, cancelled, leaving;
	bool heard; /**< a 1xx has come, 100 as well */
	bool told;  /**< its CANCEL has left */
	bool adrift, moved;
	bool watched; /**< losth though it is over */
	bool stands;  /**< where it went may still be the way to it */
	uint8_t phone[EDGE_PHONE]; /**< if there is a losth */
	char *sent;                /**< Via of it */
	edge_forward_lost_h *losth;
	edge_forward_h *h;
	void *arg;
};

/* --- forward_cancel.c --- */

/** Its holder hears of it, or it is freed if there is none */
void edge_forward_over(struct edge_forward *f, int err,
		       const struct sip_msg *msg);
/** A request in the INVITE's own transaction: CANCEL, or the ACK of a refusal
    that libre does not send.  reason may be NULL or "" */
void edge_forward_own(const struct edge_forward *f, const char *met,
		      const struct pl *to, const char *reason);
/** What goes there may arrive */
bool edge_forward_hears(const struct edge_forward *f);
/** The CANCEL, if it was held back */
void edge_forward_cancel_send(struct edge_forward *f);
/** What is cancelled ends by itself, whoever does not answer */
void edge_forward_end_soon(struct edge_forward *f);
/** It has been cancelled: CANCEL as soon as that may go, and an end soon */
void edge_forward_cancel_start(struct edge_forward *f);

/* --- forward_adrift.c --- */

/** It is cancelled while adrift: its phone may have another flow; RFC 5626
    5.3 */
void edge_forward_elsewhere(struct edge_forward *f);
/** Timer B, RFC 3261 17.1.1.2: its phone has not said a word */
void edge_forward_unheard(struct edge_forward *f);

#endif
