/**
 * @file test_late_site.c  2xx of phones that no transaction waits for, in a
 *                         site
 *
 * Everything is real but the edge: the phones are the test's, and say what
 * they say through struct relay.  Time runs as it does, and jumps where a test
 * says so.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/tmr_heap.h"
#include "sipis/call/calls.h"
#include "sipis/call/relay.h"
#include "tests/unit/common/jump.h"
#include "tests/unit/common/unit.h"
#include "tests/unit/common/loop.h"
#include "tests/unit/lib/site.h"

enum { TOMB_S = 120, SETTLE_S = 10 };

#define BOB "sip:200@pbx.test"

struct relay_try {
	struct live *live;
	struct relay_holder holder;
	struct sip_msg *msg; /**< as the PBX sent it */
	char inst[STORE_ID_LEN + 1];
};

struct live {
	struct site site;
	struct relay relay;
	bool silent;                         /**< no CANCEL leaves */
	struct relay_try *tryv[SITE_PHONES]; /**< the newest of each phone */
	unsigned tries, leaves;
	unsigned elsewhere; /**< CANCELs that say so */

	const char *branch;
	unsigned scode;
	unsigned want;
	struct sip_msg *resp; /**< that is asked about */
	enum calls_late late;
	bool answered;
	char timeline[2048];
};


static void try_destructor(void *data)
{
	struct relay_try *t = data;

	for (unsigned i = 0; i < SITE_PHONES; i++)
		if (t->live->tryv[i] == t)
			t->live->tryv[i] = NULL;
	mem_deref(t->msg);
}


static void phones(uint64_t acct, relay_phone_h *h, void *h_arg, void *arg)
{
	const struct live *l = arg;

	for (unsigned i = 0; acct == l->site.row.id && i < l->site.instc; i++)
		h(l->site.inst[i], h_arg);
}


static int invite(struct relay_try **tp, const char *inst, struct pbx *pbx,
		  const struct sip_msg *msg, const struct relay_holder *holder,
		  void *arg)
{
	struct live *l = arg;
	struct relay_try *t = mem_zalloc(sizeof(*t), try_destructor);
	(void)pbx;

	assert_non_null(t);
	t->live = l;
	t->holder = *holder;
	t->msg = mem_ref((void *)msg);
	str_ncpy(t->inst, inst, sizeof(t->inst));
	for (unsigned i = 0; i < l->site.instc; i++)
		if (!strcmp(inst, l->site.inst[i]))
			l->tryv[i] = t;
	++l->tries;
	*tp = t;

	return 0;
}


static bool leave(struct relay_try **tp, const char *reason, void *arg)
{
	struct live *l = arg;

	++l->leaves;
	l->elsewhere += reason && strstr(reason, "cause=200");
	*tp = mem_deref(*tp);

	return !l->silent;
}


static struct sip_msg *decode(struct mbuf *mb)
{
	struct sip_msg *msg;

	mb->pos = 0;
	assert_int_equal(sip_msg_decode(&msg, mb), 0);
	mem_deref(mb);

	return msg;
}


/* What phone and edge make of the INVITE of that branch */
static struct sip_msg *answer(unsigned scode, const char *callid,
			      const char *branch, const char *tag)
{
	struct mbuf *mb = mbuf_alloc(512);

	assert_non_null(mb);
	assert_int_equal(
		mbuf_printf(mb,
			    "SIP/2.0 %u Word\r\n"
			    "Via: SIP/2.0/UDP h;branch=z9hG4bKours\r\n"
			    "Via: SIP/2.0/UDP h;branch=z9hG4bK%s\r\n"
			    "From: <%s>;tag=f%s\r\n"
			    "To: <sip:100@pbx.test>;tag=%s\r\n"
			    "Call-ID: %s\r\n"
			    "CSeq: 1 INVITE\r\n"
			    "Contact: <sip:100@192.0.2.1>\r\n"
			    "Content-Length: 0\r\n\r\n",
			    scode, branch, BOB, callid, tag, callid),
		0);

	return decode(mb);
}


static void says(struct live *l, unsigned phone, unsigned scode,
		 const char *tag)
{
	struct relay_try *t = l->tryv[phone];
	struct sip_msg *msg;

	assert_non_null(t);
	msg = answer(scode, "c1", "b1", tag);
	t->holder.h(0, msg, t->holder.arg);
	mem_deref(msg);
}


