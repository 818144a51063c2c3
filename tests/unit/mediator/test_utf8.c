/**
 * @file test_utf8.c  Foreign text into text that providers accept
 */

#include <stdlib.h>
#include <string.h>
#include "tests/unit/common/unit.h"
#include "mediator/queue/utf8.h"

#define BAD "\xef\xbf\xbd"


static void test_copy(void **state)
{
	static const struct {
		const char *in, *out;
	} v[] = {
		{ "", "" },
		{ "plain", "plain" },
		{ "Zo\xc3\xab \xe2\x82\xac \xf0\x9f\x93\x9e",
		  "Zo\xc3\xab \xe2\x82\xac \xf0\x9f\x93\x9e" },
		{ "a\tb\r\nc\x7f", "a b  c " },
		{ "\xff", BAD },
		{ "\xc0\xaf", BAD BAD },                 /* overlong / */
		{ "\xe0\x80\x80", BAD BAD BAD },         /* overlong 0 */
		{ "\xed\xa0\x80", BAD BAD BAD },         /* surrogate */
		{ "\xf4\x90\x80\x80", BAD BAD BAD BAD }, /* U+110000 */
		{ "\xe2\x82", BAD BAD },                 /* cut off */
		{ "\xe2\x82x", BAD BAD "x" },
		{ "\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf" },
		{ "\xed\x9f\xbf", "\xed\x9f\xbf" },
	};
	char buf[64];
	(void)state;

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		size_t n = utf8_copy(buf, v[i].in, sizeof(buf) - 1);

		assert_string_equal(buf, v[i].out);
		assert_int_equal(n, strlen(v[i].out));
	}
}


/* Never half a character, never more than max */
static void test_cut(void **state)
{
	static const char in[] = "a\xc3\xab\xe2\x82\xac\xff\xf0\x9f\x93\x9e";
	static const size_t want[] = { 0, 1, 1, 3, 3, 3,  6, 6,
				       6, 9, 9, 9, 9, 13, 13 };
	char buf[32];
	(void)state;

	for (size_t max = 0; max < sizeof(want) / sizeof(want[0]); max++)
		assert_int_equal(utf8_copy(buf, in, max), want[max]);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
