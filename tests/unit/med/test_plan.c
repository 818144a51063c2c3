/**
 * @file test_plan.c  Which mediator, and when the other one; in virtual time
 */

#include <errno.h>
#include <string.h>
#include "sipis/med/plan.h"
#include "tests/unit/common/unit.h"

enum { LINKS = 2 };


static struct plan_req request(uint64_t deadline)
{
	struct plan_req req;

	memset(&req, 0, sizeof(req));
	req.deadline = deadline;
	return req;
}


static const struct plan_link both_up[LINKS] = {
	{ .up = true, .room = 10 },
	{ .up = true, .room = 10 },
};


static void expect(struct plan_step step, enum plan_what what)
{
	assert_int_equal(step.what, what);
}


static void test_plan_first_link_that_is_up(void **state)
{
	struct plan_link v[LINKS] = { { .retry_at = 900, .failed = true },
				      { .up = true, .room = 1 } };
	struct plan_req req = request(5000);
	struct plan_step step = plan_next(&req, both_up, LINKS, 1000);
	(void)state;

	expect(step, PLAN_SEND);
	assert_int_equal(step.link, 0);

	step = plan_next(&req, v, LINKS, 1000);
	expect(step, PLAN_SEND);
	assert_int_equal(step.link, 1);
}


static void test_plan_full_window_spills_then_queues(void **state)
{
	struct plan_link v[LINKS] = { { .up = true, .room = 0 },
				      { .up = true, .room = 1 } };
	struct plan_req req = request(5000);
	struct plan_step step = plan_next(&req, v, LINKS, 1000);
	(void)state;

	expect(step, PLAN_SEND);
	assert_int_equal(step.link, 1);

	v[1].room = 0;
	step = plan_next(&req, v, LINKS, 1000);
	expect(step, PLAN_QUEUE);
	assert_int_equal(step.at, 5000);
}


/* Silence is borne for half of what is left, then the other gets it too */
static void test_plan_silence_goes_to_the_other_link(void **state)
{
	struct plan_req req = request(5000);
	uint64_t now;
	(void)state;

	plan_sent(&req, 0, 1000);
	for (now = 1000; now < 3000; now++) {
		const struct plan_step step =
			plan_next(&req, both_up, LINKS, now);

		expect(step, PLAN_WAIT);
		assert_int_equal(step.at, 3000);
	}

	expect(plan_next(&req, both_up, LINKS, 3000), PLAN_SEND);
	assert_int_equal(plan_next(&req, both_up, LINKS, 3000).link, 1);
	plan_sent(&req, 1, 3000);

	/* never twice at one mediator, silent or not */
	for (now = 3000; now < 5000; now++)
		expect(plan_next(&req, both_up, LINKS, now), PLAN_WAIT);

	expect(plan_next(&req, both_up, LINKS, 5000), PLAN_FAIL);
	assert_int_equal(plan_next(&req, both_up, LINKS, 5000).err, ETIMEDOUT);
}


static void test_plan_dead_link_resends_at_once(void **state)
{
	struct plan_link v[LINKS] = { { .retry_at = 0, .failed = true },
				      { .up = true, .room = 1 } };
	struct plan_req req = request(5000);
	(void)state;

	plan_sent(&req, 0, 1000);
	assert_true(plan_lost(&req, 0));
	assert_false(plan_lost(&req, 1));
	expect(plan_next(&req, v, LINKS, 1001), PLAN_SEND);
	assert_int_equal(plan_next(&req, v, LINKS, 1001).link, 1);

	/* back on a new connection, it may have it again */
	plan_sent(&req, 1, 1001);
	assert_true(plan_lost(&req, 1));
	v[0].up = true;
	v[0].room = 1;
	v[1].up = false;
	expect(plan_next(&req, v, LINKS, 1500), PLAN_SEND);
	assert_int_equal(plan_next(&req, v, LINKS, 1500).link, 0);
}


static void test_plan_retry_later(void **state)
{
	struct plan_req req = request(5000);
	struct plan_step step;
	(void)state;

	plan_sent(&req, 0, 1000);
	plan_later(&req, 0, 1100, 0);
	step = plan_next(&req, both_up, LINKS, 1100);
	expect(step, PLAN_SEND);
	assert_int_equal(step.link, 1);

	plan_sent(&req, 1, 1100);
	plan_later(&req, 1, 1150, 2000);

	/* the first one again, after the least pause */
	step = plan_next(&req, both_up, LINKS, 1150);
	expect(step, PLAN_WAIT);
	assert_int_equal(step.at, 1100 + PLAN_TWICE_MS);
	step = plan_next(&req, both_up, LINKS, 1100 + PLAN_TWICE_MS);
	expect(step, PLAN_SEND);
	assert_int_equal(step.link, 0);
}


static void test_plan_all_later_than_the_deadline_fails_at_once(void **state)
{
	struct plan_req req = request(5000);
	struct plan_step step;
	(void)state;

	plan_sent(&req, 0, 1000);
	plan_later(&req, 0, 1100, 10000);
	plan_sent(&req, 1, 1100);
	plan_later(&req, 1, 1200, 4000);
	step = plan_next(&req, both_up, LINKS, 1200);
	expect(step, PLAN_FAIL);
	assert_int_equal(step.err, EAGAIN);
}


static void test_plan_nobody_there(void **state)
{
	struct plan_link v[LINKS] = { { .retry_at = 6000, .failed = true },
				      { .retry_at = 4000, .failed = true } };
	struct plan_req req = request(5000);
	struct plan_step step;
	(void)state;

	/* the second will be tried in time */
	expect(plan_next(&req, v, LINKS, 1000), PLAN_WAIT);
	/* it is being tried */
	v[1].retry_at = 0;
	expect(plan_next(&req, v, LINKS, 1000), PLAN_WAIT);
	/* refused, and the next try is too late */
	v[1].retry_at = 5000;
	step = plan_next(&req, v, LINKS, 1000);
	expect(step, PLAN_FAIL);
	assert_int_equal(step.err, ENOTCONN);
}


