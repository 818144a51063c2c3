/**
 * @file test_grid.c  Due times in virtual time: long runs, restarts, clocks
 */

#include "tests/unit/common/unit.h"
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "sipis/reg/grid.h"

enum { MIN_S = 30 };

static const uint32_t grants[] = { 60,  61,  90,   119,  120,  180,  299, 300,
				   301, 600, 1800, 3600, 5400, 7199, 7200 };

#define GRANTS (sizeof(grants) / sizeof(grants[0]))


/* Each refresh comes in time and none too soon, for a day, from any start */
static void test_grid_never_late_never_soon(void **state)
{
	(void)state;

	for (size_t k = 0; k < GRANTS; k++) {
		const uint32_t grant = grants[k];

		for (uint64_t id = 1; id < 200; id++) {
			uint32_t g = (uint32_t)(id * 7919), end = g + 86400;

			while (g < end) {
				const uint32_t w =
					grid_wait(id, grant, g, MIN_S);

				assert_true(w >= MIN_S);
				assert_true(w >= grant / 10);
				assert_true(w * 10 <= grant * 9);
				g += w;
			}
		}
	}
}


/* After a few refreshes all stand on the grid: the interval is 80 % */
static void test_grid_settles(void **state)
{
	(void)state;

	for (size_t k = 0; k < GRANTS; k++) {
		const uint32_t grant = grants[k];
		const uint32_t p = grant * 4 / 5;

		for (uint64_t id = 1; id < 200; id++) {
			uint32_t g = (uint32_t)(id * 104729), w = 0;

			for (int i = 0; i < 8; i++) {
				w = grid_wait(id, grant, g, MIN_S);
				g += w;
			}
			assert_int_equal(p, w);
			assert_int_equal(p, grid_next(id, grant, g));
		}
	}
}


/* promises.md P15: the busiest second has less than 3 x the mean, also when
   all registered in the same second and have neighbouring ids */
static void test_grid_flat_load(void **state)
{
	enum { N = 30000, GRANT = 3600, P = GRANT * 4 / 5 };
	static uint16_t load[P];
	unsigned most = 0;
	(void)state;

	memset(load, 0, sizeof(load));
	for (uint64_t id = 1; id <= N; id++) {
		const uint32_t w = grid_wait(id, GRANT, 1000, MIN_S);

		++load[(1000 + w) % P];
	}
	for (int i = 0; i < P; i++)
		most = load[i] > most ? load[i] : most;
	assert_true(most < 3 * N / P);
}


/* A restart at any second finds each due time again */
static void test_grid_restart(void **state)
{
	(void)state;

	for (uint64_t id = 1; id < 300; id++) {
		const uint32_t grant = grants[id % GRANTS];
		uint32_t g = (uint32_t)(id * 7919), due, now, w;

		for (int i = 0; i < 8; i++)
			g += grid_wait(id, grant, g, MIN_S);
		due = g + grid_wait(id, grant, g, MIN_S);

		/* Down from any second to any other before it is due: due
		   when it would have been */
		for (uint32_t from = g; from < due; from += 7) {
			for (now = from; now < due; now += 5) {
				w = grid_after(id, grant, from, now);
				assert_int_equal(due, now + w);
			}
			/* Its point went by in between: at once */
			assert_int_equal(0, grid_after(id, grant, from, due));
			assert_int_equal(
				0, grid_after(id, grant, from, due + 100000));
		}
	}
}


static void test_grid_pack_and_resume(void **state)
{
	const int64_t wall = 1763800000;
	uint32_t from, now;
	(void)state;

	assert_true(
		grid_resume(grid_pack(12345, wall), wall + 100, &from, &now));
	assert_int_equal(12345, from);
	assert_int_equal(12445, now);

	assert_true(grid_resume(grid_pack(0, wall), wall, &from, &now));
	assert_int_equal(0, from);
	assert_int_equal(0, now);

	/* The clock went back: nothing is known, and time does not either */
	assert_false(
		grid_resume(grid_pack(12345, wall), wall - 3600, &from, &now));
	assert_int_equal(12345, now);

	/* A clock that jumps years ahead */
	assert_true(
		grid_resume(grid_pack(12345, wall), wall * 2, &from, &now));
	assert_int_equal(12345, from);
	for (uint64_t id = 1; id < 100; id++)
		assert_int_equal(0, grid_after(id, 7200, from, now));

	/* 68 years of grid time fit */
	assert_true(
		grid_resume(grid_pack(0x7fffffff, wall), wall, &from, &now));
	assert_int_equal(0x7fffffff, from);
}


/* promises.md P26: a step of the wall clock while running changes nothing
   (no wall time goes in); between two starts it costs refreshes, not
   bindings */
static void test_grid_clock_step_over_restart(void **state)
{
	static const int64_t steps[] = { 0,     1,  60,    3600,
					 86400, -1, -3600, -86400 };
	const int64_t wall = 1763800000;
	(void)state;

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		for (uint64_t id = 1; id < 500; id++) {
			const uint32_t grant = 600, down = 5;
			uint32_t g = 0, due, from, now;
			bool known;

			for (int n = 0; n < 5; n++)
				g += grid_wait(id, grant, g, MIN_S);
			due = g + grid_wait(id, grant, g, MIN_S);

			known = grid_resume(grid_pack(g + 10, wall),
					    wall + down + steps[i], &from,
					    &now);
			if (!known)
				continue; /* all at once, paced */
			if (grid_after(id, grant, from, now))
				/* not after it would have lapsed */
				assert_true(grid_after(id, grant, from, now) <=
					    due - g - 10);
		}
	}
}


static void test_grid_rate(void **state)
{
	(void)state;

	assert_int_equal(0, grid_rate(0, 3600));
	assert_int_equal(1, grid_rate(1, 3600));
	assert_int_equal(1, grid_rate(2880, 3600)); /* 80 % of the grant */
	assert_int_equal(2, grid_rate(2881, 3600));
	assert_int_equal(348, grid_rate(1000000, 3600));
	assert_int_equal(7, grid_rate(7, 0));
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grid_never_late_never_soon),
		cmocka_unit_test(test_grid_settles),
		cmocka_unit_test(test_grid_flat_load),
		cmocka_unit_test(test_grid_restart),
		cmocka_unit_test(test_grid_rate),
		cmocka_unit_test(test_grid_pack_and_resume),
		cmocka_unit_test(test_grid_clock_step_over_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
