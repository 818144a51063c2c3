/**
 * @file answer.h  A response, decoded by libre or as it came off the wire
 *
 * libre takes a message apart into one object per header.  For the thousands
 * of answers to REGISTERs that is most of the work, and three headers are
 * looked at: this finds headers by a walk over the bytes.  Both kinds look
 * the same from outside.
 */

#ifndef SIPIS_ANSWER_H
#define SIPIS_ANSWER_H

#include <re/re.h>

struct answer {
	uint16_t scode;
	struct pl reason;
	const struct sip_msg *msg; /**< or NULL, and then: */
	struct pl headers;         /**< all lines, CRLF included */
};

/** EBADMSG: not a response that is whole; ENOSYS: header lines are folded,
    let libre decode it */
int answer_decode(struct answer *a, const char *buf, size_t len);
void answer_of_msg(struct answer *a, const struct sip_msg *msg);

/** The branch of the topmost Via; EBADMSG if there is none */
int answer_branch(const struct answer *a, struct pl *branch);

/** True ends the walk */
typedef bool(answer_header_h)(enum sip_hdrid id, const struct pl *val,
			      void *arg);

/** Each value of a header; whole lines may hold several, separated by
    commas.  True if h said so */
bool answer_each(const struct answer *a, enum sip_hdrid id, answer_header_h *h,
		 void *arg);

#endif
