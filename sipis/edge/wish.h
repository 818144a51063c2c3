/**
 * @file wish.h  What one REGISTER asks for; RFC 3261 10.3, 5626, 8599, pure
 */

#ifndef SIPIS_EDGE_WISH_H
#define SIPIS_EDGE_WISH_H

#include "sipis/edge/contacts.h"
#include "sipis/edge/pn.h"

/** Points into the message */
struct edge_wish {
	/** The one that is to be called: of several the first that does not
	    end; without an address if that is none that we can reach */
	struct edge_contact contact;
	uint32_t name;  /**< its hash */
	bool several;   /**< there are others, which may end */
	bool none, all; /**< no Contact; "*" */
	bool bad;       /**< it makes no sense: 400 */
	struct edge_pn pn;
};

/** Once: it is long */
void edge_wish_read(struct edge_wish *w, const struct edge_cfg *cfg,
		    const struct sip_msg *msg);
/** RFC 5626: a flow of several */
bool edge_wish_outbound(const struct edge_wish *w, const struct sip_msg *msg);
/** It wants that, and another proxy is between that knows nothing of flows */
bool edge_wish_cut_off(const struct edge_wish *w, const struct sip_msg *msg);

#endif