static enum calls_late late_of(struct live *l, const char *branch,
			       const char *tag)
{
	struct pl pl = PL_INIT;
	char text[32];
	enum calls_late late;
	struct sip_msg *msg = answer(200, "c1", branch, tag);

	(void)re_snprintf(text, sizeof(text), "z9hG4bK%s", branch);
	pl_set_str(&pl, text);
	late = calls_late(l->site.calls, l->site.row.id, msg, &pl);
	mem_deref(msg);

	return late;
}


static int take(struct live *l, unsigned phone, const char *branch,
		const char *tag)
{
	struct pl pl = PL_INIT;
	char text[32];
	int err;
	struct sip_msg *msg = answer(200, "c1", branch, tag);

	(void)re_snprintf(text, sizeof(text), "z9hG4bK%s", branch);
	pl_set_str(&pl, text);
	/* of another account it is none of theirs */
	assert_int_equal(calls_late_take(l->site.calls, l->site.row.id + 1,
					 l->site.inst[phone], msg, &pl),
			 ENOENT);
	err = calls_late_take(l->site.calls, l->site.row.id,
			      l->site.inst[phone], msg, &pl);
	mem_deref(msg);

	return err;
}


/* It rings by an INVITE that nobody waits for */
static const char *rings(struct live *l, unsigned phone, const char *branch,
			 bool over)
{
	struct pl pl = PL_INIT;
	char text[32];
	const char *reason = "";
	struct sip_msg *msg = answer(180, "c1", branch, "late");

	(void)re_snprintf(text, sizeof(text), "z9hG4bK%s", branch);
	pl_set_str(&pl, text);
	if (over)
		reason = calls_late_told(l->site.calls, l->site.row.id,
					 l->site.inst[phone], msg, &pl);
	else
		calls_late_rings(l->site.calls, l->site.row.id,
				 l->site.inst[phone], msg, &pl);
	mem_deref(msg);

	return reason;
}


/* --- waiting --- */

static bool has_tries(void *arg)
{
	const struct live *l = arg;

	return l->tries >= l->want;
}


static bool has_response(void *arg)
{
	const struct live *l = arg;

	return rawpbx_response(&l->site.peer, l->branch, l->scode);
}


static const struct rawpbx_response *wait_for(struct live *l,
					      const char *branch,
					      unsigned scode)
{
	l->branch = branch;
	l->scode = scode;
	until(l, has_response);

	return rawpbx_response(&l->site.peer, branch, scode);
}


static bool is_late_so(void *arg)
{
	struct live *l = arg;

	return late_of(l, "b1", "a") == l->late;
}


static void wait_late(struct live *l, enum calls_late late)
{
	l->late = late;
	until(l, is_late_so);
}


static void events_handler(int err, const struct event_row *ev, unsigned evc,
			   void *arg)
{
	struct live *l = arg;

	assert_int_equal(err, 0);
	l->answered = true;
	l->timeline[0] = '\0';
	for (unsigned i = 0; i < evc; i++) {
		const size_t at = strlen(l->timeline);

		(void)snprintf(l->timeline + at, sizeof(l->timeline) - at,
			       "%s %s %s|", ev[i].who, ev[i].what,
			       ev[i].detail);
	}
}


static bool was_answered(void *arg)
{
	return ((struct live *)arg)->answered;
}


static unsigned lines(struct live *l, const char *text)
{
	unsigned n = 0;

	l->answered = false;
	assert_int_equal(store_events(l->site.store, "c1", events_handler, l),
			 0);
	until(l, was_answered);
	for (const char *p = l->timeline; (p = strstr(p, text)); ++p)
		++n;

	return n;
}


/* A round trip: the PBX has by now what was said before */
static void settle(struct live *l)
{
	static const struct rawpbx_response none = { .callid = "ping" };
	static unsigned n;
	char branch[16];

	(void)re_snprintf(branch, sizeof(branch), "ping%u", n++);
	rawpbx_dialog(&l->site.peer, "OPTIONS", &none, branch, BOB, "", "");
	(void)wait_for(l, branch, 0);
}


static void connect_phones(struct live *l)
{
	l->relay = (struct relay){
		.phones = phones, .invite = invite, .leave = leave, .arg = l
	};
	calls_relay(l->site.calls, &l->relay);
}


static int live_open(void **state)
{
	static const struct pbx_cfg cfg = {
		.handover = CFG_HANDOVER_RELAY,
		.auto_180 = CFG_180_ACCEPTED,
		.wake_timeout_s = 30,
		.ring_timeout_s = 60,
		.auth_failures = 2,
		.call_pushes_per_min = 10,
	};
	struct live *l = calloc(1, sizeof(*l));

	assert_non_null(l);
	site_open(&l->site, *state, &cfg);
	site_account(&l->site);
	site_phone(&l->site, 'A');
	site_phone(&l->site, 'B');
	site_settle(&l->site);
	connect_phones(l);
	*state = l;

	return 0;
}


