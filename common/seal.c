/**
 * @file seal.c  AES-256-GCM of small secrets; NIST SP 800-38D
 *
 *     nonce (12) | ciphertext | tag (16)
 *
 * A random 96-bit nonce is good for 2^32 messages under one key; we seal a
 * few per account and password.
 */

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <openssl/evp.h>
#include "common/ident.h"
#include "common/secret.h"


enum { NONCE = 12, TAG = 16 };

_Static_assert(NONCE + TAG == SEAL_OVERHEAD, "layout");


static EVP_CIPHER_CTX *begin(int encrypt, const uint8_t *key,
			     const uint8_t *nonce, const void *aad,
			     size_t aad_len)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n;

	if (!ctx)
		return NULL;

	if (EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce,
			      encrypt) == 1 &&
	    (!aad_len ||
	     EVP_CipherUpdate(ctx, NULL, &n, aad, (int)aad_len) == 1))
		return ctx;

	EVP_CIPHER_CTX_free(ctx);
	return NULL;
}


static bool update(EVP_CIPHER_CTX *ctx, void *out, const void *in, size_t len)
{
	int n = 0;

	return !len || EVP_CipherUpdate(ctx, out, &n, in, (int)len) == 1;
}


int seal_close(uint8_t *out, const uint8_t key[32], const void *aad,
	       size_t aad_len, const void *in, size_t len)
{
	EVP_CIPHER_CTX *ctx;
	uint8_t rest[TAG];
	int n, err;

	if (!out || !key || (!aad && aad_len) || (!in && len) ||
	    aad_len > INT_MAX || len > INT_MAX)
		return EINVAL;

	err = ident_random(out, NONCE);
	if (err)
		return err;

	ctx = begin(1, key, out, aad, aad_len);
	if (!ctx)
		return ENOMEM;

	if (!update(ctx, out + NONCE, in, len) ||
	    EVP_CipherFinal_ex(ctx, rest, &n) != 1 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG,
				out + NONCE + len) != 1)
		err = ENOMEM;

	EVP_CIPHER_CTX_free(ctx);

	return err;
}


int seal_open(void *out, const uint8_t key[32], const void *aad,
	      size_t aad_len, const uint8_t *in, size_t len)
{
	EVP_CIPHER_CTX *ctx;
	uint8_t rest[TAG], tag[TAG];
	size_t plain;
	int n, err = 0;

	if (!key || (!aad && aad_len) || aad_len > INT_MAX || len > INT_MAX)
		return EINVAL;
	if (!in || len < SEAL_OVERHEAD)
		return EBADMSG;

	plain = len - SEAL_OVERHEAD;
	if (!out && plain)
		return EINVAL;

	ctx = begin(0, key, in, aad, aad_len);
	if (!ctx)
		return ENOMEM;

	memcpy(tag, in + NONCE + plain, TAG);
	if (!update(ctx, out, in + NONCE, plain) ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG, tag) != 1)
		err = ENOMEM;
	else if (EVP_CipherFinal_ex(ctx, rest, &n) != 1)
		err = EBADMSG;

	EVP_CIPHER_CTX_free(ctx);

	/* What was not authentic is nobody's to see */
	if (err && plain)
		explicit_bzero(out, plain);

	return err;
}
