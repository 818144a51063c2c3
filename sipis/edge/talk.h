/**
 * @file talk.h  Offer and answer of one request, by way of an rtpengine
 *
 * RFC 3264; who offers: RFC 3261 13.2, RFC 3262 5, RFC 3311.  docs/EDGE.md,
 * "Media".
 */

#ifndef SIPIS_EDGE_TALK_H
#define SIPIS_EDGE_TALK_H

#include <re/re.h>
#include "sipis/edge/token.h"

/** Not 503: a PBX or phone would take it for the end of all calls by us */
#define EDGE_NO_MEDIA 500, "Media Relay Unavailable"

struct edge;
struct pbx;
struct edge_talk;

/** err 0: msg goes on, with another SDP or as it was.  Else it must not: the
    profile wants that a call without relay fails */
typedef void(edge_talk_h)(int err, const struct sip_msg *msg, void *arg);
/** A line for the timeline */
typedef void(edge_note_h)(const char *what, const char *detail, void *arg);

struct edge_talk_prm {
	struct edge *edge;
	struct pbx *pbx;
	const uint8_t *phone; /**< EDGE_PHONE bytes: at one end of it */
	bool to_phone;
	int af; /**< of the next hop */
	const struct sip_msg *msg;
	edge_note_h *noteh; /**< or NULL */
	edge_talk_h *requesth;
	void *arg;
};

/** *tp NULL: it is none of an rtpengine's business */
int edge_talk_begin(struct edge_talk **tp, const struct edge_talk_prm *prm);

/** True: requesth follows, never from in here */
bool edge_talk_request(struct edge_talk *t);
/** It has gone out before, by another talk or before a restart */
void edge_talk_resume(struct edge_talk *t);
/** Its 2xx counts: no other talk of the same call ends that any more */
void edge_talk_settle(struct edge_talk *t);
/** Who hears of the responses */
void edge_talk_holder(struct edge_talk *t, edge_talk_h *responseh, void *arg);
/** Nobody does any more, whoever else refers to it */
void edge_talk_drop(struct edge_talk *t);
/** True: responseh follows, and in the order of these calls */
bool edge_talk_response(struct edge_talk *t, const struct sip_msg *resp);
/** The 2xx that has not been told yet, or NULL */
const struct sip_msg *edge_talk_taken(const struct edge_talk *t);
/** Is that 2xx to an INVITE being asked about already?  It comes again */
bool edge_talk_asks(const struct edge *e, const char *call,
		    const struct sip_msg *resp);
/** scode 0: it has no answer.  A call that has come to nothing is forgotten
    by the rtpengine, and one that ends */
void edge_talk_over(struct edge_talk *t, uint16_t scode);

#endif
