/**
 * @file test_handle.c  A token sealed for one tenant and one app
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "tests/unit/common/unit.h"
#include "mediator/route/handle.h"

static const struct push_target target = {
	.provider = "apns",
	.app = "phone",
	.topic = "com.example.phone",
	.token = "00112233445566778899aabbccddeeff",
	.sandbox = true,
	.voip = true,
	.uses = 1u << WIRE__USE__USE_CALL,
	.enrolled_ms = 1700000000123,
};


static void key_make(struct handle_key *k, uint8_t fill)
{
	uint8_t raw[HANDLE_KEY_LEN];

	memset(raw, fill, sizeof(raw));
	assert_int_equal(handle_key_init(k, raw), 0);
}


static void test_there_and_back(void **state)
{
	uint8_t h[HANDLE_MAX], again[HANDLE_MAX];
	struct push_target t;
	struct handle_key k;
	char buf[HANDLE_MAX];
	size_t len = 0, len2 = 0;
	(void)state;

	key_make(&k, 1);
	assert_int_equal(handle_seal(h, &len, &k, "acme", &target), 0);
	assert_int_equal(handle_open(&t, buf, &k, "acme", h, len), 0);
	assert_string_equal(t.provider, "apns");
	assert_string_equal(t.app, target.app);
	assert_string_equal(t.topic, target.topic);
	assert_string_equal(t.token, target.token);
	assert_true(t.sandbox && t.voip);
	assert_int_equal(t.uses, target.uses);
	assert_int_equal(t.enrolled_ms, target.enrolled_ms);

	/* The same token twice: nobody can tell */
	assert_int_equal(handle_seal(again, &len2, &k, "acme", &target), 0);
	assert_int_equal(len, len2);
	assert_memory_not_equal(h + 11, again + 11, len - 11);
	assert_null(memmem(h, len, target.token, 8));
	assert_null(memmem(h, len, "example", 7));
}


static void test_fcm(void **state)
{
	struct push_target t = {
		.provider = "fcm", .app = "a", .topic = "", .enrolled_ms = 1
	};
	char token[2049], buf[HANDLE_MAX];
	uint8_t h[HANDLE_MAX];
	struct handle_key k;
	size_t len;
	(void)state;

	memset(token, 'x', sizeof(token) - 1);
	token[sizeof(token) - 1] = '\0';
	t.token = token;
	key_make(&k, 1);
	assert_int_equal(handle_seal(h, &len, &k, "acme", &t), 0);
	assert_int_equal(handle_open(&t, buf, &k, "acme", h, len), 0);
	assert_string_equal(t.provider, "fcm");
	assert_string_equal(t.topic, "");
	assert_string_equal(t.token, token);
}


/* Another tenant, another app's name on it, another key, any bit */
static void test_foreign(void **state)
{
	struct handle_key k, other;
	uint8_t h[HANDLE_MAX];
	struct push_target t;
	char buf[HANDLE_MAX];
	size_t len;
	(void)state;

	key_make(&k, 1);
	key_make(&other, 2);
	assert_int_equal(handle_seal(h, &len, &k, "acme", &target), 0);
	assert_int_equal(handle_open(&t, buf, &k, "acm", h, len), EBADMSG);
	assert_int_equal(handle_open(&t, buf, &k, "evil", h, len), EBADMSG);
	assert_int_equal(handle_open(&t, buf, &other, "acme", h, len),
			 EKEYEXPIRED);
	for (size_t i = 0; i < len; i++) {
		for (int bit = 0; bit < 8; bit++) {
			h[i] ^= (uint8_t)(1 << bit);
			assert_int_not_equal(
				handle_open(&t, buf, &k, "acme", h, len), 0);
			h[i] ^= (uint8_t)(1 << bit);
		}
	}
	for (size_t n = 0; n < len; n++)
		assert_int_not_equal(handle_open(&t, buf, &k, "acme", h, n),
				     0);
	assert_int_not_equal(
		handle_open(&t, buf, &k, "acme", h, HANDLE_MAX + 1), 0);
}


static void test_too_long(void **state)
{
	struct push_target t = target;
	uint8_t h[HANDLE_MAX];
	struct handle_key k;
	char big[HANDLE_MAX + 1];
	size_t len;
	(void)state;

	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	key_make(&k, 1);
	t.token = big;
	assert_int_equal(handle_seal(h, &len, &k, "acme", &t), EMSGSIZE);
	t = target;
	t.app = big;
	assert_int_equal(handle_seal(h, &len, &k, "acme", &t), EMSGSIZE);
	t = target;
	assert_int_equal(handle_seal(h, &len, &k, big, &t), EMSGSIZE);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_fcm),
		cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
