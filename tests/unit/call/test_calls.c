/**
 * @file test_calls.c  Calls over loopback, every module real
 *
 * A PBX made of text rings us over UDP, the phones stand in a real store, the
 * registration engine keeps the binding, and the pushes go over TLS to a
 * mediator of this process.  The app's word comes from here.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/log.h"
#include "sipis/call/calls.h"
#include "tests/unit/common/unit.h"
#include "tests/unit/common/loop.h"
#include "tests/unit/lib/site.h"

#define BOB      "sip:200@pbx.test"
#define EVE      "sip:201@pbx.test"
#define DIVERTED "Diversion: <sip:100@127.0.0.1>;reason=unknown\r\n"

struct fix {
	struct site site;

	unsigned want;
	const char *branch;
	unsigned scode;
	uint64_t over_at;

	bool answered;
	bool has_info;
	char ended[32], handover[16], id[UUID_LEN + 1], from[128], name[64];
	enum inst_state state;
	char timeline[2048], details[4096];
	unsigned listed;
	char listed_id[UUID_LEN + 1], listed_ended[96]; /**< the newest */
};


/* --- waiting --- */

static bool has_response(void *arg)
{
	struct fix *f = arg;

	return rawpbx_response(&f->site.peer, f->branch, f->scode) != NULL;
}


static const struct rawpbx_response *wait_for(struct fix *f,
					      const char *branch,
					      unsigned scode)
{
	f->branch = branch;
	f->scode = scode;
	until(f, has_response);
	return rawpbx_response(&f->site.peer, branch, scode);
}


static bool has_pushes(void *arg)
{
	struct fix *f = arg;

	return f->site.sv.seenc >= f->want;
}


static void wait_pushes(struct fix *f, unsigned n)
{
	f->want = n;
	until(f, has_pushes);
	assert_int_equal(f->site.sv.seenc, n);
}


static bool was_answered(void *arg)
{
	struct fix *f = arg;

	return f->answered;
}


static bool is_idle(void *arg)
{
	struct fix *f = arg;

	return acct_state(f->site.acct) == REG_IDLE && !f->site.peer.ours[0];
}


static bool has_looked(void *arg)
{
	struct fix *f = arg;

	return f->site.peer.looks >= f->want;
}


static bool is_over(void *arg)
{
	struct fix *f = arg;

	return clock_mono_ms() >= f->over_at;
}


static bool no_call(void *arg)
{
	struct fix *f = arg;

	return calls_count(f->site.calls) == 0;
}


static void state_handler(int err, const struct inst_row *inst,
			  const struct acct_row *acct, void *arg)
{
	struct fix *f = arg;
	(void)acct;

	assert_int_equal(err, 0);
	f->answered = true;
	f->state = inst->state;
}


static int setup(void **state)
{
	static const struct pbx_cfg cfg = {
		.handover = CFG_HANDOVER_FORK,
		.auto_180 = CFG_180_ACCEPTED,
		.wake_timeout_s = 3,
		.ring_timeout_s = 120,
		.gather_ms = 300,
		.auth_failures = 2,
		.call_pushes_per_min = 10,
	};
	struct fix *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	site_open(&f->site, *state, &cfg);
	site_account(&f->site);
	site_phone(&f->site, 'A');
	site_settle(&f->site);
	*state = f;

	return 0;
}


static int teardown(void **state)
{
	struct fix *f = *state;
	int rc;

	rc = site_close(&f->site);
	free(f);

	return rc;
}


/* --- questions --- */

static void info_handler(const struct call_info *info, void *arg)
{
	struct fix *f = arg;

	f->answered = true;
	f->has_info = info != NULL;
	if (!info)
		return;

	str_ncpy(f->id, info->id, sizeof(f->id));
	str_ncpy(f->from, info->from, sizeof(f->from));
	str_ncpy(f->name, info->display_name, sizeof(f->name));
	str_ncpy(f->handover, info->handover, sizeof(f->handover));
	str_ncpy(f->ended, info->ended ? info->ended : "", sizeof(f->ended));
}


static const char *ended(struct fix *f, const char *id, uint32_t wait_ms)
{
	f->answered = false;
	f->ended[0] = '\0';
	assert_int_equal(calls_get(NULL, f->site.calls, f->site.row.id, id,
				   wait_ms, info_handler, f),
			 0);
	assert_false(f->answered);
	until(f, was_answered);
	return f->ended;
}


static void events_handler(int err, const struct event_row *ev, unsigned evc,
			   void *arg)
{
	struct fix *f = arg;

	assert_int_equal(err, 0);
	f->answered = true;
	f->timeline[0] = f->details[0] = '\0';
	for (unsigned i = 0; i < evc; i++) {
		const size_t at = strlen(f->timeline);
		const size_t n = strlen(f->details);

		(void)snprintf(f->timeline + at, sizeof(f->timeline) - at,
			       "%s %s|", ev[i].who, ev[i].what);
		(void)snprintf(f->details + n, sizeof(f->details) - n,
			       "%s: %s|", ev[i].what, ev[i].detail);
	}
}


static void expect_hops(struct fix *f, const char *id, const char *const *hops)
{
	f->answered = false;
	assert_int_equal(store_events(f->site.store, id, events_handler, f),
			 0);
	until(f, was_answered);
	for (; *hops; hops++)
		if (!strstr(f->timeline, *hops))
			fail_msg("no \"%s\" in %s", *hops, f->timeline);
}


/* In what expect_hops() has read */
static unsigned count_hops(const struct fix *f, const char *hop)
{
	unsigned n = 0;

	for (const char *p = f->timeline; (p = strstr(p, hop)); ++p)
		++n;

	return n;
}


static void listed_handler(int err, const struct call_row *call,
			   const struct acct_row *acct, void *arg)
{
	struct fix *f = arg;
	(void)acct;

	if (err) {
		assert_int_equal(err, ENOENT);
		f->answered = true;
		return;
	}

	assert_true(call->acct == f->site.row.id);
	if (!f->listed++) {
		str_ncpy(f->listed_id, call->id, sizeof(f->listed_id));
		str_ncpy(f->listed_ended, call->ended ? call->ended : "",
			 sizeof(f->listed_ended));
	}
}


/* As "sipisctl calls 100@pbx.test" does */
static void list_calls(struct fix *f)
{
	f->answered = false;
	f->listed = 0;
	assert_int_equal(store_calls(f->site.store, "100@pbx.test", 1000,
				     listed_handler, f),
			 0);
}


static bool has_listed(void *arg)
{
	struct fix *f = arg;

	if (!f->answered)
		return false;
	if (f->listed >= f->want)
		return true;

	list_calls(f);
	return false;
}


