/**
 * @file test_turnstile.c  How many connections an address may have open
 */

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>
#include <re/re.h>
#include "sipis/edge/turnstile.h"
#include "tests/unit/common/unit.h"
#include "tests/unit/common/loop.h"

enum { LIMIT = 3, MANY = 32 };

struct fix {
	struct turnstile *t;
	struct tcp_sock *ts;
	struct sa laddr;
	struct metric refused;
	struct tcp_conn *connv[MANY]; /**< NULL: refused */
	unsigned connc;
	int err; /**< of the last one */
	bool known;
	int fdv[MANY];
	unsigned fdc;
};


static bool known_handler(const struct sa *peer, void *arg)
{
	const struct fix *f = arg;
	(void)peer;

	return f->known;
}


static void close_handler(int err, void *arg)
{
	(void)err;
	(void)arg;
}


/* As libre's sip does it */
static void conn_handler(const struct sa *peer, void *arg)
{
	struct fix *f = arg;
	(void)peer;

	assert_true(f->connc < MANY);
	f->err = tcp_accept(&f->connv[f->connc++], f->ts, NULL, NULL,
			    close_handler, f);
	if (f->err)
		tcp_reject(f->ts);
}


static bool all_came(void *arg)
{
	const struct fix *f = arg;

	return f->connc == f->fdc;
}


/* 0: it is in */
static int comes(struct fix *f, const char *from)
{
	struct sa sa;
	int fd;

	assert_true(f->fdc < MANY);
	fd = f->fdv[f->fdc++];
	assert_int_equal(sa_set_str(&sa, from, 0), 0);
	assert_int_equal(bind(fd, &sa.u.sa, sa.len), 0);
	assert_int_equal(connect(fd, &f->laddr.u.sa, f->laddr.len), 0);
	until(f, all_came);

	return f->err;
}


static void goes(struct fix *f, unsigned i)
{
	f->connv[i] = mem_deref(f->connv[i]);
}


static void open_at(struct fix *f, const char *addr, int fds, bool guarded)
{
	const struct turnstile_prm prm = {
		.per_address = LIMIT,
		.fds = fds,
		.refused = &f->refused,
		.h = known_handler,
		.arg = f,
	};

	memset(f, 0, sizeof(*f));
	assert_int_equal(turnstile_alloc(&f->t, &prm), 0);
	assert_int_equal(sa_set_str(&f->laddr, addr, 0), 0);
	assert_int_equal(tcp_listen(&f->ts, &f->laddr, conn_handler, f), 0);
	assert_int_equal(tcp_local_get(f->ts, &f->laddr), 0);
	/* our ends, so that a descriptor that is free is an accept's */
	for (unsigned i = 0; i < MANY; i++) {
		f->fdv[i] = socket(sa_af(&f->laddr), SOCK_STREAM, 0);
		assert_true(f->fdv[i] >= 0);
	}
	if (guarded)
		assert_int_equal(turnstile_guard(f->t, &f->laddr), 0);
}


static void open_it(struct fix *f, int fds, bool guarded)
{
	open_at(f, "127.0.0.1", fds, guarded);
}


static void close_it(struct fix *f)
{
	for (unsigned i = 0; i < f->connc; i++)
		goes(f, i);
	for (unsigned i = 0; i < MANY; i++)
		(void)close(f->fdv[i]);
	f->ts = mem_deref(f->ts);
	f->t = mem_deref(f->t);
}


static void test_limit(void **state)
{
	struct fix f;
	(void)state;

	open_it(&f, 0, true);
	for (unsigned i = 0; i < LIMIT; i++)
		assert_int_equal(comes(&f, "127.0.0.2"), 0);
	assert_int_equal(comes(&f, "127.0.0.2"), ECONNREFUSED);
	assert_int_equal(comes(&f, "127.0.0.3"), 0);
	assert_int_equal(atomic_load(&f.refused.value), 1);

	/* its place is another's */
	goes(&f, 1);
	assert_int_equal(comes(&f, "127.0.0.2"), 0);
	assert_int_equal(comes(&f, "127.0.0.2"), ECONNREFUSED);
	close_it(&f);
}


/* Its descriptor is nobody's: that shows when the host is looked at */
static void test_look(void **state)
{
	struct fix f;
	int fd;
	(void)state;

	open_it(&f, 0, true);
	for (unsigned i = 0; i < LIMIT; i++)
		assert_int_equal(comes(&f, "127.0.0.2"), 0);
	assert_int_equal(comes(&f, "127.0.0.2"), ECONNREFUSED);
	goes(&f, 0);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	run_for(120);
	assert_int_equal(comes(&f, "127.0.0.2"), 0);
	assert_int_equal(comes(&f, "127.0.0.2"), ECONNREFUSED);
	(void)close(fd);
	close_it(&f);
}


static void test_known(void **state)
{
	struct fix f;
	(void)state;

	open_it(&f, 0, true);
	f.known = true;
	for (unsigned i = 0; i < LIMIT; i++)
		assert_int_equal(comes(&f, "127.0.0.2"), 0);
	/* all are struck off, and leave nothing behind */
	assert_int_equal(comes(&f, "127.0.0.2"), 0);
	f.known = false;
	for (unsigned i = 1; i < LIMIT; i++)
		assert_int_equal(comes(&f, "127.0.0.2"), 0);
	assert_int_equal(comes(&f, "127.0.0.2"), ECONNREFUSED);
	close_it(&f);
}


static void test_descriptors(void **state)
{
	struct fix f;
	const int next = dup(0);
	(void)state;

	(void)close(next);
	/* the listener's, our ends', and some of theirs */
	open_it(&f, next + MANY + 4, true);
	while (!f.err && f.fdc < MANY)
		(void)comes(&f, "127.0.0.2");
	assert_int_equal(f.err, EMFILE);
	close_it(&f);
}


static void test_unguarded(void **state)
{
	struct fix f;
	struct turnstile *second;
	const struct turnstile_prm prm = { .per_address = 1,
					   .refused = &f.refused,
					   .h = known_handler };
	(void)state;

	open_it(&f, 1, false);
	assert_int_equal(turnstile_alloc(&second, &prm), EALREADY);
	for (unsigned i = 0; i < 2 * LIMIT; i++)
		assert_int_equal(comes(&f, "127.0.0.2"), 0);
	f.t = mem_deref(f.t);
	assert_int_equal(comes(&f, "127.0.0.2"), 0);
	close_it(&f);
}


static bool has_ipv6(void)
{
	const int fd = socket(AF_INET6, SOCK_STREAM, 0);
	struct sa sa;
	bool ok;

	if (fd < 0)
		return false;

	ok = !sa_set_str(&sa, "::1", 0) && !bind(fd, &sa.u.sa, sa.len);
	(void)close(fd);

	return ok;
}


static void test_ipv6(void **state)
{
	struct fix f;
	(void)state;

	if (!has_ipv6())
		skip();

	open_at(&f, "::1", 0, true);
	for (unsigned i = 0; i < LIMIT; i++)
		assert_int_equal(comes(&f, "::1"), 0);
	assert_int_equal(comes(&f, "::1"), ECONNREFUSED);
	goes(&f, 1);
	assert_int_equal(comes(&f, "::1"), 0);
	close_it(&f);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_look),
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_unguarded),
		cmocka_unit_test(test_ipv6),
	};

	return cmocka_run_group_tests(tests, loop_open, loop_close);
}
