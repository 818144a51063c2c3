/**
 * @file test_limit.c  Token buckets by key, and what the PBX's answers mean
 */

#include <errno.h>
#include <stdio.h>
#include "sipis/inst/limit.h"
#include "sipis/inst/priv.h"
#include "tests/unit/common/unit.h"


static void by_key(void **state)
{
	struct limit *l;
	(void)state;

	assert_int_equal(limit_alloc(&l, 0, 1, 1), EINVAL);
	assert_int_equal(limit_alloc(&l, 1, 3, 10), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_true(limit_take(l, "a", 1, 0));
	assert_false(limit_take(l, "a", 1, 0));
	assert_true(limit_take(l, "b", 1, 0));
	assert_int_equal(limit_wait_s(l, "a", 1, 0), 1);
	assert_int_equal(limit_wait_s(l, "a", 3, 0), 3);
	assert_false(limit_has(l, "a", 1, 999));
	assert_true(limit_has(l, "a", 1, 1000));
	assert_true(limit_has(l, "nobody", 3, 0));
	assert_true(limit_take(l, "a", 1, 1000));
	assert_false(limit_take(l, "a", 1, 1000));
	assert_int_equal(limit_keys(l), 2);
	mem_deref(l);
}


static void the_silent_make_room(void **state)
{
	struct limit *l;
	char key[16];
	(void)state;

	assert_int_equal(limit_alloc(&l, 0.001, 1, 100), 0);
	for (unsigned i = 0; i < 100; i++) {
		(void)snprintf(key, sizeof(key), "k%u", i);
		assert_true(limit_take(l, key, 1, 0));
	}
	assert_false(limit_take(l, "k0", 1, 0)); /* now the newest */
	assert_true(limit_take(l, "new", 1, 0));
	assert_int_equal(limit_keys(l), 100);
	assert_false(limit_take(l, "k0", 1, 0)); /* still known */
	assert_true(limit_take(l, "k1", 1, 0));  /* was forgotten */
	mem_deref(l);
}


static void probe_answers(void **state)
{
	static const struct {
		int err;
		uint16_t scode;
		enum inst_res res;
	} rows[] = {
		{ 0, 200, INST_R_OK },
		{ 0, 202, INST_R_OK },
		{ 0, 401, INST_R_PBX_REFUSED },
		{ 0, 403, INST_R_PBX_REFUSED },
		{ 0, 404, INST_R_PBX_REFUSED },
		{ 0, 407, INST_R_PBX_REFUSED },
		{ 0, 408, INST_R_PBX_TIMEOUT },
		{ 0, 480, INST_R_PBX_REFUSED },
		{ 0, 302, INST_R_PBX_ERROR },
		{ 0, 500, INST_R_PBX_ERROR },
		{ 0, 503, INST_R_PBX_ERROR },
		{ 0, 504, INST_R_PBX_TIMEOUT },
		{ 0, 603, INST_R_PBX_ERROR },
		{ ETIMEDOUT, 0, INST_R_PBX_TIMEOUT },
		{ ECONNREFUSED, 0, INST_R_PBX_ERROR },
	};
	(void)state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct reg_answer ans = { .err = rows[i].err,
						.scode = rows[i].scode };
		const char *detail = NULL;

		assert_int_equal(inst_probe_res(&ans, &detail), rows[i].res);
		assert_non_null(detail);
	}
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_key),
		cmocka_unit_test(the_silent_make_room),
		cmocka_unit_test(probe_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
