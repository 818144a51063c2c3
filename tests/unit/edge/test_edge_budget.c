/**
 * @file test_edge_budget.c  Who may be wrong how often
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "sipis/edge/budget.h"


enum { PER_MIN = 5, MINUTE = 60000 };

static struct edge_budget *budget(void)
{
	struct edge_budget *b;

	assert_int_equal(edge_budget_alloc(&b, PER_MIN), 0);

	return b;
}


static struct edge_claim claim(const char *addr, uint64_t aor, uint64_t phone)
{
	struct edge_claim c = { .aor = aor, .phone = phone };

	(void)re_snprintf(c.addr, sizeof(c.addr), "%s", addr);

	return c;
}


/* How many are looked at */
static unsigned wrong(struct edge_budget *b, const struct edge_claim *c,
		      unsigned n)
{
	unsigned looked = 0;

	while (n--) {
		const enum edge_purse p = edge_budget_may(b, c, 0);

		looked += p != EDGE_PURSE_NONE;
		edge_budget_wrong(b, c, p, 0);
	}

	return looked;
}


static void test_address(void **state)
{
	struct edge_budget *b = budget();
	struct edge_claim bad = claim("a", 1, 0), here = claim("a", 2, 0);
	struct edge_claim was = claim("a", 3, 33), never = claim("a", 3, 34);

	(void)state;
	edge_budget_right(b, &was, 0);
	assert_int_equal(wrong(b, &bad, 20), PER_MIN);
	assert_int_equal(edge_budget_may(b, &never, 0), EDGE_PURSE_NONE);
	assert_int_equal(edge_budget_may(b, &was, 0), EDGE_PURSE_PHONE);
	(void)re_snprintf(here.flow, sizeof(here.flow), "a:1");
	assert_int_equal(edge_budget_may(b, &here, 0), EDGE_PURSE_FLOW);

	/* what they guess themselves is counted, each by itself */
	assert_int_equal(wrong(b, &here, 20), PER_MIN);
	assert_int_equal(wrong(b, &was, 20), PER_MIN);
	assert_int_equal(edge_budget_may(b, &bad, MINUTE),
			 EDGE_PURSE_STRANGER);
	mem_deref(b);
}


static void test_account(void **state)
{
	struct edge_budget *b = budget();
	struct edge_claim c = claim("owner", 1, 11), other = claim("x", 2, 0);
	unsigned n = 0;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		char addr[16];

		(void)re_snprintf(addr, sizeof(addr), "b%u", i);
		c = claim(addr, 1, 0);
		n += wrong(b, &c, 2);
	}

	/* its own budget, and the spare one; then no stranger */
	assert_int_equal(n, 2 * 10 * PER_MIN);
	c = claim("owner", 1, 11);
	assert_int_equal(edge_budget_may(b, &c, 0), EDGE_PURSE_NONE);
	assert_int_equal(edge_budget_may(b, &other, 0), EDGE_PURSE_STRANGER);

	/* it was here before */
	edge_budget_right(b, &c, 0);
	assert_int_equal(edge_budget_may(b, &c, 0), EDGE_PURSE_PHONE);

	/* nobody guesses at a Bearer */
	c = claim("clean", 0, 0);
	assert_int_equal(edge_budget_may(b, &c, 0), EDGE_PURSE_STRANGER);
	mem_deref(b);
}


static void test_clean(void **state)
{
	struct edge_budget *b = budget();
	struct edge_claim c = claim("clean", 1, 0), dirty = claim("d", 1, 0);
	struct edge_claim at_two = claim("d", 2, 0);

	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		struct edge_claim from = claim("", 1, 0);

		(void)re_snprintf(from.addr, sizeof(from.addr), "b%u", i);
		assert_int_equal(wrong(b, &from, PER_MIN), PER_MIN);
	}
	assert_int_equal(wrong(b, &at_two, 1), 1);
	assert_int_equal(edge_budget_may(b, &dirty, 0), EDGE_PURSE_NONE);
	assert_int_equal(edge_budget_may(b, &c, 0), EDGE_PURSE_CLEAN);
	assert_int_equal(wrong(b, &c, 5), 1);
	mem_deref(b);
}


static void test_network(void **state)
{
	char one[EDGE_ADDR], two[EDGE_ADDR];
	struct sa sa;

	(void)state;
	assert_int_equal(sa_set_str(&sa, "2001:db8:0:1::5", 1), 0);
	edge_addr_print(one, &sa);
	assert_int_equal(sa_set_str(&sa, "2001:db8:0:1:ffff::7", 2), 0);
	edge_addr_print(two, &sa);
	assert_string_equal(one, two);
	assert_int_equal(sa_set_str(&sa, "2001:db8:0:2::5", 1), 0);
	edge_addr_print(two, &sa);
	assert_string_not_equal(one, two);
	assert_int_equal(sa_set_str(&sa, "192.0.2.7", 1), 0);
	edge_addr_print(one, &sa);
	assert_string_equal(one, "192.0.2.7");
}


static void test_many(void **state)
{
	struct edge_budget *b = budget();
	struct edge_claim c = claim("a", 1, 0);

	(void)state;
	for (uint64_t i = 1; i <= 100010; i++) {
		c.phone = i;
		edge_budget_right(b, &c, 0);
	}
	assert_int_equal(wrong(b, &c, 6), 6);
	c.phone = 1;
	assert_int_equal(edge_budget_may(b, &c, 0), EDGE_PURSE_STRANGER);
	c.phone = 100000;
	assert_int_equal(edge_budget_may(b, &c, 0), EDGE_PURSE_PHONE);
	mem_deref(b);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_address), cmocka_unit_test(test_account),
		cmocka_unit_test(test_clean),   cmocka_unit_test(test_network),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
