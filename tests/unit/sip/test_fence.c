/**
 * @file test_fence.c  Strangers at a TCP port of libre's, and too many friends
 *
 * libre listens and echoes on 127.0.0.1, as its SIP transport would; the
 * clients are plain sockets, 127.0.0.1 is trusted and 127.0.0.2 is not.
 * Time runs as it does, and jumps where a test says so.
 */

#include "tests/unit/common/jump.h"
#include "tests/unit/common/unit.h"
#include "tests/unit/common/loop.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <re/re.h>
#include "common/log.h"
#include "common/tmr_heap.h"
#include "sipis/sip/fence.h"
#include "sipis/sip/sieve.h"

enum { DEADLINE_MS = 5000, QUIET_MS = 100, FLOOD = 200 };

static const char friendly[] = "127.0.0.1", strange[] = "127.0.0.2";

struct fixture {
	struct tcp_sock *ts;
	struct sa laddr;
	struct trust *trust;
	struct fence *fence;
	struct list conns;
	size_t bytes;
	unsigned strangers;
};

struct conn {
	struct le le;
	struct fixture *f;
	struct tcp_conn *tc;
};


static void conn_destructor(void *data)
{
	struct conn *c = data;

	list_unlink(&c->le);
	mem_deref(c->tc);
}


static void recv_handler(struct mbuf *mb, void *arg)
{
	struct conn *c = arg;

	c->f->bytes += mbuf_get_left(mb);
	(void)tcp_send(c->tc, mb);
}


static void close_handler(int err, void *arg)
{
	(void)err;
	mem_deref(arg);
}


static void connect_handler(const struct sa *peer, void *arg)
{
	struct fixture *f = arg;
	struct conn *c = mem_zalloc(sizeof(*c), conn_destructor);
	(void)peer;

	c->f = f;
	list_append(&f->conns, &c->le, c);
	assert_int_equal(0, tcp_accept(&c->tc, f->ts, NULL, recv_handler,
				       close_handler, c));
}


static void stranger_handler(const struct sa *peer, void *arg)
{
	struct fixture *f = arg;
	struct sa sa;

	assert_int_equal(0, sa_set_str(&sa, strange, 0));
	assert_true(sa_cmp(&sa, peer, SA_ADDR));
	++f->strangers;
}


static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct fence_prm prm = {
		.laddr = &f->laddr,
		.h = stranger_handler,
		.arg = f,
	};
	struct sa sa;

	assert_int_equal(0, tmrheap_check());
	assert_int_equal(0, sa_set_str(&sa, friendly, 0));
	assert_int_equal(0, tcp_listen(&f->ts, &sa, connect_handler, f));
	assert_int_equal(0, tcp_sock_local_get(f->ts, &f->laddr));
	assert_int_equal(0, trust_alloc(&f->trust));
	trust_add(f->trust, &sa, UINT64_MAX);
	prm.trust = f->trust;
	assert_int_equal(0, fence_alloc(&f->fence, &prm));
	*state = f;

	return 0;
}


static int teardown(void **state)
{
	struct fixture *f = *state;

	mem_deref(f->fence);
	list_flush(&f->conns);
	mem_deref(f->trust);
	mem_deref(f->ts);
	free(f);

	return 0;
}


/* A connection on its way */
static int knock(struct fixture *f, const char *from)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct sa sa;

	assert_true(fd >= 0);
	assert_int_equal(0, sa_set_str(&sa, from, 0));
	assert_int_equal(0, bind(fd, &sa.u.sa, sa.len));
	if (connect(fd, &f->laddr.u.sa, f->laddr.len))
		assert_int_equal(EINPROGRESS, errno);

	return fd;
}


static bool waits(int fd, short events, unsigned ms)
{
	struct pollfd p = { .fd = fd, .events = events };

	for (unsigned t = 0; t < ms; t += 5) {
		if (poll(&p, 1, 0) > 0)
			return true;
		run_for(5);
	}

	return false;
}


