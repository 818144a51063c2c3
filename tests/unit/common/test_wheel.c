/**
 * @file test_wheel.c  The timer wheel in virtual time
 */

#include <stdlib.h>
#include <re/re.h>
#include "common/wheel.h"
#include "tests/unit/common/unit.h"


struct item {
	struct wheel_link link;
	uint32_t want; /**< second in which it must come out */
	unsigned fired;
	struct item *victim;
	uint32_t again;
	bool suicide;
};

struct ctx {
	struct wheel *w;
	uint32_t now;
	unsigned fired;
};


static void handler(struct wheel_link *link, void *arg)
{
	struct item *it = (struct item *)(void *)link;
	struct ctx *c = arg;

	assert_false(wheel_running(link));
	if (it->want)
		assert_int_equal(it->want, c->now);

	c->fired++;
	it->fired++;

	if (it->victim)
		wheel_cancel(&it->victim->link);
	if (it->again)
		wheel_start(c->w, &it->link, it->again);
	if (it->suicide)
		free(it);
}


static void turn(struct ctx *c, uint32_t now)
{
	c->now = now;
	wheel_turn(c->w, now);
}


static int setup(void **state)
{
	struct ctx *c = calloc(1, sizeof(*c));

	c->now = 1000;
	*state = c;
	return wheel_alloc(&c->w, c->now, handler, c);
}


static int teardown(void **state)
{
	struct ctx *c = *state;

	mem_deref(c->w);
	free(c);
	return 0;
}


static void test_wheel_fires_in_its_second(void **state)
{
	struct item it = { .want = 1005 };
	struct ctx *c = *state;

	wheel_start(c->w, &it.link, 1005);
	assert_true(wheel_running(&it.link));

	for (uint32_t t = 1000; t < 1005; t++)
		turn(c, t);
	assert_int_equal(it.fired, 0);

	turn(c, 1005);
	turn(c, 1005);
	turn(c, 1006);
	assert_int_equal(it.fired, 1);
}


/* Further ahead than the ring is long, and just beside its length */
static void test_wheel_long_dues(void **state)
{
	static const uint32_t ahead[] = { 4095, 4096,   4097,  8192,
					  8193, 100000, 864000 };
	struct item v[ARRAY_SIZE(ahead)] = { { .want = 0 } };
	struct ctx *c = *state;

	for (size_t i = 0; i < ARRAY_SIZE(ahead); i++) {
		v[i].want = 1000 + ahead[i];
		wheel_start(c->w, &v[i].link, v[i].want);
	}
	for (uint32_t t = 1001; t <= 1000 + 864000; t++)
		turn(c, t);

	assert_int_equal(c->fired, ARRAY_SIZE(ahead));
}


/* A loop that stood still comes back to all that fell due meanwhile */
static void test_wheel_late_turn(void **state)
{
	struct item v[20000] = { { .want = 0 } };
	struct ctx *c = *state;

	for (uint32_t i = 0; i < ARRAY_SIZE(v); i++)
		wheel_start(c->w, &v[i].link, 1001 + i);

	turn(c, 1000 + 10000);
	assert_int_equal(c->fired, 10000);
	assert_true(wheel_running(&v[10000].link));

	turn(c, 1000 + 20000);
	assert_int_equal(c->fired, 20000);
}


static void test_wheel_cancel(void **state)
{
	struct item a = { .want = 0 }, b = { .want = 1001 };
	struct ctx *c = *state;

	wheel_cancel(&a.link);
	wheel_start(c->w, &a.link, 1001);
	wheel_start(c->w, &b.link, 1001);
	wheel_cancel(&a.link);
	wheel_cancel(&a.link);
	turn(c, 1001);

	assert_int_equal(a.fired, 0);
	assert_int_equal(b.fired, 1);
}


static void test_wheel_restart_moves(void **state)
{
	struct item a = { .want = 1009 };
	struct ctx *c = *state;

	wheel_start(c->w, &a.link, 1003);
	wheel_start(c->w, &a.link, 1009);
	for (uint32_t t = 1001; t < 1020; t++)
		turn(c, t);

	assert_int_equal(a.fired, 1);
}


