/**
 * @file test_push_seen.c  Ids that come again, in virtual time
 */

#include <stdlib.h>
#include <string.h>
#include <re/re.h>
#include "tests/unit/common/unit.h"
#include "mediator/queue/seen.h"

enum { KEEP = 60000, MAX = 100 };


static void id_make(uint8_t id[WIRE_ID_LEN], uint32_t n)
{
	memset(id, 7, WIRE_ID_LEN);
	memcpy(id, &n, sizeof(n));
}


static void test_life(void **state)
{
	struct push *p = (struct push *)&(int){ 0 }; /* never followed */
	void *a = mem_zalloc(1, NULL), *b = mem_zalloc(1, NULL);
	struct push_result res = { .outcome = WIRE__OUTCOME__DELIVERED,
				   .status = 200,
				   .reason = "",
				   .provider_id = "an-id",
				   .sent_us = 7 },
			   got = { 0 };
	struct seen_entry *e = NULL;
	struct seen *s = NULL;
	uint8_t id[WIRE_ID_LEN];
	(void)state;

	id_make(id, 1);
	assert_int_equal(seen_alloc(&s, KEEP, MAX), 0);
	assert_null(seen_find(s, a, id));
	assert_int_equal(seen_add(&e, s, a, id, p), 0);
	assert_ptr_equal(seen_find(s, a, id), e);
	assert_null(seen_find(s, b, id)); /* another tenant's */
	assert_ptr_equal(seen_look(e, &got), p);

	/* In flight it stays, however long it takes */
	seen_turn(s, 100 * KEEP);
	assert_ptr_equal(seen_find(s, a, id), e);

	seen_done(e, &res, 1000);
	assert_null(seen_look(e, &got));
	assert_int_equal(got.status, 200);
	assert_int_equal(got.sent_us, 7);
	assert_string_equal(got.provider_id, "an-id");
	assert_string_equal(got.reason, "");
	seen_turn(s, 1000 + KEEP - 1);
	assert_non_null(seen_find(s, a, id));
	seen_turn(s, 1000 + KEEP);
	assert_null(seen_find(s, a, id));
	assert_int_equal(seen_count(s), 0);

	mem_deref(s);
	mem_deref(a);
	mem_deref(b);
}


static void test_max(void **state)
{
	const struct push_result res = { .reason = "", .provider_id = "" };
	void *a = mem_zalloc(1, NULL);
	struct seen *s = NULL;
	uint8_t id[WIRE_ID_LEN];
	(void)state;

	assert_int_equal(seen_alloc(&s, KEEP, MAX), 0);
	for (uint32_t i = 0; i < 3 * MAX; i++) {
		struct seen_entry *e;

		id_make(id, i);
		assert_int_equal(seen_add(&e, s, a, id, NULL), 0);
		seen_done(e, &res, i);
	}
	assert_int_equal(seen_count(s), MAX);
	id_make(id, 2 * MAX - 1);
	assert_null(seen_find(s, a, id));
	id_make(id, 2 * MAX);
	assert_non_null(seen_find(s, a, id));

	mem_deref(s);
	mem_deref(a);
}


static void test_forget(void **state)
{
	void *a = mem_zalloc(1, NULL);
	struct seen_entry *e;
	struct seen *s = NULL;
	uint8_t id[WIRE_ID_LEN];
	(void)state;

	id_make(id, 1);
	assert_int_equal(seen_alloc(&s, KEEP, MAX), 0);
	assert_int_equal(seen_add(&e, s, a, id, NULL), 0);
	seen_forget(e);
	assert_null(seen_find(s, a, id));
	seen_forget(NULL);
	mem_deref(s);
	mem_deref(a);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life),
		cmocka_unit_test(test_max),
		cmocka_unit_test(test_forget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
