/**
 * @file test_pattern.c  re_regex(): ours, and libre's own beside it
 */

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <re/re.h>
#include "common/pattern.h"
#include "common/rand_pool.h"

typedef int(regex_h)(const char *ptr, size_t len, const char *expr, ...);

static const char uri_user[] = "[^:]+:[^@:]*[:]*[^@]*@[^/;? ]+[^;? ]*[^?]*"
			       "[^]*";
static const char name_addr[] = "[~ \t\r\n<]*[ \t\r\n]*<[^>]+>[^]*";


static void is_in_use(void **state)
{
	(void)state;
	assert_int_equal(pattern_check(), 0);
	assert_int_equal(randpool_check(), 0);
	assert_true(dlsym(RTLD_NEXT, "re_regex") != (void *)re_regex);
}


static void finds(void **state)
{
	static const char uri[] = "sip:alice:pw@example.org:5060;lr?a=b";
	struct pl v[8];
	(void)state;

	assert_int_equal(re_regex(uri, strlen(uri), uri_user, &v[0], &v[1],
				  NULL, &v[3], &v[4], &v[5], &v[6], &v[7]),
			 0);
	assert_int_equal(pl_strcmp(&v[0], "sip"), 0);
	assert_int_equal(pl_strcmp(&v[1], "alice"), 0);
	assert_int_equal(pl_strcmp(&v[3], "pw"), 0);
	assert_int_equal(pl_strcmp(&v[4], "example.org:5060"), 0);
	assert_int_equal(pl_strcmp(&v[6], ";lr"), 0);
	assert_int_equal(pl_strcmp(&v[7], "?a=b"), 0);

	/* from the first byte that fits, whatever its case */
	assert_int_equal(re_regex("xx FOO 42", 9, "foo [0-9]+", &v[0]), 0);
	assert_int_equal(pl_strcmp(&v[0], "42"), 0);
	assert_int_equal(re_regex("foo x", 5, "foo [0-9]+", &v[0]), ENOENT);
	assert_int_equal(re_regex("", 0, "foo", NULL), ENOENT);
	assert_int_equal(re_regex(NULL, 0, "foo", NULL), EINVAL);

	/* quotes hide, and are no part of it */
	assert_int_equal(re_regex("\"a <b\" <sip:c>", 14, name_addr, &v[0],
				  NULL, &v[2], NULL),
			 0);
	assert_int_equal(pl_strcmp(&v[0], "a <b"), 0);
	assert_int_equal(pl_strcmp(&v[2], "sip:c"), 0);
}


/* What is no pattern, or too long for our table, gets libre's own answer */
static void leaves_to_libre(void **state)
{
	char longest[200];
	struct pl pl = PL_INIT;
	(void)state;

	assert_int_equal(re_regex("ab", 2, "a[b", &pl), EINVAL);
	assert_int_equal(re_regex("ab", 2, "a[b]?", &pl), EINVAL);

	memset(longest, 'x', sizeof(longest));
	memcpy(longest + sizeof(longest) - 7, "[0-9]+", 7);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(re_regex("x1", 2, longest, &pl), ENOENT);
}


static void both(regex_h *libre, const char *pattern, const char *text,
		 size_t len)
{
	struct pl a[8] = { { NULL, 0 } }, b[8] = { { NULL, 0 } };

	assert_int_equal(re_regex(text, len, pattern, &a[0], &a[1], &a[2],
				  &a[3], &a[4], &a[5], &a[6], &a[7]),
			 libre(text, len, pattern, &b[0], &b[1], &b[2], &b[3],
			       &b[4], &b[5], &b[6], &b[7]));
	assert_memory_equal(a, b, sizeof(a));
}


/* Words that make up SIP, in any order; the seed is fixed */
static void agrees_with_libre(void **state)
{
	static const char *const words[] = {
		"sip:", "alice", "@",        "host", ":5060",  ";",
		"tag=", "\"",    "\\",       "<",    ">",      " ",
		"\r\n", "[::1]", "?a=b",     "42",   "INVITE", "/2.0",
		"=",    ",",     "\xc3\xa4", "[",
	};
	static const char *const patterns[] = {
		uri_user,
		name_addr,
		"[^:]+:[^/;? ]+[^;? ]*[^?]*[^]*",
		"[a-z]+ [^ ]+ [^ ]+[^]*",
		"[ \t\r\n]*tag[ \t\r\n]*[=]*[ \t\r\n]*[~;]+[;]*",
		"\\[[0-9a-f:]+\\][:]*[0-9]*",
		"[0-9]+[ \t\r\n]+[^ \t\r\n]+",
		"[0-9]2[^a-]*[b-d\\-]+",
		"[~]3x",
	};
	regex_h *libre = (regex_h *)dlsym(RTLD_NEXT, "re_regex");
	uint32_t seed = 1;
	(void)state;

	for (unsigned i = 0; i < 100000; i++) {
		char text[256] = "";
		size_t len = 0;

		for (unsigned n = 0; n < i % 12; n++) {
			seed = seed * 1103515245 + 12345;
			len += (size_t)snprintf(
				text + len, sizeof(text) - len, "%s",
				words[(seed >> 16) % ARRAY_SIZE(words)]);
		}
		both(libre, patterns[i % ARRAY_SIZE(patterns)], text, len);
	}
}


/* A pool that gave the same twice would give two dialogs one tag */
static void numbers_differ(void **state)
{
	uint64_t seen[1000];
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(seen); i++) {
		seen[i] = i % 2 ? rand_u64()
				: (uint64_t)rand_u32() << 32 | rand_u32();
		for (size_t k = 0; k < i; k++)
			assert_true(seen[k] != seen[i]);
	}
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_in_use),
		cmocka_unit_test(finds),
		cmocka_unit_test(leaves_to_libre),
		cmocka_unit_test(agrees_with_libre),
		cmocka_unit_test(numbers_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
