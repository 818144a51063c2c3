/**
 * @file party.h  Which phone is in which call; pure
 *
 * A hint, for an INVITE that is to replace a call: so many calls, a later one
 * may stand in the place of an earlier one, and a restart forgets them all.
 * Who finds nothing has to ask all phones.
 */

#ifndef SIPIS_EDGE_PARTY_H
#define SIPIS_EDGE_PARTY_H

#include <re/re.h>
#include "sipis/edge/token.h"

struct edge_party;

/** Memory for one call is 24 bytes */
int edge_party_alloc(struct edge_party **pp, unsigned calls);
void edge_party_put(struct edge_party *p, const struct pl *callid,
		    const uint8_t phone[EDGE_PHONE]);
bool edge_party_has(const struct edge_party *p, const struct pl *callid,
		    const uint8_t phone[EDGE_PHONE]);

#endif
