/**
 * @file test_breaker.c  Failing fast, and not forgetting too many tokens
 */

#include <stdlib.h>
#include <string.h>
#include "tests/unit/common/unit.h"
#include "mediator/drv/breaker.h"
#include "mediator/drv/guard.h"


static void test_trip_and_mend(void **state)
{
	struct breaker b = { 0 };
	(void)state;

	assert_int_equal(breaker_pass(&b, 0), BREAKER_GO);
	assert_false(breaker_reset(&b));
	assert_true(breaker_trip(&b, "403 x", 1000)); /* tell, once */
	assert_false(breaker_trip(&b, "403 x", 1001));
	assert_string_equal(b.reason, "403 x");
	assert_int_equal(breaker_pass(&b, 1000 + BREAKER_FIRST_MS - 1),
			 BREAKER_STOP);
	assert_int_equal(breaker_pass(&b, 1000 + BREAKER_FIRST_MS),
			 BREAKER_PROBE);
	assert_int_equal(breaker_pass(&b, 1000 + BREAKER_FIRST_MS),
			 BREAKER_STOP); /* one probe at a time */
	assert_true(breaker_reset(&b));
	assert_int_equal(breaker_pass(&b, 0), BREAKER_GO);
}


static void test_probes_get_rare(void **state)
{
	struct breaker b = { 0 };
	int probes = 0;
	(void)state;

	breaker_trip(&b, "x", 0);
	for (uint64_t now = 0; now < 3600000; now += 100) {
		if (breaker_pass(&b, now) != BREAKER_PROBE)
			continue;
		probes++;
		if (probes % 2)
			assert_false(breaker_trip(&b, "x", now));
		else
			breaker_undecided(&b, now);
	}
	/* 30, 60, 120, 240 s, then each 300 */
	assert_int_equal(probes, 4 + (3600 - 450) / 300);
}


static void feed(struct guard *g, unsigned bad, unsigned good)
{
	while (good--)
		guard_add(g, false, true);
	while (bad--)
		guard_add(g, true, false);
}


static void test_guard(void **state)
{
	struct guard g = { 0 };
	(void)state;

	assert_true(guard_trusts(&g));
	feed(&g, GUARD_MIN - 1, 0);
	assert_true(guard_trusts(&g)); /* a few in a row happen */
	feed(&g, 1, 0);
	assert_false(guard_trusts(&g));
	feed(&g, 0, 24);
	assert_true(guard_trusts(&g)); /* 8 of 32 */
	feed(&g, 8, 0);
	assert_false(guard_trusts(&g)); /* 16 of 40 */
	feed(&g, 0, 64);
	assert_true(guard_trusts(&g));
	assert_true(g.passed);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_trip_and_mend),
		cmocka_unit_test(test_probes_get_rare),
		cmocka_unit_test(test_guard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
