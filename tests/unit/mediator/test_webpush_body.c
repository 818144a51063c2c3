/**
 * @file test_webpush_body.c  RFC 8291 byte for byte
 */

#include <errno.h>
#include <string.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include "mediator/json.h"
#include "tests/unit/common/unit.h"
#include "common/ident.h"
#include "mediator/drv/webpush_body.h"

/* RFC 8291, section 5 and Appendix A */
#define TEXT "When I grow up, I want to be a watermelon"
#define UA_PUBLIC                                      \
	"BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcx" \
	"aOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
#define AS_PRIVATE "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
#define AS_PUBLIC                                      \
	"BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIg" \
	"Dll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8"
#define AUTH "BTBZMqHH6r4Tts7J_aSIgg"
#define SALT "DGv6ra1nlYgDCS1FRnbzlw"
#define BODY                                           \
	"DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVY" \
	"I_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmY" \
	"WAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4M" \
	"qgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexS" \
	"gSxsj_Qulcy4a-fN"


static void raw(void *dst, size_t size, const char *text)
{
	size_t n = 0;

	assert_int_equal(ident_unb64(dst, size, &n, text), 0);
	assert_int_equal(n, size);
}


static EVP_PKEY *pair(const char *private, const char *public)
{
	uint8_t point[WEBPUSH_POINT], big[32];
	char group[] = "prime256v1";
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	EVP_PKEY *pkey = NULL;
	OSSL_PARAM params[4];

	raw(point, sizeof(point), public);
	raw(big, sizeof(big), private);
	for (size_t i = 0; i < sizeof(big) / 2; i++) {
		const uint8_t b = big[i];

		/* OpenSSL wants it in the order of this machine */
		big[i] = big[sizeof(big) - 1 - i];
		big[sizeof(big) - 1 - i] = b;
	}
	params[0] = OSSL_PARAM_construct_utf8_string(
		OSSL_PKEY_PARAM_GROUP_NAME, group, 0);
	params[1] = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY,
						      point, sizeof(point));
	params[2] = OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_PRIV_KEY, big,
					    sizeof(big));
	params[3] = OSSL_PARAM_construct_end();

	assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
	assert_int_equal(
		EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_KEYPAIR, params), 1);
	EVP_PKEY_CTX_free(ctx);
	return pkey;
}


static void test_appendix_a(void **state)
{
	uint8_t out[WEBPUSH_MAX], want[144], salt[WEBPUSH_SALT];
	EVP_PKEY *own = pair(AS_PRIVATE, AS_PUBLIC);
	struct webpush_keys k;
	size_t len = 0;
	(void)state;

	raw(want, sizeof(want), BODY);
	raw(salt, sizeof(salt), SALT);
	assert_int_equal(webpush_keys_read(&k, UA_PUBLIC, AUTH), 0);
	assert_int_equal(
		webpush_encrypt(out, &len, TEXT, strlen(TEXT), &k, salt, own),
		0);
	assert_int_equal(len, sizeof(want));
	assert_memory_equal(out, want, sizeof(want));
	EVP_PKEY_free(own);
}


static void test_size(void **state)
{
	uint8_t out[WEBPUSH_MAX], salt[WEBPUSH_SALT] = { 0 };
	char text[WEBPUSH_TEXT_MAX + 1];
	EVP_PKEY *own = EVP_EC_gen("P-256");
	struct webpush_keys k;
	size_t len = 0;
	(void)state;

	memset(text, 'x', sizeof(text));
	assert_int_equal(WEBPUSH_TEXT_MAX, 3993);
	assert_int_equal(webpush_keys_read(&k, UA_PUBLIC, AUTH), 0);
	assert_int_equal(webpush_encrypt(out, &len, text, WEBPUSH_TEXT_MAX, &k,
					 salt, own),
			 0);
	assert_int_equal(len, WEBPUSH_MAX);
	assert_int_equal(webpush_encrypt(out, &len, text, WEBPUSH_TEXT_MAX + 1,
					 &k, salt, own),
			 EMSGSIZE);
	EVP_PKEY_free(own);
}


static void test_keys(void **state)
{
	static const struct {
		const char *p256dh, *auth;
		int err;
	} v[] = {
		{ UA_PUBLIC, AUTH, 0 },
		{ UA_PUBLIC "=", AUTH "==", 0 },
		{ "BCVxsr7N/eNgVRqvHtD0zTZsEc6+VV+JvLexhqUzORcx"
		  "aOzi6+AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4=",
		  AUTH, 0 },
		/* one bit beside the curve */
		{ "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcx"
		  "aOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw8",
		  AUTH, EBADMSG },
		{ "CCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcx"
		  "aOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
		  AUTH, EBADMSG },
		{ "", AUTH, EBADMSG },
		{ UA_PUBLIC, "", EBADMSG },
		{ UA_PUBLIC, "BTBZMqHH6r4Tts7J_aSI", EBADMSG },
		{ UA_PUBLIC, AUTH "AA", EBADMSG },
		{ UA_PUBLIC, "BTBZMqHH6r4Tts7J aSIgg", EBADMSG },
		{ UA_PUBLIC UA_PUBLIC, AUTH, EBADMSG },
	};
	struct webpush_keys k;
	(void)state;

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++)
		if (webpush_keys_read(&k, v[i].p256dh, v[i].auth) != v[i].err)
			fail_msg("row %zu", i);
}


static void test_text(void **state)
{
	static uint8_t id[16] = { 1 };
	const struct push_target t = { .provider = "webpush",
				       .app = "phone",
				       .topic = "",
				       .token = "https://p.example/x" };
	Wire__Push f = WIRE__PUSH__INIT;
	struct push *p = NULL;
	char text[WEBPUSH_TEXT_MAX];
	size_t len = 0;
	json_t *j;
	(void)state;

	f.id.data = id;
	f.id.len = sizeof(id);
	f.use = WIRE__USE__USE_CALL;
	f.call = (char *)"c-1";
	f.display_name = (char *)"Zo\xc3\xab \"x\"";
	f.expires_at_ms = 1700000015000;
	assert_int_equal(push_alloc(&p, &f, &t), 0);
	assert_int_equal(webpush_text(text, &len, p), 0);
	j = json_loadb(text, len, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(j, "use")),
			    "call");
	assert_string_equal(
		json_string_value(json_object_get(j, "display_name")),
		"Zo\xc3\xab \"x\"");
	assert_true(json_integer_value(json_object_get(j, "expires_at")) ==
		    1700000015000);
	assert_null(json_object_get(j, "reason"));
	json_decref(j);
	mem_deref(p);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_appendix_a),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
