/**
 * @file drv/webpush_body.c  A push as Web Push wants it
 */

#include <errno.h>
#include <string.h>
#include <openssl/hmac.h>
#include "common/ident.h"
#include "mediator/auth/p256.h"
#include "mediator/drv/webpush_body.h"

enum {
	HASH = 32,
	KEY = 16,
	NONCE = 12,
	TAG = 16,
	RECORD = 4096,   /* longer than any of ours: there is only one */
	LAST_RECORD = 2, /* RFC 8188 2: the delimiter behind the text */
};

/** What one message is locked with */
struct lock {
	uint8_t key[KEY], nonce[NONCE];
};


int webpush_keys_read(struct webpush_keys *k, const char *p256dh,
		      const char *auth)
{
	size_t point = 0, secret = 0;
	EVP_PKEY *pkey;

	if (ident_unb64(k->p256dh, sizeof(k->p256dh), &point, p256dh) ||
	    ident_unb64(k->auth, sizeof(k->auth), &secret, auth) ||
	    point != sizeof(k->p256dh) || secret != sizeof(k->auth))
		return EBADMSG;

	pkey = p256_public(k->p256dh);
	EVP_PKEY_free(pkey);

	return pkey ? 0 : EBADMSG;
}


int webpush_text(char *buf, size_t *lenp, const struct push *p)
{
	struct body b;

	body_begin(&b, buf, WEBPUSH_TEXT_MAX);
	body_open(&b, NULL);
	body_text(&b, "use", wire_use_name(p->use));
	body_text(&b, "call", p->call);
	body_text(&b, "trace", p->trace);
	body_text(&b, "instance", p->instance);
	body_text(&b, "from", p->from);
	body_text(&b, "display_name", p->display_name);
	body_bool(&b, "video", p->video);
	body_int(&b, "received_at", p->received_ms);
	body_int(&b, "expires_at", p->expires_ms);
	body_text(&b, "reason", p->reason);
	body_close(&b);

	return body_end(&b, lenp);
}


static int hmac(uint8_t md[HASH], const uint8_t *key, size_t key_len,
		const uint8_t *data, size_t len)
{
	return HMAC(EVP_sha256(), key, (int)key_len, data, len, md, NULL)
		       ? 0
		       : EPROTO;
}


/* HKDF-Expand of RFC 5869 to one block at most; the label has its final 0 */
static int expand(uint8_t *out, size_t len, const uint8_t prk[HASH],
		  const char *label, size_t label_len)
{
	uint8_t info[64], md[HASH];
	int err;

	memcpy(info, label, label_len);
	info[label_len] = 1;
	err = hmac(md, prk, HASH, info, label_len + 1);
	memcpy(out, md, len);

	return err;
}


/* RFC 8291 3.4 */
static int lock_make(struct lock *l, const uint8_t secret[HASH],
		     const struct webpush_keys *k,
		     const uint8_t salt[WEBPUSH_SALT],
		     const uint8_t own[WEBPUSH_POINT])
{
	static const char label[] = "WebPush: info";
	static const char key[] = "Content-Encoding: aes128gcm";
	static const char nonce[] = "Content-Encoding: nonce";
	uint8_t info[sizeof(label) + 2 * WEBPUSH_POINT + 1], *p = info;
	uint8_t prk[HASH], ikm[HASH];
	int err = hmac(prk, k->auth, sizeof(k->auth), secret, HASH);

	memcpy(p, label, sizeof(label));
	p += sizeof(label);
	memcpy(p, k->p256dh, WEBPUSH_POINT);
	p += WEBPUSH_POINT;
	memcpy(p, own, WEBPUSH_POINT);
	p += WEBPUSH_POINT;
	*p = 1;

	if (!err)
		err = hmac(ikm, prk, sizeof(prk), info, sizeof(info));
	if (!err)
		err = hmac(prk, salt, WEBPUSH_SALT, ikm, sizeof(ikm));
	if (!err)
		err = expand(l->key, sizeof(l->key), prk, key, sizeof(key));
	if (!err)
		err = expand(l->nonce, sizeof(l->nonce), prk, nonce,
			     sizeof(nonce));

	return err;
}


static int agree(uint8_t secret[HASH], EVP_PKEY *own,
		 const struct webpush_keys *k)
{
	EVP_PKEY *peer = p256_public(k->p256dh);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(own, NULL);
	size_t n = HASH;
	bool ok = peer && ctx && EVP_PKEY_derive_init(ctx) == 1 &&
		  EVP_PKEY_derive_set_peer(ctx, peer) == 1 &&
		  EVP_PKEY_derive(ctx, secret, &n) == 1 && n == HASH;

	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(peer);

	return ok ? 0 : EBADMSG;
}


/* out gets len + 1 + TAG bytes */
static int seal(uint8_t *out, const struct lock *l, const void *text,
		size_t len)
{
	static const uint8_t last = LAST_RECORD;
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n;
	bool ok = ctx &&
		  EVP_EncryptInit_ex(ctx, EVP_aes_128_gcm(), NULL, l->key,
				     l->nonce) == 1 &&
		  EVP_EncryptUpdate(ctx, out, &n, text, (int)len) == 1 &&
		  EVP_EncryptUpdate(ctx, out + len, &n, &last, 1) == 1 &&
		  EVP_EncryptFinal_ex(ctx, out + len + 1, &n) == 1 &&
		  EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG,
				      out + len + 1) == 1;

	EVP_CIPHER_CTX_free(ctx);

	return ok ? 0 : EPROTO;
}


int webpush_encrypt(uint8_t *out, size_t *lenp, const void *text, size_t len,
		    const struct webpush_keys *k,
		    const uint8_t salt[WEBPUSH_SALT], EVP_PKEY *own)
{
	uint8_t secret[HASH], *p = out + WEBPUSH_SALT;
	struct lock l;
	int err;

	if (len > WEBPUSH_TEXT_MAX)
		return EMSGSIZE;

	memcpy(out, salt, WEBPUSH_SALT);
	*p++ = 0;
	*p++ = 0;
	*p++ = RECORD >> 8;
	*p++ = RECORD & 0xff;
	*p++ = WEBPUSH_POINT;
	err = p256_point(p, own);
	if (!err)
		err = agree(secret, own, k);
	if (!err)
		err = lock_make(&l, secret, k, salt, p);
	if (!err)
		err = seal(p + WEBPUSH_POINT, &l, text, len);
	if (!err)
		*lenp = len + WEBPUSH_OVERHEAD;

	OPENSSL_cleanse(secret, sizeof(secret));
	OPENSSL_cleanse(&l, sizeof(l));
	return err;
}
