/**
 * @file test_backoff.c  Waiting after failures
 */

#include "common/backoff.h"
#include "tests/unit/common/unit.h"


static void test_backoff_doubles_to_max(void **state)
{
	uint32_t want = 30000;

	(void)state;

	for (unsigned n = 0; n < 100; n++) {
		assert_int_equal(backoff_ms(30000, 1800000, n, 0), want);
		want = want * 2 < 1800000 ? want * 2 : 1800000;
	}
}


static void test_backoff_spreads_over_the_upper_half(void **state)
{
	(void)state;

	for (uint64_t rnd = 0; rnd <= UINT32_MAX; rnd += 65537)
		assert_in_range(backoff_ms(200, 5000, 2, (uint32_t)rnd), 400,
				800);

	assert_int_equal(backoff_ms(200, 5000, 2, 0), 800);
	assert_in_range(backoff_ms(200, 5000, 2, UINT32_MAX), 400, 401);
	assert_in_range(backoff_ms(200, 5000, 2, 1u << 31), 599, 601);
}


static void test_backoff_edges(void **state)
{
	(void)state;

	assert_int_equal(backoff_ms(UINT32_MAX, UINT32_MAX, UINT32_MAX, 0),
			 UINT32_MAX);
	assert_int_equal(backoff_ms(0, 1000, 50, 0), 0);
	assert_int_equal(backoff_ms(10, 5, 0, 0), 5);
	assert_int_equal(backoff_ms(1, UINT32_MAX, 31, 0), 1u << 31);
	assert_int_equal(backoff_ms(1, UINT32_MAX, 32, 0), UINT32_MAX);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_backoff_doubles_to_max),
		cmocka_unit_test(test_backoff_edges),
		cmocka_unit_test(test_backoff_spreads_over_the_upper_half),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
