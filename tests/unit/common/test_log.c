/**
 * @file test_log.c  Lines, escapes and the rate limit, on a turned clock
 */

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <re/re.h>
#define DEBUG_MODULE "test"
#define DEBUG_LEVEL  5
#include <re/re_dbg.h>
#include "common/log.h"
#include "tests/unit/common/unit.h"


struct sink {
	FILE *f;
	char buf[1024 * 1024];
};

static _Atomic time_t seconds = 1000;

int __wrap_clock_gettime(clockid_t id, struct timespec *ts);


int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	ts->tv_sec = id == CLOCK_REALTIME ? 1795358463 : seconds;
	ts->tv_nsec = 123456789;

	return 0;
}


/* Everything written since the last call */
static char *written(struct sink *s)
{
	size_t n;

	rewind(s->f);
	n = fread(s->buf, 1, sizeof(s->buf) - 1, s->f);
	s->buf[n] = '\0';
	rewind(s->f);
	assert_int_equal(ftruncate(fileno(s->f), 0), 0);

	return s->buf;
}


static unsigned count(const char *hay, const char *needle)
{
	unsigned n = 0;

	while ((hay = strstr(hay, needle))) {
		hay++;
		n++;
	}

	return n;
}


static int setup(void **state)
{
	struct sink *s = calloc(1, sizeof(*s));

	s->f = tmpfile();
	assert_non_null(s->f);

	(void)fcntl(fileno(s->f), F_SETFL, O_APPEND);
	log_set_fd(fileno(s->f));
	log_set_level(LOG_INFO_);
	seconds += 10;
	*state = s;

	return 0;
}


static int teardown(void **state)
{
	struct sink *s = *state;

	log_set_fd(2);
	(void)fclose(s->f);
	free(s);

	return 0;
}


static void test_log_line_form(void **state)
{
	log_info("call", "f81d4fae", "woke aor=%s n=%d", "sip:a@b.example", 3);
	assert_string_equal(written(*state),
			    "2026-11-22T14:41:03.123456Z info call f81d4fae "
			    "woke aor=sip:a@b.example n=3\n");

	log_error("med", NULL, "down");
	assert_string_equal(written(*state),
			    "2026-11-22T14:41:03.123456Z error med - down\n");

	log_warning("med", "", "slow");
	assert_non_null(strstr(written(*state), "warning med - slow\n"));
}


static void test_log_level(void **state)
{
	enum log_level level;

	log_debug("x", NULL, "hidden %d", 1);
	assert_string_equal(written(*state), "");
	log_set_level(LOG_DEBUG_);
	log_debug("x", NULL, "shown %d", 1);
	assert_non_null(strstr(written(*state), "debug x - shown 1\n"));

	assert_int_equal(log_level_decode(&level, "warning"), 0);
	assert_int_equal(level, LOG_WARNING_);
	assert_int_equal(log_level_decode(&level, "loud"), EINVAL);
	assert_int_equal(log_level_decode(&level, NULL), EINVAL);
}


/* A caller's name must forge neither lines nor fields */
static void test_log_escapes_foreign_text(void **state)
{
	const char *line;

	log_info("call", "a b\n", "from=%s",
		 "x\r\n2026 \x1b[2J\x7f\xc3\xa4\\");
	line = written(*state);

	assert_non_null(strstr(line, "call a\\x20b\\x0a from=x\\x0d\\x0a2026 "
				     "\\x1b[2J\\x7f\\xc3\\xa4\\x5c\n"));
	assert_int_equal(count(line, "\n"), 1);
}


static void test_log_cuts_long_lines(void **state)
{
	char big[5000];
	const char *line;

	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	log_info("call", big, "%s", big);
	line = written(*state);
	assert_int_equal(strlen(line), 1024);
	assert_int_equal(line[1023], '\n');

	memset(big, '\n', sizeof(big) - 1);
	log_info("call", NULL, "two %s", big);
	line = written(*state);
	assert_in_range(strlen(line), 1000, 1024);
	assert_int_equal(count(line, "\n"), 1);
	assert_int_equal(strcmp(line + strlen(line) - 5, "\\x0a\n"), 0);
}


