/**
 * @file cred.c  Sealed SIP credentials; the layout stands in cred.h
 */

#include <errno.h>
#include <string.h>
#include <openssl/evp.h>
#include <re/re.h>
#include "common/ident.h"
#include "common/secret.h"
#include "sipis/sip/cred.h"
#include "sipis/sip/digest.h"


enum {
	KEY_LEN = 32,
	KEY_ID_LEN = 4,
	KEY_FILE_MAX = 4096,
	AAD_MAX = 1024,
	IV_LEN = 12,
	TAG_LEN = 16,
};

/* A context that has its key already: setting one up costs more than all of
   the rest */
struct cred_opener {
	const struct cred_key *key;
	EVP_CIPHER *cipher;
	EVP_CIPHER_CTX *ctx;
};


static void put_u32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}


static uint32_t get_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	       (uint32_t)p[2] << 8 | p[3];
}


int cred_key_read(struct cred_key *key, const char *path)
{
	uint8_t md[32];
	char *buf;
	size_t len;
	int err;

	if (!key || !path)
		return EINVAL;

	err = secret_read_file(&buf, &len, path, KEY_FILE_MAX);
	if (err)
		return err;

	if (len == KEY_LEN) {
		memcpy(key->key, buf, KEY_LEN);
	}
	else {
		while (len && (buf[len - 1] == '\n' || buf[len - 1] == '\r'))
			buf[--len] = '\0';

		err = len == 2 * KEY_LEN ? ident_unhex(key->key, KEY_LEN, buf)
					 : EBADMSG;
		if (err)
			goto out;
	}

	err = secret_sha256(md, key->key, KEY_LEN);
	if (err)
		goto out;

	key->id = get_u32(md);

out:
	secret_free(buf);

	return err;
}


/* Each part with its length in front: no two accounts give the same bytes */
static bool aad_add(uint8_t *aad, size_t *pos, const char *part)
{
	size_t len = part ? strlen(part) : 0;

	if (*pos + 4 + len > AAD_MAX)
		return false;

	put_u32(aad + *pos, (uint32_t)len);
	if (len)
		memcpy(aad + *pos + 4, part, len);
	*pos += 4 + len;

	return true;
}


static int aad_make(uint8_t *aad, size_t *len, const struct acct_row *acct,
		    uint32_t key_id)
{
	*len = 0;
	put_u32(aad, (uint32_t)(acct->id >> 32));
	put_u32(aad + 4, (uint32_t)acct->id);
	put_u32(aad + 8, key_id);
	*len = 12;

	if (!aad_add(aad, len, acct->user) ||
	    !aad_add(aad, len, acct->domain) ||
	    !aad_add(aad, len, acct->outbound_proxy))
		return EOVERFLOW;

	return 0;
}


int cred_seal(const struct cred_key *key, const struct acct_row *acct,
	      const void *secret, size_t len, uint8_t *sealed,
	      size_t *sealed_len)
{
	uint8_t aad[AAD_MAX];
	size_t aad_len;
	int err;

	if (!key || !acct || !secret || !sealed || !sealed_len)
		return EINVAL;
	if (*sealed_len < KEY_ID_LEN + len + SEAL_OVERHEAD)
		return EOVERFLOW;

	err = aad_make(aad, &aad_len, acct, key->id);
	if (err)
		return err;

	err = seal_close(sealed + KEY_ID_LEN, key->key, aad, aad_len, secret,
			 len);
	if (err)
		return err;

	put_u32(sealed, key->id);
	*sealed_len = KEY_ID_LEN + len + SEAL_OVERHEAD;

	return 0;
}


static int check_sealed(const struct cred_key *key, const uint8_t *sealed,
			size_t sealed_len, size_t room)
{
	if (!sealed || sealed_len < KEY_ID_LEN + SEAL_OVERHEAD ||
	    get_u32(sealed) != key->id)
		return EBADMSG;

	return room < sealed_len - KEY_ID_LEN - SEAL_OVERHEAD ? EOVERFLOW : 0;
}


