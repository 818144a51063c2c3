/**
 * @file test_reg_fsm.c  Every state meets every event; the rules in numbers
 */

#include "tests/unit/common/unit.h"
#include <stdbool.h>
#include <string.h>
#include "sipis/reg/reg_fsm.h"

#define I REG_IDLE
#define G REG_REGISTERING
#define R REG_REGISTERED
#define U REG_UNREGISTERING
#define W REG_WAITING
#define A REG_AUTH_FAILED
#define X REG_REJECTED

/* The table once more, as the rules say it, not as the code does:
   next state and action of each pair, in the order of enum reg_event */
#define NO  REG_DO_NOTHING
#define REG REG_DO_REGISTER
#define RFR REG_DO_REFRESH
#define REM REG_DO_REMOVE
#define SLP REG_DO_SLEEP
#define WT  REG_DO_WAIT
#define STP REG_DO_STOP

static const struct reg_step rules[REG_STATES][REG_EVENTS] = {
	/*      WANT       UNWANT     CREDS      DUE        OK         GONE
		LATER      AUTH       REFUSED    LOST       BACK */
	[I] = { { G, REG },
		{ I, NO },
		{ I, NO },
		{ I, NO },
		{ U, REM },
		{ I, NO },
		{ I, NO },
		{ A, STP },
		{ I, NO },
		{ I, NO },
		{ I, NO } },
	[G] = { { G, NO },
		{ U, REM },
		{ G, REG },
		{ G, REG },
		{ R, SLP },
		{ G, NO },
		{ W, WT },
		{ A, STP },
		{ X, WT },
		{ G, NO },
		{ G, NO } },
	[R] = { { R, NO },
		{ U, REM },
		{ G, REG },
		{ R, RFR },
		{ R, SLP },
		{ G, REG },
		{ W, WT },
		{ A, STP },
		{ X, WT },
		{ G, REG },
		{ R, NO } },
	[U] = { { G, REG },
		{ U, NO },
		{ U, NO },
		{ U, REM },
		{ U, NO },
		{ I, STP },
		{ U, NO },
		{ U, NO },
		{ U, NO },
		{ U, NO },
		{ U, NO } },
	[W] = { { W, NO },
		{ U, REM },
		{ G, REG },
		{ G, REG },
		{ R, SLP },
		{ W, NO },
		{ W, WT },
		{ A, STP },
		{ X, WT },
		{ W, NO },
		{ G, REG } },
	[A] = { { A, NO },
		{ I, STP },
		{ G, REG },
		{ A, NO },
		{ R, SLP },
		{ A, NO },
		{ A, NO },
		{ A, NO },
		{ A, NO },
		{ A, NO },
		{ A, NO } },
	[X] = { { X, NO },
		{ I, STP },
		{ G, REG },
		{ G, REG },
		{ R, SLP },
		{ X, NO },
		{ X, NO },
		{ A, STP },
		{ X, NO },
		{ X, NO },
		{ X, NO } },
};


static void test_reg_fsm_every_pair(void **state)
{
	(void)state;

	for (int s = 0; s < REG_STATES; s++) {
		for (int e = 0; e < REG_EVENTS; e++) {
			const struct reg_step step =
				reg_fsm((enum reg_state)s, (enum reg_event)e);

			if (step.next != rules[s][e].next ||
			    step.action != rules[s][e].action)
				fail_msg("%s x %s: %s, %d",
					 reg_state_name((enum reg_state)s),
					 reg_event_name((enum reg_event)e),
					 reg_state_name(step.next),
					 step.action);
		}
	}
}


/* Whatever happens: some event leads to registered again, and where nothing
   is due any more the app's word does */
static void test_reg_fsm_no_dead_end(void **state)
{
	bool reached[REG_STATES] = { [R] = true };
	bool more = true;
	(void)state;

	while (more) {
		more = false;
		for (int s = 0; s < REG_STATES; s++) {
			for (int e = 0; e < REG_EVENTS && !reached[s]; e++) {
				reached[s] = reached[rules[s][e].next];
				more |= reached[s];
			}
		}
	}
	for (int s = 0; s < REG_STATES; s++)
		assert_true(reached[s]);
}


/* F9 and T4 in one look at the table */
static void test_reg_fsm_never(void **state)
{
	(void)state;

	for (int s = 0; s < REG_STATES; s++) {
		for (int e = 0; e < REG_EVENTS; e++) {
			const struct reg_step t = rules[s][e];

			/* un-REGISTER only because somebody wanted it */
			if (t.action == REG_DO_REMOVE)
				assert_true(e == REG_EV_UNWANT ||
					    (s == U && e == REG_EV_DUE) ||
					    (s == I && e == REG_EV_OK));

			/* a wrong password is not tried again by itself */
			if (s == A && e != REG_EV_CREDS)
				assert_true(t.action == NO ||
					    t.action == STP || e == REG_EV_OK);
		}
	}
}


