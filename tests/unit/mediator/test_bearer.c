/**
 * @file test_bearer.c  One fetch at a time, in virtual time
 */

#include <stdlib.h>
#include <string.h>
#include <re/re.h>
#include "tests/unit/common/unit.h"
#include "mediator/auth/token.h"

enum { MINUTE = 60000 };


static char *value(const char *text)
{
	char *s = NULL;

	assert_int_equal(str_dup(&s, text), 0);
	return s;
}


static void test_single_flight(void **state)
{
	struct token t = { 0 };
	int fetches = 0;
	(void)state;

	for (uint64_t now = 1000; now < 2000; now++)
		fetches += token_need(&t, now) & TOKEN_FETCH ? 1 : 0;
	assert_int_equal(fetches, 1);

	token_got(&t, value("a"), 2000, 0, 45 * MINUTE, 59 * MINUTE);
	assert_int_equal(token_need(&t, 2000), TOKEN_USE);
	mem_deref(t.value);
}


/* The timer stands where the next fetch is wanted, not before, not after */
static void test_due(void **state)
{
	struct token t = { 0 };
	uint64_t due;
	(void)state;

	assert_int_equal(token_due(&t), 0);
	assert_int_equal(token_need(&t, 0), TOKEN_FETCH);
	token_got(&t, value("a"), 0, 0, 45 * MINUTE, 59 * MINUTE);
	due = token_due(&t);
	assert_int_equal(due, 45 * MINUTE);
	assert_int_equal(token_need(&t, due - 1), TOKEN_USE);
	assert_int_equal(token_need(&t, due), TOKEN_USE | TOKEN_FETCH);
	token_failed(&t, due, 7);
	assert_true(token_due(&t) > due);
	due = token_due(&t);
	assert_int_equal(token_need(&t, due - 1), TOKEN_USE);
	assert_int_equal(token_need(&t, due), TOKEN_USE | TOKEN_FETCH);
	mem_deref(t.value);
}


/* A day with a provider that takes two seconds for each: never without, 32
   fetches, one at a time, none younger than 45 minutes */
static void test_a_day(void **state)
{
	struct token t = { 0 };
	uint64_t done = 0;
	int fetches = 0, without = 0;
	(void)state;

	for (uint64_t now = 0; now < 1440 * (uint64_t)MINUTE; now += 100) {
		unsigned need;

		if (done && now >= done) {
			token_got(&t, value("x"), now, 0, 45 * MINUTE,
				  59 * MINUTE);
			done = 0;
		}
		need = token_need(&t, now);
		if (need & TOKEN_FETCH) {
			assert_int_equal(done, 0);
			fetches++;
			done = now + 2000;
		}
		if (now > 2000 && !(need & TOKEN_USE))
			without++;
	}
	assert_int_equal(fetches, 32);
	assert_int_equal(without, 0);
	mem_deref(t.value);
}


/* The old one serves to its end while renewal fails, with growing pauses */
static void test_renewal_fails(void **state)
{
	struct token t = { 0 };
	int fetches = 0;
	uint64_t now;
	(void)state;

	token_got(&t, value("a"), 0, 0, 45 * MINUTE, 59 * MINUTE);
	for (now = 0; now < 59 * MINUTE; now += 10) {
		unsigned need = token_need(&t, now);

		assert_true(need & TOKEN_USE);
		if (need & TOKEN_FETCH) {
			fetches++;
			token_failed(&t, now, 0xffffffff);
		}
	}
	assert_true(fetches > 20 && fetches < 70);
	assert_false(token_need(&t, now) & TOKEN_USE);
	mem_deref(t.value);
}


static void test_refused(void **state)
{
	struct token t = { 0 };
	uint32_t gen;
	(void)state;

	token_got(&t, value("a"), 0, 0, 45 * MINUTE, 59 * MINUTE);
	gen = t.gen;
	assert_int_equal(token_refuse(&t, gen, 5 * MINUTE, 20 * MINUTE),
			 TOKEN_YOUNG);
	assert_non_null(t.value);
	assert_int_equal(token_refuse(&t, gen, 30 * MINUTE, 20 * MINUTE),
			 TOKEN_RENEW);
	assert_null(t.value);
	assert_int_equal(token_need(&t, 30 * MINUTE), TOKEN_FETCH);
	/* The others that carried the same value */
	assert_int_equal(token_refuse(&t, gen, 30 * MINUTE, 20 * MINUTE),
			 TOKEN_RENEW);
	assert_int_equal(token_need(&t, 30 * MINUTE), 0);
	token_got(&t, value("b"), 31 * MINUTE, 0, 45 * MINUTE, 59 * MINUTE);
	assert_int_equal(token_refuse(&t, gen, 31 * MINUTE, 20 * MINUTE),
			 TOKEN_RENEW);
	assert_string_equal(t.value, "b");
	mem_deref(t.value);
}


/* From disk, made before this host was up */
static void test_restored(void **state)
{
	struct token t = { 0 };
	(void)state;

	token_got(&t, value("a"), 1000, 30 * MINUTE, 45 * MINUTE, 59 * MINUTE);
	assert_int_equal(token_need(&t, 1000), TOKEN_USE);
	assert_int_equal(token_need(&t, 1000 + 15 * MINUTE),
			 TOKEN_USE | TOKEN_FETCH);
	assert_int_equal(token_refuse(&t, t.gen, 2000, 20 * MINUTE),
			 TOKEN_RENEW);
	mem_deref(t.value);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_due),
		cmocka_unit_test(test_single_flight),
		cmocka_unit_test(test_a_day),
		cmocka_unit_test(test_renewal_fails),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_restored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
