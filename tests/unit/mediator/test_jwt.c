/**
 * @file test_jwt.c  Signed tokens, checked with OpenSSL
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include "mediator/json.h"
#include "tests/unit/common/unit.h"
#include "tests/unit/common/loop.h"
#include "common/ident.h"
#include "mediator/auth/jwt.h"
#include "mediator/auth/signer.h"

enum { SIGNATURES = 200 };

struct got {
	int n, err;
	uint8_t sig[SIGNER_SIG_MAX];
	size_t len;
};


static char *pem_of(EVP_PKEY *pkey)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data, *pem;
	long n;

	assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL,
						       0, NULL, NULL),
			 1);
	n = BIO_get_mem_data(bio, &data);
	pem = strndup(data, (size_t)n);
	BIO_free(bio);
	return pem;
}


static void sign_handler(int err, const uint8_t *sig, size_t len, void *arg)
{
	struct got *g = arg;

	g->n++;
	g->err = err;
	g->len = len;
	memcpy(g->sig, sig, len);
	re_cancel();
}


static void sign(struct got *g, struct signer *s, const struct signer_key *k,
		 const char *text)
{
	struct signer_req *r = NULL;

	memset(g, 0, sizeof(*g));
	assert_int_equal(
		signer_sign(&r, s, k, text, strlen(text), sign_handler, g), 0);
	assert_int_equal(g->n, 0);
	loop_run();
	assert_int_equal(g->n, 1);
	assert_int_equal(g->err, 0);
	mem_deref(r);
}


static bool verify(EVP_PKEY *pkey, const char *text, const uint8_t *sig,
		   size_t len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, pkey) ==
			  1 &&
		  EVP_DigestVerify(ctx, sig, len, (const uint8_t *)text,
				   strlen(text)) == 1;

	EVP_MD_CTX_free(ctx);
	return ok;
}


/* r | s of 32 bytes each, also where one of them begins with zeros: one in
   128 signatures does */
static void test_es256(void **state)
{
	EVP_PKEY *pkey = EVP_EC_gen("P-256");
	char *pem = pem_of(pkey), reason[128];
	struct signer_key *k = NULL;
	struct signer *s = NULL;
	struct got g;
	(void)state;

	assert_int_equal(signer_alloc(&s), 0);
	assert_int_equal(
		signer_key_load(&k, SIGNER_ES256, pem, reason, sizeof(reason)),
		0);

	for (int i = 0; i < SIGNATURES; i++) {
		ECDSA_SIG *es = ECDSA_SIG_new();
		uint8_t *der = NULL;
		char text[32];
		int n;

		snprintf(text, sizeof(text), "head.claims%d", i);
		sign(&g, s, k, text);
		assert_int_equal(g.len, 64);
		ECDSA_SIG_set0(es, BN_bin2bn(g.sig, 32, NULL),
			       BN_bin2bn(g.sig + 32, 32, NULL));
		n = i2d_ECDSA_SIG(es, &der);
		assert_true(n > 0);
		assert_true(verify(pkey, text, der, (size_t)n));
		OPENSSL_free(der);
		ECDSA_SIG_free(es);
	}

	mem_deref(k);
	mem_deref(s);
	free(pem);
	EVP_PKEY_free(pkey);
}


static void test_rs256(void **state)
{
	EVP_PKEY *pkey = EVP_RSA_gen(2048);
	char *pem = pem_of(pkey), reason[128];
	struct signer_key *k = NULL;
	struct signer *s = NULL;
	struct got g;
	(void)state;

	assert_int_equal(signer_alloc(&s), 0);
	assert_int_equal(
		signer_key_load(&k, SIGNER_RS256, pem, reason, sizeof(reason)),
		0);
	sign(&g, s, k, "some text");
	assert_int_equal(g.len, 256);
	assert_true(verify(pkey, "some text", g.sig, g.len));
	assert_false(verify(pkey, "some texT", g.sig, g.len));

	mem_deref(k);
	mem_deref(s);
	free(pem);
	EVP_PKEY_free(pkey);
}


/* A request that is given up is not answered, and nothing leaks */
static void test_given_up(void **state)
{
	EVP_PKEY *pkey = EVP_EC_gen("P-256");
	char *pem = pem_of(pkey), reason[128];
	struct signer_req *r = NULL;
	struct signer_key *k = NULL;
	struct signer *s = NULL;
	struct got dead = { 0 }, g;
	(void)state;

	assert_int_equal(signer_alloc(&s), 0);
	assert_int_equal(
		signer_key_load(&k, SIGNER_ES256, pem, reason, sizeof(reason)),
		0);
	assert_int_equal(signer_sign(&r, s, k, "x", 1, sign_handler, &dead),
			 0);
	mem_deref(r);
	sign(&g, s, k, "y");
	assert_int_equal(dead.n, 0);
	assert_int_equal(signer_sign(&r, s, k, "x", 1, sign_handler, &dead),
			 0);
	mem_deref(r);
	mem_deref(k);
	mem_deref(s);
	assert_int_equal(dead.n, 0);
	free(pem);
	EVP_PKEY_free(pkey);
}