static void test_reg_fsm_names(void **state)
{
	(void)state;

	for (int s = 0; s < REG_STATES; s++) {
		for (int k = 0; k < s; k++)
			assert_string_not_equal(
				reg_state_name((enum reg_state)s),
				reg_state_name((enum reg_state)k));
	}
	assert_string_equal("?", reg_state_name((enum reg_state)99));
	assert_string_equal("?", reg_event_name((enum reg_event)99));
}


static void test_reg_judge(void **state)
{
	static const struct {
		uint16_t scode;
		enum reg_verdict v;
	} table[] = {
		{ 0, REG_V_WAIT },        { 100, REG_V_WAIT },
		{ 183, REG_V_WAIT },      { 200, REG_V_OK },
		{ 299, REG_V_OK },        { 301, REG_V_LATER },
		{ 302, REG_V_LATER },     { 305, REG_V_LATER },
		{ 400, REG_V_REFUSED },   { 401, REG_V_CHALLENGE },
		{ 403, REG_V_REFUSED },   { 404, REG_V_REFUSED },
		{ 407, REG_V_CHALLENGE }, { 408, REG_V_HOP },
		{ 423, REG_V_BRIEF },     { 429, REG_V_LATER },
		{ 480, REG_V_LATER },     { 486, REG_V_LATER },
		{ 500, REG_V_HOP },       { 501, REG_V_LATER },
		{ 503, REG_V_HOP },       { 504, REG_V_HOP },
		{ 513, REG_V_LATER },     { 600, REG_V_REFUSED },
		{ 604, REG_V_REFUSED },   { 699, REG_V_REFUSED },
		{ 700, REG_V_LATER },     { 65535, REG_V_LATER },
	};
	(void)state;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (reg_judge(0, table[i].scode, false) != table[i].v)
			fail_msg("%u", table[i].scode);
	}
	assert_int_equal(REG_V_AUTH, reg_judge(0, 403, true));
	assert_int_equal(REG_V_HOP, reg_judge(110, 0, true));
}


static void test_reg_wait(void **state)
{
	(void)state;

	for (uint32_t rnd = 0; rnd < 5000; rnd++) {
		uint32_t s;

		/* Retry-After: never before, 20 % after at most */
		s = reg_wait_s(100, 0, rnd * 857);
		assert_in_range(s, 101, 121);
		s = reg_wait_s(UINT32_MAX, 3, rnd * 857);
		assert_in_range(s, 3600, 4321);
		s = reg_wait_s(1, 0, rnd * 857);
		assert_in_range(s, 2, 2);

		/* RFC 5626 4.5 */
		for (unsigned n = 0; n < 20; n++) {
			const uint32_t full = n < 6 ? 30u << n : 1800;

			s = reg_wait_s(0, n, rnd * 2654435761u);
			assert_in_range(s, full / 2 - 1,
					full > 1800 ? 1800 : full);
		}
		s = reg_wait_s(0, UINT8_MAX, rnd * 2654435761u);
		assert_in_range(s, 899, 1800);
	}
}


static void test_reg_brief(void **state)
{
	(void)state;

	assert_int_equal(0, reg_brief(600, 0));
	assert_int_equal(0, reg_brief(600, 600));
	assert_int_equal(0, reg_brief(600, 10));
	assert_int_equal(900, reg_brief(600, 900));
	assert_int_equal(7200, reg_brief(600, UINT32_MAX));
	assert_int_equal(0, reg_brief(7200, UINT32_MAX));
	assert_int_equal(60, reg_brief(30, 40));
}


static void test_reg_doubt(void **state)
{
	(void)state;

	assert_int_equal(15 * 60, reg_doubt_s(0));
	for (uint32_t i = 0; i < 64; i++) {
		const uint32_t s = reg_doubt_s(i * 0x04030201u);

		assert_in_range(s, 15 * 60, 30 * 60);
	}
	assert_in_range(reg_doubt_s(UINT32_MAX), 15 * 60, 30 * 60);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reg_fsm_every_pair),
		cmocka_unit_test(test_reg_fsm_no_dead_end),
		cmocka_unit_test(test_reg_fsm_never),
		cmocka_unit_test(test_reg_fsm_names),
		cmocka_unit_test(test_reg_judge),
		cmocka_unit_test(test_reg_wait),
		cmocka_unit_test(test_reg_brief),
		cmocka_unit_test(test_reg_doubt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
