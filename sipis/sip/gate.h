/**
 * @file gate.h  In front of libre's transaction layer
 *
 * libre appends listeners behind its own, and its own answers strangers (482,
 * CANCEL); a gate is one that was moved to the head of the list.
 */

#ifndef SIPIS_GATE_H
#define SIPIS_GATE_H

#include <re/re.h>

/** To the head of the list of the stack that it listens to */
int gate_first(struct sip_lsnr *lsnr);

/** libre looks into these headers of a request without asking whether they
    are there */
bool gate_whole(const struct sip_msg *msg);

/** Could that datagram be SIP?  Else libre would complain of it */
bool gate_is_sip(const struct mbuf *mb);

/** Room for what comes in at once, and for large datagrams */
void gate_widen(struct udp_sock *us);

#endif