static void wait_listed(struct fix *f, unsigned n)
{
	f->want = n;
	list_calls(f);
	until(f, has_listed);
}


static void expect_refused(struct fix *f, unsigned n, const char *how)
{
	wait_listed(f, n);
	assert_int_equal(f->listed, n);
	assert_string_equal(f->listed_ended, how);
}


static const struct medserver_push *pushed(struct fix *f, unsigned i)
{
	assert_true(i < f->site.sv.seenc);
	return &f->site.sv.seen[i];
}


/* --- tests --- */

static void test_calls_fork(void **state)
{
	static const char *const hops[] = {
		"pbx INVITE|",        "sipis 100|",      "sipis push sent|",
		"mediator received|", "provider sent|",  "app awake|",
		"provider accepted|", "app registered|", "sipis 180|",
		"app ringing|",       "sipis 480|",      NULL
	};
	struct fix *f = *state;
	const struct medserver_push *p;

	rawpbx_invite(&f->site.peer, "c1", "b1", BOB, "");
	wait_for(f, "b1", 180);
	wait_pushes(f, 1);
	p = pushed(f, 0);
	assert_int_equal(p->use, WIRE__USE__USE_CALL);
	assert_string_equal(p->handle, "call-A");
	assert_string_equal(p->from, BOB);
	assert_string_equal(p->instance, f->site.inst[0]);
	assert_in_range(p->expires_ms - clock_wall_ms(), 1000, 3000);
	assert_non_null(rawpbx_response(&f->site.peer, "b1", 100));
	/* one dialog, one tag */
	assert_int_equal(rawpbx_count(&f->site.peer, "b1", 0), 2);

	f->answered = false;
	calls_each(f->site.calls, f->site.row.id, info_handler, f);
	assert_true(f->answered);
	assert_string_equal(f->id, p->call);
	assert_string_equal(f->handover, "fork");
	assert_string_equal(f->ended, "");

	calls_awake(f->site.calls, f->site.row.id, f->site.inst[0], false, "");
	calls_awake(f->site.calls, f->site.row.id, f->site.inst[0], true,
		    "sip:a@1");
	assert_int_equal(calls_ringing(f->site.calls, f->site.row.id, p->call,
				       f->site.inst[0]),
			 0);
	wait_for(f, "b1", 480);
	assert_string_equal(rawpbx_response(&f->site.peer, "b1", 480)->to_tag,
			    rawpbx_response(&f->site.peer, "b1", 180)->to_tag);
	expect_hops(f, p->call, hops);

	/* handed over: nothing to show to an app that becomes active now */
	f->answered = false;
	calls_each(f->site.calls, f->site.row.id, info_handler, f);
	assert_false(f->answered);
	/* not over: the app may still decline */
	assert_string_equal(ended(f, p->call, 0), "");
	assert_int_equal(calls_decline(f->site.calls, f->site.row.id, p->call,
				       f->site.inst[0]),
			 0);
	assert_string_equal(ended(f, p->call, 0), "declined");
	assert_int_equal(calls_decline(f->site.calls, f->site.row.id, p->call,
				       f->site.inst[0]),
			 EALREADY);
	assert_int_equal(calls_ringing(f->site.calls, f->site.row.id + 1,
				       p->call, f->site.inst[0]),
			 ENOENT);
	assert_int_equal(f->site.sv.seenc, 1);
}


static void test_calls_fork_registered_is_enough(void **state)
{
	struct fix *f = *state;
	uint64_t t0;

	rawpbx_invite(&f->site.peer, "c1", "b1", BOB, "");
	wait_for(f, "b1", 180);
	t0 = clock_mono_ms();
	calls_awake(f->site.calls, f->site.row.id, f->site.inst[0], true,
		    "sip:a@1");
	wait_for(f, "b1", 480);
	assert_in_range(clock_mono_ms() - t0, 950, 2500);
}


/* The app says nothing; its binding does */
static void test_calls_fork_seen(void **state)
{
	struct fix *f = *state;

	rawpbx_invite(&f->site.peer, "c1", "b1", BOB, "");
	wait_for(f, "b1", 180);
	str_ncpy(f->site.peer.apps[0], "sip:app@192.0.2.9",
		 sizeof(f->site.peer.apps[0]));
	wait_for(f, "b1", 480);
	assert_true(f->site.peer.looks >= 2);
	until(f, no_call);
	assert_string_equal(ended(f, pushed(f, 0)->call, 0), "answered");
}


static void test_calls_cancel(void **state)
{
	struct fix *f = *state;
	const struct medserver_push *p;

	rawpbx_invite(&f->site.peer, "c1", "b1", BOB, "");
	wait_for(f, "b1", 180);
	rawpbx_cancel(&f->site.peer, "c1", "b1", BOB,
		      "Reason: Q.850;cause=127\r\n");
	wait_for(f, "b1", 487);
	wait_pushes(f, 2);
	p = pushed(f, 1);
	assert_int_equal(p->use, WIRE__USE__USE_ENDED);
	assert_string_equal(p->handle, "ended-A");
	assert_string_equal(p->reason, "cancelled");
	assert_string_equal(p->call, pushed(f, 0)->call);
	assert_memory_not_equal(p->id, pushed(f, 0)->id, WIRE_ID_LEN);
	assert_string_equal(ended(f, p->call, 0), "cancelled");

	/* a replayed CANCEL moves nothing */
	rawpbx_cancel(&f->site.peer, "c1", "b1", BOB,
		      "Reason: SIP;cause=200\r\n");
	rawpbx_invite(&f->site.peer, "c2", "b2", EVE, "");
	wait_for(f, "b2", 180);
	assert_int_equal(rawpbx_count(&f->site.peer, "b1", 487), 1);
	assert_string_equal(ended(f, p->call, 0), "cancelled");
}


static void test_calls_cancel_answered_elsewhere(void **state)
{
	struct fix *f = *state;

	rawpbx_invite(&f->site.peer, "c1", "b1", BOB, "");
	wait_for(f, "b1", 180);
	rawpbx_cancel(&f->site.peer, "c1", "b1", BOB,
		      "Reason: Q.850;cause=16\r\n"
		      "Reason: SIP;cause=200;text=\"Call completed "
		      "elsewhere\"\r\n");
	wait_for(f, "b1", 487);
	wait_pushes(f, 2);
	assert_string_equal(pushed(f, 1)->reason, "answered_elsewhere");
}


