/**
 * @file test_line.c  What accounts of one PBX have in common, by number
 */

#include "tests/unit/common/unit.h"
#include <errno.h>
#include <stdio.h>
#include "sipis/reg/priv.h"

enum { NAME = 16 };


/* As many domains as the configuration takes: each account keeps its own */
static void test_line_all_domains(void **state)
{
	static char namev[CFG_DOMAINS_MAX][NAME];
	static char *domainv[CFG_DOMAINS_MAX];
	struct pbx_cfg cfg = { .domains = domainv,
			       .domains_count = CFG_DOMAINS_MAX };
	struct line ln = { .cfg = &cfg };
	uint16_t number;
	(void)state;

	for (unsigned i = 0; i < CFG_DOMAINS_MAX; i++) {
		(void)snprintf(namev[i], NAME, "d%u.test", i);
		domainv[i] = namev[i];
	}

	for (unsigned i = 0; i < CFG_DOMAINS_MAX; i++) {
		struct acct a = { .line = &ln };

		assert_int_equal(0, line_domain(&ln, namev[i], &number));
		acct_set_domain(&a, number);
		assert_string_equal(namev[i], acct_domain(&a));
	}

	assert_int_equal(ENOENT, line_domain(&ln, "other.test", &number));
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line_all_domains),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