/* Whichever comes out first takes the other away, in the same second */
static void test_wheel_cancel_in_handler(void **state)
{
	struct item a = { .want = 1001 }, b = { .want = 1001 };
	struct ctx *c = *state;

	a.victim = &b;
	b.victim = &a;
	wheel_start(c->w, &a.link, 1001);
	wheel_start(c->w, &b.link, 1001);
	turn(c, 1001);

	assert_int_equal(a.fired + b.fired, 1);
	assert_false(wheel_running(&a.link));
	assert_false(wheel_running(&b.link));
}


/* A handler that starts itself for a second that is over must not hold the
   turn for ever */
static void test_wheel_start_in_the_past(void **state)
{
	struct item a = { .again = 5 };
	struct ctx *c = *state;

	wheel_start(c->w, &a.link, 0);
	turn(c, 1001);
	assert_int_equal(a.fired, 1);
	turn(c, 1001);
	assert_int_equal(a.fired, 1);
	turn(c, 1002);
	assert_int_equal(a.fired, 2);
	wheel_cancel(&a.link);
}


static void test_wheel_free_in_handler(void **state)
{
	struct ctx *c = *state;

	for (int i = 0; i < 100; i++) {
		struct item *it = calloc(1, sizeof(*it));

		it->suicide = true;
		wheel_start(c->w, &it->link, 1001 + i % 3);
	}
	turn(c, 1004);
	assert_int_equal(c->fired, 100);
}


static void test_wheel_time_steps_back(void **state)
{
	struct item a = { .want = 1002 };
	struct ctx *c = *state;

	wheel_start(c->w, &a.link, 1002);
	turn(c, 1001);
	turn(c, 500);
	assert_int_equal(a.fired, 0);
	turn(c, 1002);
	assert_int_equal(a.fired, 1);
}


static void test_wheel_outlived_by_its_links(void **state)
{
	struct item a = { .want = 0 };
	struct wheel *w;

	(void)state;

	assert_int_equal(wheel_alloc(&w, 0, handler, NULL), 0);
	wheel_start(w, &a.link, 7);
	mem_deref(w);

	assert_false(wheel_running(&a.link));
	wheel_cancel(&a.link);
}


/* Every one of a million comes out once, in its second, and the load is as
   flat as the dues are */
static void test_wheel_million(void **state)
{
	enum { N = 1000000, SPAN = 3600 };
	struct item *v = calloc(N, sizeof(*v));
	struct ctx *c = *state;

	assert_non_null(v);

	for (uint32_t i = 0; i < N; i++) {
		v[i].want = 1001 + i * 7919u % SPAN;
		wheel_start(c->w, &v[i].link, v[i].want);
	}
	for (uint32_t i = 0; i < N; i += 10)
		wheel_cancel(&v[i].link);

	for (uint32_t t = 1001; t <= 1000 + SPAN; t++) {
		const unsigned before = c->fired;

		turn(c, t);
		assert_in_range(c->fired - before, 0, N / SPAN * 2);
	}

	assert_int_equal(c->fired, N - N / 10);
	free(v);
}


static void test_wheel_bad_arguments(void **state)
{
	struct wheel *w;

	(void)state;

	assert_int_equal(wheel_alloc(NULL, 0, handler, NULL), EINVAL);
	assert_int_equal(wheel_alloc(&w, 0, NULL, NULL), EINVAL);
	wheel_turn(NULL, 1);
	wheel_start(NULL, NULL, 1);
	wheel_cancel(NULL);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wheel_bad_arguments),
		cmocka_unit_test_setup_teardown(test_wheel_cancel, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_wheel_cancel_in_handler,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_wheel_fires_in_its_second,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_wheel_free_in_handler,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_wheel_late_turn, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_wheel_long_dues, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_wheel_million, setup,
						teardown),
		cmocka_unit_test(test_wheel_outlived_by_its_links),
		cmocka_unit_test_setup_teardown(test_wheel_restart_moves,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_wheel_start_in_the_past,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_wheel_time_steps_back,
						setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
