/**
 * @file test_tmr_heap.c  libre's timers, replaced; on a turned clock
 *
 * tmr_poll() takes libre's list, which ours has no use for.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <re/re.h>
#include "common/tmr_heap.h"
#include "tests/unit/common/unit.h"


struct item {
	struct tmr tmr;
	uint64_t due;
	unsigned order; /**< of the last start */
	bool is_long;
	unsigned fired;
	struct sim *sim;
};

struct sim {
	struct item *v;
	size_t n;
	uint64_t last_due;
	unsigned last_order[2]; /**< short and long ones, at last_due */
	unsigned starts;
	unsigned fired;
	unsigned seed;
};

static struct {
	bool real;
	uint64_t ms;
} turned = { false, 5000 };

int __real_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);


int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	if (turned.real)
		return __real_clock_gettime(id, ts);

	ts->tv_sec = (time_t)(turned.ms / 1000);
	ts->tv_nsec = (long)(turned.ms % 1000) * 1000000;

	return 0;
}


static void fire(void *arg)
{
	struct item *it = arg;
	struct sim *s = it->sim;

	assert_false(tmr_isrunning(&it->tmr));
	assert_true(it->due <= turned.ms);
	assert_true(it->due >= s->last_due);
	if (it->due > s->last_due)
		memset(s->last_order, 0, sizeof(s->last_order));
	assert_true(it->order > s->last_order[it->is_long]);

	s->last_due = it->due;
	s->last_order[it->is_long] = it->order;
	s->fired++;
	it->fired++;
}


static void start(struct item *it, uint64_t delay, tmr_h *th)
{
	it->due = turned.ms + delay;
	it->is_long = delay >= TMR_LONG_MS;
	if (it->is_long)
		it->due += -it->due % TMR_STEP_MS;
	it->order = ++it->sim->starts;
	tmr_start(&it->tmr, delay, th, it);
	assert_true(tmr_isrunning(&it->tmr));
}


static struct sim *sim_alloc(size_t n)
{
	struct sim *s = calloc(1, sizeof(*s));

	s->v = calloc(n, sizeof(*s->v));
	s->n = n;
	s->seed = 1;
	for (size_t i = 0; i < n; i++) {
		tmr_init(&s->v[i].tmr);
		s->v[i].sim = s;
	}

	return s;
}


static void sim_free(struct sim *s)
{
	for (size_t i = 0; i < s->n; i++)
		tmr_cancel(&s->v[i].tmr);
	assert_int_equal(tmr_next_timeout(NULL), 0);

	free(s->v);
	free(s);
}


static void test_tmr_heap_is_in_use(void **state)
{
	(void)state;
	assert_int_equal(tmrheap_check(), 0);
}


static void test_tmr_heap_order_and_fifo(void **state)
{
	static const uint64_t delay[] = { 50, 10, 50, 0, 10, 30, 50, 0 };
	struct sim *s = sim_alloc(ARRAY_SIZE(delay));

	(void)state;

	for (size_t i = 0; i < s->n; i++)
		start(&s->v[i], delay[i], fire);

	tmr_poll(NULL);
	assert_int_equal(s->fired, 2);
	assert_int_equal(tmr_next_timeout(NULL), 10);
	assert_int_equal(tmr_get_expire(&s->v[0].tmr), 50);

	turned.ms += 30;
	assert_int_equal(tmr_next_timeout(NULL), 1);
	tmr_poll(NULL);
	assert_int_equal(s->fired, 5);
	assert_int_equal(tmr_next_timeout(NULL), 20);
	assert_int_equal(tmr_get_expire(&s->v[3].tmr), 0);

	turned.ms += 1000;
	tmr_poll(NULL);
	assert_int_equal(s->fired, 8);
	assert_int_equal(tmr_next_timeout(NULL), 0);
	sim_free(s);
}


static void test_tmr_heap_restart_and_cancel(void **state)
{
	struct sim *s = sim_alloc(3);

	(void)state;

	start(&s->v[0], 10, fire);
	start(&s->v[1], 10, fire);
	start(&s->v[2], 5, fire);
	start(&s->v[0], 20, fire);
	tmr_cancel(&s->v[2].tmr);
	tmr_cancel(&s->v[2].tmr);
	assert_false(tmr_isrunning(&s->v[2].tmr));

	turned.ms += 10;
	tmr_poll(NULL);
	assert_int_equal(s->v[1].fired, 1);
	assert_int_equal(s->fired, 1);

	turned.ms += 10;
	tmr_poll(NULL);
	assert_int_equal(s->v[0].fired, 1);
	assert_int_equal(s->v[2].fired, 0);
	sim_free(s);
}


static unsigned draw(struct sim *s)
{
	s->seed = s->seed * 1664525u + 1013904223u;
	return s->seed >> 8;
}


static unsigned delay(struct sim *s)
{
	return draw(s) % 8 ? draw(s) % 500 : 3500 + draw(s) % 10000;
}


/* Does to any timer, running or not, what a handler may do */
static void meddle(void *arg)
{
	struct item *it = arg;
	struct sim *s = it->sim;

	fire(it);

	for (int i = 0; i < 2; i++) {
		struct item *other = &s->v[draw(s) % s->n];

		if (draw(s) % 3)
			tmr_cancel(&other->tmr);
		else
			start(other, 1 + delay(s), meddle);
	}
}


