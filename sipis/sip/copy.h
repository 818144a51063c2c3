/**
 * @file copy.h  A message as a proxy sends it on; RFC 3261 16.6, 16.7
 *
 * Pure: bytes in, bytes out.  Order, names and values of headers stay as they
 * came, the body stays byte for byte.
 */

#ifndef SIPIS_COPY_H
#define SIPIS_COPY_H

#include <re/re.h>

enum {
	COPY_HOPS = 70,    /**< Max-Forwards of a request that has none */
	COPY_BREADTH = 60, /**< Max-Breadth, the same; RFC 5393 5.3 */
};

/** Before each header that passes: true, it has been written in another way,
    or left out.  What mbuf says goes to *err */
typedef bool(copy_header_h)(struct mbuf *mb, const struct sip_hdr *hdr,
			    int *err, void *arg);

struct copy_prm {
	uint32_t breadth; /**< of this branch of a fork; 0: all that it has */
	unsigned pop;     /**< Route values to leave out, from the top */
	const char *record_route; /**< whole header lines to put on top, or
				       NULL */
	int32_t cseq_add;
	bool asserts_nothing;   /**< from outside of the trust domain: whom it
				     says to be goes no further; RFC 3325 5 */
	copy_header_h *headerh; /**< or NULL */
	void *arg;
};

/** What stands behind the Via that libre writes.  The top Via learns where
    the request came from (RFC 3581).  ELOOP: Max-Forwards was 0 */
int copy_request(struct mbuf **mbp, const struct sip_msg *msg,
		 const struct copy_prm *prm);

/** Without its top Via.  scode 0: as it is, else that one instead.  Of all
    three, a 503 goes on as 500 and without its Retry-After; RFC 3261 16.7 (6)
 */
int copy_response(struct mbuf **mbp, const struct sip_msg *msg, uint16_t scode,
		  const char *reason);

/** As it is, to a request that has this CSeq */
int copy_response_to(struct mbuf **mbp, const struct sip_msg *msg,
		     uint32_t cseq);

/** To another request than the one it answers: with the Vias of that */
int copy_response_for(struct mbuf **mbp, const struct sip_msg *msg,
		      uint16_t scode, const char *reason,
		      const struct sip_msg *req);

/** 100; RFC 3261 8.2.6 */
int copy_trying(struct mbuf **mbp, const struct sip_msg *req);

/** Where responses to a request go; RFC 3261 18.2.2, RFC 3581 4 */
void copy_reply_addr(struct sa *dst, const struct sip_msg *msg);

/** The body, without what a datagram has behind it */
struct pl copy_body(const struct sip_msg *msg);

/** To how many may a request be forked at a time? */
uint32_t copy_breadth(const struct sip_msg *msg);

#endif
