/**
 * @file turns.h  Which turn of a request it was; stride.h
 *
 * The ACK of a 2xx, RAck and the id of a REFER name a request by its CSeq.
 * The route token knows the turn of the request that began the dialog; here
 * stand those within it that were another one's.  Ten minutes, so many at
 * most, the oldest go first.  After a restart the PBX repeats its 2xx until
 * it has its ACK, and that teaches us again.
 */

#ifndef SIPIS_EDGE_TURNS_H
#define SIPIS_EDGE_TURNS_H

#include <re/re.h>
#include "sipis/edge/token.h"

enum { EDGE_TURNS_MS = 600 * 1000 };

struct edge_turns;

/** One request of a phone; cseq: its own */
struct edge_turn_key {
	const uint8_t *phone; /**< EDGE_PHONE bytes */
	const struct pl *callid;
	uint32_t cseq;
};

int edge_turns_alloc(struct edge_turns **tp, unsigned max);
int edge_turns_put(struct edge_turns *t, const struct edge_turn_key *key,
		   unsigned turn, uint64_t now_ms);
/** other: if it is not here */
unsigned edge_turns_get(const struct edge_turns *t,
			const struct edge_turn_key *key, unsigned other);

#endif
