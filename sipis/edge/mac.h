/**
 * @file mac.h  HMAC-SHA256 under a key that is used often; pure
 *
 * OpenSSL's HMAC() looks its algorithm up by name and allocates each time,
 * which costs ten times what the sum does.  Here the two halves of the key are
 * hashed once.  RFC 2104.
 */

#ifndef SIPIS_EDGE_MAC_H
#define SIPIS_EDGE_MAC_H

#include <stddef.h>
#include <stdint.h>

#include "common/sha256.h"

enum { EDGE_MAC = SHA256_DIGEST_LENGTH };

struct edge_mac {
	SHA256_CTX inner, outer;
};

int edge_mac_key(struct edge_mac *m, const uint8_t *key, size_t len);
int edge_mac(uint8_t dst[EDGE_MAC], const struct edge_mac *m, const void *text,
	     size_t len);

#endif
