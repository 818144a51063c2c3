/**
 * @file key.c  Reading public keys, and base64url
 */

#include <errno.h>
#include <openssl/pem.h>
#include "pns.h"


/* A private key has its public half in it, so either will do */
int pns_key_read(EVP_PKEY **keyp, const char *path)
{
	BIO *bio = BIO_new_file(path, "r");

	if (!bio)
		return ENOENT;

	*keyp = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
	if (!*keyp) {
		(void)BIO_reset(bio);
		*keyp = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	}
	BIO_free(bio);

	return *keyp ? 0 : EBADMSG;
}


static int digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;

	return c == '-' ? 62 : c == '_' ? 63 : -1;
}


/* RFC 4648 section 5 without padding; *outlen is the space, then the use */
int pns_b64url(uint8_t *out, size_t *outlen, const char *s, size_t len)
{
	uint32_t acc = 0;
	unsigned bits = 0;
	size_t n = 0;

	if (len % 4 == 1 || *outlen < len * 3 / 4)
		return EBADMSG;

	for (size_t i = 0; i < len; i++) {
		const int d = digit(s[i]);

		if (d < 0)
			return EBADMSG;
		acc = acc << 6 | (uint32_t)d;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			out[n++] = (uint8_t)(acc >> bits);
		}
	}
	*outlen = n;

	return 0;
}
