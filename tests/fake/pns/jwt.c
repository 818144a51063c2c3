/**
 * @file jwt.c  JSON Web Tokens (RFC 7515, RFC 7519): decoded, verified, cached
 *
 * A sender uses one token for thousands of pushes, so the verdict on its
 * signature is kept by its text.  What depends on the clock or on the
 * connection is not judged here.
 */

#include <errno.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include "pns.h"

#define JWT_MAX   4096
#define CACHE_MAX 4096


static void jwt_destructor(void *arg)
{
	struct pns_jwt *j = arg;

	hash_unlink(&j->he);
	mem_deref(j->str);
	json_decref(j->head);
	json_decref(j->claims);
}


static json_t *part(const char *s, size_t len)
{
	uint8_t buf[JWT_MAX];
	size_t n = sizeof(buf);
	json_t *o;

	if (pns_b64url(buf, &n, s, len))
		return NULL;
	o = json_loadb((char *)buf, n, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(o)) {
		json_decref(o);
		return NULL;
	}

	return o;
}


static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}


static void claims_read(struct pns_jwt *j)
{
	const json_t *iat = json_object_get(j->claims, "iat");

	j->alg = text(j->head, "alg");
	j->kid = text(j->head, "kid");
	j->iss = text(j->claims, "iss");
	j->iat_ok = json_is_integer(iat);
	j->iat = json_integer_value(iat);
	j->exp = json_integer_value(json_object_get(j->claims, "exp"));
}


int pns_jwt_decode(struct pns_jwt **jp, const char *s, size_t len)
{
	struct pns_jwt *j = mem_zalloc(sizeof(*j), jwt_destructor);
	const char *dot1, *dot2;

	if (!j)
		return ENOMEM;
	j->str = mem_alloc(len + 1, NULL);
	if (!j->str) {
		mem_deref(j);
		return ENOMEM;
	}
	memcpy(j->str, s, len);
	j->str[len] = '\0';
	j->len = len;

	dot1 = len < JWT_MAX ? strchr(j->str, '.') : NULL;
	dot2 = dot1 ? strchr(dot1 + 1, '.') : NULL;
	if (dot2) {
		j->head = part(j->str, (size_t)(dot1 - j->str));
		j->claims = part(dot1 + 1, (size_t)(dot2 - dot1 - 1));
	}
	claims_read(j);
	*jp = j;

	return 0;
}


/* JWS has r and s as they are, 32 bytes each; OpenSSL wants them in DER */
static int es256_der(uint8_t **derp, int *derlen, const uint8_t raw[64])
{
	ECDSA_SIG *sig = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(raw, 32, NULL);
	BIGNUM *s = BN_bin2bn(raw + 32, 32, NULL);

	if (!sig || !r || !s || !ECDSA_SIG_set0(sig, r, s)) {
		ECDSA_SIG_free(sig);
		BN_free(r);
		BN_free(s);
		return ENOMEM;
	}
	*derlen = i2d_ECDSA_SIG(sig, derp);
	ECDSA_SIG_free(sig);

	return *derlen > 0 ? 0 : EBADMSG;
}


static bool digest_verify(EVP_PKEY *key, const char *signed_part, size_t len,
			  const uint8_t *sig, size_t siglen)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok;

	ok = ctx &&
	     EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
	     EVP_DigestVerify(ctx, sig, siglen, (const uint8_t *)signed_part,
			      len) == 1;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();

	return ok;
}


/* The kind of key decides which algorithm the token may name */
bool pns_jwt_verify(const struct pns_jwt *j, EVP_PKEY *key)
{
	const char *dot = strrchr(j->str, '.');
	const bool ec = EVP_PKEY_base_id(key) == EVP_PKEY_EC;
	uint8_t sig[1024], *der = NULL;
	size_t n = sizeof(sig);
	int derlen = 0;
	bool ok;

	if (!j->claims || !j->head || strcmp(j->alg, ec ? "ES256" : "RS256"))
		return false;
	if (pns_b64url(sig, &n, dot + 1, strlen(dot + 1)))
		return false;
	if (!ec)
		return digest_verify(key, j->str, (size_t)(dot - j->str), sig,
				     n);
	if (n != 64 || es256_der(&der, &derlen, sig))
		return false;

	ok = digest_verify(key, j->str, (size_t)(dot - j->str), der,
			   (size_t)derlen);
	OPENSSL_free(der);

	return ok;
}


struct key {
	const char *s;
	size_t len;
};


static bool same(struct le *le, void *arg)
{
	const struct pns_jwt *j = le->data;
	const struct key *k = arg;

	return j->len == k->len && !memcmp(j->str, k->s, k->len);
}


void pns_jwt_flush(struct pns *pns)
{
	struct le *le;

	LIST_FOREACH (&pns->connl, le) {
		struct pns_conn *conn = le->data;

		conn->jwt = mem_deref(conn->jwt);
	}
	pns->server_jwt = mem_deref(pns->server_jwt);
	hash_flush(pns->jwts);
	pns->jwtc = 0;
}


int pns_jwt_get(struct pns_jwt **jp, struct pns *pns, const char *s,
		size_t len)
{
	const uint32_t h = hash_joaat((const uint8_t *)s, len);
	struct key k = { s, len };
	struct pns_jwt *j = list_ledata(hash_lookup(pns->jwts, h, same, &k));
	int err;

	if (j) {
		*jp = j;
		return 0;
	}

	if (pns->jwtc >= CACHE_MAX)
		pns_jwt_flush(pns);
	err = pns_jwt_decode(&j, s, len);
	if (err)
		return err;
	j->cred = pns_cred_find(pns, j->kid);
	j->sig_ok = j->cred && pns_jwt_verify(j, j->cred->key);
	hash_append(pns->jwts, h, &j->he, j);
	++pns->jwtc;
	*jp = j;

	return 0;
}
