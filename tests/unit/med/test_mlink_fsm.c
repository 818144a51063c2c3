/**
 * @file test_mlink_fsm.c  Every state of a link to a mediator, every event;
 * its pauses in virtual time
 */

#include "tests/unit/common/unit.h"
#include "sipis/med/mlink_fsm.h"

enum { MIN_MS = 200, MAX_MS = 5000, KICK_MS = 500, FAILS = 40 };


static void test_table(void **state)
{
	/* clang-format off */
	static const struct mlink_step want[MLINK_STATES][MLINK_EVENTS] = {
		/* WANT, UNWANT, DUE, HELLO, DRAIN, LOST, KICK */
		{ { MLINK_TRYING, MLINK_TRY }, { MLINK_IDLE, MLINK_NOTHING },
		  { MLINK_IDLE, MLINK_NOTHING }, { MLINK_IDLE, MLINK_NOTHING },
		  { MLINK_IDLE, MLINK_NOTHING }, { MLINK_IDLE, MLINK_NOTHING },
		  { MLINK_IDLE, MLINK_NOTHING } },
		{ { MLINK_WAITING, MLINK_NOTHING }, { MLINK_IDLE, MLINK_END },
		  { MLINK_TRYING, MLINK_TRY }, { MLINK_WAITING, MLINK_NOTHING },
		  { MLINK_WAITING, MLINK_NOTHING }, { MLINK_WAITING, MLINK_NOTHING },
		  { MLINK_WAITING, MLINK_SOONER } },
		{ { MLINK_TRYING, MLINK_NOTHING }, { MLINK_IDLE, MLINK_END },
		  { MLINK_TRYING, MLINK_NOTHING }, { MLINK_UP, MLINK_SERVE },
		  { MLINK_TRYING, MLINK_NOTHING }, { MLINK_WAITING, MLINK_PAUSE },
		  { MLINK_TRYING, MLINK_NOTHING } },
		{ { MLINK_UP, MLINK_NOTHING }, { MLINK_IDLE, MLINK_END },
		  { MLINK_UP, MLINK_NOTHING }, { MLINK_UP, MLINK_NOTHING },
		  { MLINK_DRAINING, MLINK_FINISH }, { MLINK_WAITING, MLINK_PAUSE },
		  { MLINK_UP, MLINK_NOTHING } },
		{ { MLINK_DRAINING, MLINK_NOTHING }, { MLINK_IDLE, MLINK_END },
		  { MLINK_DRAINING, MLINK_NOTHING }, { MLINK_DRAINING, MLINK_NOTHING },
		  { MLINK_DRAINING, MLINK_FINISH }, { MLINK_WAITING, MLINK_PAUSE },
		  { MLINK_DRAINING, MLINK_NOTHING } },
	};
	/* clang-format on */
	(void)state;

	for (int s = 0; s < MLINK_STATES; s++)
		for (int e = 0; e < MLINK_EVENTS; e++) {
			const struct mlink_step got = mlink_next(
				(enum mlink_state)s, (enum mlink_event)e);

			assert_int_equal(got.state, want[s][e].state);
			assert_int_equal(got.act, want[s][e].act);
		}
}


/* Takes what its handlers do for real: a clock that only they move */
static void test_outage(void **state)
{
	struct mlink_pace p = { .min_ms = MIN_MS,
				.max_ms = MAX_MS,
				.kick_ms = KICK_MS };
	enum mlink_state s = mlink_next(MLINK_IDLE, MLINK_WANT).state;
	uint64_t now = 1000;
	uint32_t full = MIN_MS;
	(void)state;

	for (unsigned i = 0; i < FAILS; i++) {
		uint64_t pause;

		s = mlink_next(s, MLINK_LOST).state;
		assert_int_equal(s, MLINK_WAITING);
		mlink_pace_lost(&p, now, i * 2654435761u);
		pause = p.retry_at - now;
		assert_in_range(pause, full / 2, full);
		full = full * 2 < MAX_MS ? full * 2 : MAX_MS;

		now = p.retry_at;
		s = mlink_next(s, MLINK_DUE).state;
		assert_int_equal(s, MLINK_TRYING);
	}

	assert_int_equal(mlink_next(s, MLINK_HELLO).state, MLINK_UP);
}


/* Whoever waits makes no pause longer than kick_ms, and none longer at all */
static void test_kick(void **state)
{
	(void)state;

	for (uint32_t at = 0; at <= MAX_MS; at += 7) {
		struct mlink_pace p = { .min_ms = MAX_MS,
					.max_ms = MAX_MS,
					.kick_ms = KICK_MS };
		const uint64_t ended = 1000, now = ended + at;
		const uint64_t want = at < KICK_MS ? ended + KICK_MS : now;
		uint64_t was;

		mlink_pace_lost(&p, ended, 0);
		was = p.retry_at;
		if (now > was)
			break;

		assert_int_equal(mlink_pace_kick(&p, now), want < was);
		assert_int_equal(p.retry_at, want < was ? want : was);
		assert_false(mlink_pace_kick(&p, now));
	}
}


static void test_names(void **state)
{
	(void)state;

	assert_string_equal(mlink_state_name(MLINK_IDLE), "spare");
	assert_string_equal(mlink_state_name(MLINK_DRAINING), "draining");
	assert_true(mlink_stands(MLINK_UP) && mlink_stands(MLINK_DRAINING));
	assert_false(mlink_stands(MLINK_IDLE) || mlink_stands(MLINK_WAITING) ||
		     mlink_stands(MLINK_TRYING));
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_outage),
		cmocka_unit_test(test_kick),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