int cred_open(const struct cred_key *key, const struct acct_row *acct,
	      const uint8_t *sealed, size_t sealed_len, void *secret,
	      size_t *len)
{
	uint8_t aad[AAD_MAX];
	size_t aad_len;
	int err;

	if (!key || !acct || !secret || !len)
		return EINVAL;

	err = check_sealed(key, sealed, sealed_len, *len);
	if (err)
		return err;

	err = aad_make(aad, &aad_len, acct, key->id);
	if (err)
		return err;

	err = seal_open(secret, key->key, aad, aad_len, sealed + KEY_ID_LEN,
			sealed_len - KEY_ID_LEN);
	if (err)
		return err;

	*len = sealed_len - KEY_ID_LEN - SEAL_OVERHEAD;

	return 0;
}


bool cred_sealed_under(const struct cred_key *key, const uint8_t *sealed,
		       size_t sealed_len)
{
	return key && sealed && sealed_len >= sizeof(key->id) &&
	       get_u32(sealed) == key->id;
}


static void opener_destructor(void *data)
{
	struct cred_opener *o = data;

	EVP_CIPHER_CTX_free(o->ctx);
	EVP_CIPHER_free(o->cipher);
}


int cred_opener_alloc(struct cred_opener **op, const struct cred_key *key)
{
	struct cred_opener *o;

	if (!op || !key)
		return EINVAL;

	o = mem_zalloc(sizeof(*o), opener_destructor);
	if (!o)
		return ENOMEM;

	o->key = key;
	o->cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	o->ctx = EVP_CIPHER_CTX_new();
	if (!o->cipher || !o->ctx ||
	    EVP_DecryptInit_ex2(o->ctx, o->cipher, key->key, NULL, NULL) !=
		    1) {
		mem_deref(o);
		return ENOMEM;
	}

	*op = o;

	return 0;
}


/* nonce (12) | ciphertext | tag (16), as secret.h writes it */
static int gcm_open(EVP_CIPHER_CTX *ctx, const uint8_t *aad, size_t aad_len,
		    const uint8_t *in, size_t len, uint8_t *out)
{
	const size_t plain = len - SEAL_OVERHEAD;
	uint8_t tag[TAG_LEN];
	int n;

	memcpy(tag, in + IV_LEN + plain, TAG_LEN);
	if (EVP_DecryptInit_ex2(ctx, NULL, NULL, in, NULL) == 1 &&
	    EVP_DecryptUpdate(ctx, NULL, &n, aad, (int)aad_len) == 1 &&
	    EVP_DecryptUpdate(ctx, out, &n, in + IV_LEN, (int)plain) == 1 &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, tag) ==
		    1 &&
	    EVP_DecryptFinal_ex(ctx, tag, &n) == 1)
		return 0;

	explicit_bzero(out, plain);

	return EBADMSG;
}


int cred_opener_open(struct cred_opener *o, const struct acct_row *acct,
		     const uint8_t *sealed, size_t sealed_len, void *secret,
		     size_t *len)
{
	uint8_t aad[AAD_MAX];
	size_t aad_len;
	int err;

	if (!o || !acct || !secret || !len)
		return EINVAL;

	err = check_sealed(o->key, sealed, sealed_len, *len);
	err = err ? err : aad_make(aad, &aad_len, acct, o->key->id);
	if (err)
		return err;

	err = gcm_open(o->ctx, aad, aad_len, sealed + KEY_ID_LEN,
		       sealed_len - KEY_ID_LEN, secret);
	if (!err)
		*len = sealed_len - KEY_ID_LEN - SEAL_OVERHEAD;

	return err;
}


size_t cred_ha1(uint8_t ha1[CRED_HA1_MAX], enum digest_alg alg,
		const char *user, const char *realm, const char *password)
{
	const struct digest_part v[] = {
		{ user, user ? strlen(user) : 0 },
		{ ":", 1 },
		{ realm, realm ? strlen(realm) : 0 },
		{ ":", 1 },
		{ password, password ? strlen(password) : 0 },
	};

	if (!ha1 || !user || !realm || !password)
		return 0;

	return digest_hash(ha1, alg, v, sizeof(v) / sizeof(v[0]));
}
