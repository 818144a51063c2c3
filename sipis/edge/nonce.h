/**
 * @file edge/nonce.h  Nonces that need no memory; pure
 *
 * Time, and a MAC over time and the client's address: whoever has not been
 * challenged at that address a short while ago has none.
 */

#ifndef SIPIS_EDGE_NONCE_H
#define SIPIS_EDGE_NONCE_H

#include "sipis/edge/token.h"

enum { EDGE_NONCE_LEN = 32, EDGE_NONCE_S = 300 };

enum edge_nonce { EDGE_NONCE_GOOD, EDGE_NONCE_STALE, EDGE_NONCE_FOREIGN };

/** dst has EDGE_NONCE_LEN + 1 bytes; now_s: wall, it outlives a restart */
int edge_nonce_write(char *dst, const struct edge_key *key,
		     const struct sa *peer, int64_t now_s);
enum edge_nonce edge_nonce_read(const struct pl *text,
				const struct edge_key *key,
				const struct sa *peer, int64_t now_s);

#endif
