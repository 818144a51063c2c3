/**
 * @file test_room.c  Who gives way to one more phone
 */

#include <stdlib.h>
#include <string.h>
#include "sipis/inst/room.h"
#include "tests/unit/common/unit.h"

enum { NONE = -1 };


static bool here(const char *id, void *arg)
{
	return !strcmp(id, arg);
}


static int chosen(const struct inst_row *v, unsigned n, const char *is_here)
{
	const struct inst_row *inst =
		room_choose(v, n, is_here ? here : NULL, (void *)is_here);

	return inst ? (int)(inst - v) : NONE;
}


static void test_longest_unseen(void **state)
{
	struct inst_row v[] = {
		{ .id = "a", .state = INST_INACTIVE, .seen_ms = 300 },
		{ .id = "b", .state = INST_INACTIVE, .seen_ms = 100 },
		{ .id = "c", .state = INST_INACTIVE, .seen_ms = 200 },
		{ .id = "d", .state = INST_INACTIVE, .seen_ms = 50 },
	};
	(void)state;

	/* d came over HTTPS: it has a secret */
	v[3].secret_sha256[31] = 1;
	assert_int_equal(chosen(v, 4, NULL), 1);
	assert_int_equal(chosen(v, 4, "b"), 2);
	assert_int_equal(chosen(v, 1, "a"), NONE);
	assert_int_equal(chosen(v + 3, 1, NULL), NONE);
	assert_int_equal(chosen(v, 0, NULL), NONE);
}


static void test_dead_first(void **state)
{
	const struct inst_row v[] = {
		{ .id = "a", .state = INST_INACTIVE, .seen_ms = 1 },
		{ .id = "b", .state = INST_GONE, .seen_ms = 300 },
		{ .id = "c", .state = INST_GONE, .seen_ms = 200 },
		{ .id = "d", .state = INST_EXITED, .seen_ms = 0 },
	};
	(void)state;

	assert_int_equal(chosen(v, 4, NULL), 2);
	assert_int_equal(chosen(v, 4, "c"), 1);
	assert_int_equal(chosen(v, 1, NULL), 0);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_longest_unseen),
		cmocka_unit_test(test_dead_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