/* The push waits for a window: nobody hears of this call, ever */
static void test_calls_cancel_before_the_push_left(void **state)
{
	struct fix *f = *state;

	f->site.sv.window = 1;
	f->site.sv.mode = MODE_HOLD;
	medserver_drop(&f->site.sv.connv[0]);
	until(&f->site, site_med_is_down);
	until(&f->site, site_med_is_up);

	rawpbx_invite(&f->site.peer, "c1", "b1", BOB, "");
	wait_pushes(f, 1);
	rawpbx_invite(&f->site.peer, "c2", "b2", EVE, "");
	wait_for(f, "b2", 100);
	rawpbx_cancel(&f->site.peer, "c2", "b2", EVE, "");
	wait_for(f, "b2", 487);

	/* now there is room */
	medserver_result(pushed(f, 0)->conn, f->site.sv.seen[0].id,
			 WIRE__OUTCOME__DELIVERED);
	wait_for(f, "b1", 180);
	rawpbx_cancel(&f->site.peer, "c1", "b1", BOB, "");
	wait_pushes(f, 2);
	assert_string_equal(pushed(f, 1)->call, pushed(f, 0)->call);
}


static void test_calls_long_poll(void **state)
{
	struct fix *f = *state;
	struct calls_wait *w = NULL;

	rawpbx_invite(&f->site.peer, "c1", "b1", BOB, "");
	wait_for(f, "b1", 180);
	f->answered = false;
	assert_int_equal(calls_get(&w, f->site.calls, f->site.row.id,
				   pushed(f, 0)->call, 60000, info_handler, f),
			 0);
	assert_non_null(w);
	rawpbx_cancel(&f->site.peer, "c1", "b1", BOB, "");
	until(f, was_answered);
	assert_null(w);
	assert_string_equal(f->ended, "cancelled");

	/* one that is given up is not called */
	rawpbx_invite(&f->site.peer, "c2", "b2", EVE, "");
	wait_for(f, "b2", 180);
	f->answered = false;
	assert_int_equal(calls_get(&w, f->site.calls, f->site.row.id,
				   pushed(f, 2)->call, 60000, info_handler, f),
			 0);
	mem_deref(w);
	rawpbx_cancel(&f->site.peer, "c2", "b2", EVE, "");
	wait_for(f, "b2", 487);
	until(f, no_call);
	assert_false(f->answered);

	/* unknown, and somebody else's */
	f->has_info = true;
	(void)ended(f, "00000000-0000-4000-8000-000000000000", 0);
	assert_false(f->has_info);
	f->answered = false;
	f->has_info = true;
	assert_int_equal(calls_get(NULL, f->site.calls, f->site.row.id + 1,
				   pushed(f, 0)->call, 0, info_handler, f),
			 0);
	until(f, was_answered);
	assert_false(f->has_info);
}


static void test_calls_nobody_comes(void **state)
{
	struct fix *f = *state;
	uint64_t t0 = clock_mono_ms();

	rawpbx_invite(&f->site.peer, "c1", "b1", BOB, "");
	wait_for(f, "b1", 480);
	assert_in_range(clock_mono_ms() - t0, 2900, 4500);
	wait_pushes(f, 2);
	assert_string_equal(pushed(f, 1)->reason, "missed");
	assert_string_equal(ended(f, pushed(f, 0)->call, 0), "missed");
}


static void test_calls_no_mediator(void **state)
{
	static const char *const hops[] = { "sipis push failed|", "sipis 480|",
					    NULL };
	struct fix *f = *state;
	uint64_t t0;

	medserver_stop(&f->site.sv);
	until(&f->site, site_med_is_down);
	t0 = clock_mono_ms();
	rawpbx_invite(&f->site.peer, "c1", "b1", BOB, "");
	wait_for(f, "b1", 480);
	assert_true(clock_mono_ms() - t0 < SITE_PUSH_MS + 1000);
	assert_int_equal(rawpbx_count(&f->site.peer, "b1", 180), 0);
	expect_hops(f, "c1", hops);
	assert_non_null(strstr(f->details, "no mediator is up"));
	assert_non_null(strstr(f->details, "480: no mediator could be had"));
}


/* The mediator has it and says nothing: the phone may ring all the same */
static void test_calls_mediator_says_nothing(void **state)
{
	static const char *const hops[] = { "sipis push failed|", "sipis 480|",
					    NULL };
	struct fix *f = *state;

	f->site.sv.mode = MODE_HOLD;
	rawpbx_invite(&f->site.peer, "c1", "b1", BOB, "");
	wait_for(f, "b1", 480);
	wait_pushes(f, 2);
	assert_int_equal(pushed(f, 1)->use, WIRE__USE__USE_ENDED);
	assert_string_equal(pushed(f, 1)->reason, "missed");
	expect_hops(f, "c1", hops);
	assert_non_null(strstr(f->details, "480: the mediator that took"));
}


static void test_calls_token_gone(void **state)
{
	struct fix *f = *state;

	f->site.sv.mode = MODE_GONE;
	rawpbx_invite(&f->site.peer, "c1", "b1", BOB, "");
	wait_for(f, "b1", 480);
	/* its last phone: the PBX shall not try us again */
	until(f, is_idle);
	f->answered = false;
	assert_int_equal(store_inst_get(f->site.store, f->site.inst[0],
					state_handler, f),
			 0);
	until(f, was_answered);
	assert_int_equal(f->state, INST_GONE);
}


static void say_state(struct fix *f, enum inst_state s)
{
	f->answered = false;
	assert_int_equal(store_inst_state(f->site.store, f->site.inst[0], NULL,
					  s, 0, clock_wall_ms(), state_handler,
					  f),
			 0);
	until(f, was_answered);
}


static void test_calls_no_sleeping_phone(void **state)
{
	struct fix *f = *state;
	uint64_t t0;

	say_state(f, INST_EXITED);
	t0 = clock_mono_ms();
	rawpbx_invite(&f->site.peer, "c1", "b1", BOB, "");
	wait_for(f, "b1", 480);
	assert_true(clock_mono_ms() - t0 < 1000);
	assert_int_equal(f->site.sv.seenc, 0);
}


/* It became active a moment ago: its REGISTER is under way */
static void test_calls_active_just_now(void **state)
{
	struct fix *f = *state;

	say_state(f, INST_ACTIVE);
	rawpbx_invite(&f->site.peer, "c1", "b1", BOB, "");
	wait_for(f, "b1", 100);
	f->answered = false;
	calls_each(f->site.calls, f->site.row.id, info_handler, f);
	assert_true(f->answered);
	assert_int_equal(calls_ringing(f->site.calls, f->site.row.id, f->id,
				       f->site.inst[0]),
			 0);
	wait_for(f, "b1", 480);
	assert_int_equal(f->site.sv.seenc, 0);
	assert_string_equal(ended(f, f->id, 0), "");
}


