/**
 * @file test_endpoint.c  Where a stranger may send us
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include "tests/unit/common/unit.h"
#include "mediator/drv/endpoint.h"
#include "mediator/net/outside.h"


static void test_read(void **state)
{
	static const struct {
		const char *url, *origin; /**< NULL: refused */
	} v[] = {
		{ "https://push.example.net/a/b?c=d&e",
		  "https://push.example.net" },
		{ "https://Push.Example.NET/", "https://push.example.net" },
		{ "https://push.example.net:443/x",
		  "https://push.example.net" },
		{ "https://push.example.net:8443/x",
		  "https://push.example.net:8443" },
		{ "https://push.example.net/@x:y",
		  "https://push.example.net" },
		{ "https://push.example.net", NULL },
		{ "http://push.example.net/x", NULL },
		{ "HTTPS://push.example.net/x", NULL },
		{ "https:///x", NULL },
		{ "https://.example.net/x", NULL },
		{ "https://example..net/x", NULL },
		{ "https://example.net./x", NULL },
		{ "https://user@push.example.net/x", NULL },
		{ "https://a:b@push.example.net/x", NULL },
		{ "https://push.example.net\\@evil.example/x", NULL },
		{ "https://push.example.net?@evil.example/x", NULL },
		{ "https://push.example.net#@evil.example/x", NULL },
		{ "https://push.example.net/x#y", NULL },
		{ "https://push.example.net/x y", NULL },
		{ "https://push.example.net/x\r\nHost: evil", NULL },
		{ "https://push.example.net/\xc3\xab", NULL },
		{ "https://push.example.net:/x", NULL },
		{ "https://push.example.net:0/x", NULL },
		{ "https://push.example.net:65536/x", NULL },
		{ "https://push.example.net:443:1/x", NULL },
		{ "https://[::1]/x", NULL },
		{ "https://p%75sh.example.net/x", NULL },
		{ "", NULL },
	};
	struct endpoint ep;
	(void)state;

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		const int err = endpoint_read(&ep, v[i].url, strlen(v[i].url));

		if (err != (v[i].origin ? 0 : EBADMSG))
			fail_msg("%s: %d", v[i].url, err);
		if (!err)
			assert_string_equal(ep.origin, v[i].origin);
	}
}


static void test_long(void **state)
{
	char url[ENDPOINT_MAX + 2];
	struct endpoint ep;
	(void)state;

	memset(url, 'x', sizeof(url));
	memcpy(url, "https://p.example/", 18);
	assert_int_equal(endpoint_read(&ep, url, ENDPOINT_MAX), 0);
	assert_int_equal(endpoint_read(&ep, url, ENDPOINT_MAX + 1), EBADMSG);
	memset(url + 8, 'x', 300);
	assert_int_equal(endpoint_read(&ep, url, ENDPOINT_MAX), EBADMSG);
}


static void test_patterns(void **state)
{
	static const struct {
		const char *pattern, *url;
		bool fits;
	} v[] = {
		{ "push.example", "https://push.example/x", true },
		{ "Push.Example", "https://push.example/x", true },
		{ "push.example", "https://push.example:8443/x", false },
		{ "push.example:8443", "https://push.example:8443/x", true },
		{ "push.example", "https://a.push.example/x", false },
		{ "push.example", "https://evilpush.example/x", false },
		{ "push.example", "https://push.example.evil/x", false },
		{ "*.push.example", "https://a.push.example/x", true },
		{ "*.push.example", "https://a.b.push.example/x", true },
		{ "*.push.example", "https://push.example/x", false },
		{ "*.push.example", "https://evilpush.example/x", false },
		{ "*.push.example", "https://a.push.example:1/x", false },
		{ "*", "https://anything.example/x", true },
		{ "*", "https://anything.example:22/x", false },
		{ "*", "https://localhost/x", false },
		{ "*", "https://127.0.0.1/x", false },
		{ "*", "https://0x7f.1/x", false },
		{ "*", "https://2130706433/x", false },
		{ "192.0.2.1", "https://192.0.2.1/x", true },
	};
	static const char *const bad[] = { "",    "*.",        "**",    "a*.b",
					   "a b", "https://a", "a.b/c", "a:0",
					   "a:",  "*:8443",    "*.*.b", ".a" };
	struct endpoint ep;
	(void)state;

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		assert_int_equal(endpoint_pattern_check(v[i].pattern), 0);
		assert_int_equal(
			endpoint_read(&ep, v[i].url, strlen(v[i].url)), 0);
		if (endpoint_fits(&ep, v[i].pattern) != v[i].fits)
			fail_msg("%s %s", v[i].pattern, v[i].url);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (endpoint_pattern_check(bad[i]) != EINVAL)
			fail_msg("%s", bad[i]);
}


static bool outside(const char *text)
{
	struct sockaddr_in in4 = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };

	if (inet_pton(AF_INET, text, &in4.sin_addr) == 1)
		return net_outside((const struct sockaddr *)&in4);
	assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
	return net_outside((const struct sockaddr *)&in6);
}


static void test_outside(void **state)
{
	static const char *const in[] = {
		"0.0.0.0",
		"0.1.2.3",
		"10.0.0.1",
		"10.255.255.255",
		"100.64.0.1",
		"100.127.255.255",
		"127.0.0.1",
		"127.255.255.255",
		"169.254.169.254",
		"172.16.0.1",
		"172.31.255.255",
		"192.168.1.1",
		"198.18.0.1",
		"224.0.0.1",
		"240.0.0.1",
		"255.255.255.255",
		"192.0.2.1",
		"::",
		"::1",
		"fe80::1",
		"fc00::1",
		"fdff::1",
		"ff02::1",
		"::ffff:127.0.0.1",
		"::ffff:10.0.0.1",
		"::127.0.0.1",
		"64:ff9b::a00:1",
		"2002:7f00:1::1",
		"2002:c0a8:101::",
		"2001::1",
		"2001:db8::1",
		"fec0::1",
		"64:ff9b:1::1",
	};
	static const char *const out[] = {
		"1.1.1.1",          "9.255.255.255",    "11.0.0.0",
		"100.63.255.255",   "100.128.0.0",      "172.15.255.255",
		"172.32.0.0",       "192.167.255.255",  "223.255.255.255",
		"2606:4700::1",     "2a00:1450:4001::", "::ffff:1.1.1.1",
		"64:ff9b::101:101", "2002:101:101::",
	};
	struct sockaddr_storage un = { .ss_family = AF_UNIX };
	(void)state;

	for (size_t i = 0; i < sizeof(in) / sizeof(in[0]); i++)
		if (outside(in[i]))
			fail_msg("%s", in[i]);
	for (size_t i = 0; i < sizeof(out) / sizeof(out[0]); i++)
		if (!outside(out[i]))
			fail_msg("%s", out[i]);
	assert_false(net_outside((const struct sockaddr *)&un));
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_outside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
