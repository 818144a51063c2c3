/**
 * @file test_bucket.c  The token bucket
 */

#include "common/bucket.h"
#include "tests/unit/common/unit.h"


static void test_bucket_burst_then_rate(void **state)
{
	struct bucket b;
	unsigned n = 0;

	(void)state;

	bucket_init(&b, 10, 5, 1000);
	while (bucket_take(&b, 1, 1000))
		n++;
	assert_int_equal(n, 5);

	assert_false(bucket_take(&b, 1, 1099));
	assert_true(bucket_take(&b, 1, 1100));
	assert_false(bucket_take(&b, 1, 1199));
	assert_true(bucket_take(&b, 1, 1200));
}


static void test_bucket_never_over_burst(void **state)
{
	struct bucket b;
	unsigned n = 0;

	(void)state;

	bucket_init(&b, 100, 3, 0);
	while (bucket_take(&b, 1, 1000000))
		n++;
	assert_int_equal(n, 3);
}


/* Whoever waits as long as told gets his token, at any rate, and loses less
   than a millisecond over all waits */
static void test_bucket_wait_is_enough_and_no_more(void **state)
{
	static const double rates[] = { 0.1, 0.3, 1, 3, 7, 33.3, 500, 999 };
	enum { TAKES = 1000, BURST = 2 };
	const uint64_t begin = 123456789;
	struct bucket b;

	(void)state;

	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		const double ms = (TAKES - BURST) * 1000. / rates[i];
		uint64_t now = begin;

		bucket_init(&b, rates[i], BURST, now);
		for (int k = 0; k < TAKES; k++) {
			now += bucket_wait(&b, 1, now);
			assert_true(bucket_take(&b, 1, now));
		}
		assert_in_range(now - begin, (uint64_t)ms, (uint64_t)ms + 1);
	}
}


static void test_bucket_rate_holds_over_time(void **state)
{
	struct bucket b;
	unsigned n = 0;

	(void)state;

	bucket_init(&b, 100, 10, 0);
	for (uint64_t t = 0; t <= 60000; t++)
		n += bucket_take(&b, 1, t);

	assert_in_range(n, 6009, 6011);
}


static void test_bucket_impossible(void **state)
{
	struct bucket b;

	(void)state;

	bucket_init(&b, 1, 5, 0);
	assert_false(bucket_take(&b, 6, 1000000));
	assert_true(bucket_wait(&b, 6, 0) == UINT64_MAX);

	bucket_init(&b, 0, 1, 0);
	assert_true(bucket_take(&b, 1, 0));
	assert_true(bucket_wait(&b, 1, 0) == UINT64_MAX);
	assert_false(bucket_take(&b, 1, 1000000));
}


static void test_bucket_owes_what_was_charged(void **state)
{
	struct bucket b;

	(void)state;

	bucket_init(&b, 10, 1, 0);
	bucket_charge(&b, 3, 0);
	assert_true(bucket_wait(&b, 1, 0) == 300);
	assert_false(bucket_take(&b, 1, 299));
	assert_true(bucket_take(&b, 1, 300));
}


static void test_bucket_time_steps_back(void **state)
{
	struct bucket b;

	(void)state;

	bucket_init(&b, 1, 1, 5000);
	assert_true(bucket_take(&b, 1, 5000));
	assert_false(bucket_take(&b, 1, 1000));
	assert_false(bucket_take(&b, 1, 5999));
	assert_true(bucket_take(&b, 1, 6000));
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bucket_burst_then_rate),
		cmocka_unit_test(test_bucket_impossible),
		cmocka_unit_test(test_bucket_never_over_burst),
		cmocka_unit_test(test_bucket_owes_what_was_charged),
		cmocka_unit_test(test_bucket_rate_holds_over_time),
		cmocka_unit_test(test_bucket_time_steps_back),
		cmocka_unit_test(test_bucket_wait_is_enough_and_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