static void test_calls_limit(void **state)
{
	struct fix *f = *state;
	char callid[8], branch[8];

	for (unsigned i = 0; i < 10; i++) {
		(void)snprintf(callid, sizeof(callid), "c%u", i);
		(void)snprintf(branch, sizeof(branch), "b%u", i);
		rawpbx_invite(&f->site.peer, callid, branch, BOB, "");
		wait_for(f, branch, 100);
	}
	rawpbx_invite(&f->site.peer, "cx", "bx", BOB, "");
	wait_for(f, "bx", 486);
	assert_int_equal(f->site.sv.seenc, 10);
	assert_int_equal(calls_count(f->site.calls), 10);
	expect_refused(f, 11, "refused: more than 10 calls a minute");
}


static void test_calls_same_invite_is_one_push(void **state)
{
	struct fix *f = *state;

	f->site.sv.mode = MODE_HOLD;
	for (unsigned i = 0; i < 5; i++)
		rawpbx_invite(&f->site.peer, "c1", "b1", BOB, "");
	wait_for(f, "b1", 100);
	wait_pushes(f, 1);
	assert_int_equal(calls_count(f->site.calls), 1);
}


/* The PBX looks the user up again: the same call, the same answers */
static void test_calls_second_branch(void **state)
{
	struct fix *f = *state;

	rawpbx_invite(&f->site.peer, "c1", "b1", BOB, "");
	wait_for(f, "b1", 180);
	rawpbx_invite(&f->site.peer, "c1", "b2", BOB, "");
	wait_for(f, "b2", 180);
	assert_non_null(rawpbx_response(&f->site.peer, "b2", 100));
	rawpbx_invite(&f->site.peer, "c1", "b3", BOB, "");
	wait_for(f, "b3", 180);
	assert_int_equal(calls_count(f->site.calls), 1);

	/* one that goes alone leaves the others waiting */
	rawpbx_cancel(&f->site.peer, "c1", "b1", BOB, "");
	wait_for(f, "b1", 487);
	assert_int_equal(calls_count(f->site.calls), 1);

	assert_int_equal(calls_ringing(f->site.calls, f->site.row.id,
				       pushed(f, 0)->call, f->site.inst[0]),
			 0);
	wait_for(f, "b2", 480);
	wait_for(f, "b3", 480);
	/* the app has the call by now */
	rawpbx_invite(&f->site.peer, "c1", "b4", BOB, "");
	wait_for(f, "b4", 480);
	assert_int_equal(f->site.sv.seenc, 1);
}


static unsigned in_dialog(struct fix *f, const char *met,
			  const struct rawpbx_response *r, const char *branch)
{
	rawpbx_dialog(&f->site.peer, met, r, branch, BOB, "", "");
	return wait_for(f, branch, 0)->scode;
}


/* Between our 180 and the final answer */
static void test_calls_dialog(void **state)
{
	struct fix *f = *state;
	struct rawpbx_response first;
	const struct rawpbx_response *r;
	char self[256];

	rawpbx_invite(&f->site.peer, "c1", "b1", BOB, "");
	first = *wait_for(f, "b1", 180);
	(void)re_snprintf(self, sizeof(self), "<%s>", f->site.peer.ours);

	rawpbx_dialog(&f->site.peer, "UPDATE", &first, "u1", BOB, "", "");
	r = wait_for(f, "u1", 200);
	assert_string_equal(r->contact, self);
	assert_string_equal(r->to_tag, first.to_tag);

	/* an offer, and an INVITE, while the first one waits */
	rawpbx_dialog(&f->site.peer, "UPDATE", &first, "u2", BOB,
		      "Content-Type: application/sdp\r\n", "v=0\r\n");
	r = wait_for(f, "u2", 500);
	assert_true(r->retry_after[0] && atoi(r->retry_after) <= 10);
	rawpbx_dialog(&f->site.peer, "INVITE", &first, "i2", BOB, "", "");
	r = wait_for(f, "i2", 500);
	assert_true(r->retry_after[0] && atoi(r->retry_after) <= 10);

	assert_int_equal(in_dialog(f, "OPTIONS", &first, "o1"), 200);
	assert_int_equal(in_dialog(f, "PRACK", &first, "p1"), 481);
	assert_int_equal(in_dialog(f, "INFO", &first, "n1"), 405);
	assert_int_equal(in_dialog(f, "REFER", &first, "r1"), 405);
	assert_int_equal(in_dialog(f, "MESSAGE", &first, "m1"), 480);
	assert_int_equal(rawpbx_count(&f->site.peer, "b1", 180), 1);
	assert_int_equal(calls_count(f->site.calls), 1);
	assert_int_equal(f->site.sv.seenc, 1);
}


static void test_calls_dialog_is_known_by_its_tag(void **state)
{
	struct fix *f = *state;
	struct rawpbx_response r, other;

	rawpbx_invite(&f->site.peer, "c1", "b1", BOB, "");
	r = other = *wait_for(f, "b1", 180);
	str_ncpy(other.to_tag, "0123456789abcdef", sizeof(other.to_tag));
	assert_int_equal(in_dialog(f, "UPDATE", &other, "u1"), 481);
	assert_int_equal(in_dialog(f, "BYE", &other, "y1"), 481);
	other = r;
	str_ncpy(other.callid, "c2", sizeof(other.callid));
	assert_int_equal(in_dialog(f, "UPDATE", &other, "u2"), 481);

	/* the same dialog after a crash, none after the final answer */
	site_crash(&f->site);
	assert_int_equal(in_dialog(f, "UPDATE", &r, "u3"), 200);
	rawpbx_cancel(&f->site.peer, "c1", "b1", BOB, "");
	wait_for(f, "b1", 487);
	assert_int_equal(in_dialog(f, "UPDATE", &r, "u4"), 481);
}


/* RFC 3261 15: a caller may hang up in this way before the answer */
static void test_calls_dialog_bye(void **state)
{
	struct fix *f = *state;
	const char *call;
	struct rawpbx_response r;

	rawpbx_invite(&f->site.peer, "c1", "b1", BOB, "");
	r = *wait_for(f, "b1", 180);
	call = pushed(f, 0)->call;
	rawpbx_dialog(&f->site.peer, "BYE", &r, "y1", BOB,
		      "Reason: SIP;cause=200\r\n", "");
	wait_for(f, "y1", 200);
	wait_for(f, "b1", 487);
	wait_pushes(f, 2);
	assert_int_equal(pushed(f, 1)->use, WIRE__USE__USE_ENDED);
	assert_string_equal(ended(f, call, 0), "answered_elsewhere");
	until(f, no_call);

	/* again, for its answer got lost */
	f->site.peer.resc = 0;
	rawpbx_dialog(&f->site.peer, "BYE", &r, "y1", BOB,
		      "Reason: SIP;cause=200\r\n", "");
	wait_for(f, "y1", 200);
}