static void test_tmr_heap_handlers_meddle(void **state)
{
	struct sim *s = sim_alloc(1000);
	uint64_t end = turned.ms + 300000;

	(void)state;

	for (size_t i = 0; i < s->n; i++)
		start(&s->v[i], delay(s), meddle);

	while (turned.ms < end) {
		uint64_t wait, soonest = UINT64_MAX;
		size_t running = 0;

		tmr_poll(NULL);

		for (size_t i = 0; i < s->n; i++) {
			const struct item *it = &s->v[i];

			if (!tmr_isrunning(&it->tmr))
				continue;
			running++;
			assert_true(it->due > turned.ms);
			if (it->due < soonest)
				soonest = it->due;
		}

		wait = tmr_next_timeout(NULL);
		assert_int_equal(wait, running ? soonest - turned.ms : 0);
		if (!running) {
			for (size_t i = 0; i < s->n; i++)
				start(&s->v[i], delay(s), meddle);
			wait = 1;
		}
		turned.ms += wait + draw(s) % 5;
	}

	assert_true(s->fired > 2000);
	sim_free(s);
}


/* SIP's pattern: many more are cancelled than run out.  With a sorted list
   this takes minutes; the time limit of the test is the judge */
static void test_tmr_heap_100k(void **state)
{
	enum { N = 100000 };
	struct sim *s = sim_alloc(N);
	unsigned cancelled = 0;

	(void)state;

	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < N; i++)
			start(&s->v[i], draw(s) % 32000, fire);
		for (size_t i = 0; i < N; i++) {
			if (draw(s) % 10) {
				tmr_cancel(&s->v[i].tmr);
				cancelled++;
			}
		}
		turned.ms += 16000;
		tmr_poll(NULL);
	}
	turned.ms += 32000;
	tmr_poll(NULL);

	assert_true(cancelled > 2 * N);
	assert_true(s->fired > N / 20);
	assert_int_equal(tmr_next_timeout(NULL), 0);
	sim_free(s);
}


static void test_tmr_heap_ascending_descending(void **state)
{
	enum { N = 20000 };
	struct sim *s = sim_alloc(2 * N);

	(void)state;

	for (size_t i = 0; i < N; i++)
		start(&s->v[i], i, fire);
	for (size_t i = 0; i < N; i++)
		start(&s->v[N + i], N - i, fire);
	for (int i = 0; i <= N + 100; i += 100) {
		tmr_poll(NULL);
		turned.ms += 100;
	}

	assert_int_equal(s->fired, 2 * N);
	sim_free(s);
}


static void cancel_loop(void *arg)
{
	struct item *it = arg;

	it->fired++;
	re_cancel();
}


/* libre's own loop must poll our heap, or this never ends */
static void test_tmr_heap_drives_libre(void **state)
{
	struct sim *s = sim_alloc(1);
	uint64_t before;

	(void)state;

	turned.real = true;
	assert_int_equal(libre_init(), 0);

	before = tmr_jiffies();
	tmr_start(&s->v[0].tmr, 30, cancel_loop, &s->v[0]);
	assert_int_equal(re_main(NULL), 0);
	assert_true(tmr_jiffies() >= before + 30);
	assert_int_equal(s->v[0].fired, 1);

	libre_close();
	turned.real = false;
	sim_free(s);
}


static void test_tmr_heap_long_ones_end_together(void **state)
{
	struct sim *s = sim_alloc(20);

	(void)state;
	turned.ms += -turned.ms % TMR_STEP_MS + 1;

	tmr_start(&s->v[0].tmr, TMR_LONG_MS - 1, fire, &s->v[0]);
	assert_int_equal(tmr_next_timeout(NULL), TMR_LONG_MS - 1);
	tmr_cancel(&s->v[0].tmr);

	for (size_t i = 0; i < s->n; i++)
		start(&s->v[i], TMR_LONG_MS + i, fire);
	assert_int_equal(tmr_next_timeout(NULL),
			 TMR_LONG_MS + TMR_STEP_MS - 1);

	turned.ms += TMR_LONG_MS + TMR_STEP_MS - 2;
	tmr_poll(NULL);
	assert_int_equal(s->fired, 0);

	turned.ms += 1;
	tmr_poll(NULL);
	assert_int_equal(s->fired, 20);
	sim_free(s);
}


static void test_tmr_heap_bad_arguments(void **state)
{
	struct tmr tmr;

	(void)state;

	tmr_init(NULL);
	tmr_init(&tmr);
	tmr_start(NULL, 1, fire, NULL);
	tmr_start(&tmr, 1, NULL, NULL);
	tmr_cancel(NULL);
	tmr_cancel(&tmr);
	assert_int_equal(tmr_get_expire(NULL), 0);
	assert_int_equal(tmr_get_expire(&tmr), 0);
	assert_int_equal(tmr_next_timeout(NULL), 0);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tmr_heap_100k),
		cmocka_unit_test(test_tmr_heap_ascending_descending),
		cmocka_unit_test(test_tmr_heap_long_ones_end_together),
		cmocka_unit_test(test_tmr_heap_bad_arguments),
		cmocka_unit_test(test_tmr_heap_drives_libre),
		cmocka_unit_test(test_tmr_heap_handlers_meddle),
		cmocka_unit_test(test_tmr_heap_is_in_use),
		cmocka_unit_test(test_tmr_heap_order_and_fifo),
		cmocka_unit_test(test_tmr_heap_restart_and_cancel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
