/**
 * @file test_edge_stride.c  A phone's CSeq on its way to the PBX and back
 */

#include <string.h>
#include <re/re.h>
#include "sipis/edge/turns.h"
#include "tests/unit/common/unit.h"


static void test_off(void **state)
{
	const struct edge_stride s = { .on = false, .base = 7, .turn = 3 };
	(void)state;

	assert_int_equal(edge_stride_out(&s, 20, 2), 20);
	assert_int_equal(edge_stride_in(&s, 20), 20);
	assert_int_equal(edge_stride_turn(&s, 21), 0);
}


/* Whatever number a phone begins with: 31 bits, always rising, and back */
static void test_there_and_back(void **state)
{
	static const uint32_t firstv[] = {
		0,          1,         20,         102,        65535,
		0x07fffffe, 0x0800000, 0x08000000, 0x12345678, 0x7ffff000,
	};
	(void)state;

	for (size_t i = 0; i < sizeof(firstv) / sizeof(firstv[0]); i++) {
		struct edge_stride s;
		uint32_t last = 0;

		edge_stride_begin(&s, firstv[i]);
		assert_true(s.on);
		for (uint32_t n = 0; n < 3000; n++) {
			const uint32_t c = firstv[i] + n;

			for (unsigned turn = 0; turn < EDGE_TURNS; turn++) {
				const uint32_t out =
					edge_stride_out(&s, c, turn);

				assert_true(out < 1u << 31);
				assert_true(out > last || (!n && !turn));
				assert_int_equal(edge_stride_in(&s, out), c);
				assert_int_equal(edge_stride_turn(&s, out),
						 turn);
				last = out;
			}
		}
	}
}


/* A phone that was called: its first CSeq is not known in advance */
static void test_called(void **state)
{
	struct edge_stride s;
	(void)state;

	edge_stride_begin(&s, 0);
	assert_int_equal(s.base, 0);
	assert_int_equal(edge_stride_out(&s, 3, 1), 25);
	for (uint32_t c = 0x7fff0000; c < 0x7fff0100; c++) {
		assert_true(edge_stride_out(&s, c, 7) < 1u << 31);
		assert_true(edge_stride_out(&s, c + 1, 0) >
			    edge_stride_out(&s, c, 7));
	}
}


static void number(bool (*h)(struct pl *, const struct pl *), const char *text,
		   const char *want)
{
	struct pl val, num;
	bool found;

	pl_set_str(&val, text);
	found = h(&num, &val);
	assert_true(found == (want != NULL));
	if (want) {
		assert_true(num.p > val.p && num.p < val.p + val.l);
		assert_int_equal(pl_strcmp(&num, want), 0);
	}
}


static void test_headers(void **state)
{
	(void)state;

	number(edge_stride_rack, "7 31 INVITE", "31");
	number(edge_stride_rack, "776656 \t1  INVITE", "1");
	number(edge_stride_rack, "7 INVITE", NULL);
	number(edge_stride_rack, "7 12345678901 INVITE", NULL);
	number(edge_stride_rack, "", NULL);
	number(edge_stride_refer, "refer;id=93809824", "93809824");
	number(edge_stride_refer, "Refer ; x=1 ;id=4", "4");
	number(edge_stride_refer, "refer", NULL);
	number(edge_stride_refer, "refer;id=abc", NULL);
	number(edge_stride_refer, "dialog;id=4", NULL);
	number(edge_stride_refer, "", NULL);
}


static void test_turns(void **state)
{
	const uint8_t one[EDGE_PHONE] = { 1 }, two[EDGE_PHONE] = { 2 };
	struct pl callid = PL("a@b"), other = PL("c@d");
	struct edge_turn_key key = { one, &callid, 5 };
	struct edge_turns *t;
	(void)state;

	assert_int_equal(edge_turns_alloc(&t, 3), 0);
	assert_int_equal(edge_turns_get(t, &key, 2), 2);
	assert_int_equal(edge_turns_put(t, &key, 1, 0), 0);
	assert_int_equal(edge_turns_put(t, &key, 4, 10), 0);
	assert_int_equal(edge_turns_get(t, &key, 2), 4);
	key.cseq = 6;
	assert_int_equal(edge_turns_get(t, &key, 2), 2);
	key.cseq = 5;
	key.phone = two;
	assert_int_equal(edge_turns_get(t, &key, 2), 2);
	key.phone = one;
	key.callid = &other;
	assert_int_equal(edge_turns_get(t, &key, 2), 2);

	/* the oldest makes room */
	for (key.cseq = 1; key.cseq <= 3; key.cseq++)
		assert_int_equal(edge_turns_put(t, &key, 3, 20), 0);
	for (key.cseq = 1; key.cseq <= 3; key.cseq++)
		assert_int_equal(edge_turns_get(t, &key, 2), 3);
	key = (struct edge_turn_key){ one, &callid, 5 };
	assert_int_equal(edge_turns_get(t, &key, 2), 2);

	/* and what is too old goes */
	assert_int_equal(edge_turns_put(t, &key, 1, 20 + EDGE_TURNS_MS), 0);
	key = (struct edge_turn_key){ one, &other, 3 };
	assert_int_equal(edge_turns_get(t, &key, 2), 2);
	mem_deref(t);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_off),
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_called),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
