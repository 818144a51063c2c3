/**
 * @file test_app_state.c  Every state with every event, with and without a
 * token that works
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "sipis/store/app_state.h"

/** What the drawing in app_state.h says: A I X E G for the states in the
    order of their enum, first with a live token, then without */
static const struct {
	enum app_event event;
	const char *live, *dead;
} rows[] = {
	{ APP_SAYS_ACTIVE, "AAAAA", "AAAAA" },
	{ APP_SAYS_INACTIVE, "IIIII", "GGGGG" },
	{ APP_SAYS_EXITED, "XXXXX", "GGGGG" },
	{ APP_LEASE_OVER, "IIXEG", "GGGEG" },
	{ APP_IDLE_OVER, "AEEEG", "AEEEG" },
	{ APP_TOKENS_DEAD, "AGGGG", "AGGGG" },
	{ APP_TOKENS_NEW, "AIXII", "AGGGG" },
};


static enum inst_state decode(char c)
{
	return (enum inst_state)(strchr("AIXEG", c) - "AIXEG");
}


static void every_pair(void **state)
{
	(void)state;
	assert_int_equal(sizeof(rows) / sizeof(*rows), APP_EVENTS);

	for (unsigned e = 0; e < APP_EVENTS; e++)
		for (unsigned s = 0; s < INST_STATES; s++) {
			assert_int_equal(app_next((enum inst_state)s,
						  rows[e].event, true),
					 decode(rows[e].live[s]));
			assert_int_equal(app_next((enum inst_state)s,
						  rows[e].event, false),
					 decode(rows[e].dead[s]));
		}
}


static void wants(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 8; bits++)
		for (unsigned s = 0; s < INST_STATES; s++) {
			const bool after = bits & 1, on = bits & 2,
				   live = bits & 4;
			const bool want = on && live &&
					  (s == INST_INACTIVE ||
					   (s == INST_EXITED && after));

			assert_int_equal(
				app_wants((enum inst_state)s, after, on, live),
				want);
		}
}


static void due(void **state)
{
	(void)state;
	assert_int_equal(app_due(INST_ACTIVE, 77, 5, 10), 77);
	assert_int_equal(app_due(INST_INACTIVE, 77, 5, 10), 10005);
	assert_int_equal(app_due(INST_EXITED, 77, 5, 10), 10005);
	assert_int_equal(app_due(INST_INACTIVE, 77, 5, 0), 0);
	assert_int_equal(app_due(INST_EXPIRED, 77, 5, 10), 0);
	assert_int_equal(app_due(INST_GONE, 77, 5, 10), 0);
}


static void names(void **state)
{
	enum inst_state s;
	enum app_event e;
	(void)state;

	for (unsigned i = 0; i < INST_STATES; i++) {
		assert_int_equal(
			inst_state_decode(&s,
					  inst_state_name((enum inst_state)i)),
			0);
		assert_int_equal(s, i);
		assert_int_equal(app_says(&e, (enum inst_state)i),
				 i > INST_EXITED ? EINVAL : 0);
	}
	assert_int_equal(inst_state_decode(&s, "asleep"), EINVAL);
	assert_string_equal(inst_state_name((enum inst_state)17), "?");
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_pair),
		cmocka_unit_test(wants),
		cmocka_unit_test(due),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
