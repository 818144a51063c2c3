/**
 * @file test_flow.c  Connections of a PBX are kept alive, and their end heard
 *
 * libre's SIP stack listens on 127.0.0.1; the PBX is a plain TCP socket.
 * Time runs as it does, and jumps where a test says so.
 */

#include "tests/unit/common/jump.h"
#include "tests/unit/common/unit.h"
#include "tests/unit/common/loop.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <re/re.h>
#include "common/tmr_heap.h"
#include "sipis/sip/flow.h"

enum { DEADLINE_MS = 5000, QUIET_MS = 100, KEEPALIVE_S = 60 };

struct fixture {
	struct sip *sip;
	struct sip_lsnr *lsnr;
	struct flows *flows;
	struct sa laddr;
	int fd;
	unsigned heard, lost;
};


static bool request_handler(const struct sip_msg *msg, void *arg)
{
	struct fixture *f = arg;

	++f->heard;
	flows_heard(f->flows, msg);
	assert_true(flows_has(f->flows, msg));

	return true;
}


static void lost_handler(const struct sa *peer, enum sip_transp tp, int err,
			 void *arg)
{
	struct fixture *f = arg;
	(void)peer;
	(void)err;

	assert_int_equal(SIP_TRANSP_TCP, tp);
	++f->lost;
}


static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct sa sa;

	assert_int_equal(0, tmrheap_check());
	assert_int_equal(
		0, sip_alloc(&f->sip, NULL, 16, 16, 16, "test", NULL, NULL));
	assert_int_equal(0, sa_set_str(&sa, "127.0.0.1", 0));
	assert_int_equal(0, sip_transp_add(f->sip, SIP_TRANSP_TCP, &sa, NULL));
	assert_int_equal(
		0, sip_transp_laddr(f->sip, &f->laddr, SIP_TRANSP_TCP, NULL));
	assert_int_equal(
		0, sip_listen(&f->lsnr, f->sip, true, request_handler, f));
	assert_int_equal(0, flows_alloc(&f->flows, f->sip, KEEPALIVE_S,
					lost_handler, f));

	f->fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(0, connect(f->fd, &f->laddr.u.sa, f->laddr.len));
	*state = f;

	return 0;
}


static int teardown(void **state)
{
	struct fixture *f = *state;

	close(f->fd);
	mem_deref(f->flows);
	mem_deref(f->lsnr);
	sip_close(f->sip, true);
	mem_deref(f->sip);
	free(f);

	return 0;
}


/* The PBX says something */
static void speak(struct fixture *f)
{
	static const char text[] = "NOTIFY sip:a@b SIP/2.0\r\n"
				   "Via: SIP/2.0/TCP b;branch=z9hG4bK1\r\n"
				   "From: <sip:a@b>;tag=1\r\n"
				   "To: <sip:a@b>\r\n"
				   "Call-ID: 1\r\n"
				   "CSeq: 1 NOTIFY\r\n"
				   "Max-Forwards: 70\r\n"
				   "Content-Length: 0\r\n\r\n";
	const unsigned before = f->heard;

	assert_int_equal(sizeof(text) - 1,
			 send(f->fd, text, sizeof(text) - 1, MSG_NOSIGNAL));
	for (unsigned t = 0; t < DEADLINE_MS && f->heard == before; t += 5)
		run_for(5);
	assert_int_equal(before + 1, f->heard);
}


static const char *after(struct fixture *f, unsigned s, unsigned ms)
{
	static char buf[2048];
	ssize_t n = -1;

	jump_ms((uint64_t)s * 1000);
	for (unsigned t = 0; t < ms && n < 0; t += 5) {
		run_for(5);
		n = recv(f->fd, buf, sizeof(buf) - 1, MSG_DONTWAIT);
	}
	buf[n > 0 ? n : 0] = '\0';

	return buf;
}


static void test_flow_is_kept_alive(void **state)
{
	struct fixture *f = *state;

	speak(f);
	assert_string_equal("", after(f, KEEPALIVE_S - 5, QUIET_MS));
	assert_string_equal("\r\n\r\n", after(f, 5, DEADLINE_MS));

	/* And again, whatever the PBX makes of it */
	assert_string_equal("", after(f, KEEPALIVE_S - 5, QUIET_MS));
	assert_string_equal("\r\n\r\n", after(f, 5, DEADLINE_MS));

	/* What it says itself is as good */
	after(f, KEEPALIVE_S - 5, 5);
	speak(f);
	assert_string_equal("", after(f, KEEPALIVE_S - 5, QUIET_MS));
	assert_string_equal("\r\n\r\n", after(f, 5, DEADLINE_MS));
	assert_int_equal(0, f->lost);
}


/* libre closes after 900 s without a word */
static void test_flow_asks_for_an_answer(void **state)
{
	struct fixture *f = *state;

	speak(f);
	for (int i = 0; i < 3; i++)
		assert_string_equal("\r\n\r\n",
				    after(f, KEEPALIVE_S, DEADLINE_MS));
	assert_non_null(strstr(after(f, KEEPALIVE_S, DEADLINE_MS),
			       "\r\n\r\nOPTIONS sip:127.0.0.1:"));
	for (int i = 0; i < 3; i++)
		assert_string_equal("\r\n\r\n",
				    after(f, KEEPALIVE_S, DEADLINE_MS));
}


static void test_flow_end_is_heard(void **state)
{
	struct fixture *f = *state;

	speak(f);
	assert_int_equal(1, flows_count(f->flows));
	assert_int_equal(0, shutdown(f->fd, SHUT_RDWR));
	for (unsigned t = 0; t < DEADLINE_MS && !f->lost; t += 5)
		run_for(5);
	assert_int_equal(1, f->lost);
	assert_int_equal(0, flows_count(f->flows));
}


static void test_flow_without_keepalive(void **state)
{
	struct fixture *f = *state;

	f->flows = mem_deref(f->flows);
	assert_int_equal(0,
			 flows_alloc(&f->flows, f->sip, 0, lost_handler, f));
	speak(f);
	assert_string_equal("", after(f, 600, QUIET_MS));
}


int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_flow_is_kept_alive),
		T(test_flow_asks_for_an_answer),
		T(test_flow_end_is_heard),
		T(test_flow_without_keepalive),
	};

	return cmocka_run_group_tests(tests, loop_open, loop_close);
}
