/**
 * @file test_metrics.c  Prometheus text
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <re/re.h>
#include "common/metrics.h"
#include "tests/unit/common/unit.h"


static struct metrics *make(void)
{
	struct metrics *ms;

	assert_int_equal(metrics_alloc(&ms), 0);
	return ms;
}


static void test_metrics_families_share_a_head(void **state)
{
	struct metric v[] = {
		{ "a_total{r=\"ok\"}", "Some.", METRIC_COUNTER, 0 },
		{ "a_total{r=\"bad\"}", "Some.", METRIC_COUNTER, 0 },
		{ "a_tot", "Other.", METRIC_GAUGE, 0 },
	};
	struct metrics *ms = make();
	char *buf;
	size_t len;

	(void)state;

	metric_inc(&v[0]);
	metric_inc(&v[0]);
	metric_set(&v[2], -7);
	assert_int_equal(metrics_add(ms, v, 3), 0);
	assert_int_equal(metrics_print(ms, &buf, &len), 0);
	assert_int_equal(len, strlen(buf));
	assert_string_equal(buf, "# HELP a_total Some.\n"
				 "# TYPE a_total counter\n"
				 "a_total{r=\"ok\"} 2\n"
				 "a_total{r=\"bad\"} 0\n"
				 "# HELP a_tot Other.\n"
				 "# TYPE a_tot gauge\n"
				 "a_tot -7\n");
	free(buf);
	mem_deref(ms);
}


static void test_metrics_histogram(void **state)
{
	struct histogram h = { .name = "h_seconds", .help = "Time." };
	struct metrics *ms = make();
	char *buf;
	size_t len;

	(void)state;

	histogram_add(&h, 0);
	histogram_add(&h, 50);
	histogram_add(&h, 51);
	histogram_add(&h, 100000);
	histogram_add(&h, 3600ull * 1000000);

	assert_int_equal(metrics_add_histogram(ms, &h), 0);
	assert_int_equal(metrics_print(ms, &buf, &len), 0);

	assert_non_null(strstr(buf, "# TYPE h_seconds histogram\n"
				    "h_seconds_bucket{le=\"5e-05\"} 2\n"
				    "h_seconds_bucket{le=\"0.0001\"} 3\n"));
	assert_non_null(strstr(buf, "h_seconds_bucket{le=\"0.0512\"} 3\n"));
	assert_non_null(strstr(buf, "h_seconds_bucket{le=\"0.1024\"} 4\n"));
	assert_non_null(strstr(buf, "h_seconds_bucket{le=\"419.43\"} 4\n"
				    "h_seconds_bucket{le=\"+Inf\"} 5\n"
				    "h_seconds_sum 3600.100101\n"
				    "h_seconds_count 5\n"));
	free(buf);
	mem_deref(ms);
}


static void test_metrics_empty_and_bad(void **state)
{
	struct metrics *ms = make();
	char *buf;
	size_t len;

	(void)state;

	assert_int_equal(metrics_print(ms, &buf, &len), 0);
	assert_string_equal(buf, "");
	free(buf);

	assert_int_equal(metrics_alloc(NULL), EINVAL);
	assert_int_equal(metrics_add(ms, NULL, 1), EINVAL);
	assert_int_equal(metrics_add_histogram(NULL, NULL), EINVAL);
	assert_int_equal(metrics_print(NULL, &buf, &len), EINVAL);
	histogram_add(NULL, 1);
	mem_deref(ms);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_metrics_empty_and_bad),
		cmocka_unit_test(test_metrics_families_share_a_head),
		cmocka_unit_test(test_metrics_histogram),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
