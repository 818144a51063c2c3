/**
 * @file test_bencode.c  What is written is read again; the rest is refused
 */

#include <errno.h>
#include <string.h>
#include <re/re.h>
#include "sipis/media/bencode.h"
#include "tests/unit/common/unit.h"


static int value_of(struct pl *value, const char *text)
{
	struct pl in;

	pl_set_str(&in, text);

	return bencode_value(value, &in);
}


static void test_bencode_values(void **state)
{
	static const char *const goodv[] = {
		"0:", "3:abc",    "i0e", "i-9223372036854775808e",
		"le", "li1e1:ae", "de",  "d1:ai1e1:bd1:cleee",
	};
	struct pl value;
	(void)state;

	for (size_t i = 0; i < sizeof(goodv) / sizeof(*goodv); i++) {
		assert_int_equal(value_of(&value, goodv[i]), 0);
		assert_int_equal(value.l, strlen(goodv[i]));
	}
	assert_int_equal(value_of(&value, "2:abXYZ"), 0);
	assert_int_equal(value.l, 4);
}


static void test_bencode_bad(void **state)
{
	static const char *const badv[] = {
		"",
		":",
		"3:ab",
		"9999999999:a",
		"-1:a",
		"3abc",
		"i",
		"ie",
		"i-e",
		"i1",
		"i1-e",
		"l",
		"li1e",
		"d",
		"d1:a",
		"di1e1:ae",
		"d1:ae",
		"dlei1ee",
		"e",
		"x",
		"i11111111111111111111e",
	};
	struct pl value;
	(void)state;

	for (size_t i = 0; i < sizeof(badv) / sizeof(*badv); i++)
		assert_int_equal(value_of(&value, badv[i]), EBADMSG);
}


static void test_bencode_depth(void **state)
{
	char text[2 * BENCODE_DEPTH + 3];
	struct pl value;
	(void)state;

	memset(text, 0, sizeof(text));
	memset(text, 'l', BENCODE_DEPTH);
	memset(text + BENCODE_DEPTH, 'e', BENCODE_DEPTH);
	assert_int_equal(value_of(&value, text), 0);

	memset(text, 'l', BENCODE_DEPTH + 1);
	memset(text + BENCODE_DEPTH + 1, 'e', BENCODE_DEPTH + 1);
	assert_int_equal(value_of(&value, text), EBADMSG);
}


static void test_bencode_find(void **state)
{
	static const char dict[] =
		"d3:onei1e3:twod3:two5:innere5:three4:\r\n\0x"
		"e";
	const struct pl in = { dict, sizeof(dict) - 1 };
	struct pl value, text;
	(void)state;

	assert_int_equal(bencode_find(&value, &in, "three"), 0);
	assert_int_equal(bencode_text(&text, &value), 0);
	assert_int_equal(text.l, 4);
	assert_memory_equal(text.p, "\r\n\0x", 4);
	assert_int_equal(bencode_find(&value, &in, "two"), 0);
	assert_int_equal(bencode_text(&text, &value), EBADMSG);
	assert_int_equal(bencode_find(&value, &in, "four"), ENOENT);
	assert_int_equal(bencode_find(&value, &value, "x"), EBADMSG);
}


static void test_bencode_written(void **state)
{
	struct mbuf *mb = mbuf_alloc(4);
	const struct pl text = { "a:\0e", 4 };
	struct pl in, value, read;
	(void)state;

	assert_non_null(mb);
	assert_int_equal(bencode_put_mark(mb, 'd'), 0);
	assert_int_equal(bencode_put_str(mb, "number"), 0);
	assert_int_equal(bencode_put_int(mb, -42), 0);
	assert_int_equal(bencode_put_str(mb, "text"), 0);
	assert_int_equal(bencode_put_text(mb, &text), 0);
	assert_int_equal(bencode_put_mark(mb, 'e'), 0);

	in.p = (const char *)mb->buf;
	in.l = mb->end;
	assert_int_equal(bencode_value(&value, &in), 0);
	assert_int_equal(value.l, mb->end);
	assert_int_equal(bencode_find(&value, &in, "text"), 0);
	assert_int_equal(bencode_text(&read, &value), 0);
	assert_int_equal(pl_cmp(&read, &text), 0);
	assert_int_equal(bencode_find(&value, &in, "number"), 0);
	assert_int_equal(pl_strcmp(&value, "i-42e"), 0);
	mem_deref(mb);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bencode_values),
		cmocka_unit_test(test_bencode_bad),
		cmocka_unit_test(test_bencode_depth),
		cmocka_unit_test(test_bencode_find),
		cmocka_unit_test(test_bencode_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
