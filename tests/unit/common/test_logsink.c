/**
 * @file test_logsink.c  Lines that are gathered, seen write() by write()
 *
 * Each daemon here is a child process whose log is a socket that keeps
 * messages apart: what one write() brought is one message.
 */

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/log.h"
#include "tests/unit/common/unit.h"

enum { WAIT_MS = 10000 };

struct log {
	pid_t pid;
	int fd;
	unsigned writes;
	size_t len;
	char text[1024 * 1024];
};


/* A process that gathers, says what say() says, and waits to be killed */
static struct log *log_of(void (*say)(void))
{
	struct log *log = calloc(1, sizeof(*log));
	int fdv[2];

	assert_non_null(log);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fdv), 0);

	log->pid = fork();
	if (!log->pid) {
		(void)close(fdv[0]);
		log_set_fd(fdv[1]);
		if (log_gather())
			_exit(3);
		say();
		(void)pause();
	}

	assert_true(log->pid > 0);
	(void)close(fdv[1]);
	log->fd = fdv[0];
	return log;
}


/* One write() more; false at the end */
static bool more(struct log *log)
{
	struct pollfd p = { .fd = log->fd, .events = POLLIN };
	ssize_t n;

	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	n = recv(log->fd, log->text + log->len,
		 sizeof(log->text) - 1 - log->len, 0);
	if (n <= 0)
		return false;

	log->writes++;
	log->len += (size_t)n;
	assert_int_equal(log->text[log->len - 1], '\n');
	return true;
}


static void expect(struct log *log, const char *words)
{
	while (!strstr(log->text, words))
		assert_true(more(log));
}


static int end(struct log *log)
{
	int status;

	(void)kill(log->pid, SIGKILL);
	assert_int_equal(waitpid(log->pid, &status, 0), log->pid);
	(void)close(log->fd);
	free(log);

	return status;
}


static void say_much(void)
{
	for (unsigned i = 1; i <= 1000; i++)
		log_info("call", "f81d4fae", "hop %u of 1000", i);
}


static void test_logsink_writes_lines_together(void **state)
{
	struct log *log = log_of(say_much);

	(void)state;
	expect(log, "hop 1000 of 1000\n");
	assert_non_null(strstr(log->text, " hop 1 of 1000\n"));
	assert_true(log->writes < 100);
	(void)end(log);
}


static void say_over_again(void)
{
	for (unsigned i = 0; i < 45; i++)
		log_info("sip", NULL, "junk");
}


/* The sum comes though nothing is said any more */
static void test_logsink_sums_up_by_time(void **state)
{
	struct log *log = log_of(say_over_again);

	(void)state;
	expect(log, "more lines like: junk\n");
	(void)end(log);
}


static void say_and_exit(void)
{
	log_info("main", NULL, "going");
	for (unsigned i = 0; i < 45; i++)
		log_info("sip", NULL, "junk");
	exit(0);
}


static void test_logsink_loses_nothing_at_exit(void **state)
{
	struct log *log = log_of(say_and_exit);

	(void)state;
	while (more(log))
		;
	assert_non_null(strstr(log->text, " going\n"));
	assert_non_null(strstr(log->text, "more lines like: junk\n"));
	(void)end(log);
}


static void say_and_abort(void)
{
	log_info("call", "f81d4fae", "last words");
	abort();
}


static void test_logsink_loses_nothing_at_abort(void **state)
{
	struct log *log = log_of(say_and_abort);
	int status;

	(void)state;
	while (more(log))
		;
	assert_non_null(strstr(log->text, " last words\n"));
	status = end(log);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}


static void say_and_warn(void)
{
	log_info("call", "f81d4fae", "before");
	log_warning("call", "f81d4fae", "look");
	(void)kill(getpid(), SIGKILL);
}


static void test_logsink_warns_at_once(void **state)
{
	struct log *log = log_of(say_and_warn);

	(void)state;
	while (more(log))
		;
	assert_non_null(strstr(log->text, " before\n"));
	assert_non_null(strstr(log->text, " look\n"));
	(void)end(log);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_logsink_loses_nothing_at_abort),
		cmocka_unit_test(test_logsink_loses_nothing_at_exit),
		cmocka_unit_test(test_logsink_sums_up_by_time),
		cmocka_unit_test(test_logsink_warns_at_once),
		cmocka_unit_test(test_logsink_writes_lines_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
