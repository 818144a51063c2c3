/**
 * @file test_utrans.c  Branches: none comes twice, and none can be guessed
 */

#include "tests/unit/common/unit.h"
#include "tests/unit/common/loop.h"
#include <stdlib.h>
#include <string.h>
#include <re/re.h>
#include "sipis/sip/utrans.h"

enum { SENT = 700, BRANCH = 16 }; /* more than one draw gives */


struct sink {
	char branch[SENT][BRANCH + 1];
	unsigned n;
};


static void recv_handler(const struct sa *src, struct mbuf *mb, void *arg)
{
	struct sink *sink = arg;
	struct pl branch;
	(void)src;

	assert_int_equal(0, re_regex((char *)mbuf_buf(mb), mbuf_get_left(mb),
				     "branch=z9hG4bKu[0-9a-f]+", &branch));
	assert_int_equal(8 + BRANCH, branch.l);
	assert_true(sink->n < SENT);
	memcpy(sink->branch[sink->n++], branch.p + 8, BRANCH);
	re_cancel();
}


static void never(int err, const struct answer *ans, void *arg)
{
	(void)err;
	(void)ans;
	(void)arg;
}


static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}


static void test_utrans_branches(void **state)
{
	struct udp_sock *here = NULL, *there = NULL;
	struct sink *sink = mem_zalloc(sizeof(*sink), NULL);
	struct utrans_table *t = NULL;
	struct mbuf *mb = mbuf_alloc(16);
	struct sa any, dst;
	(void)state;

	assert_non_null(sink);
	assert_int_equal(0, sa_set_str(&any, "127.0.0.1", 0));
	assert_int_equal(0, udp_listen(&there, &any, recv_handler, sink));
	assert_int_equal(0, udp_local_get(there, &dst));
	assert_int_equal(0, udp_listen(&here, &any, NULL, NULL));
	assert_int_equal(0, utrans_table_alloc(&t));
	assert_int_equal(0, mbuf_write_str(mb, "\r\n"));

	for (int i = 0; i < SENT; i++) {
		struct utrans *u = NULL;

		mb->pos = 0;
		assert_int_equal(0, utrans_send(&u, t, here, "127.0.0.1", &dst,
						"OPTIONS", "sip:x", mb, never,
						NULL));
		/* The slot is the same each time */
		mem_deref(u);
		loop_run();
	}

	assert_int_equal(SENT, sink->n);
	qsort(sink->branch, SENT, sizeof(sink->branch[0]), by_name);
	for (int i = 1; i < SENT; i++)
		assert_string_not_equal(sink->branch[i - 1], sink->branch[i]);

	mem_deref(t);
	mem_deref(here);
	mem_deref(there);
	mem_deref(mb);
	mem_deref(sink);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_utrans_branches),
	};

	return cmocka_run_group_tests(tests, loop_open, loop_close);
}