/* Each branch has a dialog of its own */
static void test_calls_dialog_bye_to_a_branch(void **state)
{
	struct fix *f = *state;
	struct rawpbx_response r;

	rawpbx_invite(&f->site.peer, "c1", "b1", BOB, "");
	r = *wait_for(f, "b1", 180);
	rawpbx_invite(&f->site.peer, "c1", "b2", BOB, "");
	wait_for(f, "b2", 180);
	assert_int_equal(in_dialog(f, "BYE", &r, "y1"), 200);
	wait_for(f, "b1", 487);
	assert_int_equal(calls_count(f->site.calls), 1);
	assert_int_equal(rawpbx_count(&f->site.peer, "b2", 487), 0);
}


/* "Dial again on 480": each try is a call with a push of its own */
static void test_calls_tried_again_after_480(void **state)
{
	struct fix *f = *state;

	f->site.cfg.wake_timeout_s = 1;
	rawpbx_invite(&f->site.peer, "c1", "b1", BOB, "");
	wait_for(f, "b1", 480);
	wait_pushes(f, 2);
	assert_int_equal(pushed(f, 1)->use, WIRE__USE__USE_ENDED);

	rawpbx_invite(&f->site.peer, "c1", "b2", BOB, "");
	wait_for(f, "b2", 180);
	wait_pushes(f, 3);
	assert_int_equal(pushed(f, 2)->use, WIRE__USE__USE_CALL);
	assert_string_not_equal(pushed(f, 2)->call, pushed(f, 0)->call);
	assert_memory_not_equal(pushed(f, 2)->id, pushed(f, 0)->id,
				WIRE_ID_LEN);

	/* a late repeat of the first one is answered as it was */
	rawpbx_invite(&f->site.peer, "c1", "b1", BOB, "");
	rawpbx_cancel(&f->site.peer, "c1", "b2", BOB, "");
	wait_for(f, "b2", 487);
	assert_int_equal(rawpbx_count(&f->site.peer, "b1", 486), 0);
}


static void test_calls_two_phones(void **state)
{
	struct fix *f = *state;
	uint64_t t0;

	site_phone(&f->site, 'B');
	rawpbx_invite(&f->site.peer, "c1", "b1", BOB, "");
	wait_pushes(f, 2);
	assert_string_not_equal(pushed(f, 0)->instance,
				pushed(f, 1)->instance);
	assert_memory_not_equal(pushed(f, 0)->id, pushed(f, 1)->id,
				WIRE_ID_LEN);
	wait_for(f, "b1", 180);

	/* one declines, the other rings */
	assert_int_equal(calls_decline(f->site.calls, f->site.row.id,
				       pushed(f, 0)->call, f->site.inst[0]),
			 0);
	t0 = clock_mono_ms();
	assert_int_equal(calls_ringing(f->site.calls, f->site.row.id,
				       pushed(f, 0)->call, f->site.inst[1]),
			 0);
	wait_for(f, "b1", 480);
	/* the wait for the phones is three seconds */
	assert_true(clock_mono_ms() - t0 < 1500);
}


static void test_calls_decline_reaches_the_caller_at_once(void **state)
{
	struct fix *f = *state;
	uint64_t t0;

	f->site.cfg.handover = CFG_HANDOVER_REDIRECT;
	rawpbx_invite(&f->site.peer, "c1", "b1", BOB, "");
	wait_for(f, "b1", 180);
	t0 = clock_mono_ms();
	assert_int_equal(calls_decline(f->site.calls, f->site.row.id,
				       pushed(f, 0)->call, f->site.inst[0]),
			 0);
	wait_for(f, "b1", 486);
	/* the wait for the phones is three seconds */
	assert_true(clock_mono_ms() - t0 < 1500);
	assert_int_equal(f->site.sv.seenc, 1);
}


static void app_registers(struct fix *f)
{
	str_ncpy(f->site.peer.apps[0], "sip:app@192.0.2.9",
		 sizeof(f->site.peer.apps[0]));
	calls_awake(f->site.calls, f->site.row.id, f->site.inst[0], true,
		    "sip:app@192.0.2.9");
}


static void test_calls_redirect(void **state)
{
	struct fix *f = *state;
	const struct rawpbx_response *r;
	char ours[256];

	f->site.cfg.handover = CFG_HANDOVER_REDIRECT;
	rawpbx_invite(&f->site.peer, "c1", "b1", BOB, "");
	wait_for(f, "b1", 180);
	str_ncpy(ours, f->site.peer.ours, sizeof(ours));
	app_registers(f);
	r = wait_for(f, "b1", 302);
	assert_string_equal(r->contact, "<sip:100@pbx.test>");
	assert_int_equal(f->site.peer.removes, 1);
	assert_string_equal(f->site.peer.ours, "");

	/* a second branch of the call itself, to where it was sent before */
	str_ncpy(f->site.peer.ours, ours, sizeof(f->site.peer.ours));
	rawpbx_invite(&f->site.peer, "c1", "b1b", BOB, "");
	wait_for(f, "b1b", 486);
	f->site.peer.ours[0] = '\0';
	assert_int_equal(f->site.sv.seenc, 1);

	/* the app goes: our binding comes back */
	f->site.peer.apps[0][0] = '\0';
	until(&f->site, site_is_registered);
}


static void register_again(struct fix *f)
{
	f->site.peer.apps[0][0] = '\0';
	f->site.peer.ours[0] = '\0';
	reg_want(f->site.acct, true);
	until(&f->site, site_is_registered);
}


static void expect_push(struct fix *f, const char *callid, const char *branch,
			const char *from, const char *more)
{
	const unsigned before = f->site.sv.seenc;

	rawpbx_invite(&f->site.peer, callid, branch, from, more);
	wait_for(f, branch, 180);
	wait_pushes(f, before + 1);
	rawpbx_cancel(&f->site.peer, callid, branch, from, "");
	wait_for(f, branch, 487);
	wait_pushes(f, before + 2); /* that it is over */
}


/* The phone has declined, the app sleeps again, the caller dials again: the
   PBX had us out of its list, so no echo can come */
