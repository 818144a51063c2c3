/**
 * @file test_edge_close.c  Transactions outlive the edge that is closed
 *
 * Whoever holds one may drop it later; libre's stack must be there until
 * then.  Tells only under AddressSanitizer.
 */

#include <string.h>
#include <re/re.h>
#include "sipis/edge/priv.h"
#include "tests/unit/common/unit.h"
#include "tests/unit/common/loop.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define __asan_address_is_poisoned(p) 0 /* nobody knows */
#endif

struct fix {
	struct edge edge;
	struct sip_strans *st;
	struct sip_request *req;
	struct sa laddr;
	unsigned answers;
};


static bool msg_handler(const struct sip_msg *msg, void *arg)
{
	struct fix *f = arg;

	assert_int_equal(
		sip_strans_alloc(&f->st, f->edge.sip, msg, NULL, NULL), 0);
	return true;
}


static void response_handler(int err, const struct sip_msg *msg, void *arg)
{
	struct fix *f = arg;
	(void)err;
	(void)msg;

	++f->answers;
}


static bool came(void *arg)
{
	const struct fix *f = arg;

	return f->st != NULL;
}


/* Of our own to ourselves: both halves are on the edge's stack */
static void ask(struct fix *f)
{
	struct uri route;
	struct mbuf *mb = mbuf_alloc(256);
	char host[32];

	memset(&route, 0, sizeof(route));
	(void)re_snprintf(host, sizeof(host), "%j", &f->laddr);
	pl_set_str(&route.scheme, "sip");
	pl_set_str(&route.host, host);
	pl_set_str(&route.params, ";transport=udp");
	route.port = sa_port(&f->laddr);
	assert_non_null(mb);
	assert_int_equal(mbuf_printf(mb, "Max-Forwards: 70\r\n"
					 "To: <sip:a@b>\r\n"
					 "From: <sip:c@d>;tag=1\r\n"
					 "Call-ID: close\r\n"
					 "CSeq: 1 INVITE\r\n"
					 "Content-Length: 0\r\n\r\n"),
			 0);
	mb->pos = 0;
	assert_int_equal(sip_request(&f->req, f->edge.sip, true, "INVITE", -1,
				     "sip:a@b", -1, &route, mb, 0, NULL,
				     response_handler, f),
			 0);
	mem_deref(mb);
}


static void test_edge_close(void **state)
{
	struct fix f;
	(void)state;

	memset(&f, 0, sizeof(f));
	tmr_init(&f.edge.beat);
	assert_int_equal(sa_set_str(&f.laddr, "127.0.0.1", 0), 0);
	assert_int_equal(
		sip_alloc(&f.edge.sip, NULL, 32, 32, 32, "test", NULL, NULL),
		0);
	assert_int_equal(sip_transp_add(f.edge.sip, SIP_TRANSP_UDP, &f.laddr),
			 0);
	assert_int_equal(sip_transp_laddr(f.edge.sip, &f.laddr, SIP_TRANSP_UDP,
					  &f.laddr),
			 0);
	assert_int_equal(
		sip_listen(&f.edge.door, f.edge.sip, true, msg_handler, &f),
		0);
	ask(&f);
	until(&f, came);

	edge_close(&f.edge);
	assert_int_equal(f.answers, 1);
	/* libre is not instrumented: its own look at it shows nothing */
	assert_false(__asan_address_is_poisoned(f.st));
	mem_deref(f.st);
	mem_deref(f.req);
	mem_deref(f.edge.sip);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_edge_close),
	};

	return cmocka_run_group_tests(tests, loop_open, loop_close);
}
