/**
 * @file digest.h  Nonces, and whether an answer to one is right (RFC 7616,
 * MD5, qop=auth)
 *
 * A nonce is a place in a ring.  Its counts are remembered in a window, so
 * that one nonce may serve many requests that overtake each other, and no
 * count is taken twice.
 */

#ifndef REGISTRAR_DIGEST_H
#define REGISTRAR_DIGEST_H

#include <stdint.h>
#include "text.h"

#define DIGEST_HEX 32

struct digest;

enum digest_verdict {
	DIGEST_OK,
	DIGEST_STALE,    /**< right, but the nonce is too old or used up */
	DIGEST_REPLAYED, /**< this count was there before */
	DIGEST_BAD,
};

/** life_s 0: a nonce is good for one request */
int digest_alloc(struct digest **dp, const char *realm, uint32_t life_s);
void digest_free(struct digest *d);
void digest_set_life(struct digest *d, uint32_t life_s);

/** buf has 64 bytes */
void digest_nonce(struct digest *d, char *buf, uint64_t now_ms);
/** HA1 of a user whose password is "pw-" and the user */
void digest_ha1(struct digest *d, char hex[DIGEST_HEX + 1], struct sv user);
enum digest_verdict digest_check(struct digest *d, struct sv auth,
				 struct sv method,
				 const char ha1[DIGEST_HEX + 1],
				 uint64_t now_ms);

#endif
