/**
 * @file sipis/edge/sdp.h  The session description in a message
 *
 * The whole body, or one part of a multipart/mixed (RFC 5621).
 */

#ifndef SIPIS_EDGE_SDP_H
#define SIPIS_EDGE_SDP_H

#include <re/re.h>

/** False: it has none */
bool edge_sdp(struct pl *sdp, const struct sip_msg *msg);
/** The same message with that one in place of its own; mem_deref(*mp) */
int edge_sdp_replace(struct sip_msg **mp, const struct sip_msg *msg,
		     const struct pl *sdp);

#endif
