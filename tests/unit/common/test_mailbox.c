/**
 * @file test_mailbox.c  Mails between threads; meant for TSan as well
 */

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <re/re.h>
#include "common/mailbox.h"
#include "tests/unit/common/unit.h"
#include "tests/unit/common/loop.h"


enum { SENDERS = 4, PER_SENDER = 20000, DEADLINE_MS = 20000 };

struct note {
	struct mail mail;
	unsigned sender;
	unsigned number;
};

struct post {
	struct mailbox *mb;
	unsigned sender;
	unsigned n;
};

struct ctx {
	struct mailbox *mb;
	unsigned next[SENDERS];
	unsigned got;
	unsigned want;
	bool timed_out;
};


static struct note *note_of(struct mail *mail)
{
	return (struct note *)(void *)mail;
}


static void put_note(struct mailbox *mb, unsigned sender, unsigned number)
{
	struct note *n = calloc(1, sizeof(*n));

	n->sender = sender;
	n->number = number;
	mailbox_put(mb, &n->mail);
}


static void *sender_main(void *arg)
{
	const struct post *p = arg;

	for (unsigned i = 0; i < p->n; i++)
		put_note(p->mb, p->sender, i);

	return NULL;
}


static void receive(struct ctx *c, struct mail *mail)
{
	struct note *n = note_of(mail);

	assert_in_range(n->sender, 0, SENDERS - 1);
	assert_int_equal(n->number, c->next[n->sender]);
	c->next[n->sender]++;
	c->got++;
	free(n);
}


static void loop_handler(struct mail *mail, void *arg)
{
	struct ctx *c = arg;

	receive(c, mail);
	if (c->got == c->want)
		re_cancel();
}


static void deadline_handler(void *arg)
{
	struct ctx *c = arg;

	c->timed_out = true;
	re_cancel();
}


static void start_senders(pthread_t *tid, struct post *p, struct mailbox *mb)
{
	for (unsigned i = 0; i < SENDERS; i++) {
		p[i] = (struct post){ mb, i, PER_SENDER };
		assert_int_equal(
			pthread_create(&tid[i], NULL, sender_main, &p[i]), 0);
	}
}


static void join_senders(pthread_t *tid)
{
	for (unsigned i = 0; i < SENDERS; i++)
		assert_int_equal(pthread_join(tid[i], NULL), 0);
}


static void test_mailbox_loop_gets_all_in_order(void **state)
{
	struct ctx c = { .want = SENDERS * PER_SENDER };
	struct post p[SENDERS];
	pthread_t tid[SENDERS];

	(void)state;

	assert_int_equal(mailbox_alloc(&c.mb, loop_handler, &c), 0);
	start_senders(tid, p, c.mb);
	loop_run();
	join_senders(tid);
	mem_deref(c.mb);

	assert_int_equal(c.got, c.want);
}


static void test_mailbox_thread_gets_all_in_order(void **state)
{
	struct ctx c = { .want = SENDERS * PER_SENDER };
	struct post p[SENDERS];
	pthread_t tid[SENDERS];

	(void)state;

	assert_int_equal(mailbox_alloc_thread(&c.mb), 0);
	start_senders(tid, p, c.mb);

	while (c.got < c.want) {
		struct mail *m = mailbox_wait(c.mb, DEADLINE_MS);

		assert_non_null(m);
		while (m) {
			struct mail *next = m->next;

			receive(&c, m);
			m = next;
		}
	}
	join_senders(tid);
	assert_null(mailbox_wait(c.mb, 0));
	mem_deref(c.mb);
}


static void *stopper_main(void *arg)
{
	mailbox_stop(arg);
	return NULL;
}


