/**
 * @file test_edge_asker.c  Which credentials are brought along unasked
 */

#include <re/re.h>
#include "sipis/edge/asker.h"
#include "tests/unit/common/unit.h"

enum { HOUR_MS = 3600 * 1000 };

static const struct digest_chall www = {
	.realm = PL("r"),
	.nonce = PL("n"),
	.alg = DIGEST_MD5,
};


static struct digest_nonce *nonce_new(void)
{
	struct digest_nonce *n;

	assert_int_equal(digest_nonce_alloc(&n, &www), 0);

	return n;
}


static void test_kinds(void **state)
{
	static const char *const metv[] = { "INVITE",    "BYE",    "UPDATE",
					    "REFER",     "INFO",   "MESSAGE",
					    "SUBSCRIBE", "NOTIFY", "OPTIONS",
					    "PUBLISH",   "PRACK",  "ELSE" };
	uint32_t seen = 0;
	(void)state;

	for (size_t i = 0; i < sizeof(metv) / sizeof(metv[0]); i++) {
		for (int within = 0; within < 2; within++) {
			struct pl met;
			uint32_t kind;

			pl_set_str(&met, metv[i]);
			kind = edge_asker_kind(&met, within);
			assert_int_equal(seen & kind, 0);
			seen |= kind;
		}
	}
}


/* PBX, realm, algorithm and 401 or 407: each has its own */
static void test_apart(void **state)
{
	const struct pbx *one = (void *)&www, *two = (void *)&one;
	struct digest_chall other = www;
	struct list l = LIST_INIT;
	struct edge_asker *a;
	(void)state;

	a = edge_asker_get(&l, one, "r", &www);
	assert_non_null(a);
	assert_ptr_equal(edge_asker_get(&l, one, "r", &www), a);
	assert_ptr_not_equal(edge_asker_get(&l, one, "s", &www), a);
	assert_ptr_not_equal(edge_asker_get(&l, two, "r", &www), a);
	other.proxy = true;
	assert_ptr_not_equal(edge_asker_get(&l, one, "r", &other), a);
	other.alg = DIGEST_SHA256;
	assert_ptr_not_equal(edge_asker_get(&l, one, "r", &other), a);
	assert_int_equal(list_count(&l), 5);

	/* not without end, and one that is in use lives on */
	mem_ref(a);
	for (int i = 0; i < 1000; i++) {
		char realm[16];

		(void)re_snprintf(realm, sizeof(realm), "r%d", i);
		assert_non_null(edge_asker_get(&l, one, realm, &www));
	}
	assert_true(list_count(&l) <= 256);
	assert_string_equal(a->realm, "r");
	mem_deref(a);
	list_flush(&l);
}


/* Only what was asked for, and only with a nonce that was good */
static void test_ready(void **state)
{
	struct list l = LIST_INIT;
	struct edge_asker *a = edge_asker_get(&l, NULL, "r", &www);
	struct digest_nonce *n = nonce_new(), *next = nonce_new();
	(void)state;

	a->kinds = 1;
	assert_false(edge_asker_ready(a, 1));
	edge_asker_good(a, n, false, NULL, 0);
	assert_true(edge_asker_ready(a, 1));
	assert_false(edge_asker_ready(a, 2));
	edge_asker_good(a, n, true, next, 0);
	assert_ptr_equal(a->nonce, next);
	mem_deref(n);
	mem_deref(next);
	list_flush(&l);
}


static void refuse(struct edge_asker *a, uint64_t now, unsigned at_once)
{
	struct digest_nonce *n = nonce_new();

	edge_asker_good(a, n, false, NULL, now);
	for (unsigned i = 0; i < at_once; i++)
		edge_asker_bad(a, n, now);
	mem_deref(n);
}


/* Nonces that are good for once are not kept; those that grow old are */
static void test_strikes(void **state)
{
	struct list l = LIST_INIT;
	struct edge_asker *a = edge_asker_get(&l, NULL, "r", &www);
	struct digest_nonce *n = nonce_new();
	(void)state;

	a->kinds = 1;
	for (int i = 0; i < 10; i++) {
		refuse(a, 0, 50); /* it was in many requests */
		assert_int_equal(a->paused, 0);
		edge_asker_good(a, n, false, NULL, 0);
		edge_asker_good(a, n, true, NULL, 0);
	}

	for (int i = 0; i < 3; i++)
		refuse(a, 7, 1);
	edge_asker_good(a, n, false, NULL, 7 + HOUR_MS - 1);
	assert_false(edge_asker_ready(a, 1));
	edge_asker_good(a, n, false, NULL, 7 + HOUR_MS);
	assert_true(edge_asker_ready(a, 1));
	mem_deref(n);
	list_flush(&l);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_apart),
		cmocka_unit_test(test_ready),
		cmocka_unit_test(test_strikes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
