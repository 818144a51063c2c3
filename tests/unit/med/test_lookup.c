/**
 * @file test_lookup.c  Names of mediators into addresses
 */

#include <errno.h>
#include <string.h>
#include "sipis/med/lookup.h"
#include "tests/unit/common/unit.h"
#include "tests/unit/common/loop.h"

struct answer {
	int err;
	unsigned n;
	struct sa first;
	bool called;
};


static void lookup_handler(int err, const struct sa *addrv, unsigned n,
			   void *arg)
{
	struct answer *ans = arg;

	ans->called = true;
	ans->err = err;
	ans->n = n;
	if (n)
		ans->first = addrv[0];
	re_cancel();
}


static struct answer ask(const char *host)
{
	struct answer ans = { 0 };
	struct lookup *l = NULL;

	assert_int_equal(lookup_alloc(&l, host, 4711, lookup_handler, &ans),
			 0);
	assert_false(ans.called);
	loop_run();
	mem_deref(l);
	return ans;
}


static void test_lookup_literal(void **state)
{
	struct answer ans = ask("192.0.2.7");
	(void)state;

	assert_int_equal(ans.err, 0);
	assert_int_equal(ans.n, 1);
	assert_int_equal(sa_in(&ans.first), 0xc0000207);
	assert_int_equal(sa_port(&ans.first), 4711);

	ans = ask("::1");
	assert_int_equal(ans.err, 0);
	assert_int_equal(sa_af(&ans.first), AF_INET6);
}


static void test_lookup_name_off_the_loop(void **state)
{
	struct answer ans = ask("localhost");
	(void)state;

	assert_int_equal(ans.err, 0);
	assert_true(ans.n >= 1);
	assert_int_equal(sa_port(&ans.first), 4711);

	ans = ask("no-such-name.invalid");
	assert_int_not_equal(ans.err, 0);
	assert_int_equal(ans.n, 0);
}


/* Nobody waits for the answer: the thread still ends cleanly */
static void test_lookup_given_up(void **state)
{
	struct answer ans = { 0 };
	struct lookup *l = NULL;
	(void)state;

	assert_int_equal(
		lookup_alloc(&l, "localhost", 1, lookup_handler, &ans), 0);
	mem_deref(l);
	(void)ask("localhost");
	assert_false(ans.called);
}


static void test_lookup_split(void **state)
{
	static const struct {
		const char *in, *host;
		uint16_t port;
		int err;
	} v[] = {
		{ "push.example.com", "push.example.com", 24998, 0 },
		{ "push.example.com:4000", "push.example.com", 4000, 0 },
		{ "192.0.2.1", "192.0.2.1", 24998, 0 },
		{ "192.0.2.1:1", "192.0.2.1", 1, 0 },
		{ "2001:db8::1", "2001:db8::1", 24998, 0 },
		{ "[2001:db8::1]", "2001:db8::1", 24998, 0 },
		{ "[2001:db8::1]:65535", "2001:db8::1", 65535, 0 },
		{ "", NULL, 0, EINVAL },
		{ ":24998", NULL, 0, EINVAL },
		{ "host:", NULL, 0, EINVAL },
		{ "host:0", NULL, 0, EINVAL },
		{ "host:65536", NULL, 0, EINVAL },
		{ "host:12x", NULL, 0, EINVAL },
		{ "host:999999999999", NULL, 0, EINVAL },
		{ "[2001:db8::1", NULL, 0, EINVAL },
		{ "[2001:db8::1]x", NULL, 0, EINVAL },
	};
	(void)state;

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		char host[64];
		uint16_t port;
		const int err = lookup_split(host, sizeof(host), &port,
					     v[i].in, 24998);

		if (err != v[i].err)
			fail_msg("%s: %d", v[i].in, err);
		if (err)
			continue;
		assert_string_equal(host, v[i].host);
		assert_int_equal(port, v[i].port);
	}
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lookup_literal),
		cmocka_unit_test(test_lookup_name_off_the_loop),
		cmocka_unit_test(test_lookup_given_up),
		cmocka_unit_test(test_lookup_split),
	};

	return cmocka_run_group_tests(tests, loop_open, loop_close);
}
