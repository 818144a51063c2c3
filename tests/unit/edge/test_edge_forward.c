/**
 * @file test_edge_forward.c  Timer C of a forwarded INVITE; RFC 3261 16.8
 *
 * A phone on a socket of its own.  Time runs as it does, and jumps where a
 * test says so.
 */

#include <errno.h>
#include <string.h>
#include <re/re.h>
#include "sipis/edge/forward.h"
#include "sipis/edge/priv.h"
#include "tests/unit/common/jump.h"
#include "tests/unit/common/unit.h"
#include "tests/unit/common/loop.h"
#include "tests/unit/edge/rawphone.h"

enum { TIMER_C_S = 180, SIP_64T1_S = 32 };

static const char invite[] =
	"INVITE sip:100@192.0.2.1 SIP/2.0\r\n"
	"Via: SIP/2.0/UDP 127.0.0.9:5060;branch=z9hG4bKabove;rport\r\n"
	"Max-Forwards: 70\r\n"
	"From: <sip:200@demo.test>;tag=caller\r\n"
	"To: <sip:100@demo.test>\r\n"
	"Call-ID: timer-c\r\n"
	"CSeq: 7 INVITE\r\n"
	"Contact: <sip:200@127.0.0.9>\r\n"
	"Content-Length: 0\r\n\r\n";

struct fix {
	struct edge edge;
	struct edge_forward *fwd;
	struct sip_msg *msg; /* of the caller */
	struct rawphone phone;
	struct sip_lsnr *door;
	unsigned heard;
	uint16_t scode;
	int err;
};


static void leap(unsigned seconds)
{
	jump_ms(1000ULL * seconds);
}


/* --- conditions --- */

static bool is_invited(void *arg)
{
	return rawphone_count(&((struct fix *)arg)->phone, "INVITE");
}


static bool is_heard(void *arg)
{
	return ((struct fix *)arg)->heard;
}


static bool is_over(void *arg)
{
	const struct fix *f = arg;

	return f->err || f->scode >= 200;
}


/* Of round trips */
static bool door_handler(const struct sip_msg *msg, void *arg)
{
	struct fix *f = arg;

	return !sip_reply(f->edge.sip, msg, 200, "OK");
}


/* --- one of each --- */

static void response_handler(int err, const struct sip_msg *resp, void *arg)
{
	struct fix *f = arg;

	++f->heard;
	f->err = err;
	f->scode = err ? 0 : resp->scode;
}


static struct sip_msg *message(const char *text)
{
	struct mbuf *mb = mbuf_alloc(sizeof(invite));
	struct sip_msg *msg;

	assert_non_null(mb);
	assert_int_equal(mbuf_write_str(mb, text), 0);
	mb->pos = 0;
	assert_int_equal(sip_msg_decode(&msg, mb), 0);
	mem_deref(mb);
	msg->tp = SIP_TRANSP_UDP;
	assert_int_equal(sa_set_str(&msg->src, "127.0.0.9", 5060), 0);

	return msg;
}


static void open_fix(struct fix *f, bool timer_c)
{
	struct sa laddr;

	memset(f, 0, sizeof(*f));
	tmr_init(&f->edge.beat);
	assert_int_equal(sa_set_str(&laddr, "127.0.0.1", 0), 0);
	assert_int_equal(
		sip_alloc(&f->edge.sip, NULL, 32, 32, 32, "test", NULL, NULL),
		0);
	assert_int_equal(sip_transp_add(f->edge.sip, SIP_TRANSP_UDP, &laddr),
			 0);
	rawphone_open(&f->phone, NULL);
	assert_int_equal(
		sip_listen(&f->door, f->edge.sip, true, door_handler, f), 0);
	f->msg = message(invite);
	assert_int_equal(edge_forward(&f->fwd,
				      &(struct edge_forward_prm){
					      .edge = &f->edge,
					      .sip = f->edge.sip,
					      .msg = f->msg,
					      .dst = f->phone.addr,
					      .tp = SIP_TRANSP_UDP,
					      .timer_c = timer_c,
					      .h = response_handler,
					      .arg = f,
				      }),
			 0);
	until(f, is_invited);
}


