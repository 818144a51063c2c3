/**
 * @file edge/forward.h  One request on its way out
 */

#ifndef SIPIS_EDGE_FORWARD_H
#define SIPIS_EDGE_FORWARD_H

#include "sipis/edge/priv.h"
#include "sipis/sip/copy.h"

struct edge_forward;

/** Each 1xx but 100, then once a final answer or err; the forward is over
    then, and the holder drops it */
typedef void(edge_forward_h)(int err, const struct sip_msg *resp, void *arg);

/** Its flow is gone, and answers still come.  edge_forward_back() when its
    phone is back.  err: see edge_flow_left(); ETIMEDOUT: it has not said a
    word, and its flow may stand */
typedef void(edge_forward_lost_h)(int err, void *arg);

struct edge_forward_prm {
	struct edge *edge;
	struct list *ties; /**< what ends with the way that it goes, or NULL */
	struct sip *sip;
	const struct sip_msg *msg;
	const char *uri; /**< NULL: as it is */
	struct sa dst;
	enum sip_transp tp;
	struct copy_prm copy;
	struct edge_vouch *vouch; /**< or NULL; a passage keeps it */
	struct edge_talk *talk;   /**< the same */
	bool timer_c;
	const uint8_t *phone;       /**< with losth */
	edge_forward_lost_h *losth; /**< NULL: it ends with its flow */
	edge_forward_h *h;
	void *arg;
};

/** mem_deref() forgets it; a phone that rings would ring on */
int edge_forward(struct edge_forward **fp, const struct edge_forward_prm *prm);
/** An ACK, or what else nobody answers */
int edge_forward_once(const struct edge_forward_prm *prm);
/** Of an INVITE; answers still come.  reason: of its Reason header, or "" */
void edge_forward_cancel(struct edge_forward *f, const char *reason);
/** The same by somebody who does not want to hear more; *fp is NULL then.
    True: CANCEL has left.  False: it waits for a word of the phone, or for the
    phone */
bool edge_forward_leave(struct edge_forward **fp, const char *reason);
void edge_forward_lost(struct edge_forward *f, int err);
/** Its CANCEL to that binding.  EPROTONOSUPPORT: it is not cancelled, and only
    another one can go there */
int edge_forward_back(struct edge_forward *f, const struct edge_binding *b);
/** That phone is back: those that nobody waits for get their CANCEL */
void edge_forwards_back(const struct edge_binding *b);
/** Its phone rings by it, or by one before it, and its flow is gone, or it is
    over: losth when that phone loses the flow that it has now.  NULL does
    nothing */
void edge_forward_watch(struct edge_forward *f);
/** Somebody has said something, if only 100 */
bool edge_forward_heard(const struct edge_forward *f);
/** It does not end with its flow */
bool edge_forward_roams(const struct edge_forward *f);
/** Who hears of its answers and its flow from now on, with the arg that it
    has */
void edge_forward_holder(struct edge_forward *f, edge_forward_h *h,
			 edge_forward_lost_h *losth);
/** ACK and BYE for a 2xx that does not go up */
void edge_forward_hang_up(struct edge_forward *f, const struct sip_msg *resp);

#endif
