/**
 * @file subscr.c  The browser's side of Web Push: the keys of a subscription,
 *                 and what only they open (RFC 8291, RFC 8188)
 */

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include "pns.h"
#include "common/ident.h"

enum {
	POINT = 65,
	AUTH = 16,
	SALT = 16,
	HEAD = SALT + 4 + 1 + POINT,
	TAG = 16,
	KEY = 16,
	NONCE = 12,
	RECORD_MIN = 18, /* RFC 8188 2.1 */
	LAST = 2,
};


int pns_subscr_keys(struct pns_token *t)
{
	uint8_t point[POINT];
	size_t n = 0;

	t->key = EVP_EC_gen("P-256");
	if (!t->key || RAND_bytes(t->auth, AUTH) != 1 ||
	    EVP_PKEY_get_octet_string_param(t->key, OSSL_PKEY_PARAM_PUB_KEY,
					    point, sizeof(point), &n) != 1 ||
	    n != POINT)
		return EIO;

	(void)ident_b64url(t->p256dh, point, POINT);
	(void)ident_b64url(t->auth_text, t->auth, AUTH);

	return 0;
}


EVP_PKEY *pns_subscr_peer(const uint8_t *point, size_t len)
{
	char group[] = "prime256v1";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME,
						 group, 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY,
						  (void *)point, len),
		OSSL_PARAM_construct_end(),
	};
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	EVP_PKEY *pkey = NULL;

	if (len == POINT && ctx && EVP_PKEY_fromdata_init(ctx) == 1)
		(void)EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY,
					params);
	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();

	return pkey;
}


static bool hkdf(uint8_t *out, size_t len, const uint8_t *salt, size_t saltlen,
		 const uint8_t *key, size_t keylen, const void *info,
		 size_t infolen)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string("digest", digest, 0),
		OSSL_PARAM_construct_octet_string("salt", (void *)salt,
						  saltlen),
		OSSL_PARAM_construct_octet_string("key", (void *)key, keylen),
		OSSL_PARAM_construct_octet_string("info", (void *)info,
						  infolen),
		OSSL_PARAM_construct_end(),
	};
	const bool ok = ctx && EVP_KDF_derive(ctx, out, len, params) == 1;

	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);

	return ok;
}


static bool agree(uint8_t secret[32], EVP_PKEY *own, const uint8_t *point)
{
	EVP_PKEY *peer = pns_subscr_peer(point, POINT);
	EVP_PKEY_CTX *ctx = peer ? EVP_PKEY_CTX_new(own, NULL) : NULL;
	size_t n = 32;
	const bool ok = ctx && EVP_PKEY_derive_init(ctx) == 1 &&
			EVP_PKEY_derive_set_peer(ctx, peer) == 1 &&
			EVP_PKEY_derive(ctx, secret, &n) == 1 && n == 32;

	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(peer);

	return ok;
}


static bool unlock(uint8_t key[KEY], uint8_t nonce[NONCE],
		   const struct pns_token *t, const uint8_t *head)
{
	static const char label[] = "WebPush: info";
	static const char cek[] = "Content-Encoding: aes128gcm";
	static const char iv[] = "Content-Encoding: nonce";
	const uint8_t *point = head + HEAD - POINT;
	uint8_t info[sizeof(label) + 2 * POINT], secret[32], ikm[32];
	size_t n = 0;

	memcpy(info, label, sizeof(label));
	if (EVP_PKEY_get_octet_string_param(t->key, OSSL_PKEY_PARAM_PUB_KEY,
					    info + sizeof(label), POINT,
					    &n) != 1)
		return false;
	memcpy(info + sizeof(label) + POINT, point, POINT);

	return agree(secret, t->key, point) &&
	       hkdf(ikm, sizeof(ikm), t->auth, AUTH, secret, sizeof(secret),
		    info, sizeof(info)) &&
	       hkdf(key, KEY, head, SALT, ikm, sizeof(ikm), cek,
		    sizeof(cek)) &&
	       hkdf(nonce, NONCE, head, SALT, ikm, sizeof(ikm), iv,
		    sizeof(iv));
}


static bool gcm(uint8_t *out, const uint8_t key[KEY],
		const uint8_t nonce[NONCE], const uint8_t *in, size_t len)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n;
	const bool ok =
		ctx &&
		EVP_DecryptInit_ex(ctx, EVP_aes_128_gcm(), NULL, key, nonce) ==
			1 &&
		EVP_DecryptUpdate(ctx, out, &n, in, (int)(len - TAG)) == 1 &&
		EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG,
				    (void *)(in + len - TAG)) == 1 &&
		EVP_DecryptFinal_ex(ctx, out + n, &n) == 1;

	EVP_CIPHER_CTX_free(ctx);
	ERR_clear_error();

	return ok;
}


/* RFC 8188 2: zeros behind the delimiter, which says: the last record */
static bool unpad(const uint8_t *text, size_t *len)
{
	while (*len && !text[*len - 1])
		--*len;
	if (!*len || text[*len - 1] != LAST)
		return false;
	--*len;

	return true;
}


/* A sender that keeps salt or key for a second message gives the text away */
static bool used_before(struct pns *pns, const uint8_t *head)
{
	const bool salt =
		pns_u64set_put(pns->salts, pns_hash64(1, head, SALT));

	return pns_u64set_put(pns->salts,
			      pns_hash64(2, head + HEAD - POINT, POINT)) ||
	       salt;
}


const char *pns_subscr_open(struct pns *pns, const struct pns_token *t,
			    const uint8_t *p, size_t len, uint8_t *text,
			    size_t *textlen)
{
	uint8_t key[KEY], nonce[NONCE];
	uint32_t record;

	if (len < HEAD + TAG + 1 || p[HEAD - POINT - 1] != POINT)
		return "BadEncryptionHeader";
	record = (uint32_t)p[SALT] << 24 | (uint32_t)p[SALT + 1] << 16 |
		 (uint32_t)p[SALT + 2] << 8 | p[SALT + 3];
	if (record < RECORD_MIN || len - HEAD > record)
		return "BadRecordSize";
	if (!unlock(key, nonce, t, p) ||
	    !gcm(text, key, nonce, p + HEAD, len - HEAD))
		return "DecryptFailed";
	*textlen = len - HEAD - TAG;
	if (!unpad(text, textlen))
		return "BadPadding";
	if (used_before(pns, p))
		return "SaltOrKeyReused";

	return NULL;
}
