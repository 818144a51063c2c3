/**
 * @file test_edge_silent.c  A phone that has an INVITE and says nothing
 *
 * Its app is frozen, or its network is away: RFC 3261 17.1.1.2, timer B.  Time
 * runs as it does, and jumps to it.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>
#include <re/re.h>
#include "sipis/edge/flow.h"
#include "sipis/edge/forward.h"
#include "sipis/edge/priv.h"
#include "sipis/edge/turnstile.h"
#include "tests/unit/common/jump.h"
#include "tests/unit/common/unit.h"
#include "tests/unit/common/loop.h"
#include "tests/unit/edge/rawphone.h"

enum { TIMER_B_S = 32, BIG = 400 << 10, SMALL = 4096 };

static const uint8_t phone_id[EDGE_PHONE] = "one phone here.";

struct fix {
	struct edge edge;
	struct metric refused;
	struct edge_forward *fwd;
	struct edge_flow *flow;
	struct edge_binding *here;
	struct sip_msg *invite; /* of the caller */
	struct rawphone phone;
	int fd; /* of a phone on TCP */
	struct sa laddr;
	struct sip_lsnr *door;
	unsigned said, heard, losts;
	int lost;
};

/* --- conditions --- */

static bool is_registered(void *arg)
{
	return ((struct fix *)arg)->here;
}


static bool is_invited(void *arg)
{
	return rawphone_count(&((struct fix *)arg)->phone, "INVITE");
}


static bool is_cancelled(void *arg)
{
	return rawphone_count(&((struct fix *)arg)->phone, "CANCEL");
}


static bool is_lost(void *arg)
{
	return ((struct fix *)arg)->losts;
}


static bool is_away(void *arg)
{
	return !edge_binding_of(&((struct fix *)arg)->edge, phone_id);
}


/* --- one of each --- */

static bool door_handler(const struct sip_msg *msg, void *arg)
{
	struct fix *f = arg;
	struct edge_bind prm = { .user = "100",
				 .domain = "demo.test",
				 .transport = -1,
				 .expires_s = 3600 };

	if (!pl_strcmp(&msg->met, "REGISTER")) {
		memcpy(prm.phone, phone_id, EDGE_PHONE);
		pl_set_str(&prm.contact, "sip:100@192.0.2.1");
		pl_set_str(&prm.params, "");
		prm.callid = msg->callid;
		assert_int_equal(edge_flow_get(&f->flow, &f->edge, msg), 0);
		prm.flow = f->flow;
		assert_int_equal(edge_bind(&f->here, &prm), 0);
	}

	return !sip_reply(f->edge.sip, msg, 200, "OK");
}


static void response_handler(int err, const struct sip_msg *resp, void *arg)
{
	struct fix *f = arg;
	(void)err;
	(void)resp;

	++f->heard;
}


static void lost_handler(int err, void *arg)
{
	struct fix *f = arg;

	f->lost = err;
	++f->losts;
}


static bool known_handler(const struct sa *peer, void *arg)
{
	(void)peer;
	(void)arg;

	return true;
}


static const char registers[] =
	"REGISTER sip:demo.test SIP/2.0\r\n"
	"Via: SIP/2.0/%s 127.0.0.1;branch=z9hG4bKreg;rport\r\n"
	"From: <sip:100@demo.test>;tag=r\r\n"
	"To: <sip:100@demo.test>\r\n"
	"Call-ID: reg\r\n"
	"CSeq: 1 REGISTER\r\n"
	"Content-Length: 0\r\n\r\n";


static void says_tcp(struct fix *f)
{
	const int size = SMALL;
	char text[512];
	int n;

	/* what is not read is not acknowledged for long */
	f->fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_true(f->fd >= 0);
	assert_int_equal(
		setsockopt(f->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)),
		0);
	assert_int_equal(connect(f->fd, &f->laddr.u.sa, f->laddr.len), 0);
	n = re_snprintf(text, sizeof(text), registers, "TCP");
	assert_int_equal(write(f->fd, text, (size_t)n), n);
}


static void open_fix(struct fix *f, enum sip_transp tp)
{
	const struct turnstile_prm prm = {
		.per_address = 10,
		.refused = &f->refused,
		.h = known_handler,
	};
	struct edge *e = &f->edge;

	memset(f, 0, sizeof(*f));
	f->fd = -1;
	tmr_init(&e->beat);
	assert_int_equal(hash_alloc(&e->flows, 4), 0);
	assert_int_equal(hash_alloc(&e->phones, 4), 0);
	assert_int_equal(hash_alloc(&e->accts, 4), 0);
	assert_int_equal(turnstile_alloc(&e->turnstile, &prm), 0);
	assert_int_equal(sa_set_str(&f->laddr, "127.0.0.1", 0), 0);
	assert_int_equal(sip_alloc(&e->sip, NULL, 32, 32, 32, "test", NULL, e),
			 0);
	assert_int_equal(sip_transp_add(e->sip, tp, &f->laddr), 0);
	assert_int_equal(sip_transp_laddr(e->sip, &f->laddr, tp, NULL), 0);
	assert_int_equal(turnstile_guard(e->turnstile, &f->laddr), 0);
	assert_int_equal(sip_listen(&f->door, e->sip, true, door_handler, f),
			 0);
	rawphone_open(&f->phone, &f->laddr);
	if (tp == SIP_TRANSP_UDP)
		rawphone_say(&f->phone, registers, "UDP");
	else
		says_tcp(f);
	until(f, is_registered);
}


