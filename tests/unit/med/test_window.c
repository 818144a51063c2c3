/**
 * @file test_window.c  The places in a mediator's window, in virtual time
 */

#include "sipis/med/window.h"
#include "tests/unit/common/unit.h"

enum { SIZE = 10, OLD = WINDOW_ORPHAN_MS };


static void test_window_room(void **state)
{
	struct window w = { 0 };
	(void)state;

	assert_int_equal(window_room(&w, SIZE, 0), SIZE);
	w.inflight = 4;
	assert_int_equal(window_room(&w, SIZE, 0), 6);
	w.inflight = SIZE;
	assert_int_equal(window_room(&w, SIZE, 0), 0);
	/* it has come back with less */
	assert_int_equal(window_room(&w, 3, 0), 0);
	assert_int_equal(window_room(&w, 0, 0), 0);
}


static void test_window_orphan_keeps_its_place(void **state)
{
	struct window w = { .inflight = SIZE };
	(void)state;

	for (unsigned i = 0; i < SIZE; i++)
		window_give_up(&w, 1000);
	assert_int_equal(w.inflight, 0);
	assert_int_equal(window_room(&w, SIZE, 1000), 0);
	window_orphan_done(&w);
	assert_int_equal(window_room(&w, SIZE, 2000), 1);
}


/* A result that never comes holds its place for 30 s and no longer */
static void test_window_orphans_age(void **state)
{
	struct window w = { .inflight = 3 };
	(void)state;

	window_give_up(&w, 1000);
	window_give_up(&w, 5000);
	for (uint64_t now = 5000; now <= 5000 + OLD; now += 100)
		assert_int_equal(window_room(&w, SIZE, now), SIZE - 3);
	assert_int_equal(window_room(&w, SIZE, 5001 + OLD), SIZE - 1);

	/* those of long ago are not counted again with the next */
	window_give_up(&w, 6000 + OLD);
	assert_int_equal(w.inflight, 0);
	assert_int_equal(w.orphans, 1);
	assert_int_equal(window_room(&w, SIZE, 6000 + OLD), SIZE - 1);
	assert_int_equal(window_room(&w, SIZE, 6001 + 2 * OLD), SIZE);
}


/* A steady trickle of them never lets the window forget, nor does it leak:
   as many are taken as have not been answered since the last pause */
static void test_window_trickle(void **state)
{
	struct window w = { 0 };
	uint64_t now = 0;
	(void)state;

	for (unsigned i = 0; i < 8; i++, now += OLD / 2) {
		++w.inflight;
		window_give_up(&w, now);
		assert_int_equal(w.orphans, i + 1);
	}
	now += OLD;
	assert_int_equal(window_room(&w, SIZE, now), SIZE);
}


/* Results of what was given up long ago: there is nothing to give back */
static void test_window_late_results(void **state)
{
	struct window w = { .inflight = 2 };
	(void)state;

	window_give_up(&w, 0);
	window_give_up(&w, 0);
	for (unsigned i = 0; i < 5; i++)
		window_orphan_done(&w);
	assert_int_equal(w.orphans, 0);
	assert_int_equal(window_room(&w, SIZE, 2 * OLD), SIZE);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_window_room),
		cmocka_unit_test(test_window_orphan_keeps_its_place),
		cmocka_unit_test(test_window_orphans_age),
		cmocka_unit_test(test_window_trickle),
		cmocka_unit_test(test_window_late_results),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
