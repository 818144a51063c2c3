/**
 * @file ng.h  The ng protocol of rtpengine: what is asked and answered; pure
 *
 *     <cookie> <dictionary>
 *
 * one datagram each way.  A question with a cookie that rtpengine has seen
 * gets the same answer again.
 */

#ifndef SIPIS_MEDIA_NG_H
#define SIPIS_MEDIA_NG_H

#include <re/re.h>

enum {
	NG_COOKIE = 16,  /**< characters */
	NG_SIZE = 65507, /**< of the longest datagram */
	NG_REASON = 128,
};

enum ng_command { NG_PING, NG_OFFER, NG_ANSWER, NG_DELETE };

struct ng_question {
	enum ng_command command;
	struct pl call;     /**< whose; what we like, the same for a call */
	struct pl from_tag; /**< of who makes the offer */
	struct pl to_tag;   /**< of the other one; not set: not known yet */
	struct pl sdp;
	/** Offer: rtpengine's interfaces towards the one who makes it, and
	    towards the other; NULL: its default */
	const char *from_side, *to_side;
	int af; /**< Offer: of the other side; AF_UNSPEC: as it was */
};

enum ng_result {
	NG_OK,
	NG_UNKNOWN, /**< it does not have this call */
	NG_REFUSED, /**< load, no ports, an SDP that it does not read */
};

struct ng_answer {
	enum ng_result result;
	struct pl sdp;    /**< of an offer or answer */
	struct pl reason; /**< its own words, or not set */
};

/** mb grows; pos is where the datagram begins */
int ng_encode(struct mbuf *mb, const char *cookie,
	      const struct ng_question *q);
/** EBADMSG; all points into in */
int ng_decode(struct pl *cookie, struct ng_answer *a, const struct pl *in);

#endif
