/**
 * @file test_skew.c  Two clocks and the way between them
 */

#include <string.h>
#include "sipis/med/skew.h"
#include "tests/unit/common/unit.h"

#define WALL 1700000000000

/* Two hosts: ours at zero monotonic is WALL, theirs is off ms ahead */
struct pair {
	struct skew s;
	int64_t off;
	uint64_t now;
};


/* Question, answer: the way there takes there ms, the way back back ms */
static void ask(struct pair *p, uint64_t there, uint64_t back)
{
	const uint64_t asked = p->now;
	const int64_t told = WALL + (int64_t)(asked + there) + p->off;

	p->now += there + back;
	skew_feed(&p->s, asked, p->now, WALL + (int64_t)p->now, told);
}


static void test_skew_nothing_known(void **state)
{
	struct skew s = { 0 };
	(void)state;

	assert_int_equal(skew_ms(&s), 0);
	assert_int_equal(skew_ms(NULL), 0);
	skew_feed(NULL, 0, 0, WALL, WALL);
}


static void test_skew_is_found(void **state)
{
	static const int64_t offv[] = { 201,   -201,    1000,
					-4000, 3600000, -86400000000 };
	(void)state;

	for (size_t i = 0; i < sizeof(offv) / sizeof(offv[0]); i++) {
		struct pair p = { .off = offv[i] + (offv[i] > 0 ? 1 : -1) };

		ask(&p, 0, 0);
		assert_int_equal(skew_ms(&p.s), p.off);
	}
}


/* Whatever the way was like, the answer is right to half of it */
static void test_skew_error_is_bounded(void **state)
{
	(void)state;

	for (uint64_t there = 0; there <= 3000; there += 250) {
		for (uint64_t back = 0; back <= 3000; back += 250) {
			struct pair p = { .off = 10000 };
			int64_t wrong;

			ask(&p, there, back);
			wrong = skew_ms(&p.s) - p.off;
			assert_in_range(wrong + 1500, 0, 3000);
			assert_true(2 * (wrong < 0 ? -wrong : wrong) <=
				    (int64_t)(there + back) + 1);
		}
	}
}


/* A slow way alone never looks like a clock that is off */
static void test_skew_slow_way_is_none(void **state)
{
	(void)state;

	for (uint64_t ms = 0; ms <= 20000; ms += 500) {
		struct pair p = { 0 };

		ask(&p, ms, 0);
		assert_int_equal(skew_ms(&p.s), 0);
		memset(&p.s, 0, sizeof(p.s));
		ask(&p, 0, ms);
		assert_int_equal(skew_ms(&p.s), 0);
	}
}


/* Frozen for 10 s: its late answer does not spoil what is known */
static void test_skew_best_is_kept(void **state)
{
	struct pair p = { .off = 5000 };
	(void)state;

	ask(&p, 10, 10);
	assert_int_equal(skew_ms(&p.s), 5000);
	p.now += 3000;
	ask(&p, 10000, 0);
	assert_int_equal(skew_ms(&p.s), 5000);
	p.now += 3000;
	ask(&p, 1, 1);
	assert_int_equal(skew_ms(&p.s), 5000);
}


static void test_skew_clock_is_set(void **state)
{
	struct pair p = { .off = 60000 };
	(void)state;

	ask(&p, 5, 5);
	assert_int_equal(skew_ms(&p.s), 60000);
	p.now += 3000;
	p.off = 0; /* NTP is there */
	ask(&p, 100, 100);
	assert_int_equal(skew_ms(&p.s), 0);
	p.now += 3000;
	p.off = -7000;
	ask(&p, 20, 20);
	assert_int_equal(skew_ms(&p.s), -7000);
}


/* A good measurement of long ago gives way to a fair one */
static void test_skew_drift_is_followed(void **state)
{
	struct pair p = { .off = 1000 };
	(void)state;

	ask(&p, 0, 0);
	for (unsigned i = 0; i < 1000; i++) {
		p.now += 3000;
		p.off += 1; /* 333 ppm */
		ask(&p, 20, 20);
		assert_in_range(skew_ms(&p.s) - p.off + 50, 0, 100);
	}
}


static void test_skew_foreign_times(void **state)
{
	static const int64_t badv[] = { 0, -1, INT64_MIN, INT64_MAX,
					253402300800001 };
	struct skew s = { 0 };
	(void)state;

	for (size_t i = 0; i < sizeof(badv) / sizeof(badv[0]); i++) {
		skew_feed(&s, 0, 10, WALL, badv[i]);
		assert_false(s.known);
		skew_feed(&s, 0, 10, badv[i], WALL);
		assert_false(s.known);
	}
	skew_feed(&s, 10, 0, WALL, WALL + 500); /* an odd clock of ours */
	assert_int_equal(skew_ms(&s), 500);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_skew_nothing_known),
		cmocka_unit_test(test_skew_is_found),
		cmocka_unit_test(test_skew_error_is_bounded),
		cmocka_unit_test(test_skew_slow_way_is_none),
		cmocka_unit_test(test_skew_best_is_kept),
		cmocka_unit_test(test_skew_clock_is_set),
		cmocka_unit_test(test_skew_drift_is_followed),
		cmocka_unit_test(test_skew_foreign_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