static void test_log_sums_up_repeats(void **state)
{
	for (int i = 0; i < 1000; i++)
		log_info("sip", NULL, "junk from %d", i);
	log_info("sip", NULL, "another");

	assert_int_equal(count(written(*state), "junk from"), 20);

	/* Whatever is logged in a later second brings the sum */
	seconds++;
	log_info("api", NULL, "unrelated");
	assert_non_null(strstr(written(*state),
			       "info sip - 980 more lines like: junk from"));

	/* ... once, and the pair may speak again */
	for (int i = 0; i < 21; i++)
		log_info("sip", NULL, "junk from %d", i);
	assert_int_equal(count(written(*state), "junk from"), 20);
}


/* All hops of all calls share one format, and the operator looks for an id */
static void test_log_shows_every_line_of_a_call(void **state)
{
	for (int i = 0; i < 2000; i++)
		log_info("call", i % 2 ? "f81d4fae" : "0b3c", "hop %d", i);
	assert_int_equal(count(written(*state), " hop "), 2000);

	/* A dash is no trace */
	for (int i = 0; i < 30; i++)
		log_info("call", "-", "nobody's %d", i);
	assert_int_equal(count(written(*state), "nobody's"), 20);
}


static void test_log_bounds_lines_of_calls(void **state)
{
	unsigned seen = 0;

	for (int i = 0; i < 21; i++) {
		for (int k = 0; k < 1000; k++)
			log_info("call", "f81d4fae", "hop");
		seen += count(written(*state), " hop\n");
	}
	assert_int_equal(seen, 20000);

	seconds++;
	log_info("api", NULL, "after the calls");
	assert_non_null(strstr(written(*state),
			       "warning log - 1000 more lines like: (those "
			       "with a trace)\n"));
}


/* More kinds of lines than the limit can watch: still a bound, and every line
   is either there or counted */
static void test_log_many_pairs(void **state)
{
	enum { KINDS = 300, EACH = 100 };
	static char fmt[KINDS][16];
	unsigned held = 0, seen = 0, n;
	const char *p;

	for (int k = 0; k < KINDS; k++) {
		(void)snprintf(fmt[k], sizeof(fmt[k]), "kind%d %%d", k);
		for (int i = 0; i < EACH; i++)
			log_info("sip", NULL, fmt[k], i);
	}
	seconds++;
	log_info("api", NULL, "after them");

	for (p = written(*state); *p; p = strchr(p, '\n') + 1) {
		seen += !strncmp(p + 27, " info sip - kind", 16);
		if (sscanf(p + 27, " info sip - %u more lines like: kind",
			   &n) == 1)
			held += n;
	}

	assert_in_range(seen, 20, 64 * 20);
	assert_int_equal(seen + held, KINDS * EACH);
}


static void test_log_twenty_pass(void **state)
{
	for (int i = 0; i < 20; i++)
		log_info("sip", NULL, "fine %d", i);
	seconds++;
	log_info("api", NULL, "after the fine ones");

	assert_int_equal(count(written(*state), "fine "), 21);
}


static void *shout(void *arg)
{
	(void)arg;

	for (int i = 0; i < 2000; i++) {
		log_info("thr", NULL, "many words in a line of a thread %d",
			 i);
		if (i % 50 == 0)
			seconds++;
	}

	return NULL;
}


static void test_log_threads_do_not_mix(void **state)
{
	pthread_t tid[4];
	char *line, *next;
	unsigned seen = 0, held = 0;

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&tid[i], NULL, shout, NULL),
				 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_join(tid[i], NULL), 0);
	seconds++;
	log_info("thr", NULL, "end");

	for (line = written(*state); *line; line = next) {
		char *p = strstr(line, " info thr ");
		unsigned n;

		next = strchr(line, '\n') + 1;
		if (!p || p > next)
			continue; /* a sum from an earlier test */
		assert_int_equal(p - line, 27);
		if (sscanf(p, " info thr - %u more lines like: many", &n) == 1)
			held += n;
		else if (!strncmp(p, " info thr - many words", 22))
			seen++;
	}

	/* Nothing is lost without being counted */
	assert_int_equal(seen + held, 8000);
}


static void test_log_captures_libre(void **state)
{
	log_capture_re();
	DEBUG_WARNING("odd %s\n", "peer");
	assert_non_null(strstr(written(*state), "warning re - test: odd "
						"peer\n"));
	dbg_close();
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_log_bounds_lines_of_calls,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_log_captures_libre, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_log_cuts_long_lines,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_log_escapes_foreign_text,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_log_level, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_log_line_form, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_log_many_pairs, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			test_log_shows_every_line_of_a_call, setup, teardown),
		cmocka_unit_test_setup_teardown(test_log_sums_up_repeats,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_log_threads_do_not_mix,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_log_twenty_pass, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
