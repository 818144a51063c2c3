/**
 * @file test_ses_fsm.c  Every state of a session with every event
 */

#include <stdlib.h>
#include <string.h>
#include "tests/unit/common/unit.h"
#include "mediator/server/ses_fsm.h"


static void is(enum ses_state s, enum ses_event e, enum ses_state next,
	       enum ses_act act)
{
	struct ses_step got = ses_next(s, e);

	if (got.next != next || got.act != act)
		print_error("%s + %s\n", ses_state_name(s), ses_event_name(e));
	assert_int_equal(got.next, next);
	assert_int_equal(got.act, act);
}


/* What must hold in every state */
static void test_rules(void **state)
{
	(void)state;

	for (int i = 0; i < SES_STATES; i++) {
		enum ses_state s = (enum ses_state)i;

		for (int j = 0; j < SES_EVENTS; j++) {
			struct ses_step step = ses_next(s, (enum ses_event)j);

			/* Never backwards; work only when logged in; what is
			   refused is closing; what is dropped is closed */
			assert_true(step.next >= s);
			assert_true(step.next < SES_STATES);
			if (step.act == SES_ACT_WORK ||
			    step.act == SES_ACT_PONG)
				assert_true(s == SES_READY ||
					    s == SES_DRAINING);
			assert_true((step.act == SES_ACT_REFUSE) ==
				    (step.next == SES_CLOSING &&
				     s != SES_CLOSING));
			assert_true(
				(step.act == SES_ACT_DROP) ==
				(step.next == SES_CLOSED && s != SES_CLOSED));
		}
		if (s != SES_CLOSED)
			is(s, SES_EV_GONE, SES_CLOSED, SES_ACT_DROP);
	}
}


static void test_story(void **state)
{
	(void)state;

	is(SES_TLS, SES_EV_SECURE, SES_HELLO, SES_ACT_NONE);
	is(SES_HELLO, SES_EV_HELLO, SES_READY, SES_ACT_GREET);
	is(SES_READY, SES_EV_WORK, SES_READY, SES_ACT_WORK);
	is(SES_READY, SES_EV_PING, SES_READY, SES_ACT_PONG);
	is(SES_READY, SES_EV_PONG, SES_READY, SES_ACT_NONE);
	is(SES_READY, SES_EV_DRAIN, SES_DRAINING, SES_ACT_DRAIN);
	is(SES_DRAINING, SES_EV_WORK, SES_DRAINING, SES_ACT_WORK);
	is(SES_DRAINING, SES_EV_DRAIN, SES_DRAINING, SES_ACT_NONE);
}


static void test_refusals(void **state)
{
	(void)state;

	is(SES_TLS, SES_EV_FAULT, SES_CLOSING, SES_ACT_REFUSE);
	is(SES_TLS, SES_EV_TIMEOUT, SES_CLOSED, SES_ACT_DROP);
	is(SES_HELLO, SES_EV_WORK, SES_CLOSING, SES_ACT_REFUSE);
	is(SES_HELLO, SES_EV_PING, SES_CLOSING, SES_ACT_REFUSE);
	is(SES_HELLO, SES_EV_TIMEOUT, SES_CLOSING, SES_ACT_REFUSE);
	is(SES_READY, SES_EV_HELLO, SES_CLOSING, SES_ACT_REFUSE);
	is(SES_READY, SES_EV_FAULT, SES_CLOSING, SES_ACT_REFUSE);
	is(SES_READY, SES_EV_SILENT, SES_CLOSED, SES_ACT_DROP);
	is(SES_CLOSING, SES_EV_WORK, SES_CLOSING, SES_ACT_NONE);
	is(SES_CLOSING, SES_EV_FAULT, SES_CLOSING, SES_ACT_NONE);
	is(SES_CLOSING, SES_EV_TIMEOUT, SES_CLOSED, SES_ACT_DROP);
	for (int j = 0; j < SES_EVENTS; j++)
		is(SES_CLOSED, (enum ses_event)j, SES_CLOSED, SES_ACT_NONE);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_story),
		cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
