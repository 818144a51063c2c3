/**
 * @file test_cidr.c  What a range of addresses is, and who is in it
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "sipis/sip/cidr.h"


static void has(const char *range, const char *addr, bool yes)
{
	struct cidr c;
	struct sa sa;

	assert_int_equal(0, cidr_decode(&c, range));
	assert_int_equal(0, sa_set_str(&sa, addr, 5060));
	if (cidr_has(&c, &sa) != yes)
		fail_msg("%s in %s", addr, range);
}


static void test_cidr_has(void **state)
{
	(void)state;

	has("192.0.2.7", "192.0.2.7", true);
	has("192.0.2.7", "192.0.2.6", false);
	has("192.0.2.0/24", "192.0.2.255", true);
	has("192.0.2.0/24", "192.0.3.0", false);
	has("192.0.2.128/25", "192.0.2.128", true);
	has("192.0.2.128/25", "192.0.2.127", false);
	has("192.0.2.4/31", "192.0.2.5", true);
	has("192.0.2.4/31", "192.0.2.6", false);
	has("192.0.2.4/32", "192.0.2.5", false);
	has("128.0.0.0/1", "255.255.255.255", true);
	has("128.0.0.0/1", "127.255.255.255", false);
	has("2001:db8::/33", "2001:db8:7fff::1", true);
	has("2001:db8::/33", "2001:db8:8000::1", false);
	has("2001:db8::1", "2001:db8::1", true);
	has("2001:db8::1/128", "2001:db8::2", false);
	has("32.0.0.0/3", "2001:db8::1", false);
	has("2000::/3", "32.1.13.184", false);
}


static void test_cidr_decode(void **state)
{
	static const struct {
		const char *text;
		int err;
	} bad[] = {
		{ "", EINVAL },
		{ "/", EINVAL },
		{ "/8", EINVAL },
		{ "pbx.test", EINVAL },
		{ "192.0.2.0/", EINVAL },
		{ "192.0.2.0/33", EINVAL },
		{ "192.0.2.0/-1", EINVAL },
		{ "192.0.2.0/24x", EINVAL },
		{ "192.0.2.0/024000", EINVAL },
		{ "192.0.2.0/24/24", EINVAL },
		{ "192.0.2.0:5060", EINVAL },
		{ "2001:db8::/129", EINVAL },
		{ "192.0.2.1/24", EDOM },
		{ "2001:db8::1/127", EDOM },
		{ "0.0.0.0/0", ERANGE },
		{ "::/0", ERANGE },
	};
	struct cidr c;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (cidr_decode(&c, bad[i].text) != bad[i].err)
			fail_msg("\"%s\"", bad[i].text);
	}
	assert_int_equal(EINVAL, cidr_decode(&c, NULL));
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cidr_has),
		cmocka_unit_test(test_cidr_decode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
