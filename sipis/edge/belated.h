/**
 * @file belated.h  Answers whose SDP is at an rtpengine, though no
 * transaction waits for them
 */

#ifndef SIPIS_EDGE_BELATED_H
#define SIPIS_EDGE_BELATED_H

#include "sipis/edge/priv.h"

/** err 0: msg goes up, with another SDP.  Else it must not: the profile wants
    that a call without relay fails.  False: that call is over, or another
    phone's */
typedef bool(edge_belated_h)(struct edge *e, struct pbx *pbx, int err,
			     const struct sip_msg *msg);

/** invite: as its PBX sent it.  True: h follows, or did for the same before;
    false: it goes up as it is */
bool edge_belated(struct edge *e, struct pbx *pbx, const uint8_t *phone,
		  const struct sip_msg *invite, const struct sip_msg *resp,
		  edge_belated_h *h);

#endif