/* A mediator that dies may have passed it on: nobody can say it did not */
static void test_plan_lost_is_no_refusal(void **state)
{
	struct plan_link v[1] = { { .retry_at = 6000, .failed = true } };
	struct plan_req req = request(5000);
	struct plan_step step;
	(void)state;

	plan_sent(&req, 0, 1000);
	assert_true(plan_lost(&req, 0));
	step = plan_next(&req, v, 1, 1100);
	expect(step, PLAN_FAIL);
	assert_int_equal(step.err, ETIMEDOUT);

	/* there is time for a try: it waits for that */
	v[0].retry_at = 4900;
	for (uint64_t now = 1100; now < 5000; now += 100)
		expect(plan_next(&req, v, 1, now), PLAN_WAIT);
	step = plan_next(&req, v, 1, 5000);
	expect(step, PLAN_FAIL);
	assert_int_equal(step.err, ETIMEDOUT);

	/* back, it says "later": that is its word, not that of the first */
	v[0] = (struct plan_link){ .up = true, .room = 1 };
	expect(plan_next(&req, v, 1, 4000), PLAN_SEND);
	plan_sent(&req, 0, 4000);
	assert_true(plan_left(&req, 0));
	plan_later(&req, 0, 4100, 2000);
	step = plan_next(&req, v, 1, 4100);
	expect(step, PLAN_FAIL);
	assert_int_equal(step.err, ETIMEDOUT);

	/* what was answered is not lost with its connection */
	req = request(5000);
	plan_sent(&req, 0, 1000);
	assert_true(plan_left(&req, 0));
	plan_later(&req, 0, 1100, 10000);
	assert_false(plan_lost(&req, 0));
	v[0] = (struct plan_link){ .retry_at = 6000, .failed = true };
	step = plan_next(&req, v, 1, 1200);
	expect(step, PLAN_FAIL);
	assert_int_equal(step.err, ENOTCONN);
}


static void test_plan_rest_waits_for_the_result_only(void **state)
{
	struct plan_req req = request(5000);
	(void)state;

	expect(plan_rest(&req, LINKS, 1000), PLAN_FAIL);
	plan_sent(&req, 0, 1000);
	expect(plan_rest(&req, LINKS, 4999), PLAN_WAIT);
	expect(plan_rest(&req, LINKS, 5000), PLAN_FAIL);
	(void)plan_lost(&req, 0);
	expect(plan_rest(&req, LINKS, 2000), PLAN_FAIL);
}


/* Whatever the links do, it ends by the deadline, and the time to ask again
   is ahead of now */
static void test_plan_sweep_ends_by_the_deadline(void **state)
{
	uint32_t rnd = 1;
	(void)state;

	for (unsigned run = 0; run < 2000; run++) {
		struct plan_req req = request(4000);
		struct plan_step step = { .what = PLAN_WAIT };
		uint64_t now = 0;
		unsigned steps = 0;

		while (step.what != PLAN_FAIL) {
			struct plan_link v[LINKS];

			for (unsigned i = 0; i < LINKS; i++) {
				rnd = rnd * 1664525 + 1013904223;
				v[i].up = rnd >> 31;
				v[i].room = (rnd >> 29) & 1;
				v[i].failed = !v[i].up;
				v[i].retry_at = (rnd >> 16) & 8191;
				if (!v[i].up)
					(void)plan_lost(&req, i);
			}

			step = plan_next(&req, v, LINKS, now);
			assert_true(++steps < 10000);
			if (step.what == PLAN_SEND) {
				assert_true(v[step.link].up);
				assert_true(v[step.link].room > 0);
				assert_int_not_equal(req.link[step.link].on,
						     PLAN_SENT);
				plan_sent(&req, step.link, now);
				if (rnd & 0x100)
					plan_later(&req, step.link, now,
						   rnd & 1023);
			}
			else if (step.what != PLAN_FAIL) {
				assert_true(step.at > now);
				assert_true(step.at <= 4000);
			}
			now += 1 + (rnd & 63);
		}
		assert_true(now <= 4000 + 64);
	}
}


static void test_plan_wanted(void **state)
{
	struct plan_link v[4];
	(void)state;

	memset(v, 0, sizeof(v));
	assert_int_equal(plan_wanted(v, 1), 0x1);
	assert_int_equal(plan_wanted(v, 4), 0x3); /* at the start */

	v[0].up = true;
	v[1].failed = true;
	assert_int_equal(plan_wanted(v, 4), 0x7); /* the third steps in */
	v[2].failed = true;
	assert_int_equal(plan_wanted(v, 4), 0xf);
	v[1].failed = false;
	v[1].up = true;
	assert_int_equal(plan_wanted(v, 4), 0x3); /* and steps back */
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plan_first_link_that_is_up),
		cmocka_unit_test(test_plan_full_window_spills_then_queues),
		cmocka_unit_test(test_plan_silence_goes_to_the_other_link),
		cmocka_unit_test(test_plan_dead_link_resends_at_once),
		cmocka_unit_test(test_plan_retry_later),
		cmocka_unit_test(
			test_plan_all_later_than_the_deadline_fails_at_once),
		cmocka_unit_test(test_plan_nobody_there),
		cmocka_unit_test(test_plan_lost_is_no_refusal),
		cmocka_unit_test(test_plan_rest_waits_for_the_result_only),
		cmocka_unit_test(test_plan_sweep_ends_by_the_deadline),
		cmocka_unit_test(test_plan_wanted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
