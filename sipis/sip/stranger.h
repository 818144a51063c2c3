/**
 * @file stranger.h  Who knocks and is not of the PBX
 *
 * Strangers get no answer, and mostly no line in the log either.  But a PBX
 * sometimes speaks from an address that neither DNS nor the profile names;
 * its operator must find out why nothing rings.  What gives it away is that
 * it knows a contact of ours, or opens a connection.
 */

#ifndef SIPIS_STRANGER_H
#define SIPIS_STRANGER_H

#include <re/re.h>

struct pbx;
struct stranger;

/** pbx must live as long */
int stranger_alloc(struct stranger **sp, struct pbx *pbx);

/** A datagram that is dropped, not parsed yet */
void stranger_datagram(struct stranger *s, const struct sa *src,
		       const struct mbuf *mb);
/** A connection that is turned away */
void stranger_connection(struct stranger *s, const struct sa *src);
/** A request that is dropped */
void stranger_request(struct stranger *s, const struct sip_msg *msg);

#endif