static void test_calls_redirect_redial(void **state)
{
	struct fix *f = *state;

	f->site.cfg.handover = CFG_HANDOVER_REDIRECT;
	rawpbx_invite(&f->site.peer, "c1", "b1", BOB, "");
	wait_for(f, "b1", 180);
	app_registers(f);
	wait_for(f, "b1", 302);
	assert_int_equal(f->site.peer.removes, 1);
	assert_string_equal(f->site.peer.ours, "");
	register_again(f);

	expect_push(f, "c2", "b2", BOB, "");
	expect_push(f, "c3", "b3", EVE, DIVERTED);
}


/* chan_sip: the app's REGISTER took our place; an un-REGISTER would remove
   the app */
static void test_calls_redirect_one_binding(void **state)
{
	struct fix *f = *state;

	f->site.cfg.handover = CFG_HANDOVER_REDIRECT;
	rawpbx_invite(&f->site.peer, "c1", "b1", BOB, "");
	wait_for(f, "b1", 180);
	f->site.peer.ours[0] = '\0';
	app_registers(f);
	wait_for(f, "b1", 302);
	assert_int_equal(f->site.peer.removes, 0);
}


/* Our binding stays: 302 all the same, and the timeline says what comes: from
   the same caller, or a diverted one, until we are registered anew */
static void test_calls_redirect_stubborn_registrar(void **state)
{
	static const char *const hops[] = { "pbx un-REGISTER failed|",
					    "sipis echo expected|",
					    "sipis 486 to echo|", NULL };
	struct fix *f = *state;

	f->site.cfg.handover = CFG_HANDOVER_REDIRECT;
	f->site.peer.stubborn = true;
	rawpbx_invite(&f->site.peer, "c1", "b1", BOB, "");
	wait_for(f, "b1", 180);
	app_registers(f);
	wait_for(f, "b1", 302);
	assert_true(f->site.peer.removes);
	rawpbx_invite(&f->site.peer, "c2", "b2", BOB, "");
	wait_for(f, "b2", 486);
	rawpbx_invite(&f->site.peer, "c3", "b3", EVE, DIVERTED);
	wait_for(f, "b3", 486);
	rawpbx_invite(&f->site.peer, "c1", "b1b", BOB, "");
	wait_for(f, "b1b", 486);
	assert_int_equal(f->site.sv.seenc, 1);
	expect_hops(f, pushed(f, 0)->call, hops);

	expect_push(f, "c4", "b4", EVE, "");
	register_again(f);
	expect_push(f, "c5", "b5", BOB, "");
}


static void test_calls_redirect_deaf_registrar(void **state)
{
	struct fix *f = *state;

	f->site.cfg.handover = CFG_HANDOVER_REDIRECT;
	rawpbx_invite(&f->site.peer, "c1", "b1", BOB, "");
	wait_for(f, "b1", 180);
	f->site.peer.deaf = true;
	app_registers(f);
	wait_for(f, "b1", 302);
	assert_int_equal(f->site.peer.removes, 0);
}


/* However many calls wait and end: one look per account */
static void test_calls_share_a_look(void **state)
{
	struct fix *f = *state;

	f->site.peer.deaf = true;
	rawpbx_invite(&f->site.peer, "c1", "b1", BOB, "");
	wait_for(f, "b1", 180);
	rawpbx_invite(&f->site.peer, "c2", "b2", EVE, "");
	wait_for(f, "b1", 480);
	wait_for(f, "b2", 480);
	rawpbx_invite(&f->site.peer, "c3", "b3", BOB, "");
	wait_for(f, "b3", 180);
	assert_int_equal(f->site.peer.askedc, 1);

	/* its answer serves the call that waits now */
	f->site.peer.deaf = false;
	str_ncpy(f->site.peer.apps[0], "sip:desk@192.0.2.8",
		 sizeof(f->site.peer.apps[0]));
	f->want = f->site.peer.looks + 1;
	until(f, has_looked);
	assert_int_equal(calls_count(f->site.calls), 1);
	str_ncpy(f->site.peer.apps[1], "sip:app@192.0.2.9",
		 sizeof(f->site.peer.apps[1]));
	wait_for(f, "b3", 480);
	assert_string_equal(ended(f, pushed(f, f->site.sv.seenc - 1)->call, 0),
			    "");
}


static void test_calls_restart(void **state)
{
	struct fix *f = *state;
	char tag[32];

	/* its push is not known to be taken: the same again */
	f->site.sv.mode = MODE_HOLD;
	f->site.cfg.auto_180 = CFG_180_IMMEDIATE;
	rawpbx_invite(&f->site.peer, "c1", "b1", BOB, "");
	wait_for(f, "b1", 180);
	wait_pushes(f, 1);
	str_ncpy(tag, rawpbx_response(&f->site.peer, "b1", 180)->to_tag,
		 sizeof(tag));
	f->site.peer.resc = 0;

	site_crash(&f->site);
	assert_int_equal(f->site.restored, 1);
	assert_int_equal(calls_count(f->site.calls), 1);
	wait_pushes(f, 2);
	assert_memory_equal(pushed(f, 0)->id, pushed(f, 1)->id, WIRE_ID_LEN);
	assert_string_equal(pushed(f, 0)->call, pushed(f, 1)->call);
	assert_int_equal(pushed(f, 0)->expires_ms, pushed(f, 1)->expires_ms);
	assert_string_equal(wait_for(f, "b1", 180)->to_tag, tag);

	/* a repeated INVITE is the same call */
	rawpbx_invite(&f->site.peer, "c1", "b1", BOB, "");
	rawpbx_cancel(&f->site.peer, "c1", "b1", BOB, "");
	assert_string_equal(wait_for(f, "b1", 487)->to_tag, tag);
	wait_pushes(f, 3);
	assert_int_equal(pushed(f, 2)->use, WIRE__USE__USE_ENDED);

	/* it is over: the next start knows nothing of it */
	until(f, no_call);
	site_crash(&f->site);
	assert_int_equal(f->site.restored, 0);
	assert_string_equal(ended(f, pushed(f, 0)->call, 0), "cancelled");
}