static void close_fix(struct fix *f)
{
	struct edge *e = &f->edge;

	e->closed = true;
	mem_deref(f->fwd);
	list_flush(&e->leaving);
	mem_deref(f->invite);
	rawphone_close(&f->phone);
	if (f->fd >= 0)
		(void)close(f->fd);
	mem_deref(f->door);
	hash_flush(e->flows);
	mem_deref(e->flows);
	mem_deref(e->phones);
	mem_deref(e->accts);
	sip_close(e->sip, true);
	mem_deref(e->sip);
	mem_deref(e->turnstile);
}


static void invites(struct fix *f, size_t body)
{
	struct mbuf *mb = mbuf_alloc(body + 1024);

	assert_non_null(mb);
	assert_int_equal(mbuf_printf(mb,
				     "INVITE sip:100@192.0.2.1 SIP/2.0\r\n"
				     "Via: SIP/2.0/UDP "
				     "127.0.0.9:5060;branch=z9hG4bKabove\r\n"
				     "Max-Forwards: 70\r\n"
				     "From: <sip:200@demo.test>;tag=caller\r\n"
				     "To: <sip:100@demo.test>\r\n"
				     "Call-ID: silent\r\n"
				     "CSeq: 7 INVITE\r\n"
				     "Content-Length: %u\r\n\r\n",
				     (unsigned)body),
			 0);
	if (body)
		assert_int_equal(mbuf_fill(mb, 'x', body), 0);
	mb->pos = 0;
	assert_int_equal(sip_msg_decode(&f->invite, mb), 0);
	mem_deref(mb);
	assert_int_equal(edge_forward(&f->fwd,
				      &(struct edge_forward_prm){
					      .edge = &f->edge,
					      .ties = &f->flow->forwards,
					      .sip = f->edge.sip,
					      .msg = f->invite,
					      .uri = f->here->contact,
					      .dst = f->flow->peer,
					      .tp = f->flow->tp,
					      .phone = phone_id,
					      .losth = lost_handler,
					      .h = response_handler,
					      .arg = f,
				      }),
			 0);
}


static void timer_b(void)
{
	jump_ms(1000 * (TIMER_B_S + 1));
}


/* The call is over, and it has not said a word by timer B: CANCEL goes behind
   the INVITE, and not before */
static void test_left(void **state)
{
	const struct sip_msg *invite, *cancel;
	struct fix f;
	(void)state;

	open_fix(&f, SIP_TRANSP_UDP);
	invites(&f, 0);
	until(&f, is_invited);
	assert_false(edge_forward_leave(&f.fwd, "SIP;cause=200"));
	rawphone_settle(&f.phone);
	assert_int_equal(rawphone_count(&f.phone, "CANCEL"), 0);
	timer_b();
	until(&f, is_cancelled);
	invite = rawphone_last(&f.phone, "INVITE");
	cancel = rawphone_last(&f.phone, "CANCEL");
	assert_int_equal(pl_cmp(&cancel->via.branch, &invite->via.branch), 0);
	assert_int_equal(pl_cmp(&cancel->to.val, &invite->to.val), 0);
	assert_int_equal(cancel->cseq.num, invite->cseq.num);
	assert_non_null(sip_msg_hdr(cancel, SIP_HDR_REASON));
	assert_int_equal(f.heard, 0);
	close_fix(&f);
}


/* The call waits: it may ring yet.  When that is over CANCEL needs no word */
static void test_waits(void **state)
{
	struct fix f;
	(void)state;

	open_fix(&f, SIP_TRANSP_UDP);
	invites(&f, 0);
	until(&f, is_invited);
	timer_b();
	until(&f, is_lost);
	assert_int_equal(f.lost, ETIMEDOUT);
	assert_int_equal(f.heard, 0);
	assert_non_null(f.flow->he.list);
	assert_int_equal(rawphone_count(&f.phone, "CANCEL"), 0);
	assert_true(edge_forward_leave(&f.fwd, NULL));
	until(&f, is_cancelled);
	assert_int_equal(f.losts, 1);
	close_fix(&f);
}


/* All that it can read, until nothing comes or the connection ends */
static size_t drains(const struct fix *f)
{
	char *buf = malloc(BIG);
	size_t all = 0;
	ssize_t n;

	assert_non_null(buf);
	while ((n = recv(f->fd, buf, BIG, 0)) > 0)
		all += (size_t)n;
	free(buf);

	return all;
}


/* What a connection has not taken goes with it; the phone has to come back */
static void test_cut(void **state)
{
	struct fix f;
	(void)state;

	open_fix(&f, SIP_TRANSP_TCP);
	assert_true(turnstile_fd(f.edge.turnstile, &f.flow->peer) >= 0);
	invites(&f, BIG);
	assert_false(edge_forward_leave(&f.fwd, NULL));
	timer_b();
	until(&f, is_away);
	run_for(10);
	assert_true(drains(&f) < BIG);
	/* its CANCEL waits for it */
	assert_false(list_isempty(&f.edge.leaving));
	close_fix(&f);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_left),
		cmocka_unit_test(test_waits),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, loop_open, loop_close);
}
