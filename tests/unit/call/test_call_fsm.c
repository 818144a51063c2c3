/**
 * @file test_call_fsm.c  Every state x event pair of a waiting call
 *
 * The table is written down here a second time, from the rules and not from
 * the code: one letter per pair.
 */

#include <stdbool.h>
#include <string.h>
#include "sipis/call/call_fsm.h"
#include "tests/unit/common/unit.h"

/* where a pair leads: the state's letter, then the action's */
struct pair {
	char state, action;
};

static const char state_letter[] = "RWAGHE";
/* in the order of enum call_action */
static const char action_letter[] = "-wroalDtdcmfx";

/*  PHONES NOBODY ACCEPTED UNREACHED CAME ARRIVED DIAL RINGS QUIET LOST TAKEN
    DECLINED CANCEL LATE */
static const char *const rules[CALL_STATES] = {
	[CALL_READING] = "Ww Ef R- R- R- R- R- R- R- R- R- R- Ec Ef",
	[CALL_WAKING] = "W- W- Wr Ef Ao W- W- W- W- W- Et Ed Ec Em",
	[CALL_AWAKE] = "A- A- Ar A- Ao Hl HD G- A- Aa Et Ed Ec Em",
	[CALL_RINGING] = "G- G- G- G- Go G- G- G- Ao Aa Et Ed Ec Em",
	[CALL_HANDED] = "H- H- H- H- H- H- H- H- H- H- H- Ex H- Ex",
	[CALL_ENDED] = "E- E- E- E- E- E- E- E- E- E- E- E- E- E-",
};


static void test_call_fsm_every_pair(void **state)
{
	(void)state;

	for (unsigned s = 0; s < CALL_STATES; s++) {
		assert_int_equal(strlen(rules[s]), 3 * CALL_EVENTS - 1);
		for (unsigned e = 0; e < CALL_EVENTS; e++) {
			const char *rule = &rules[s][3 * e];
			const struct call_step step = call_fsm_step(
				(enum call_state)s, (enum call_event)e);

			if (state_letter[step.next] != rule[0] ||
			    action_letter[step.action] != rule[1])
				fail_msg("%s + %s -> %s, %s; want %.2s",
					 call_state_name(s),
					 call_event_name(e),
					 call_state_name(step.next),
					 call_action_name(step.action), rule);
		}
	}
}


static bool is_final(enum call_action a)
{
	return a == CALL_AC_LEAVE || a == CALL_AC_DIAL || a == CALL_AC_TAKEN ||
	       a == CALL_AC_DECLINE || a == CALL_AC_CANCEL ||
	       a == CALL_AC_MISS || a == CALL_AC_FAIL;
}


/* An INVITE has exactly one final answer: it goes on every way out of the
   four upper states, and on none after that */
static void test_call_fsm_one_final_answer(void **state)
{
	(void)state;

	for (unsigned s = 0; s < CALL_STATES; s++)
		for (unsigned e = 0; e < CALL_EVENTS; e++) {
			const struct call_step step = call_fsm_step(
				(enum call_state)s, (enum call_event)e);
			const bool leaves =
				s < CALL_HANDED && step.next >= CALL_HANDED;

			assert_int_equal(is_final(step.action), leaves);
		}
}


/* No state waits for ever, and a CANCEL is always heard in time */
static void test_call_fsm_every_state_has_a_way_out(void **state)
{
	(void)state;

	for (unsigned s = 0; s < CALL_ENDED; s++) {
		const struct call_step late =
			call_fsm_step((enum call_state)s, CALL_EV_LATE);
		const struct call_step cancel =
			call_fsm_step((enum call_state)s, CALL_EV_CANCEL);

		assert_int_equal(late.next, CALL_ENDED);
		if (s < CALL_HANDED)
			assert_int_equal(cancel.action, CALL_AC_CANCEL);
	}
}


static void test_call_fsm_names(void **state)
{
	(void)state;

	for (unsigned i = 0; i < CALL_STATES; i++)
		assert_string_not_equal(call_state_name(i), "?");
	for (unsigned i = 0; i < CALL_EVENTS; i++)
		assert_string_not_equal(call_event_name(i), "?");
	for (unsigned i = 0; i < CALL_ACTIONS; i++)
		assert_string_not_equal(call_action_name(i), "?");
	assert_string_equal(call_state_name(CALL_STATES), "?");
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_call_fsm_every_pair),
		cmocka_unit_test(test_call_fsm_one_final_answer),
		cmocka_unit_test(test_call_fsm_every_state_has_a_way_out),
		cmocka_unit_test(test_call_fsm_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