/* Two phones: one has declined, the other's push is out */
static void test_calls_restart_after_a_decline(void **state)
{
	static const char *const hops[] = { "app decline|", NULL };
	struct fix *f = *state;

	site_phone(&f->site, 'B');
	f->site.sv.mode = MODE_HOLD;
	rawpbx_invite(&f->site.peer, "c1", "b1", BOB, "");
	wait_pushes(f, 2);
	assert_int_equal(calls_decline(f->site.calls, f->site.row.id,
				       pushed(f, 0)->call, f->site.inst[0]),
			 0);
	expect_hops(f, pushed(f, 0)->call, hops); /* it is written by now */

	site_crash(&f->site);
	wait_pushes(f, 3);
	assert_string_equal(pushed(f, 2)->instance, f->site.inst[1]);
	/* the last one declines: it is over */
	assert_int_equal(calls_decline(f->site.calls, f->site.row.id,
				       pushed(f, 0)->call, f->site.inst[1]),
			 0);
	wait_for(f, "b1", 480);
	assert_int_equal(f->site.sv.seenc, 3);
	assert_string_equal(ended(f, pushed(f, 0)->call, 0), "declined");
	/* and each of them is written once */
	expect_hops(f, pushed(f, 0)->call, hops);
	assert_int_equal(count_hops(f, hops[0]), 2);
}


static void test_calls_restart_push_was_taken(void **state)
{
	static const char *const hops[] = { "provider accepted|", NULL };
	struct fix *f = *state;

	rawpbx_invite(&f->site.peer, "c1", "b1", BOB, "");
	wait_for(f, "b1", 180);
	expect_hops(f, pushed(f, 0)->call, hops); /* it is written by now */
	site_crash(&f->site);
	wait_for(f, "b1", 480); /* at the old deadline, not at a new one */
	assert_int_equal(pushed(f, 0)->use, WIRE__USE__USE_CALL);
	wait_pushes(f, 2);
	assert_int_equal(pushed(f, 1)->use, WIRE__USE__USE_ENDED);
}


/* Killed between the 302 and what the PBX makes of it */
static void test_calls_restart_after_a_302(void **state)
{
	static const char *const hops[] = { "sipis echo expected|",
					    "sipis 302|", NULL };
	struct fix *f = *state;

	f->site.cfg.handover = CFG_HANDOVER_REDIRECT;
	f->site.peer.stubborn = true;
	rawpbx_invite(&f->site.peer, "c1", "b1", BOB, "");
	wait_for(f, "b1", 180);
	app_registers(f);
	wait_for(f, "b1", 302);
	expect_hops(f, pushed(f, 0)->call, hops); /* it is written by now */

	site_crash(&f->site);
	assert_int_equal(f->site.restored, 0);
	/* the reader answers in order: the calls, then their timelines */
	expect_hops(f, pushed(f, 0)->call, hops);
	expect_hops(f, pushed(f, 0)->call, hops);
	rawpbx_invite(&f->site.peer, "c2", "b2", BOB, "");
	wait_for(f, "b2", 486);
	expect_push(f, "c3", "b3", EVE, "");
	/* as without a restart */
	register_again(f);
	expect_push(f, "c4", "b4", BOB, "");
}


/* The same, but the PBX had taken us out: who calls is a caller */
static void test_calls_restart_after_a_302_redial(void **state)
{
	static const char *const hops[] = { "sipis 302|", NULL };
	struct fix *f = *state;

	f->site.cfg.handover = CFG_HANDOVER_REDIRECT;
	rawpbx_invite(&f->site.peer, "c1", "b1", BOB, "");
	wait_for(f, "b1", 180);
	app_registers(f);
	wait_for(f, "b1", 302);
	expect_hops(f, pushed(f, 0)->call, hops); /* it is written by now */

	site_crash(&f->site);
	expect_hops(f, pushed(f, 0)->call, hops);
	expect_hops(f, pushed(f, 0)->call, hops);
	register_again(f);
	expect_push(f, "c2", "b2", BOB, "");
}


static void test_calls_restart_too_late(void **state)
{
	struct fix *f = *state;

	f->site.cfg.wake_timeout_s = 1;
	rawpbx_invite(&f->site.peer, "c1", "b1", BOB, "");
	wait_for(f, "b1", 180);
	site_calls_kill(&f->site);
	f->over_at = clock_mono_ms() + 1100; /* the downtime */
	until(f, is_over);
	site_calls_open(&f->site);
	site_calls_load(&f->site);
	wait_for(f, "b1", 480);
	assert_int_equal(f->site.sv.seenc, 1);
	until(f, no_call);
}


static void test_calls_replaces_wakes_nobody(void **state)
{
	struct fix *f = *state;

	rawpbx_invite(&f->site.peer, "c1", "b1", BOB,
		      "Replaces: x;to-tag=1;from-tag=2\r\n");
	wait_for(f, "b1", 481);
	assert_int_equal(f->site.sv.seenc, 0);
}


/* Found like a call, by account, id and Call-ID; an app that asked for it
   would read a word of its own set */
static void test_calls_refused_is_found(void **state)
{
	static const char *const hops[] = { "pbx INVITE|", "sipis 481|",
					    NULL };
	struct fix *f = *state;

	rawpbx_invite(&f->site.peer, "c1", "b1", BOB,
		      "Replaces: x;to-tag=1;from-tag=2\r\n");
	wait_for(f, "b1", 481);
	expect_refused(f, 1, "refused: it would replace a call");
	expect_hops(f, f->listed_id, hops);
	expect_hops(f, "c1", hops);
	assert_string_equal(ended(f, f->listed_id, 0), "missed");

	/* nothing that a restart would take up */
	site_calls_kill(&f->site);
	site_calls_open(&f->site);
	assert_int_equal(calls_count(f->site.calls), 0);
}


/* Each kind once, and a few of them */
static void test_calls_rebuffed(void **state)
{
	static const char *const hops[] = { "app REGISTER refused|", NULL };
	struct fix *f = *state;
	char detail[64];

	calls_rebuffed(f->site.calls, f->site.row.id, 1, "before the call");
	rawpbx_invite(&f->site.peer, "c1", "b1", BOB, "");
	wait_for(f, "b1", 180);
	for (unsigned i = 0; i < 30; i++) {
		(void)snprintf(detail, sizeof(detail), "kind %u", i / 3);
		calls_rebuffed(f->site.calls, f->site.row.id, i / 3, detail);
	}
	calls_rebuffed(f->site.calls, f->site.row.id + 1, 77, "another's");

	expect_hops(f, "c1", hops);
	assert_int_equal(count_hops(f, *hops), 6);
	assert_non_null(strstr(f->details, "refused: kind 0|"));
	assert_non_null(strstr(f->details, "kind 5; no further ones"));
	assert_null(strstr(f->details, "before the call"));
	assert_null(strstr(f->details, "another's"));
}


