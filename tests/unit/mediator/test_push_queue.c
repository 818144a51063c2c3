/**
 * @file test_push_queue.c  Lanes, turns, rates and times, in virtual time
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "tests/unit/common/unit.h"
#include "mediator/queue/queue.h"

enum { N = 64, FAR = 1000000 };

struct fix {
	struct queue *q;
	struct tenant *t[3];
	struct queue_item it[3][N];
	int dropped[3];
	uint64_t wait;
};


static void drop_handler(struct queue_item *it, enum queue_drop why, void *arg)
{
	struct fix *f = arg;

	assert_null(it->flow);
	f->dropped[why]++;
}


static int setup(void **state)
{
	static char *apps[] = { (char *)"phone" };
	struct fix *f = calloc(1, sizeof(*f));
	const struct mcfg_tenant cfg = {
		.apps = apps,
		.apps_count = 1,
		.limits = { .rate = 1000, .burst = 1000, .depth = N },
	};

	for (int i = 0; i < 3; i++) {
		char name[2] = { (char)('a' + i), 0 };
		struct tenant_rights *r;

		assert_int_equal(tenant_alloc(&f->t[i], name), 0);
		assert_int_equal(tenant_rights_alloc(&r, &cfg), 0);
		tenant_grant(f->t[i], r, 0);
		mem_deref(r);
		for (int j = 0; j < N; j++) {
			f->it[i][j].tenant = f->t[i];
			f->it[i][j].lane = QUEUE_OTHERS;
			f->it[i][j].expires = f->it[i][j].give_up = FAR;
		}
	}
	assert_int_equal(queue_alloc(&f->q, drop_handler, f), 0);
	*state = f;
	return 0;
}


static int teardown(void **state)
{
	struct fix *f = *state;

	mem_deref(f->q);
	for (int i = 0; i < 3; i++)
		mem_deref(f->t[i]);
	free(f);
	return 0;
}


static struct queue_item *take(struct fix *f, uint64_t now)
{
	struct queue_item *it;

	f->wait = 0;
	it = queue_take(f->q, QUEUE_CALLS, N, now, &f->wait);
	return it ? it : queue_take(f->q, QUEUE_OTHERS, N * N, now, &f->wait);
}


static void test_calls_first(void **state)
{
	struct fix *f = *state;

	for (int j = 0; j < 10; j++) {
		f->it[0][j].lane = j < 7 ? QUEUE_OTHERS : QUEUE_CALLS;
		assert_int_equal(queue_put(f->q, &f->it[0][j]), 0);
	}
	f->it[1][0].lane = QUEUE_CALLS;
	assert_int_equal(queue_put(f->q, &f->it[1][0]), 0);

	for (int i = 0; i < 4; i++)
		assert_int_equal(take(f, 0)->lane, QUEUE_CALLS);
	for (int j = 0; j < 7; j++)
		assert_ptr_equal(take(f, 0), &f->it[0][j]);
	assert_null(take(f, 0));
	assert_int_equal(f->wait, 0);
	assert_int_equal(f->t[0]->waiting[QUEUE_OTHERS], 0);
}


/* Whoever has much waits for himself only */
static void test_turns(void **state)
{
	struct fix *f = *state;

	for (int j = 0; j < 60; j++)
		assert_int_equal(queue_put(f->q, &f->it[0][j]), 0);
	for (int j = 0; j < 5; j++) {
		assert_int_equal(queue_put(f->q, &f->it[1][j]), 0);
		assert_int_equal(queue_put(f->q, &f->it[2][j]), 0);
	}

	for (int j = 0; j < 5; j++) {
		assert_ptr_equal(take(f, 0), &f->it[0][j]);
		assert_ptr_equal(take(f, 0), &f->it[1][j]);
		assert_ptr_equal(take(f, 0), &f->it[2][j]);
	}
	for (int j = 5; j < 60; j++)
		assert_ptr_equal(take(f, 0), &f->it[0][j]);
	assert_null(take(f, 0));
}


static void test_depth(void **state)
{
	struct fix *f = *state;
	struct queue_item more = f->it[0][0];

	for (int j = 0; j < N; j++)
		assert_int_equal(queue_put(f->q, &f->it[0][j]), 0);
	assert_int_equal(queue_put(f->q, &more), EAGAIN);
	assert_int_equal(queue_put(f->q, &f->it[1][0]), 0);
	/* What was taken before has its place */
	assert_int_equal(queue_put_back(f->q, &more), 0);
	assert_ptr_equal(take(f, 0), &more);
	assert_int_equal(queue_count(f->q), N + 1);
}


/* Neither depth nor rate of messages is taken from calls */
static void test_lanes_apart(void **state)
{
	struct fix *f = *state;
	struct queue_item *call = &f->it[1][0];

	for (int j = 0; j < N; j++)
		assert_int_equal(queue_put(f->q, &f->it[0][j]), 0);
	while (take(f, 0))
		;
	for (int j = 0; j < N; j++)
		assert_int_equal(queue_put(f->q, &f->it[0][j]), 0);
	bucket_init(&f->t[0]->bucket[QUEUE_OTHERS], 1, 0, 0);
	call->tenant = f->t[0];
	call->lane = QUEUE_CALLS;
	assert_int_equal(queue_put(f->q, call), 0);
	assert_ptr_equal(take(f, 0), call);
	queue_flush(f->q);
}


