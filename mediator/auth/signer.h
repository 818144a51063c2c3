/**
 * @file auth/signer.h  Who holds the private keys and signs with them
 *
 * Asynchronous, so that another process can take the keys over without a
 * change for the callers.  This one signs in a thread of its own: an RSA
 * signature takes about a millisecond, during which calls would wait.
 */

#ifndef MEDIATOR_AUTH_SIGNER_H
#define MEDIATOR_AUTH_SIGNER_H

#include <stddef.h>
#include <stdint.h>
#include "mediator/auth/p256.h"

struct signer;
struct signer_key;
struct signer_req;

enum signer_alg {
	SIGNER_ES256, /**< RFC 7518 3.4: r | s, 64 bytes */
	SIGNER_RS256, /**< RFC 7518 3.3 */
};

enum { SIGNER_SIG_MAX = 1024 };

/** sig is valid during the call */
typedef void(signer_h)(int err, const uint8_t *sig, size_t len, void *arg);

/** Of the libre loop of this thread; drop it in the same */
int signer_alloc(struct signer **sp);

/** PEM as text.  *reason gets a sentence on failure; reason_sz >= 128.
    EBADMSG: not a private key; EINVAL: not one for alg */
int signer_key_load(struct signer_key **kp, enum signer_alg alg,
		    const char *pem, char *reason, size_t reason_sz);

/** The same key gives the same 32 bytes: SHA-256 of the public half */
void signer_key_print(uint8_t md[32], const struct signer_key *k);

/** ES256: the public half, uncompressed (SEC 1, 2.3.3).  EINVAL for others */
int signer_key_point(uint8_t point[P256_POINT], const struct signer_key *k);

/** Never calls h before it returns.  mem_deref() the request before its end
    and h is not called */
int signer_sign(struct signer_req **rp, struct signer *s,
		const struct signer_key *k, const void *data, size_t len,
		signer_h *h, void *arg);

#endif
