/**
 * @file wish.h  What one REGISTER asks for; RFC 3261 10.3, 5626, 8599, pure
 */

#ifndef SIPIS_EDGE_WISH_H
#define SIPIS_EDGE_WISH_H

#include "sipis/edge/pn.h"

enum { EDGE_PARAMS = 512 };

/** Points into the message */
struct edge_wish {
	struct sip_addr addr; /**< of the Contact that is to be called */
	char params[EDGE_PARAMS];
	uint32_t expires_s, reg_id;
	bool none, all; /**< no Contact; "*" */
	struct edge_pn pn;
};

/** EBADMSG: it makes no sense */
int edge_wish_read(struct edge_wish *w, const struct edge_cfg *cfg,
		   const struct sip_msg *msg);
/** RFC 5626: a flow of several */
bool edge_wish_outbound(const struct edge_wish *w, const struct sip_msg *msg);
/** It wants that, and another proxy is between that knows nothing of flows */
bool edge_wish_cut_off(const struct edge_wish *w, const struct sip_msg *msg);

#endif