static void close_fix(struct fix *f)
{
	mem_deref(f->fwd);
	mem_deref(f->msg);
	rawphone_close(&f->phone);
	mem_deref(f->door);
	sip_close(f->edge.sip, true);
	mem_deref(f->edge.sip);
}


/* To the newest request of that method */
static void say(struct fix *f, const char *met, const char *what)
{
	rawphone_answer(&f->phone, rawphone_last(&f->phone, met), what);
}


static unsigned cancels(const struct fix *f)
{
	return rawphone_count(&f->phone, "CANCEL");
}


static void rings(struct fix *f, const char *how)
{
	f->heard = 0;
	say(f, "INVITE", how);
	until(f, is_heard);
}


/* Three minutes without a word: CANCEL, and its 487 is the answer */
static void test_silent(void **state)
{
	const struct sip_msg *invited, *cancel;
	struct fix f;
	(void)state;

	open_fix(&f, true);
	rings(&f, "180 Ringing");
	leap(TIMER_C_S - 10);
	rawphone_settle(&f.phone);
	assert_int_equal(cancels(&f), 0);

	leap(11);
	rawphone_settle(&f.phone);
	assert_int_equal(cancels(&f), 1);
	invited = rawphone_last(&f.phone, "INVITE");
	cancel = rawphone_last(&f.phone, "CANCEL");
	assert_int_equal(cancel->cseq.num, invited->cseq.num);
	assert_int_equal(pl_cmp(&cancel->via.branch, &invited->via.branch), 0);
	say(&f, "CANCEL", "200 OK");
	say(&f, "INVITE", "487 Request Terminated");
	until(&f, is_over);
	assert_int_equal(f.scode, 487);
	close_fix(&f);
}


/* Whoever says that it still rings has three minutes more */
static void test_begins_anew(void **state)
{
	struct fix f;
	(void)state;

	open_fix(&f, true);
	rings(&f, "180 Ringing");
	leap(TIMER_C_S - 10);
	rings(&f, "183 Session Progress");
	leap(TIMER_C_S - 10);
	rawphone_settle(&f.phone);
	assert_int_equal(cancels(&f), 0);

	leap(11);
	rawphone_settle(&f.phone);
	assert_int_equal(cancels(&f), 1);
	close_fix(&f);
}


/* A 100 says only that it has arrived; RFC 3261 16.7, 2 */
static void test_trying(void **state)
{
	struct fix f;
	(void)state;

	open_fix(&f, true);
	say(&f, "INVITE", "100 Trying");
	rawphone_settle(&f.phone);
	leap(TIMER_C_S - 10);
	say(&f, "INVITE", "100 Trying");
	rawphone_settle(&f.phone);
	assert_int_equal(cancels(&f), 0);
	leap(11);
	rawphone_settle(&f.phone);
	assert_int_equal(cancels(&f), 1);
	close_fix(&f);
}


/* Nobody may be there any more: then it is over all the same */
static void test_no_answer_to_cancel(void **state)
{
	struct fix f;
	(void)state;

	open_fix(&f, true);
	rings(&f, "180 Ringing");
	leap(TIMER_C_S + 1);
	rawphone_settle(&f.phone);
	assert_int_equal(cancels(&f), 1);
	assert_false(is_over(&f));
	leap(SIP_64T1_S + 1);
	until(&f, is_over);
	assert_int_equal(f.err, ETIMEDOUT);
	close_fix(&f);
}


/* A waiting call has an end of its own */
static void test_without(void **state)
{
	struct fix f;
	(void)state;

	open_fix(&f, false);
	rings(&f, "180 Ringing");
	leap(2 * TIMER_C_S);
	rawphone_settle(&f.phone);
	assert_int_equal(cancels(&f), 0);
	close_fix(&f);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_silent),
		cmocka_unit_test(test_begins_anew),
		cmocka_unit_test(test_trying),
		cmocka_unit_test(test_no_answer_to_cancel),
		cmocka_unit_test(test_without),
	};

	return cmocka_run_group_tests(tests, loop_open, loop_close);
}
