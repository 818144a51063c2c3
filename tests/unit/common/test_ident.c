/**
 * @file test_ident.c  Random and derived identifiers
 */

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include "common/ident.h"
#include "tests/unit/common/unit.h"


static void assert_uuid(const char *s, char version)
{
	uint8_t raw[16];
	char back[UUID_LEN + 1];

	assert_int_equal(strlen(s), UUID_LEN);
	assert_int_equal(s[14], version);
	assert_non_null(strchr("89ab", s[19]));
	for (const char *p = s; *p; p++)
		assert_false(isupper((unsigned char)*p));

	assert_int_equal(ident_uuid_decode(raw, s), 0);
	assert_int_equal(ident_uuid_encode(back, raw), 0);
	assert_string_equal(back, s);
}


static void test_ident_random_differs(void **state)
{
	uint8_t a[64] = { 0 }, b[64] = { 0 };
	char u[UUID_LEN + 1], v[UUID_LEN + 1];

	(void)state;

	assert_int_equal(ident_random(a, sizeof(a)), 0);
	assert_int_equal(ident_random(b, sizeof(b)), 0);
	assert_memory_not_equal(a, b, sizeof(a));

	assert_int_equal(ident_uuid_random(u), 0);
	assert_int_equal(ident_uuid_random(v), 0);
	assert_uuid(u, '4');
	assert_string_not_equal(u, v);
}


/* Ids in stores and on wires out there were made so; they must not move */
static void test_ident_derive_is_stable(void **state)
{
	char u[UUID_LEN + 1];

	(void)state;

	assert_int_equal(
		ident_uuid_derive(u, "call-id@host", "tag", "contact", NULL),
		0);
	assert_uuid(u, '8');
	assert_string_equal(u, "d55084e9-ebcf-80f3-99d3-e97bd48427b6");
}


static void test_ident_derive_keeps_parts_apart(void **state)
{
	char a[UUID_LEN + 1], b[UUID_LEN + 1], c[UUID_LEN + 1];

	(void)state;

	assert_int_equal(ident_uuid_derive(a, "ab", "c", NULL), 0);
	assert_int_equal(ident_uuid_derive(b, "a", "bc", NULL), 0);
	assert_int_equal(ident_uuid_derive(c, "abc", NULL), 0);
	assert_string_not_equal(a, b);
	assert_string_not_equal(b, c);

	assert_int_equal(ident_uuid_derive(b, "ab", "c", "", NULL), 0);
	assert_string_not_equal(a, b);
	assert_int_equal(ident_uuid_derive(b, "ab", "c", NULL), 0);
	assert_string_equal(a, b);
	assert_int_equal(ident_uuid_derive(a, NULL, NULL), EINVAL);
}


static void test_ident_uuid_decode(void **state)
{
	static const char *const bad[] = {
		"",
		"f81d4fae-7dec-11d0-a765-00a0c91e6bf",
		"f81d4fae-7dec-11d0-a765-00a0c91e6bf66",
		"f81d4fae7dec-11d0-a765-00a0c91e6bf6-",
		"f81d4fae-7dec-11d0-a765-00a0c91e6bfg",
		"f81d4fae-7dec-11d0-a765_00a0c91e6bf6",
		"{81d4fae-7dec-11d0-a765-00a0c91e6bf}",
		"f81d4fae-7dec-11d0-a765-00a0c91e6b 6",
		"------------------------------------",
		"f81d4fae-7dec-11d0-a765-00a0c91e6b\xc3\xa4",
	};
	uint8_t a[16], b[16];

	(void)state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(ident_uuid_decode(a, bad[i]), EBADMSG);
	assert_int_equal(ident_uuid_decode(a, NULL), EBADMSG);

	/* RFC 9562, section 4: case does not matter on input */
	assert_int_equal(
		ident_uuid_decode(a, "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"),
		0);
	assert_int_equal(
		ident_uuid_decode(b, "F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6"),
		0);
	assert_memory_equal(a, b, sizeof(a));
	assert_int_equal(a[0], 0xf8);
	assert_int_equal(a[15], 0xf6);
}


static void test_ident_hex(void **state)
{
	static const uint8_t raw[] = { 0x00, 0x1f, 0xa0, 0xff };
	uint8_t back[4];
	char hex[9];

	(void)state;

	ident_hex(hex, raw, sizeof(raw));
	assert_string_equal(hex, "001fa0ff");
	assert_int_equal(ident_unhex(back, 4, "001FA0ff"), 0);
	assert_memory_equal(back, raw, 4);

	assert_int_equal(ident_unhex(back, 4, "001fa0f"), EINVAL);
	assert_int_equal(ident_unhex(back, 4, "001fa0fff"), EINVAL);
	assert_int_equal(ident_unhex(back, 4, "001fa0fx"), EINVAL);
	assert_int_equal(ident_unhex(back, 4, ""), EINVAL);
	assert_int_equal(ident_unhex(back, 0, ""), 0);
	assert_memory_equal(back, raw, 4);
}


/* RFC 4648, section 10, with the alphabet of section 5 */
static void test_ident_b64url(void **state)
{
	static const struct {
		const char *in, *out;
	} v[] = {
		{ "", "" },
		{ "f", "Zg" },
		{ "fo", "Zm8" },
		{ "foo", "Zm9v" },
		{ "foob", "Zm9vYg" },
		{ "fooba", "Zm9vYmE" },
		{ "foobar", "Zm9vYmFy" },
		{ "\xfb\xff\xbf", "-_-_" },
	};
	char out[16];

	(void)state;

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		assert_int_equal(ident_b64url(out, v[i].in, strlen(v[i].in)),
				 strlen(v[i].out));
		assert_string_equal(out, v[i].out);
	}
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ident_b64url),
		cmocka_unit_test(test_ident_derive_is_stable),
		cmocka_unit_test(test_ident_derive_keeps_parts_apart),
		cmocka_unit_test(test_ident_hex),
		cmocka_unit_test(test_ident_random_differs),
		cmocka_unit_test(test_ident_uuid_decode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
