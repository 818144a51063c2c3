/**
 * @file edge/nonce.h  Nonces that need no memory; pure
 *
 * Time, and a MAC over time, the client's address and port, and the account
 * that it wants to be: whoever has not been challenged there, as that one, a
 * short while ago has none.
 */

#ifndef SIPIS_EDGE_NONCE_H
#define SIPIS_EDGE_NONCE_H

#include "sipis/edge/token.h"

enum {
	EDGE_NONCE_LEN = 40,
	EDGE_NONCE_S = 300,
	EDGE_AOR = 400, /**< user, @, domain */
};

enum edge_nonce { EDGE_NONCE_GOOD, EDGE_NONCE_STALE, EDGE_NONCE_FOREIGN };

/** Whom it is for */
struct edge_asked {
	const struct sa *peer;
	const char *aor;
};

/** dst has EDGE_NONCE_LEN + 1 bytes; now_s: wall, it outlives a restart; salt:
    another one each time, so that two of one second differ */
int edge_nonce_write(char *dst, const struct edge_key *key,
		     const struct edge_asked *who, int64_t now_s,
		     uint32_t salt);
enum edge_nonce edge_nonce_read(const struct pl *text,
				const struct edge_key *key,
				const struct edge_asked *who, int64_t now_s);
/** When it was made, and a number that no other one has */
uint32_t edge_nonce_time(const struct pl *text);
uint64_t edge_nonce_id(const struct pl *text);

#endif
