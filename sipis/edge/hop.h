/**
 * @file hop.h  The next hop as libre wants it; pure
 */

#ifndef SIPIS_EDGE_HOP_H
#define SIPIS_EDGE_HOP_H

#include <re/re.h>

struct edge_hop {
	struct uri uri; /**< points into here */
	char host[64];
};

/** There, and nowhere else */
void edge_hop_make(struct edge_hop *h, const struct sa *dst,
		   enum sip_transp tp);

#endif
