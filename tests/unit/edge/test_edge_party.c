/**
 * @file test_edge_party.c  Which phone is in which call
 */

#include <errno.h>
#include <re/re.h>
#include "sipis/edge/party.h"
#include "tests/unit/common/unit.h"

static const uint8_t one[EDGE_PHONE] = { 1 }, other[EDGE_PHONE] = { 2 };


static void test_party(void **state)
{
	const struct pl first = PL("first@call"), second = PL("second@call");
	struct edge_party *p;
	(void)state;

	assert_int_equal(edge_party_alloc(&p, 0), EINVAL);
	assert_int_equal(edge_party_alloc(&p, 1024), 0);
	assert_false(edge_party_has(p, &first, one));

	edge_party_put(p, &first, one);
	edge_party_put(p, &second, other);
	assert_true(edge_party_has(p, &first, one));
	assert_true(edge_party_has(p, &second, other));
	assert_false(edge_party_has(p, &first, other));
	assert_false(edge_party_has(p, &second, one));

	/* two phones of ours call each other */
	edge_party_put(p, &first, other);
	assert_true(edge_party_has(p, &first, one));
	assert_true(edge_party_has(p, &first, other));
	mem_deref(p);
}


/* A later call takes the place of an earlier one, and no more room */
static void test_party_full(void **state)
{
	const struct pl first = PL("first@call"), second = PL("second@call");
	struct edge_party *p;
	(void)state;

	assert_int_equal(edge_party_alloc(&p, 1), 0);
	edge_party_put(p, &first, one);
	edge_party_put(p, &second, one);
	assert_false(edge_party_has(p, &first, one));
	assert_true(edge_party_has(p, &second, one));
	mem_deref(p);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_party),
		cmocka_unit_test(test_party_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