static void talks(int fd)
{
	char buf[8];

	assert_true(waits(fd, POLLOUT, DEADLINE_MS));
	assert_int_equal(4, send(fd, "ping", 4, MSG_NOSIGNAL));
	assert_true(waits(fd, POLLIN, DEADLINE_MS));
	assert_int_equal(4, recv(fd, buf, sizeof(buf), 0));
}


/* Ended by the other side without a byte */
static bool is_dead(int fd)
{
	char c;

	return waits(fd, POLLIN | POLLERR | POLLHUP, DEADLINE_MS) &&
	       recv(fd, &c, 1, 0) <= 0;
}


static int friend_of(struct fixture *f)
{
	int fd = knock(f, friendly);

	talks(fd);

	return fd;
}


static void conns_are(struct fixture *f, unsigned n)
{
	for (unsigned t = 0; t < DEADLINE_MS; t += 5) {
		if (list_count(&f->conns) == n)
			return;
		run_for(5);
	}
	fail_msg("%u connections, not %u", list_count(&f->conns), n);
}


static void test_fence_stranger(void **state)
{
	struct fixture *f = *state;
	int fd = friend_of(f), bad;
	const size_t bytes = f->bytes;

	/* What he sends at once is not read either */
	bad = knock(f, strange);
	assert_int_equal(4, send(bad, "ping", 4, MSG_NOSIGNAL));
	assert_true(is_dead(bad));
	assert_int_equal(bytes, f->bytes);
	assert_int_equal(1, f->strangers);
	conns_are(f, 1);

	talks(fd);
	close(bad);
	close(fd);
	conns_are(f, 0);
}


static void test_fence_flood(void **state)
{
	struct fixture *f = *state;
	int fd = friend_of(f), bad[FLOOD], one;

	for (unsigned i = 0; i < FLOOD; i++)
		bad[i] = knock(f, strange);
	while (f->strangers <= FENCE_STRANGERS)
		run_for(5);
	conns_are(f, 1);
	talks(fd);

	/* Now the kernel lets nobody in but friends */
	one = knock(f, strange);
	assert_false(waits(one, POLLOUT, QUIET_MS));
	close(one);
	one = friend_of(f);
	talks(fd);
	close(one);

	/* And some time later the door is open again */
	jump_ms(FENCE_WINDOW_MS);
	run_for(5);
	one = knock(f, strange);
	assert_true(is_dead(one));
	close(one);

	for (unsigned i = 0; i < FLOOD; i++)
		close(bad[i]);
	close(fd);
	conns_are(f, 0);
}


static void test_fence_too_many_of_one(void **state)
{
	struct fixture *f = *state;
	int old, v[FENCE_PER_ADDRESS + 8];
	const unsigned all = FENCE_PER_ADDRESS + 8;

	old = friend_of(f);
	for (unsigned i = 1; i < FENCE_PER_ADDRESS; i++)
		v[i] = friend_of(f);
	conns_are(f, FENCE_PER_ADDRESS);
	run_for(20);
	talks(old);

	for (unsigned i = FENCE_PER_ADDRESS; i < all; i++)
		v[i] = friend_of(f);
	run_for(QUIET_MS);
	conns_are(f, FENCE_PER_ADDRESS);
	talks(old);
	talks(v[all - 1]);
	assert_true(is_dead(v[1]));

	close(old);
	for (unsigned i = 1; i < all; i++)
		close(v[i]);
	conns_are(f, 0);
}


static void test_fence_too_many(void **state)
{
	struct fixture *f = *state;
	int v[FENCE_TOTAL + 16];
	const unsigned all = FENCE_TOTAL + 16;
	struct cidr c;

	assert_int_equal(0, cidr_decode(&c, "127.0.1.0/24"));
	assert_int_equal(0, trust_add_range(f->trust, &c));
	for (unsigned i = 0; i < all; i++) {
		char from[32];

		(void)re_snprintf(from, sizeof(from), "127.0.1.%u", i / 16);
		v[i] = knock(f, from);
		talks(v[i]);
	}
	run_for(QUIET_MS);
	conns_are(f, FENCE_TOTAL);
	talks(v[all - 1]);
	assert_true(is_dead(v[0]));

	for (unsigned i = 0; i < all; i++)
		close(v[i]);
	conns_are(f, 0);
}


