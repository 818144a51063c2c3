/**
 * @file auth/p256.h  Public keys on the curve P-256 as bytes
 */

#ifndef MEDIATOR_AUTH_P256_H
#define MEDIATOR_AUTH_P256_H

#include <stdint.h>
#include <openssl/evp.h>

enum {
	P256_POINT = 65,       /**< SEC 1, 2.3.3: 4, x, y */
	P256_HALF = 32,        /**< of x, y, and of a signature's r and s */
	P256_UNCOMPRESSED = 4, /**< the first byte */
};

/** Also of a key that was read in compressed form.  EINVAL: not of P-256 */
int p256_point(uint8_t point[P256_POINT], const EVP_PKEY *pkey);

/** EVP_PKEY_free(); NULL: no such point */
EVP_PKEY *p256_public(const uint8_t point[P256_POINT]);

#endif
