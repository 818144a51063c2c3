/**
 * @file drv/webpush_body.h  A push as Web Push wants it
 *
 * RFC 8291 on top of RFC 8188: one record of aes128gcm that only the browser
 * which made the subscription can open.  Pure: salt and sender key, new ones
 * for each message, are arguments.
 *
 *     salt (16) | record size (4) | 65 (1) | our public key (65) |
 *     AES-128-GCM of text, 2
 */

#ifndef MEDIATOR_DRV_WEBPUSH_BODY_H
#define MEDIATOR_DRV_WEBPUSH_BODY_H

#include "mediator/auth/p256.h"
#include "mediator/drv/body.h"

enum {
	WEBPUSH_POINT = P256_POINT,
	WEBPUSH_AUTH = 16,
	WEBPUSH_SALT = 16,
	WEBPUSH_OVERHEAD = WEBPUSH_SALT + 4 + 1 + WEBPUSH_POINT + 1 + 16,
	/* RFC 8030 7.2: what every service takes */
	WEBPUSH_MAX = 4096,
	WEBPUSH_TEXT_MAX = WEBPUSH_MAX - WEBPUSH_OVERHEAD,
};

/** What the browser has given to its app: PushSubscription.getKey() */
struct webpush_keys {
	uint8_t p256dh[WEBPUSH_POINT];
	uint8_t auth[WEBPUSH_AUTH];
};

/** Both in base64url or base64.  EBADMSG: another length, or no point of the
    curve */
int webpush_keys_read(struct webpush_keys *k, const char *p256dh,
		      const char *auth);

/** The text inside: JSON.  EMSGSIZE: over WEBPUSH_TEXT_MAX */
int webpush_text(char *buf, size_t *lenp, const struct push *p);

/** out has WEBPUSH_MAX bytes.  own: a P-256 key pair.  EMSGSIZE: over
    WEBPUSH_TEXT_MAX; EBADMSG: the two keys do not go together */
int webpush_encrypt(uint8_t *out, size_t *lenp, const void *text, size_t len,
		    const struct webpush_keys *k,
		    const uint8_t salt[WEBPUSH_SALT], EVP_PKEY *own);

#endif