static void test_mailbox_stop_wakes_after_the_last_mail(void **state)
{
	struct mailbox *mb;
	struct mail *m;
	pthread_t tid;

	(void)state;

	assert_int_equal(mailbox_alloc_thread(&mb), 0);
	put_note(mb, 0, 7);
	mailbox_stop(mb);

	m = mailbox_wait(mb, -1);
	assert_non_null(m);
	assert_null(m->next);
	free(note_of(m));
	assert_null(mailbox_wait(mb, -1));
	mem_deref(mb);

	assert_int_equal(mailbox_alloc_thread(&mb), 0);
	assert_int_equal(pthread_create(&tid, NULL, stopper_main, mb), 0);
	assert_null(mailbox_wait(mb, -1));
	assert_int_equal(pthread_join(tid, NULL), 0);
	mem_deref(mb);
}


static void test_mailbox_wait_times_out(void **state)
{
	struct mailbox *mb;
	uint64_t before;

	(void)state;

	assert_int_equal(mailbox_alloc_thread(&mb), 0);
	before = tmr_jiffies();
	assert_null(mailbox_wait(mb, 1050));
	assert_in_range(tmr_jiffies() - before, 1000, DEADLINE_MS);
	mem_deref(mb);
}


static void count_handler(struct mail *mail, void *arg)
{
	struct ctx *c = arg;

	c->got++;
	free(note_of(mail));
}


static void test_mailbox_hands_over_before_it_goes(void **state)
{
	struct ctx c = { .want = 0 };
	struct mailbox *mb;

	(void)state;

	assert_int_equal(mailbox_alloc(&mb, count_handler, &c), 0);
	for (unsigned i = 0; i < 3; i++)
		put_note(mb, 0, i);
	mem_deref(mb);

	assert_int_equal(c.got, 3);
}


/* The first mail takes the box away; the others still arrive */
static void closing_handler(struct mail *mail, void *arg)
{
	struct ctx *c = arg;

	c->mb = mem_deref(c->mb);
	count_handler(mail, arg);
	if (c->got == c->want)
		re_cancel();
}


static void test_mailbox_deref_in_handler(void **state)
{
	struct ctx c = { .want = 3 };

	(void)state;

	assert_int_equal(mailbox_alloc(&c.mb, closing_handler, &c), 0);
	for (unsigned i = 0; i < 3; i++)
		put_note(c.mb, 0, i);
	loop_run();

	assert_int_equal(c.got, 3);
	assert_null(c.mb);
}


/* A handler that answers itself must not starve the rest of the loop */
static void echo_handler(struct mail *mail, void *arg)
{
	struct ctx *c = arg;

	c->got++;
	if (c->timed_out)
		free(note_of(mail));
	else
		mailbox_put(c->mb, mail);
}


static void test_mailbox_echo_leaves_room(void **state)
{
	struct ctx c = { .want = 0 };
	struct tmr tmr;

	(void)state;

	tmr_init(&tmr);
	assert_int_equal(mailbox_alloc(&c.mb, echo_handler, &c), 0);
	put_note(c.mb, 0, 0);
	tmr_start(&tmr, 20, deadline_handler, &c);
	assert_int_equal(re_main(NULL), 0);
	mem_deref(c.mb);

	assert_true(c.timed_out);
	assert_true(c.got > 1);
}


static void test_mailbox_bad_arguments(void **state)
{
	struct mailbox *mb;

	(void)state;

	assert_int_equal(mailbox_alloc(NULL, count_handler, NULL), EINVAL);
	assert_int_equal(mailbox_alloc(&mb, NULL, NULL), EINVAL);
	assert_int_equal(mailbox_alloc_thread(NULL), EINVAL);
	mailbox_put(NULL, NULL);
	mailbox_stop(NULL);
	assert_null(mailbox_wait(NULL, 0));
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mailbox_bad_arguments),
		cmocka_unit_test(test_mailbox_deref_in_handler),
		cmocka_unit_test(test_mailbox_echo_leaves_room),
		cmocka_unit_test(test_mailbox_hands_over_before_it_goes),
		cmocka_unit_test(test_mailbox_loop_gets_all_in_order),
		cmocka_unit_test(test_mailbox_stop_wakes_after_the_last_mail),
		cmocka_unit_test(test_mailbox_thread_gets_all_in_order),
		cmocka_unit_test(test_mailbox_wait_times_out),
	};

	return cmocka_run_group_tests(tests, loop_open, loop_close);
}