/* Half of what can be under way, while another one waits */
static void test_share(void **state)
{
	struct fix *f = *state;
	uint64_t w = 0;

	for (int j = 0; j < 20; j++)
		assert_int_equal(queue_put(f->q, &f->it[0][j]), 0);
	for (int j = 0; j < 8; j++)
		assert_non_null(queue_take(f->q, QUEUE_OTHERS, 4, 0, &w));
	assert_int_equal(queue_put(f->q, &f->it[1][0]), 0);
	assert_int_equal(queue_put(f->q, &f->it[1][1]), 0);
	assert_ptr_equal(queue_take(f->q, QUEUE_OTHERS, 4, 0, &w),
			 &f->it[1][0]);
	for (int j = 0; j < 5; j++)
		queue_done(&f->it[0][j]);
	queue_done(&f->it[0][0]);
	assert_ptr_equal(queue_take(f->q, QUEUE_OTHERS, 4, 0, &w),
			 &f->it[0][8]);
	assert_ptr_equal(queue_take(f->q, QUEUE_OTHERS, 4, 0, &w),
			 &f->it[1][1]);
	queue_flush(f->q);
}


/* At the tenant's rate, while others pass it */
static void test_rate(void **state)
{
	struct fix *f = *state;
	int sent = 0;

	bucket_init(&f->t[0]->bucket[QUEUE_OTHERS], 10, 2, 0);
	for (int j = 0; j < 50; j++)
		assert_int_equal(queue_put(f->q, &f->it[0][j]), 0);
	while (take(f, 0))
		sent++;
	assert_int_equal(sent, 2);
	assert_int_equal(f->wait, 100);
	assert_int_equal(queue_put(f->q, &f->it[1][0]), 0);
	assert_ptr_equal(take(f, 0), &f->it[1][0]);

	for (uint64_t now = 0; now <= 1000; now++)
		while (take(f, now))
			sent++;
	assert_int_equal(sent, 12);
	/* Paid already: no second time */
	f->it[2][0].tenant = f->t[0];
	f->it[2][0].charged = true;
	assert_int_equal(queue_put_back(f->q, &f->it[2][0]), 0);
	assert_ptr_equal(take(f, 1000), &f->it[2][0]);
	queue_flush(f->q);
}


static void test_times(void **state)
{
	struct fix *f = *state;

	f->it[0][0].expires = 100;
	f->it[0][1].give_up = 50;
	f->it[0][2].give_up = f->it[0][2].expires = 70;
	for (int j = 0; j < 4; j++)
		assert_int_equal(queue_put(f->q, &f->it[0][j]), 0);

	queue_sweep(f->q, 49);
	assert_int_equal(queue_count(f->q), 4);
	queue_sweep(f->q, 50);
	assert_int_equal(f->dropped[QUEUE_WAITED], 1);
	queue_sweep(f->q, 70);
	assert_int_equal(f->dropped[QUEUE_EXPIRED], 1);
	/* Also without a sweep nothing late goes out */
	assert_ptr_equal(take(f, 100), &f->it[0][3]);
	assert_int_equal(f->dropped[QUEUE_EXPIRED], 2);
	assert_int_equal(f->t[0]->waiting[QUEUE_OTHERS], 0);
}


static void test_remove_and_flush(void **state)
{
	struct fix *f = *state;

	for (int j = 0; j < 4; j++)
		assert_int_equal(queue_put(f->q, &f->it[0][j]), 0);
	queue_remove(&f->it[0][1]);
	queue_remove(&f->it[0][1]);
	assert_int_equal(queue_count(f->q), 3);
	assert_ptr_equal(take(f, 0), &f->it[0][0]);
	assert_ptr_equal(take(f, 0), &f->it[0][2]);
	assert_int_equal(queue_put(f->q, &f->it[1][0]), 0);
	queue_flush(f->q);
	assert_int_equal(f->dropped[QUEUE_FLUSHED], 2);
	assert_int_equal(queue_count(f->q), 0);
}


/* A flood of one tenant at 20 times its rate, for a minute: the other's
   pushes leave in the millisecond they come */
static void test_flood(void **state)
{
	struct fix *f = *state;
	uint64_t worst = 0, came = 0;
	unsigned a = 0;
	bool waits = false;

	bucket_init(&f->t[0]->bucket[QUEUE_OTHERS], 50, 500, 0);
	bucket_init(&f->t[1]->bucket[QUEUE_OTHERS], 50, 500, 0);
	for (uint64_t now = 0; now < 60000; now++) {
		struct queue_item *it;

		if (!f->it[0][a % N].flow) {
			f->it[0][a % N].charged = false;
			(void)queue_put(f->q, &f->it[0][a % N]);
		}
		a++;
		if (now % 25 == 0) {
			assert_false(waits);
			f->it[1][0].charged = false;
			assert_int_equal(queue_put(f->q, &f->it[1][0]), 0);
			waits = true;
			came = now;
		}
		/* A provider that takes two in a millisecond */
		for (int i = 0; i < 2 && (it = take(f, now)); i++) {
			if (it->tenant != f->t[1])
				continue;
			waits = false;
			if (now - came > worst)
				worst = now - came;
		}
	}
	assert_int_equal(worst, 0);
	queue_flush(f->q);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		TEST(test_calls_first), TEST(test_turns),
		TEST(test_depth),       TEST(test_rate),
		TEST(test_times),       TEST(test_remove_and_flush),
		TEST(test_flood),       TEST(test_lanes_apart),
		TEST(test_share),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