static void test_fence_nobody_listens(void **state)
{
	struct fixture *f = *state;
	struct fence *fence;
	struct fence_prm prm = {
		.laddr = &f->laddr,
		.trust = f->trust,
		.h = stranger_handler,
	};

	f->fence = mem_deref(f->fence);
	f->ts = mem_deref(f->ts);
	assert_int_equal(ENOENT, fence_alloc(&fence, &prm));
}


/* What was on its way over loopback before is there: softirqs are in order,
   but may be put off on a loaded machine */
static void settle(const struct sa *addr)
{
	struct sa dst = *addr;
	int ls = socket(sa_af(addr), SOCK_STREAM, 0), fd;

	sa_set_port(&dst, 0);
	assert_int_equal(0, bind(ls, &dst.u.sa, dst.len));
	assert_int_equal(0, getsockname(ls, &dst.u.sa, &dst.len));
	assert_int_equal(0, listen(ls, 1));
	fd = socket(sa_af(addr), SOCK_STREAM, 0);
	assert_int_equal(0, connect(fd, &dst.u.sa, dst.len));
	close(fd);
	close(ls);
}


/* Does a connection from -> to come about through this sieve? */
static bool passes(const char *range, const char *from, const char *to)
{
	struct cidr v[2];
	struct sa src = { 0 }, dst = { 0 };
	int ls, fd;
	struct pollfd p = { .events = POLLOUT };

	assert_int_equal(0, cidr_decode(&v[0], "192.0.2.0/24"));
	assert_int_equal(0, cidr_decode(&v[1], range));
	assert_int_equal(0, sa_set_str(&src, from, 0));
	assert_int_equal(0, sa_set_str(&dst, to, 0));
	ls = socket(sa_af(&dst), SOCK_STREAM, 0);
	assert_int_equal(0, bind(ls, &dst.u.sa, dst.len));
	assert_int_equal(0, getsockname(ls, &dst.u.sa, &dst.len));
	assert_int_equal(0, listen(ls, 1));
	assert_int_equal(0, sieve_attach(ls, sa_af(&dst), v, 2));

	p.fd = fd = socket(sa_af(&dst), SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(0, bind(fd, &src.u.sa, src.len));
	(void)connect(fd, &dst.u.sa, dst.len);
	settle(&dst);
	(void)poll(&p, 1, 0);
	close(fd);
	close(ls);

	return p.revents == POLLOUT;
}


static void test_sieve_ranges(void **state)
{
	static struct cidr many[4096];
	(void)state;

	assert_true(passes("127.0.0.2", "127.0.0.2", friendly));
	assert_false(passes("127.0.0.2", "127.0.0.3", friendly));
	assert_true(passes("127.0.0.4/31", "127.0.0.5", friendly));
	assert_false(passes("127.0.0.4/31", "127.0.0.6", friendly));
	assert_true(passes("127.0.0.0/8", "127.255.0.6", friendly));
	assert_false(passes("128.0.0.0/1", "127.255.0.6", friendly));
	assert_false(passes("::1", "127.0.0.2", friendly));

	assert_true(passes("::1", "::1", "::1"));
	assert_true(passes("::/127", "::1", "::1"));
	assert_true(passes("::/3", "::1", "::1"));
	assert_false(passes("::2/127", "::1", "::1"));
	assert_false(passes("8000::/1", "::1", "::1"));
	assert_false(passes("0:0:1::/48", "::1", "::1"));
	assert_false(passes("127.0.0.1", "::1", "::1"));

	assert_int_equal(E2BIG, sieve_attach(0, AF_INET, many, 4096));
}


int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_fence_stranger),
		T(test_fence_flood),
		T(test_fence_too_many_of_one),
		T(test_fence_too_many),
		T(test_fence_nobody_listens),
		cmocka_unit_test(test_sieve_ranges),
	};

	return cmocka_run_group_tests(tests, loop_open, loop_close);
}
