/**
 * @file test_daemon.c  What both daemons do to their process
 */

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <re/re.h>
#include "common/daemon.h"
#include "tests/unit/common/unit.h"


static int lock_in_child(const char *path)
{
	int fd, status;
	pid_t pid = fork();

	if (!pid)
		_exit(daemon_lock(&fd, path));

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));

	return WEXITSTATUS(status);
}


static void test_daemon_lock_is_for_one(void **state)
{
	char dir[] = "/tmp/test_daemon.XXXXXX", path[64];
	long pid = 0;
	FILE *f;
	int fd;

	(void)state;

	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/lock", dir);

	assert_int_equal(daemon_lock(&fd, path), 0);
	assert_int_equal(lock_in_child(path), EWOULDBLOCK);

	f = fopen(path, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%ld", &pid), 1);
	assert_int_equal(pid, (long)getpid());
	(void)fclose(f);

	(void)close(fd);
	assert_int_equal(lock_in_child(path), 0);
	assert_int_equal(daemon_lock(&fd, "/nonexistent/lock"), ENOENT);

	(void)unlink(path);
	(void)rmdir(dir);
}


static void test_daemon_harden(void **state)
{
	struct rlimit lim;

	(void)state;

	assert_int_equal(daemon_harden(), 0);
	assert_int_equal(getrlimit(RLIMIT_CORE, &lim), 0);
	assert_int_equal(lim.rlim_max, 0);
}


struct seen {
	unsigned hup, term;
	struct daemon_signals *s;
};


static void signal_handler(int sig, void *arg)
{
	struct seen *seen = arg;

	seen->hup += sig == SIGHUP;
	seen->term += sig == SIGTERM;
	if (sig == SIGTERM) {
		seen->s = mem_deref(seen->s);
		re_cancel();
	}
}


static void test_daemon_signals_reach_the_loop(void **state)
{
	struct seen seen = { 0, 0, NULL };
	sigset_t set;

	(void)state;

	assert_int_equal(daemon_signals_alloc(&seen.s, signal_handler, &seen),
			 0);
	assert_int_equal(kill(getpid(), SIGHUP), 0);
	assert_int_equal(kill(getpid(), SIGPIPE), 0);
	assert_int_equal(kill(getpid(), SIGTERM), 0);
	assert_int_equal(re_main(NULL), 0);

	assert_int_equal(seen.hup, 1);
	assert_int_equal(seen.term, 1);
	assert_null(seen.s);

	assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &set), 0);
	assert_int_equal(sigismember(&set, SIGTERM), 0);
}


static int setup(void **state)
{
	int err = daemon_files(2000);

	(void)state;

	return err ? err : libre_init();
}


static void test_daemon_files(void **state)
{
	struct rlimit lim;

	(void)state;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &lim), 0);
	assert_true(lim.rlim_cur >= 2000);
	assert_int_equal(daemon_files(0), EINVAL);
}


static int teardown(void **state)
{
	(void)state;
	libre_close();
	return 0;
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_daemon_files),
		cmocka_unit_test(test_daemon_harden),
		cmocka_unit_test(test_daemon_lock_is_for_one),
		cmocka_unit_test(test_daemon_signals_reach_the_loop),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