static void test_calls_refused_old_contact(void **state)
{
	static const char *const hops[] = { "pbx INVITE|", "sipis 404|",
					    NULL };
	struct fix *f = *state;
	char *user = strchr(f->site.peer.ours, ':') + 1;

	user[0] = user[0] == '0' ? '1' : '0';
	rawpbx_invite(&f->site.peer, "c1", "b1", BOB, "");
	wait_for(f, "b1", 404);
	expect_refused(f, 1,
		       "refused: the PBX rang a contact that this account has "
		       "no more");
	expect_hops(f, f->listed_id, hops);
}


/* Contacts of accounts that are gone do not crowd out the others */
static void test_calls_refused_of_nobody(void **state)
{
	struct fix *f = *state;
	char *user = strchr(f->site.peer.ours, ':') + 1;
	const char first = user[0];
	char callid[8], branch[8];

	user[0] = first == '0' ? '1' : '0';
	f->site.peer.to = "sip:gone@pbx.test";
	for (unsigned i = 0; i < 100; i++) {
		(void)snprintf(callid, sizeof(callid), "c%u", i);
		(void)snprintf(branch, sizeof(branch), "b%u", i);
		rawpbx_invite(&f->site.peer, callid, branch, BOB, "");
		wait_for(f, branch, 404);
	}
	user[0] = first;
	f->site.peer.to = NULL;
	rawpbx_invite(&f->site.peer, "cx", "bx", BOB, "Require: foo\r\n");
	wait_for(f, "bx", 420);
	expect_refused(f, 1, "refused: it requires foo");
}


/* A PBX that rings in vain without end does not fill the store */
static void test_calls_refused_is_bounded(void **state)
{
	struct fix *f = *state;
	const uint64_t t0 = clock_mono_ms();
	char callid[8], branch[8];

	for (unsigned i = 0; i < 100; i++) {
		(void)snprintf(callid, sizeof(callid), "c%u", i);
		(void)snprintf(branch, sizeof(branch), "b%u", i);
		rawpbx_invite(&f->site.peer, callid, branch, BOB,
			      "Require: foo\r\n");
		wait_for(f, branch, 420);
	}
	wait_listed(f, 60);
	/* one more with each second that it took */
	assert_in_range(f->listed, 60, 61 + (clock_mono_ms() - t0) / 1000);
}


static void test_calls_require_100rel_gets_no_180(void **state)
{
	struct fix *f = *state;

	f->site.cfg.auto_180 = CFG_180_IMMEDIATE;
	rawpbx_invite(&f->site.peer, "c1", "b1", BOB, "Require: 100rel\r\n");
	wait_for(f, "b1", 480);
	assert_int_equal(rawpbx_count(&f->site.peer, "b1", 180), 0);
}


static void test_calls_require_unknown(void **state)
{
	struct fix *f = *state;
	const struct rawpbx_response *r;

	rawpbx_invite(&f->site.peer, "c1", "b1", BOB,
		      "Require: timer, foo\r\n");
	r = wait_for(f, "b1", 420);
	assert_string_equal(r->unsupported, "foo");
	assert_int_equal(calls_count(f->site.calls), 0);

	/* of a proxy nothing is required */
	rawpbx_invite(&f->site.peer, "c2", "b2", BOB,
		      "Proxy-Require: foo\r\n");
	wait_for(f, "b2", 180);
	wait_pushes(f, 1);
}


static void test_calls_require_relay(void **state)
{
	struct fix *f = *state;

	f->site.cfg.handover = CFG_HANDOVER_RELAY;
	rawpbx_invite(&f->site.peer, "c1", "b1", BOB,
		      "Proxy-Require: foo\r\n");
	assert_string_equal(wait_for(f, "b1", 420)->unsupported, "foo");
	rawpbx_invite(&f->site.peer, "c2", "b2", BOB, "Require: foo\r\n");
	wait_for(f, "b2", 180);
	wait_pushes(f, 1);
}


#define CALLS_TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)


int main(void)
{
	const struct CMUnitTest tests[] = {
		CALLS_TEST(test_calls_fork),
		CALLS_TEST(test_calls_fork_registered_is_enough),
		CALLS_TEST(test_calls_fork_seen),
		CALLS_TEST(test_calls_cancel),
		CALLS_TEST(test_calls_cancel_answered_elsewhere),
		CALLS_TEST(test_calls_cancel_before_the_push_left),
		CALLS_TEST(test_calls_long_poll),
		CALLS_TEST(test_calls_nobody_comes),
		CALLS_TEST(test_calls_no_mediator),
		CALLS_TEST(test_calls_mediator_says_nothing),
		CALLS_TEST(test_calls_token_gone),
		CALLS_TEST(test_calls_no_sleeping_phone),
		CALLS_TEST(test_calls_active_just_now),
		CALLS_TEST(test_calls_limit),
		CALLS_TEST(test_calls_same_invite_is_one_push),
		CALLS_TEST(test_calls_second_branch),
		CALLS_TEST(test_calls_dialog),
		CALLS_TEST(test_calls_dialog_is_known_by_its_tag),
		CALLS_TEST(test_calls_dialog_bye),
		CALLS_TEST(test_calls_dialog_bye_to_a_branch),
		CALLS_TEST(test_calls_tried_again_after_480),
		CALLS_TEST(test_calls_two_phones),
		CALLS_TEST(test_calls_decline_reaches_the_caller_at_once),
		CALLS_TEST(test_calls_redirect),
		CALLS_TEST(test_calls_redirect_redial),
		CALLS_TEST(test_calls_redirect_one_binding),
		CALLS_TEST(test_calls_redirect_stubborn_registrar),
		CALLS_TEST(test_calls_redirect_deaf_registrar),
		CALLS_TEST(test_calls_share_a_look),
		CALLS_TEST(test_calls_restart),
		CALLS_TEST(test_calls_restart_after_a_decline),
		CALLS_TEST(test_calls_restart_push_was_taken),
		CALLS_TEST(test_calls_restart_after_a_302),
		CALLS_TEST(test_calls_restart_after_a_302_redial),
		CALLS_TEST(test_calls_restart_too_late),
		CALLS_TEST(test_calls_replaces_wakes_nobody),
		CALLS_TEST(test_calls_refused_is_found),
		CALLS_TEST(test_calls_refused_old_contact),
		CALLS_TEST(test_calls_refused_of_nobody),
		CALLS_TEST(test_calls_refused_is_bounded),
		CALLS_TEST(test_calls_rebuffed),
		CALLS_TEST(test_calls_require_100rel_gets_no_180),
		CALLS_TEST(test_calls_require_unknown),
		CALLS_TEST(test_calls_require_relay),
	};

	return cmocka_run_group_tests(tests, site_group_open,
				      site_group_close);
}
