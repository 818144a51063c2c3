/**
 * @file spent.h  Nonces that have been answered, and how often; pure
 *
 * RFC 7616 3.4: each answer to a nonce has a higher count.  One that was seen
 * on the way is good for nothing once it has been used.  Only right answers
 * are remembered, so that strangers fill nothing.
 */

#ifndef SIPIS_EDGE_SPENT_H
#define SIPIS_EDGE_SPENT_H

#include <re/re.h>

struct edge_spent;

/** now_s: what is older was another process's, which may have taken it */
int edge_spent_alloc(struct edge_spent **sp, uint32_t max, uint32_t now_s);
/** nc: without qop 1.  False: it, or a later one, was there before; or the
    nonce is so old that this cannot be told */
bool edge_spent_take(struct edge_spent *s, const struct pl *nonce, uint32_t nc,
		     uint32_t now_s);

#endif
