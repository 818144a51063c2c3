/**
 * @file rebuff.h  Phones that came and were refused, of late; pure
 *
 * What an operator asks for who wonders why a phone does not ring.  So many
 * in all, so many of an account, so many of these from one address: whoever
 * makes phones up pushes out others that he made up.
 */

#ifndef SIPIS_EDGE_REBUFF_H
#define SIPIS_EDGE_REBUFF_H

#include <re/re.h>

enum {
	EDGE_REBUFFS_ACCT = 8, /**< of one account */
	EDGE_REBUFFS_ADDR = 3, /**< of these from one address */
};

struct edge_rebuff {
	uint64_t acct;
	int64_t at_ms; /**< wall */
	uint16_t scode;
	enum sip_transp tp;
	struct sa peer;
	char phone[128]; /**< what it calls itself */
	char why[96];
};

struct edge_rebuffs;

typedef void(edge_rebuff_h)(const struct edge_rebuff *b, void *arg);

int edge_rebuffs_alloc(struct edge_rebuffs **rp, unsigned max);
/** In place of what that phone had; copied.  Dropped without memory */
void edge_rebuffs_add(struct edge_rebuffs *r, const struct edge_rebuff *b);
/** Of that account, the last one last */
void edge_rebuffs_each(const struct edge_rebuffs *r, uint64_t acct,
		       edge_rebuff_h *h, void *arg);
unsigned edge_rebuffs_count(const struct edge_rebuffs *r);

#endif
