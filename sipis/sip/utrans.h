/**
 * @file utrans.h  Client transactions over UDP, not INVITE; RFC 3261 17.1.2
 *
 * libre's own keep request and timers for 5 s after the answer and decode
 * every answer whole.  At thousands of REGISTERs per second that is most of
 * the cost; these are gone with the answer.  A late repetition of it finds
 * nobody and is dropped, which is all that the Completed state is for.
 */

#ifndef SIPIS_UTRANS_H
#define SIPIS_UTRANS_H

#include <re/re.h>
#include "sipis/sip/answer.h"

struct utrans_table;
struct utrans;

/** Once, with a final answer or with err; then the transaction is gone */
typedef void(utrans_h)(int err, const struct answer *ans, void *arg);

int utrans_table_alloc(struct utrans_table **tp);

/** Sends over us from laddr; mb has all behind the Via.  mem_deref(*up)
    forgets it quietly */
int utrans_send(struct utrans **up, struct utrans_table *t,
		struct udp_sock *us, const char *laddr, const struct sa *dst,
		const char *met, const char *uri, struct mbuf *mb, utrans_h *h,
		void *arg);

/** A datagram: true if it answers one of ours, or once did */
bool utrans_recv(struct utrans_table *t, const struct mbuf *mb);

#endif
