/**
 * @file test_vapid.c  RFC 8292, checked with OpenSSL
 */

#include <stdlib.h>
#include <string.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include "mediator/json.h"
#include "tests/unit/common/unit.h"
#include "tests/unit/common/loop.h"
#include "common/clock.h"
#include "common/ident.h"
#include "mediator/auth/auth.h"
#include "mediator/auth/jwt.h"

enum { DAY_S = 86400 };


/* The claims of the example in RFC 8292 2.4, to the letter */
static void test_rfc8292(void **state)
{
	char *input = NULL;
	(void)state;

	assert_int_equal(jwt_vapid_input(&input, "https://push.example.net",
					 "mailto:push@example.com",
					 1453523768),
			 0);
	assert_string_equal(
		input,
		"eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9."
		"eyJhdWQiOiJodHRwczovL3B1c2guZXhhbXBsZS5uZXQiLCJleHAiOjE0NTM1"
		"MjM3NjgsInN1YiI6Im1haWx0bzpwdXNoQGV4YW1wbGUuY29tIn0");
	mem_deref(input);
}


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


static bool verify(EVP_PKEY *pkey, const char *input, size_t len,
		   const uint8_t sig[64])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	ECDSA_SIG *es = ECDSA_SIG_new();
	uint8_t *der = NULL;
	bool ok;
	int n;

	ECDSA_SIG_set0(es, BN_bin2bn(sig, 32, NULL),
		       BN_bin2bn(sig + 32, 32, NULL));
	n = i2d_ECDSA_SIG(es, &der);
	ok = EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, pkey) == 1 &&
	     EVP_DigestVerify(ctx, der, (size_t)n, (const uint8_t *)input,
			      len) == 1;
	OPENSSL_free(der);
	ECDSA_SIG_free(es);
	EVP_MD_CTX_free(ctx);
	return ok;
}


static void claims_are(const char *b64, size_t len)
{
	const int64_t now = clock_wall_ms() / 1000;
	char text[512], raw[512];
	json_int_t exp;
	size_t n = 0;
	json_t *j;

	assert_true(len < sizeof(text));
	memcpy(text, b64, len);
	text[len] = '\0';
	assert_int_equal(ident_unb64(raw, sizeof(raw), &n, text), 0);
	j = json_loadb(raw, n, 0, NULL);
	exp = json_integer_value(json_object_get(j, "exp"));
	assert_string_equal(json_string_value(json_object_get(j, "aud")),
			    "https://push.example:8443");
	assert_string_equal(json_string_value(json_object_get(j, "sub")),
			    "mailto:ops@example.com");
	assert_true(exp > now + DAY_S / 3 && exp < now + DAY_S);
	json_decref(j);
}


static void change_handler(void *arg)
{
	(void)arg;
	re_cancel();
}


static void test_value(void **state)
{
	EVP_PKEY *pkey = EVP_EC_gen("P-256");
	char *pem = pem_of(pkey), reason[128], k[96];
	struct auth_watch watch = { 0 };
	uint8_t point[P256_POINT], sig[64];
	struct auth_vapid_prm prm = {
		.name = "browsers",
		.subject = "mailto:ops@example.com",
		.origin = "https://push.example:8443",
	};
	const char *value, *dot, *end;
	struct auth *a = NULL;
	char text[128];
	uint32_t gen;
	size_t n = 0;
	(void)state;

	assert_int_equal(signer_alloc(&prm.signer), 0);
	assert_int_equal(signer_key_load(&prm.key, SIGNER_ES256, pem, reason,
					 sizeof(reason)),
			 0);
	assert_int_equal(auth_vapid_alloc(&a, &prm), 0);
	auth_watch(a, &watch, change_handler, NULL);
	assert_null(auth_bearer(a, &gen));
	loop_run();
	value = auth_bearer(a, &gen);
	assert_non_null(value);

	assert_int_equal(signer_key_point(point, prm.key), 0);
	(void)ident_b64url(k, point, sizeof(point));
	end = strstr(value, ", k=");
	assert_non_null(end);
	assert_string_equal(end + 4, k);
	assert_memory_equal(value, "t=", 2);
	value += 2;
	dot = strchr(value, '.');
	claims_are(dot + 1, strcspn(dot + 1, "."));
	dot = strchr(dot + 1, '.');
	(void)str_ncpy(text, dot + 1, (size_t)(end - dot));
	assert_int_equal(ident_unb64(sig, sizeof(sig), &n, text), 0);
	assert_int_equal(n, sizeof(sig));
	assert_true(verify(pkey, value, (size_t)(dot - value), sig));

	/* Young as it is, a new one would not help */
	assert_int_equal(auth_refused(a, gen), TOKEN_YOUNG);

	list_unlink(&watch.le);
	mem_deref(a);
	mem_deref(prm.key);
	mem_deref(prm.signer);
	free(pem);
	EVP_PKEY_free(pkey);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rfc8292),
		cmocka_unit_test(test_value),
	};

	return cmocka_run_group_tests(tests, loop_open, loop_close);
}
