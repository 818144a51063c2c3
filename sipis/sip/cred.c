/**
 * @file cred.c  Sealed SIP credentials; the layout stands in cred.h
 */

#include <errno.h>
#include <string.h>
#include "common/ident.h"
#include "common/secret.h"
#include "sipis/sip/cred.h"
#include "sipis/sip/digest.h"


enum {
	KEY_LEN = 32,
	KEY_ID_LEN = 4,
	KEY_FILE_MAX = 4096,
	AAD_MAX = 1024,
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


int cred_open(const struct cred_key *key, const struct acct_row *acct,
	      const uint8_t *sealed, size_t sealed_len, void *secret,
	      size_t *len)
{
	uint8_t aad[AAD_MAX];
	size_t aad_len;
	int err;

	if (!key || !acct || !secret || !len)
		return EINVAL;
	if (!sealed || sealed_len < KEY_ID_LEN + SEAL_OVERHEAD ||
	    get_u32(sealed) != key->id)
		return EBADMSG;
	if (*len < sealed_len - KEY_ID_LEN - SEAL_OVERHEAD)
		return EOVERFLOW;

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
