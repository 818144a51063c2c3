/**
 * @file test_ntop.c  sa_ntop(): ours, and libre's own beside it
 */

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include <re/re.h>
#include "common/ntop.h"

typedef int(ntop_h)(const struct sa *sa, char *buf, int size);


static void is_in_use(void **state)
{
	(void)state;
	assert_int_equal(ntop_check(), 0);
}


static void same(const struct sa *sa, int size)
{
	ntop_h *libre = (ntop_h *)dlsym(RTLD_NEXT, "sa_ntop");
	char a[64], b[64];

	memset(a, 'x', sizeof(a));
	memset(b, 'x', sizeof(b));
	assert_non_null(libre);
	assert_int_equal(sa_ntop(sa, a, size), libre(sa, b, size));
	assert_memory_equal(a, b, sizeof(a));
}


static void agrees_with_libre(void **state)
{
	struct sa sa;
	(void)state;

	for (unsigned v = 0; v < 256; v++) {
		sa_set_in(&sa, v << 24 | v << 16 | (255 - v) << 8 | v, 5060);
		same(&sa, 64);
	}
	for (int size = 0; size < 20; size++)
		same(&sa, size);

	assert_int_equal(sa_set_str(&sa, "2001:db8::1", 5060), 0);
	same(&sa, 64);
	sa_init(&sa, AF_UNSPEC);
	same(&sa, 64);
	same(NULL, 64);
}


static void in_print(void **state)
{
	struct sa sa;
	char text[64];
	(void)state;

	sa_set_in(&sa, 0xc0000201, 5060);
	assert_true(re_snprintf(text, sizeof(text), "%j|%J", &sa, &sa) > 0);
	assert_string_equal(text, "192.0.2.1|192.0.2.1:5060");
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_in_use),
		cmocka_unit_test(agrees_with_libre),
		cmocka_unit_test(in_print),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