static int live_close(void **state)
{
	struct live *l = *state;
	const int rc = site_close(&l->site);

	free(l);

	return rc;
}


static void ring(struct live *l)
{
	rawpbx_invite(&l->site.peer, "c1", "b1", BOB, "");
	l->want = l->tries + SITE_PHONES;
	until(l, has_tries);
	says(l, 0, 180, "a");
	says(l, 1, 180, "b");
	(void)wait_for(l, "b1", 180);
}


/* The first one has it, and its 2xx is its own however often it comes; the
   other one was quick too */
static void test_late_who_won(void **state)
{
	struct live *l = *state;

	ring(l);
	assert_int_equal(late_of(l, "b1", "a"), CALLS_LATE_WAITED);
	says(l, 0, 200, "a");
	assert_string_equal(wait_for(l, "b1", 200)->to_tag, "a");
	assert_int_equal(l->leaves, 1);
	assert_int_equal(l->elsewhere, 1);

	for (int i = 0; i < 3; i++) {
		assert_int_equal(late_of(l, "b1", "a"), CALLS_LATE_WON);
		assert_int_equal(late_of(l, "b1", "b"), CALLS_LATE_LOST);
		assert_int_equal(late_of(l, "b9", "a"), CALLS_LATE_FOREIGN);
		/* it is no answer any more, whoever says so */
		assert_int_equal(take(l, 0, "b1", "a"), ENOENT);
		assert_int_equal(take(l, 1, "b1", "b"), ENOENT);
	}
	settle(l);
	assert_int_equal(rawpbx_count(&l->site.peer, "b1", 200), 1);
	assert_int_equal(lines(l, "app 200"), 1);
	assert_non_null(strstr(rings(l, 1, "b1", true), "SIP;cause=200;"));

	/* for as long as there is a tombstone, which is set when that ends */
	jump_ms(SETTLE_S * 1000 + TMR_STEP_MS);
	settle(l);
	jump_ms((TOMB_S - SETTLE_S - 5) * 1000);
	settle(l);
	assert_int_equal(late_of(l, "b1", "a"), CALLS_LATE_WON);
	jump_ms(6000);
	wait_late(l, CALLS_LATE_FOREIGN);
	assert_int_equal(take(l, 0, "b1", "a"), ENOENT);
}


/* Nobody has it: the caller has hung up */
static void test_late_is_over(void **state)
{
	struct live *l = *state;

	ring(l);
	rawpbx_cancel(&l->site.peer, "c1", "b1", BOB, "");
	(void)wait_for(l, "b1", 487);
	assert_int_equal(l->leaves, 2);
	assert_int_equal(l->elsewhere, 0);
	assert_int_equal(late_of(l, "b1", "a"), CALLS_LATE_LOST);
	assert_int_equal(late_of(l, "b1", "b"), CALLS_LATE_LOST);
	assert_int_equal(take(l, 0, "b1", "a"), ENOENT);
	settle(l);
	assert_int_equal(rawpbx_count(&l->site.peer, "b1", 200), 0);
}


/* We were started anew while both rang, and neither has registered again */
static void test_late_after_a_restart(void **state)
{
	struct live *l = *state;
	char said_a[64], said_b[64];

	ring(l);
	site_crash(&l->site);
	/* until it is known who has been rung */
	assert_int_equal(late_of(l, "b1", "b"), CALLS_LATE_SOON);
	wait_late(l, CALLS_LATE_WAITED);
	l->site.peer.resc = 0;

	assert_int_equal(take(l, 1, "b1", "b"), 0);
	assert_string_equal(wait_for(l, "b1", 200)->to_tag, "b");
	assert_int_equal(late_of(l, "b1", "b"), CALLS_LATE_WON);
	assert_int_equal(late_of(l, "b1", "a"), CALLS_LATE_LOST);
	assert_int_equal(take(l, 1, "b1", "b"), ENOENT);
	assert_int_equal(take(l, 0, "b1", "a"), ENOENT);
	settle(l);
	assert_int_equal(rawpbx_count(&l->site.peer, "b1", 200), 1);
	assert_int_equal(rawpbx_count(&l->site.peer, "b1", 0), 1);

	(void)snprintf(said_a, sizeof(said_a), "app 200 %s", l->site.inst[0]);
	(void)snprintf(said_b, sizeof(said_b), "app 200 %s", l->site.inst[1]);
	assert_int_equal(lines(l, said_b), 1);
	assert_int_equal(lines(l, said_a), 0);
	assert_int_equal(lines(l, "sipis ended answered"), 1);
}


