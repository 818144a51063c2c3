/**
 * @file secret.h  Things that must not be seen
 */

#ifndef COMMON_SECRET_H
#define COMMON_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SECRET_TAG_LEN 8 /**< hex digits of secret_tag() */

/** What a log may show of a token: 8 hex digits of a hash under a key that
    is drawn at process start.  dst has SECRET_TAG_LEN + 1 bytes */
const char *secret_tag(char *dst, const void *secret, size_t len);

int secret_sha256(uint8_t md[32], const void *data, size_t len);

/** In constant time */
bool secret_equal(const void *a, const void *b, size_t len);

/** Overwrites, then frees what malloc/strdup gave; NULL is fine */
void secret_free(char *s);

/** Reads a whole file of at most max bytes that others cannot read;
    EPERM if its mode lets group write or others in.  *bufp: secret_free() */
int secret_read_file(char **bufp, size_t *lenp, const char *path, size_t max);

/** AES-256-GCM under a key of 32 bytes, fresh 96-bit random nonce.
    out = nonce (12) | ciphertext (len) | tag (16): len + 28 bytes */
#define SEAL_OVERHEAD 28
int seal_close(uint8_t *out, const uint8_t key[32], const void *aad,
	       size_t aad_len, const void *in, size_t len);
/** EAUTH-like EBADMSG if key, associated data or a bit differ.
    out has len - SEAL_OVERHEAD bytes */
int seal_open(void *out, const uint8_t key[32], const void *aad,
	      size_t aad_len, const uint8_t *in, size_t len);

#endif
