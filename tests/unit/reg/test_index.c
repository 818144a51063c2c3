/**
 * @file test_index.c  The index against a plain array, under churn
 */

#include "tests/unit/common/unit.h"
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "sipis/reg/index.h"

enum { SLOTS = 5000 };

/* Few different hashes: long runs, wrap-around, much shifting */
static uint64_t poor_hash(uint32_t slot, const void *arg)
{
	const uint64_t *keys = arg;

	return keys[slot] % 61 * 97;
}


static bool equal(uint32_t slot, const void *key, const void *arg)
{
	const uint64_t *keys = arg;

	return keys[slot] == *(const uint64_t *)key;
}


static void test_index_churn(void **state)
{
	static uint64_t keys[SLOTS];
	static bool in[SLOTS];
	struct index_table t = { 0 };
	uint32_t n = 0;
	(void)state;

	srandom(1);
	for (uint32_t i = 0; i < SLOTS; i++)
		keys[i] = (uint64_t)i << 20 | (uint64_t)(random() & 0xfffff);

	for (int step = 0; step < 40000; step++) {
		const uint32_t i =
			(uint32_t)random() % (step < 20000 ? 300 : SLOTS);

		if (in[i]) {
			index_remove(&t, i, poor_hash, keys);
			--n;
		}
		else {
			assert_int_equal(0, index_add(&t, i, poor_hash, keys));
			++n;
		}
		in[i] = !in[i];
		assert_int_equal(n, t.n);

		for (int k = 0; k < 3; k++) {
			const uint32_t j = (uint32_t)random() % SLOTS;

			assert_int_equal(in[j] ? j : UINT32_MAX,
					 index_find(&t, poor_hash(j, keys),
						    &keys[j], equal, keys));
		}
	}
	index_free(&t);
}


static void test_index_empty(void **state)
{
	struct index_table t = { 0 };
	const uint64_t keys[1] = { 1 };
	(void)state;

	assert_int_equal(UINT32_MAX, index_find(&t, 0, &keys[0], equal, keys));
	index_remove(&t, 0, poor_hash, keys);
	assert_int_equal(0, index_add(&t, 0, poor_hash, keys));
	index_remove(&t, 0, poor_hash, keys);
	index_remove(&t, 0, poor_hash, keys);
	assert_int_equal(0, t.n);
	index_free(&t);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_index_churn),
		cmocka_unit_test(test_index_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
