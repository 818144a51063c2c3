/**
 * @file ident.h  Random and derived identifiers
 */

#ifndef COMMON_IDENT_H
#define COMMON_IDENT_H

#include <stddef.h>
#include <stdint.h>

#define UUID_LEN 36 /**< 8-4-4-4-12, lower case, without the final 0 */

/** From the system's generator; EIO if it has nothing to give */
int ident_random(void *buf, size_t len);

/** Lower-case hex; dst has 2 * len + 1 bytes */
void ident_hex(char *dst, const uint8_t *src, size_t len);
/** EINVAL unless src is exactly 2 * len hex digits */
int ident_unhex(uint8_t *dst, size_t len, const char *src);

/** dst has UUID_LEN + 1 bytes.  RFC 9562 version 4 */
int ident_uuid_random(char *dst);
/** RFC 9562 version 8 from SHA-256 over the parts: the same parts give the
    same id, also after a restart.  Parts are strings, ended by NULL */
int ident_uuid_derive(char *dst, const char *part, ...)
	__attribute__((sentinel));
int ident_uuid_encode(char *dst, const uint8_t raw[16]);
/** EBADMSG unless src is a canonical UUID */
int ident_uuid_decode(uint8_t raw[16], const char *src);

/** base64url without padding; returns the length written, dst ends with 0.
    dst has 4 * ((len + 2) / 3) + 1 bytes */
size_t ident_b64url(char *dst, const void *src, size_t len);

/** base64 or base64url, with or without padding; *lenp gets the bytes
    written.  EBADMSG: not that, EOVERFLOW: more than size bytes */
int ident_unb64(void *dst, size_t size, size_t *lenp, const char *src);

#endif