static void test_wrong_keys(void **state)
{
	EVP_PKEY *p256 = EVP_EC_gen("P-256"), *p384 = EVP_EC_gen("P-384");
	EVP_PKEY *small = EVP_RSA_gen(1024);
	char *a = pem_of(p256), *b = pem_of(p384), *c = pem_of(small);
	struct signer_key *k = NULL;
	char reason[128];
	(void)state;

	assert_int_equal(signer_key_load(&k, SIGNER_ES256, b, reason, 128),
			 EINVAL);
	assert_int_equal(signer_key_load(&k, SIGNER_RS256, a, reason, 128),
			 EINVAL);
	assert_int_equal(signer_key_load(&k, SIGNER_RS256, c, reason, 128),
			 EINVAL);
	assert_int_equal(signer_key_load(&k, SIGNER_ES256, "", reason, 128),
			 EBADMSG);
	assert_int_equal(signer_key_load(&k, SIGNER_ES256, "xyz", reason, 128),
			 EBADMSG);
	assert_null(k);
	free(a);
	free(b);
	free(c);
	EVP_PKEY_free(p256);
	EVP_PKEY_free(p384);
	EVP_PKEY_free(small);
}


static json_t *part(const char *input, int n)
{
	char b64[1024], raw[1024];
	const char *dot = strchr(input, '.');
	size_t len = n ? strlen(dot + 1) : (size_t)(dot - input);
	int out;

	memcpy(b64, n ? dot + 1 : input, len);
	for (size_t i = 0; i < len; i++)
		b64[i] = b64[i] == '-' ? '+' : b64[i] == '_' ? '/' : b64[i];
	while (len % 4)
		b64[len++] = '=';
	out = EVP_DecodeBlock((uint8_t *)raw, (uint8_t *)b64, (int)len);
	assert_true(out > 0);
	raw[out] = '\0';
	return json_loads(raw, 0, NULL);
}


static void test_apns_input(void **state)
{
	char *input = NULL;
	json_t *j;
	(void)state;

	assert_int_equal(
		jwt_apns_input(&input, "KEY1234567", "TEAM123456", 1700000000),
		0);
	assert_null(strpbrk(input, "=+/"));
	j = part(input, 0);
	assert_int_equal(json_object_size(j), 2);
	assert_string_equal(json_string_value(json_object_get(j, "alg")),
			    "ES256");
	assert_string_equal(json_string_value(json_object_get(j, "kid")),
			    "KEY1234567");
	json_decref(j);
	j = part(input, 1);
	assert_int_equal(json_object_size(j), 2);
	assert_int_equal(json_integer_value(json_object_get(j, "iat")),
			 1700000000);
	json_decref(j);
	mem_deref(input);
}


static void test_google_input(void **state)
{
	char *input = NULL, *jwt = NULL;
	json_t *j;
	(void)state;

	assert_int_equal(jwt_google_input(&input, "kid", "a@b.example",
					  "https://t.example/token",
					  1700000000),
			 0);
	j = part(input, 1);
	assert_int_equal(json_integer_value(json_object_get(j, "exp")),
			 1700003600);
	assert_string_equal(json_string_value(json_object_get(j, "aud")),
			    "https://t.example/token");
	assert_string_equal(
		json_string_value(json_object_get(j, "scope")),
		"https://www.googleapis.com/auth/firebase.messaging");
	json_decref(j);

	assert_int_equal(jwt_join(&jwt, input, (const uint8_t *)"\xff\xfe", 2),
			 0);
	assert_memory_equal(jwt, input, strlen(input));
	assert_string_equal(jwt + strlen(input), ".__4");
	mem_deref(jwt);
	mem_deref(input);
}


/* RFC 7515 A.1: header and payload to the letter */
static void test_rfc7515(void **state)
{
	static const char header[] =
		"{\"typ\":\"JWT\",\r\n \"alg\":\"HS256\"}";
	static const char claims[] = "{\"iss\":\"joe\",\r\n "
				     "\"exp\":1300819380,\r\n "
				     "\"http://example.com/is_root\":true}";
	char *input = NULL;
	(void)state;

	assert_int_equal(jwt_input(&input, header, claims), 0);
	assert_string_equal(input,
			    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
			    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQog"
			    "Imh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ");
	mem_deref(input);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_es256),
		cmocka_unit_test(test_rs256),
		cmocka_unit_test(test_given_up),
		cmocka_unit_test(test_wrong_keys),
		cmocka_unit_test(test_apns_input),
		cmocka_unit_test(test_google_input),
		cmocka_unit_test(test_rfc7515),
	};

	return cmocka_run_group_tests(tests, loop_open, loop_close);
}
