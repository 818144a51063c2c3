/**
 * @file cred.h  Sealed SIP credentials
 *
 * Sealed with AES-256-GCM under the key of the key file.  The associated data
 * is account id, user, SIP domain, registrar and key id, so that a row moved
 * to another account does not open.
 */

#ifndef SIPIS_CRED_H
#define SIPIS_CRED_H

#include "sipis/store/store.h"

struct cred_key {
	uint8_t key[32];
	uint32_t id; /**< first 32 bits of SHA-256 over the key */
};

#define CRED_HA1_MAX    32 /**< bytes: 16 MD5, 32 SHA-256 */
#define CRED_SEALED_MAX (4 + 256 + 28)

/** 32 raw bytes or 64 hex digits; EPERM if others can read it */
int cred_key_read(struct cred_key *key, const char *path);

/** sealed: key id (4) | seal_close().  *sealed_len in: size, out: length.
    acct names the account: id, user, domain, outbound_proxy */
int cred_seal(const struct cred_key *key, const struct acct_row *acct,
	      const void *secret, size_t len, uint8_t *sealed,
	      size_t *sealed_len);
/** EBADMSG: other key, other account or a flipped bit */
int cred_open(const struct cred_key *key, const struct acct_row *acct,
	      const uint8_t *sealed, size_t sealed_len, void *secret,
	      size_t *len);

/** The same for many secrets under one key, at a fraction of the price.
    key must live as long */
struct cred_opener;
int cred_opener_alloc(struct cred_opener **op, const struct cred_key *key);
int cred_opener_open(struct cred_opener *o, const struct acct_row *acct,
		     const uint8_t *sealed, size_t sealed_len, void *secret,
		     size_t *len);

/** Was it sealed under this key?  Looks at the key id only */
bool cred_sealed_under(const struct cred_key *key, const uint8_t *sealed,
		       size_t sealed_len);

/** H(user:realm:password), RFC 7616 3.4.2; returns the length, 0 on error */
size_t cred_ha1(uint8_t ha1[CRED_HA1_MAX], enum digest_alg alg,
		const char *user, const char *realm, const char *password);

#endif
