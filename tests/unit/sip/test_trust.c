/**
 * @file test_trust.c  From where a PBX may speak, and for how long
 */

#include "tests/unit/common/unit.h"
#include "tests/unit/common/loop.h"
#include <re/re.h>
#include "sipis/sip/resolve.h"
#include "sipis/sip/trust.h"

enum { DAY_MS = 24 * 3600 * 1000 };


static struct sa address(const char *text)
{
	struct sa sa;

	assert_int_equal(0, sa_set_str(&sa, text, 5060));
	return sa;
}


static void test_trust_ends(void **state)
{
	const struct sa pbx = address("192.0.2.1");
	const struct sa other = address("192.0.2.2");
	struct trust *t = NULL;

	(void)state;
	assert_int_equal(0, trust_alloc(&t));
	trust_add(t, &pbx, 1000);
	assert_true(trust_has(t, &pbx, 999));
	assert_false(trust_has(t, &other, 999));
	assert_false(trust_has(t, &pbx, 1000));
	mem_deref(t);
}


static void test_trust_is_never_shortened(void **state)
{
	const struct sa pbx = address("2001:db8::1");
	struct trust *t = NULL;

	(void)state;
	assert_int_equal(0, trust_alloc(&t));
	trust_add(t, &pbx, UINT64_MAX);
	trust_add(t, &pbx, 1000);
	assert_true(trust_has(t, &pbx, UINT64_MAX - 1));
	mem_deref(t);
}


static void test_trust_ranges_stay(void **state)
{
	const struct sa in = address("192.0.2.130");
	const struct sa out = address("192.0.2.127");
	struct trust *t = NULL;
	struct cidr c;

	(void)state;
	assert_int_equal(0, trust_alloc(&t));
	assert_int_equal(0, cidr_decode(&c, "192.0.2.128/25"));
	assert_int_equal(0, trust_add_range(t, &c));
	trust_add(t, &in, 1000);
	assert_true(trust_has(t, &in, UINT64_MAX - 1));
	assert_false(trust_has(t, &out, 0));
	mem_deref(t);
}


static void handler(struct resolve *r, void *arg)
{
	(void)r;
	(void)arg;
}


/* A PBX given as an address is never looked up again, so nothing would renew
   a trust that ends: after a day its calls would be dropped */
static void test_trust_in_an_address_stays(void **state)
{
	const struct resolve_prm prm = {
		.host = "192.0.2.1",
		.port = 5060,
		.tp = CFG_TP_UDP,
		.h = handler,
	};
	struct resolve *r = NULL;

	(void)state;
	assert_int_equal(0, resolve_alloc(&r, &prm));
	assert_true(resolve_good_until(r) > (uint64_t)365 * DAY_MS * 100);
	mem_deref(r);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_trust_ends),
		cmocka_unit_test(test_trust_is_never_shortened),
		cmocka_unit_test(test_trust_ranges_stay),
		cmocka_unit_test(test_trust_in_an_address_stays),
	};

	return cmocka_run_group_tests(tests, loop_open, loop_close);
}