/* The same, and they are connected: both have it again, and one answers by
   the INVITE of before */
static void test_late_beside_a_new_one(void **state)
{
	struct live *l = *state;

	ring(l);
	site_crash(&l->site);
	l->want = l->tries + SITE_PHONES;
	connect_phones(l);
	for (unsigned i = 0; i < SITE_PHONES; i++)
		calls_flow(l->site.calls, l->site.row.id, l->site.inst[i]);
	until(l, has_tries);
	wait_late(l, CALLS_LATE_WAITED);
	assert_int_equal(take(l, 1, "b1", "b"), 0);
	assert_string_equal(wait_for(l, "b1", 200)->to_tag, "b");
	/* its new one is not wanted either */
	assert_int_equal(l->leaves, 2);
	assert_null(l->tryv[0]);
	assert_null(l->tryv[1]);
	assert_int_equal(l->elsewhere, 2);
}


/* The PBX has sent the INVITE a second time: an answer to either is for the
   first that waits, and the other has a final answer too */
static void test_late_second_branch(void **state)
{
	struct live *l = *state;

	ring(l);
	rawpbx_invite(&l->site.peer, "c1", "b2", BOB, "");
	(void)wait_for(l, "b2", 100);
	assert_int_equal(late_of(l, "b2", "a"), CALLS_LATE_WAITED);
	assert_int_equal(take(l, 0, "b2", "a"), 0);
	assert_string_equal(wait_for(l, "b1", 200)->to_tag, "a");
	(void)wait_for(l, "b2", 480);
	assert_int_equal(rawpbx_count(&l->site.peer, "b2", 200), 0);
	assert_int_equal(late_of(l, "b2", "a"), CALLS_LATE_WON);
	assert_int_equal(late_of(l, "b2", "b"), CALLS_LATE_LOST);
}


/* A phone that rings though nobody waits for it: the caller hears it, and it
   rings for as long as any */
static void test_late_rings(void **state)
{
	struct live *l = *state;

	ring(l);
	site_crash(&l->site);
	wait_late(l, CALLS_LATE_WAITED);
	l->site.peer.resc = 0;
	(void)rings(l, 1, "b9", false); /* of no call here */
	settle(l);
	assert_int_equal(rawpbx_count(&l->site.peer, "b1", 180), 0);
	(void)rings(l, 1, "b1", false);
	assert_string_equal(wait_for(l, "b1", 180)->to_tag, "late");
	assert_int_equal(late_of(l, "b1", "late"), CALLS_LATE_WAITED);
	assert_int_equal(take(l, 1, "b1", "late"), 0);
	(void)wait_for(l, "b1", 200);
	/* the answer is there, and that one says no more */
	l->site.peer.resc = 0;
	(void)rings(l, 1, "b1", false);
	settle(l);
	assert_int_equal(rawpbx_count(&l->site.peer, "b1", 0), 0);
}


/* The timeline says who has CANCEL, and who has to wait for it */
static void test_late_told(void **state)
{
	struct live *l = *state;

	ring(l);
	l->silent = true;
	rawpbx_cancel(&l->site.peer, "c1", "b1", BOB, "");
	(void)wait_for(l, "b1", 487);
	settle(l);
	assert_int_equal(l->leaves, 2);
	assert_int_equal(lines(l, "sipis CANCEL to phone "), 0);
	assert_int_equal(lines(l, "sipis CANCEL waits for phone "), 2);
	assert_null(rings(l, 0, "b9", true));
	assert_string_equal(rings(l, 0, "b1", true), "");
	settle(l);
	assert_int_equal(lines(l, "sipis CANCEL to phone "), 1);
}


#define LIVE(t) cmocka_unit_test_setup_teardown(t, live_open, live_close)


int main(void)
{
	const struct CMUnitTest tests[] = {
		LIVE(test_late_who_won),
		LIVE(test_late_is_over),
		LIVE(test_late_after_a_restart),
		LIVE(test_late_beside_a_new_one),
		LIVE(test_late_second_branch),
		LIVE(test_late_rings),
		LIVE(test_late_told),
	};

	return cmocka_run_group_tests(tests, site_group_open,
				      site_group_close);
}
