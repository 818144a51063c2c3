/**
 * @file test_call.c  The life of a call, swept in virtual time
 *
 * The record gets its facts from here, and what it asks for is written down
 * as words; the clock is a variable.
 */

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <re/re.h>
#include "common/log.h"
#include "sipis/call/call.h"
#include "tests/unit/common/unit.h"

enum { START = 100000, WAKE_MS = 15000, RING_MS = 120000, GATHER_MS = 2000 };

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

struct world {
	struct call call;
	uint64_t now;
	char log[2048];  /**< what was asked for, in words */
	unsigned finals; /**< final answers */
	uint64_t final_at;
	unsigned scode;
	const char *why;  /**< of the last final answer */
	uint64_t look_at; /**< when the last look left */
	bool no_look;     /**< it cannot be asked */
	bool has_left;    /**< what drop() says */
	bool ended;
	bool lane_full; /**< the engine looks for others */
	bool no_flow;   /**< what relay() says */
	char noted[64]; /**< the last line of the timeline */
	uint16_t best;  /**< what refuse() says */
};


static void say(struct world *w, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static void say(struct world *w, const char *fmt, ...)
{
	const size_t at = strlen(w->log);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(w->log + at, sizeof(w->log) - at, fmt, ap);
	va_end(ap);
	assert_true(strlen(w->log) < sizeof(w->log) - 1);
}


static void do_push(const char *inst, void *arg)
{
	say(arg, "push:%c ", inst[0]);
}


static bool do_drop(const char *inst, void *arg)
{
	struct world *w = arg;

	say(w, "drop:%c ", inst[0]);
	return w->has_left;
}


static void do_tell(const char *inst, const char *why, void *arg)
{
	say(arg, "tell:%c:%s ", inst[0], why);
}


static bool do_look(bool urgent, void *arg)
{
	struct world *w = arg;

	if (w->lane_full && !urgent)
		return false;

	w->look_at = w->now;
	say(w, "look ");
	return !w->no_look;
}


static void do_release(void *arg)
{
	say(arg, "release ");
}


static void do_reply(uint16_t scode, const char *why, void *arg)
{
	struct world *w = arg;

	say(w, "%u ", scode);
	if (scode < 200)
		return;

	w->why = why ? why : "";
	++w->finals;
	w->scode = scode;
	w->final_at = w->now;
}


static void do_handed(void *arg)
{
	say(arg, "handed ");
}


static void do_ended(const char *how, void *arg)
{
	struct world *w = arg;

	assert_false(w->ended);
	w->ended = true;
	say(w, "ended:%s ", how);
}


static void do_note(const char *who, const char *what, const char *detail,
		    void *arg)
{
	struct world *w = arg;
	(void)who;
	(void)detail;

	(void)snprintf(w->noted, sizeof(w->noted), "%s", what);
}


static bool do_relay(const char *inst, void *arg)
{
	struct world *w = arg;

	say(w, "relay:%c ", inst[0]);
	return !w->no_flow;
}


static void do_unrelay(const char *inst, const char *why, void *arg)
{
	say(arg, "cancel:%c:%s ", inst[0], why);
}


static uint16_t do_refuse(void *arg)
{
	return ((struct world *)arg)->best;
}


static const struct call_acts acts = {
	.push = do_push,
	.drop = do_drop,
	.tell = do_tell,
	.look = do_look,
	.release = do_release,
	.reply = do_reply,
	.relay = do_relay,
	.unrelay = do_unrelay,
	.refuse = do_refuse,
	.handed = do_handed,
	.ended = do_ended,
	.note = do_note,
};


static void begin(struct world *w, const struct handover *owner,
		  enum cfg_auto_180 auto_180)
{
	const struct call_prm prm = {
		.id = "00000000-0000-8000-8000-000000000000",
		.owner = owner,
		.auto_180 = auto_180,
		.gather_ms = GATHER_MS,
		.received = START,
		.wake_by = START + WAKE_MS,
		.ring_by = START + RING_MS,
		.read_by = START + 2000,
		.acts = &acts,
		.arg = w,
	};

	memset(w, 0, sizeof(*w));
	w->now = START;
	w->has_left = true;
	assert_int_equal(call_init(&w->call, &prm), 0);
}


static void finish(struct world *w)
{
	call_reset(&w->call);
}


static void clear(struct world *w)
{
	w->log[0] = '\0';
}


static void expect(struct world *w, const char *log)
{
	assert_string_equal(w->log, log);
	clear(w);
}


/* The clock goes on, as the timer would let it */
static void until(struct world *w, uint64_t at)
{
	while (call_next(&w->call) <= at) {
		const uint64_t next = call_next(&w->call);

		if (next > w->now)
			w->now = next;
		call_tick(&w->call, w->now);
		/* a tick that is due must not be due again at once */
		assert_true(call_next(&w->call) > w->now);
	}
	w->now = at;
}


static void run(struct world *w, uint64_t ms)
{
	until(w, w->now + ms);
}


static void phones(struct world *w, unsigned n)
{
	static const char *const names[] = { A, B };

	call_phones(&w->call, names, n, w->now);
}


static void looked(struct world *w, bool ours, unsigned others,
		   const char *other)
{
	const struct call_bindings b = {
		.ours = ours,
		.others = others,
		.other = other,
		.as_of = w->look_at,
	};

	call_looked(&w->call, &b, w->now);
}


/* INVITE stored, n phones pushed, bindings as they were */
static void woken(struct world *w, const struct handover *owner, unsigned n)
{
	begin(w, owner, CFG_180_OFF);
	call_stored(&w->call, w->now);
	phones(w, n);
	looked(w, true, 0, "");
	expect(w, n == 2 ? "100 push:a push:b look " : "100 push:a look ");
}


static void ended_with(struct world *w, unsigned scode, unsigned finals)
{
	assert_int_equal(w->finals, finals);
	assert_int_equal(w->scode, scode);
}


static const struct handover *const owners[] = { &handover_fork,
						 &handover_redirect };


/* --- answers before any phone --- */

static void test_call_push_does_not_wait_for_the_disk(void **state)
{
	struct world w;
	(void)state;

	begin(&w, &handover_fork, CFG_180_ACCEPTED);
	phones(&w, 1);
	expect(&w, "push:a look ");
	/* nor does the provider: but nothing goes to the PBX before 100 */
	call_pushed(&w.call, A, PHONE_ACCEPTED, w.now);
	expect(&w, "");
	call_stored(&w.call, w.now);
	expect(&w, "100 180 ");
	finish(&w);
}


static void begin_reliable(struct world *w, const struct handover *owner)
{
	begin(w, owner, CFG_180_OFF);
	w->call.prm.store_first = true;
}


/* TCP, TLS: who sent the INVITE does not send it again */
static void test_call_push_after_the_disk(void **state)
{
	struct world w;
	(void)state;

	begin_reliable(&w, &handover_fork);
	phones(&w, 2);
	expect(&w, "look ");
	call_declines(&w.call, B, w.now);
	call_stored(&w.call, w.now);
	expect(&w, "push:a 100 ");
	finish(&w);

	/* the disk was quicker */
	begin_reliable(&w, &handover_fork);
	call_stored(&w.call, w.now);
	phones(&w, 1);
	expect(&w, "100 push:a look ");
	finish(&w);

	/* what has not left is told nothing */
	begin_reliable(&w, &handover_fork);
	phones(&w, 1);
	call_cancelled(&w.call, "cancelled", w.now);
	expect(&w, "look 487 ended:cancelled ");
	call_stored(&w.call, w.now);
	expect(&w, "");
	finish(&w);

	/* the disk does not get through */
	begin_reliable(&w, &handover_fork);
	phones(&w, 1);
	looked(&w, true, 0, "");
	expect(&w, "look ");
	run(&w, 999);
	expect(&w, "");
	run(&w, 1);
	expect(&w, "push:a 100 look ");
	finish(&w);

	/* a flow that cannot ring yet: its time, then the disk's */
	begin_reliable(&w, &handover_relay);
	call_flow(&w.call, A, w.now);
	phones(&w, 1);
	run(&w, 400);
	expect(&w, "");
	call_stored(&w.call, w.now);
	expect(&w, "push:a 100 relay:a ");
	finish(&w);
}


static void test_call_slow_disk_has_a_limit(void **state)
{
	struct world w;
	(void)state;

	begin(&w, &handover_fork, CFG_180_OFF);
	phones(&w, 1);
	looked(&w, true, 0, "");
	clear(&w);
	run(&w, 999);
	expect(&w, "");
	run(&w, 1);
	expect(&w, "100 look ");
	call_stored(&w.call, w.now);
	expect(&w, "");
	finish(&w);
}


static void test_call_auto_180(void **state)
{
	struct world w;
	(void)state;

	begin(&w, &handover_fork, CFG_180_IMMEDIATE);
	call_stored(&w.call, w.now);
	expect(&w, "100 180 ");
	phones(&w, 1);
	looked(&w, true, 0, "");
	clear(&w);
	call_pushed(&w.call, A, PHONE_ACCEPTED, w.now);
	expect(&w, "");
	finish(&w);

	begin(&w, &handover_fork, CFG_180_ACCEPTED);
	call_stored(&w.call, w.now);
	phones(&w, 2);
	expect(&w, "100 push:a push:b look ");
	call_pushed(&w.call, B, PHONE_ACCEPTED, w.now);
	expect(&w, "180 ");
	call_pushed(&w.call, A, PHONE_ACCEPTED, w.now);
	expect(&w, ""); /* once */
	finish(&w);

	woken(&w, &handover_fork, 1);
	call_pushed(&w.call, A, PHONE_ACCEPTED, w.now);
	expect(&w, "");
	finish(&w);
}


static void test_call_long_ringing_repeats_180(void **state)
{
	struct world w;
	(void)state;

	begin(&w, &handover_fork, CFG_180_IMMEDIATE);
	w.call.prm.wake_by = START + 90000;
	call_stored(&w.call, w.now);
	phones(&w, 1);
	looked(&w, true, 0, "");
	clear(&w);
	for (unsigned i = 0; i < 61; i++) {
		run(&w, 1000);
		looked(&w, true, 0, "");
	}
	assert_non_null(strstr(w.log, "180 "));
	finish(&w);
}


static void test_call_no_phone(void **state)
{
	struct world w;
	(void)state;

	begin(&w, &handover_fork, CFG_180_IMMEDIATE);
	phones(&w, 0);
	expect(&w, "480 ended:missed ");
	/* nothing follows a final answer, not even 100 */
	call_stored(&w.call, w.now);
	expect(&w, "");
	assert_int_equal(call_next(&w.call), CALL_NEVER);
	finish(&w);
}


static void test_call_phones_cannot_be_read(void **state)
{
	struct world w;
	(void)state;

	begin(&w, &handover_fork, CFG_180_OFF);
	call_stored(&w.call, w.now);
	run(&w, 5000);
	expect(&w, "100 480 ended:missed ");
	assert_int_equal(w.final_at, START + 2000);
	/* the answer comes all the same */
	phones(&w, 1);
	expect(&w, "");
	finish(&w);
}


/* Said before a crash: it is not rung again, and nobody waits for it */
static void test_call_declined_while_the_phones_are_read(void **state)
{
	struct world w;
	(void)state;

	begin(&w, &handover_fork, CFG_180_OFF);
	call_declines(&w.call, A, w.now);
	phones(&w, 2);
	expect(&w, "push:b look ");
	assert_int_equal(w.call.state, CALL_WAKING);
	finish(&w);

	begin(&w, &handover_redirect, CFG_180_OFF);
	call_declines(&w.call, A, w.now);
	phones(&w, 1);
	expect(&w, "look 486 ended:declined ");
	finish(&w);
}


static void test_call_push_path_dead(void **state)
{
	struct world w;
	(void)state;

	for (unsigned i = 0; i < 2; i++) {
		woken(&w, owners[i], 2);
		run(&w, 500);
		call_pushed(&w.call, A, PHONE_FAILED, w.now);
		expect(&w, "");
		call_pushed(&w.call, B, PHONE_FAILED, w.now);
		expect(&w, "480 ended:missed ");
		assert_string_equal(w.why, "no push got through");
		finish(&w);
	}

	/* the operator is told where to look */
	woken(&w, &handover_fork, 2);
	call_pushed(&w.call, A, PHONE_FAILED, w.now);
	call_pushed(&w.call, B, PHONE_UNTAKEN, w.now);
	expect(&w, "480 ended:missed ");
	assert_non_null(strstr(w.why, "no mediator"));
	finish(&w);
}


/* Nothing came back in time, but the phone may ring */
static void test_call_push_left_and_was_not_heard_of(void **state)
{
	struct world w;
	(void)state;

	for (unsigned i = 0; i < 2; i++) {
		woken(&w, owners[i], 2);
		call_pushed(&w.call, A, PHONE_FAILED, w.now);
		call_pushed(&w.call, B, PHONE_UNKNOWN, w.now);
		expect(&w, "480 tell:b:missed ended:missed ");
		assert_non_null(strstr(w.why, "mediator that took"));
		finish(&w);
	}

	woken(&w, &handover_redirect, 2);
	call_pushed(&w.call, B, PHONE_UNKNOWN, w.now);
	call_declines(&w.call, A, w.now);
	expect(&w, "486 drop:a tell:b:declined_elsewhere ended:declined ");
	finish(&w);

	woken(&w, &handover_fork, 2);
	call_pushed(&w.call, A, PHONE_UNKNOWN, w.now);
	call_cancelled(&w.call, "cancelled", w.now);
	expect(&w, "487 tell:a:cancelled drop:b tell:b:cancelled "
		   "ended:cancelled ");
	finish(&w);
}


static void test_call_nobody_comes(void **state)
{
	struct world w;
	(void)state;

	for (unsigned i = 0; i < 2; i++) {
		woken(&w, owners[i], 2);
		call_pushed(&w.call, A, PHONE_ACCEPTED, w.now);
		call_pushed(&w.call, B, PHONE_FAILED, w.now);
		w.call.look.next_at = CALL_NEVER;
		run(&w, WAKE_MS + 5000);
		expect(&w, "480 tell:a:missed ended:missed ");
		assert_int_equal(w.final_at, START + WAKE_MS);
		finish(&w);
	}
}


static void test_call_looks_once_a_second(void **state)
{
	struct world w;
	(void)state;

	woken(&w, &handover_fork, 1);
	run(&w, 999);
	expect(&w, "");
	run(&w, 1);
	expect(&w, "look ");
	/* not while one is out */
	run(&w, 1500);
	expect(&w, "");
	call_looked(&w.call, NULL, w.now);
	run(&w, 1);
	expect(&w, "look ");
	/* a slow registrar is not asked ever more */
	run(&w, 9000);
	expect(&w, "");
	looked(&w, true, 0, "");
	run(&w, 1);
	expect(&w, "look ");
	looked(&w, true, 0, "");
	/* one that cannot be asked is tried at the same pace */
	w.no_look = true;
	run(&w, 2000);
	expect(&w, "look look ");
	finish(&w);
}


/* Calls at a great rate cannot all look; what decides still can */
static void test_call_looks_when_there_is_room(void **state)
{
	struct world w;
	(void)state;

	begin(&w, &handover_redirect, CFG_180_OFF);
	w.lane_full = true;
	call_stored(&w.call, w.now);
	phones(&w, 1);
	run(&w, 1500);
	expect(&w, "100 push:a ");
	w.lane_full = false;
	run(&w, 500);
	expect(&w, "look ");
	looked(&w, true, 0, "");
	w.lane_full = true;
	call_came(&w.call, A, true, "", w.now);
	expect(&w, "look ");
	looked(&w, false, 1, "sip:a@1");
	expect(&w, "302 handed ");
	finish(&w);
}


/* --- fork --- */

static void test_call_fork_ringing(void **state)
{
	struct world w;
	(void)state;

	woken(&w, &handover_fork, 1);
	call_pushed(&w.call, A, PHONE_ACCEPTED, w.now);
	run(&w, 300);
	call_came(&w.call, A, false, "", w.now);
	run(&w, 10);
	call_rings(&w.call, A, w.now);
	expect(&w, "look 480 handed ");
	run(&w, 20000);
	expect(&w, "ended:handed ");
	finish(&w);
}


static void test_call_fork_registered_word(void **state)
{
	struct world w;
	(void)state;

	woken(&w, &handover_fork, 1);
	run(&w, 300);
	call_came(&w.call, A, true, "sip:a@1.2.3.4", w.now);
	expect(&w, "");
	run(&w, 999);
	expect(&w, "");
	run(&w, 1);
	expect(&w, "480 handed ");
	finish(&w);
}


static void test_call_fork_seen_in_the_bindings(void **state)
{
	struct world w;
	(void)state;

	woken(&w, &handover_fork, 1);
	run(&w, 1000);
	expect(&w, "look ");
	run(&w, 20);
	looked(&w, true, 1, "sip:a@1.2.3.4");
	expect(&w, "");
	run(&w, 1000);
	expect(&w, "480 handed ");
	/* counted from the question, not from a slow answer */
	assert_int_equal(w.final_at, START + 2000);
	finish(&w);
}


/* A desk phone that was there before is no woken app */
static void test_call_old_bindings_do_not_count(void **state)
{
	struct world w;
	(void)state;

	begin(&w, &handover_fork, CFG_180_OFF);
	call_stored(&w.call, w.now);
	phones(&w, 1);
	looked(&w, true, 1, "sip:desk@1");
	clear(&w);
	for (unsigned i = 0; i < 5; i++) {
		run(&w, 1000);
		looked(&w, true, 1, "sip:desk@1");
	}
	assert_int_equal(w.finals, 0);
	assert_int_equal(w.call.state, CALL_WAKING);
	/* it goes, then one comes: that counts */
	run(&w, 1000);
	looked(&w, true, 0, "");
	run(&w, 1000);
	looked(&w, true, 1, "sip:app@2");
	assert_int_equal(w.call.state, CALL_AWAKE);
	finish(&w);
}


static void looked_at(struct world *w, const char *const *uris)
{
	uint32_t hashes[4];
	struct call_bindings b = {
		.ours = true,
		.other = uris[0] ? uris[0] : "",
		.hashes = hashes,
		.as_of = w->look_at,
	};

	for (; uris[b.others]; b.others++)
		hashes[b.others] = hash_joaat_str(uris[b.others]);
	b.hashc = b.others;
	call_looked(&w->call, &b, w->now);
}


/* Desk phones refresh, go and come back: none of them is the woken app */
static void test_call_desk_phones_refresh(void **state)
{
	static const char *const looks[][4] = {
		{ "sip:desk1@1", "sip:desk2@2" },
		{ "sip:desk2@2", "sip:desk1@1" },
		{ "sip:desk1@1" },
		{ "sip:desk2@2", "sip:desk1@1" },
		{ NULL },
		{ "sip:desk2@2" },
	};
	static const char *const app[] = { "sip:desk2@2", "sip:app@3", NULL };
	struct world w;
	(void)state;

	for (unsigned o = 0; o < 2; o++) {
		begin(&w, owners[o], CFG_180_OFF);
		call_stored(&w.call, w.now);
		phones(&w, 1);
		for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++) {
			looked_at(&w, looks[i]);
			assert_int_equal(w.call.state, CALL_WAKING);
			run(&w, 1000);
		}
		/* no more of them than at first, and not the newest */
		looked_at(&w, app);
		assert_int_equal(w.call.state, CALL_AWAKE);
		finish(&w);
	}
}


static void test_call_new_binding_in_place_of_an_old_one(void **state)
{
	struct world w;
	(void)state;

	begin(&w, &handover_fork, CFG_180_OFF);
	call_stored(&w.call, w.now);
	phones(&w, 1);
	looked(&w, true, 1, "sip:old@1");
	run(&w, 1000);
	looked(&w, true, 1, "sip:new@2");
	assert_int_equal(w.call.state, CALL_AWAKE);
	finish(&w);
}


static void test_call_fork_awake_before_the_push_result(void **state)
{
	struct world w;
	(void)state;

	woken(&w, &handover_fork, 1);
	call_came(&w.call, A, true, "", w.now);
	call_pushed(&w.call, A, PHONE_ACCEPTED, w.now);
	run(&w, 1000);
	expect(&w, "480 handed ");
	finish(&w);

	/* and though the push failed in the end */
	woken(&w, &handover_fork, 1);
	call_came(&w.call, A, true, "", w.now);
	call_pushed(&w.call, A, PHONE_FAILED, w.now);
	run(&w, 1000);
	expect(&w, "480 handed ");
	finish(&w);
}


static void test_call_awake_while_the_phones_are_read(void **state)
{
	struct world w;
	(void)state;

	begin(&w, &handover_fork, CFG_180_OFF);
	call_stored(&w.call, w.now);
	call_came(&w.call, A, true, "", w.now);
	phones(&w, 2);
	looked(&w, true, 0, "");
	expect(&w, "100 push:a push:b look ");
	run(&w, 1000 + GATHER_MS);
	expect(&w, "480 handed ");
	finish(&w);

	/* it is no sleeping phone any more when they are read */
	begin(&w, &handover_fork, CFG_180_OFF);
	call_stored(&w.call, w.now);
	call_came(&w.call, A, true, "", w.now);
	phones(&w, 0);
	looked(&w, true, 1, "sip:a@1");
	run(&w, 1000);
	expect(&w, "100 look 480 handed ");
	finish(&w);
}


/* No push is out, so a short time has to do */
static void test_call_only_phones_that_are_awake(void **state)
{
	struct world w;
	(void)state;

	begin(&w, &handover_fork, CFG_180_OFF);
	call_stored(&w.call, w.now);
	call_came(&w.call, A, false, "", w.now);
	phones(&w, 0);
	run(&w, 10000);
	ended_with(&w, 480, 1);
	assert_int_equal(w.final_at, START + 3000);
	finish(&w);
}


static void test_call_fork_decline(void **state)
{
	struct world w;
	(void)state;

	/* before it has its INVITE */
	woken(&w, &handover_fork, 1);
	call_declines(&w.call, A, w.now);
	expect(&w, "480 drop:a ended:declined ");
	finish(&w);

	/* push accepted, app awake */
	woken(&w, &handover_fork, 1);
	call_pushed(&w.call, A, PHONE_ACCEPTED, w.now);
	call_came(&w.call, A, true, "", w.now);
	call_declines(&w.call, A, w.now);
	expect(&w, "480 ended:declined ");
	finish(&w);

	/* after the 480 */
	woken(&w, &handover_fork, 1);
	call_pushed(&w.call, A, PHONE_ACCEPTED, w.now);
	call_rings(&w.call, A, w.now);
	expect(&w, "480 handed ");
	call_declines(&w.call, A, w.now);
	expect(&w, "ended:declined ");
	finish(&w);
}


static void test_call_fork_two_phones(void **state)
{
	struct world w;
	(void)state;

	/* both come */
	woken(&w, &handover_fork, 2);
	run(&w, 500);
	call_rings(&w.call, A, w.now);
	run(&w, 200);
	call_rings(&w.call, B, w.now);
	expect(&w, "480 handed ");
	finish(&w);

	/* one comes: the other is waited for, but not for ever */
	woken(&w, &handover_fork, 2);
	run(&w, 500);
	call_rings(&w.call, A, w.now);
	w.call.look.next_at = CALL_NEVER;
	run(&w, GATHER_MS - 1);
	expect(&w, "");
	run(&w, 1);
	expect(&w, "480 handed ");
	finish(&w);

	/* one declines: the other may still come */
	woken(&w, &handover_fork, 2);
	call_declines(&w.call, A, w.now);
	expect(&w, "");
	run(&w, 500);
	call_rings(&w.call, B, w.now);
	expect(&w, "480 handed ");
	finish(&w);

	/* one declines, the other cannot be reached */
	woken(&w, &handover_fork, 2);
	call_declines(&w.call, A, w.now);
	call_pushed(&w.call, B, PHONE_FAILED, w.now);
	expect(&w, "480 drop:a ended:declined ");
	finish(&w);
}


/* --- redirect --- */

static void test_call_redirect_word(void **state)
{
	struct world w;
	(void)state;

	woken(&w, &handover_redirect, 1);
	call_pushed(&w.call, A, PHONE_ACCEPTED, w.now);
	run(&w, 400);
	call_came(&w.call, A, false, "", w.now);
	until(&w, w.now);
	expect(&w, "look ");
	looked(&w, true, 0, "");
	run(&w, 50);
	call_came(&w.call, A, true, "sip:a@1", w.now);
	expect(&w, "look ");
	looked(&w, true, 1, "sip:a@1");
	expect(&w, "release ");
	call_released(&w.call, true, w.now);
	expect(&w, "302 handed ");
	run(&w, 20000);
	expect(&w, "ended:handed ");
	finish(&w);
}


/* chan_sip: un-REGISTER would throw the app out */
static void test_call_redirect_not_ours_any_more(void **state)
{
	struct world w;
	(void)state;

	woken(&w, &handover_redirect, 1);
	run(&w, 1000);
	expect(&w, "look ");
	looked(&w, false, 1, "sip:a@1");
	/* what showed the app showed us too: no second look */
	expect(&w, "302 handed ");
	assert_false(w.call.echo);
	finish(&w);
}


static void test_call_redirect_seen_and_ours(void **state)
{
	struct world w;
	(void)state;

	woken(&w, &handover_redirect, 1);
	run(&w, 1000);
	expect(&w, "look ");
	looked(&w, true, 1, "sip:a@1");
	expect(&w, "release ");
	call_released(&w.call, true, w.now);
	expect(&w, "302 handed ");
	finish(&w);
}


static void test_call_redirect_silent_registrar(void **state)
{
	struct world w;
	(void)state;

	/* no answer to the look */
	woken(&w, &handover_redirect, 1);
	call_came(&w.call, A, true, "", w.now);
	expect(&w, "look ");
	run(&w, 1499);
	expect(&w, "");
	run(&w, 1);
	expect(&w, "302 handed ");
	assert_true(w.call.echo);
	finish(&w);

	/* a look that fails */
	woken(&w, &handover_redirect, 1);
	call_came(&w.call, A, true, "", w.now);
	call_looked(&w.call, NULL, w.now);
	expect(&w, "look 302 handed ");
	assert_true(w.call.echo);
	finish(&w);

	/* no answer to the un-REGISTER */
	woken(&w, &handover_redirect, 1);
	call_came(&w.call, A, true, "", w.now);
	looked(&w, true, 1, "sip:a@1");
	expect(&w, "look release ");
	run(&w, 1999);
	expect(&w, "");
	run(&w, 1);
	expect(&w, "302 handed ");
	assert_string_equal(w.noted, "echo expected");
	call_released(&w.call, true, w.now);
	expect(&w, "");
	assert_true(w.call.echo);
	finish(&w);

	/* a refusal of it */
	woken(&w, &handover_redirect, 1);
	call_came(&w.call, A, true, "", w.now);
	looked(&w, true, 1, "sip:a@1");
	expect(&w, "look release ");
	call_released(&w.call, false, w.now);
	expect(&w, "302 handed ");
	assert_string_equal(w.noted, "echo expected");
	finish(&w);

	/* it went well */
	woken(&w, &handover_redirect, 1);
	call_came(&w.call, A, true, "", w.now);
	looked(&w, true, 1, "sip:a@1");
	call_released(&w.call, true, w.now);
	expect(&w, "look release 302 handed ");
	assert_string_not_equal(w.noted, "echo expected");
	assert_false(w.call.echo);
	finish(&w);
}


/* A look of before the app's word proves nothing, and is not doubled */
static void test_call_redirect_waits_for_a_look_that_is_out(void **state)
{
	struct world w;
	(void)state;

	woken(&w, &handover_redirect, 1);
	run(&w, 1000);
	expect(&w, "look ");
	run(&w, 100);
	call_came(&w.call, A, true, "sip:a@1", w.now);
	expect(&w, "");
	run(&w, 100);
	looked(&w, true, 0, "");
	expect(&w, "look ");
	looked(&w, false, 1, "sip:a@1");
	expect(&w, "302 handed ");
	finish(&w);

	/* unless it shows the app already */
	woken(&w, &handover_redirect, 1);
	run(&w, 1000);
	call_came(&w.call, A, true, "sip:a@1", w.now);
	looked(&w, true, 1, "sip:a@1");
	expect(&w, "look release ");
	finish(&w);

	/* it cannot be asked: 302 at once */
	woken(&w, &handover_redirect, 1);
	w.no_look = true;
	call_came(&w.call, A, true, "sip:a@1", w.now);
	expect(&w, "look 302 handed ");
	finish(&w);
}


static void test_call_redirect_gathers(void **state)
{
	struct world w;
	(void)state;

	/* both come within the time */
	woken(&w, &handover_redirect, 2);
	run(&w, 300);
	call_came(&w.call, A, true, "", w.now);
	expect(&w, "");
	run(&w, 700);
	call_came(&w.call, B, true, "", w.now);
	looked(&w, false, 2, "sip:b@1");
	expect(&w, "look 302 handed ");
	finish(&w);

	/* one is late: it is told */
	woken(&w, &handover_redirect, 2);
	call_pushed(&w.call, B, PHONE_ACCEPTED, w.now);
	run(&w, 300);
	call_came(&w.call, A, true, "", w.now);
	run(&w, GATHER_MS - 1);
	expect(&w, "");
	run(&w, 1);
	looked(&w, false, 1, "sip:a@1");
	expect(&w, "look 302 tell:b:answered_elsewhere handed ");
	finish(&w);

	/* one cannot be reached: nobody to wait for */
	woken(&w, &handover_redirect, 2);
	run(&w, 300);
	call_came(&w.call, A, true, "", w.now);
	call_pushed(&w.call, B, PHONE_FAILED, w.now);
	looked(&w, false, 1, "sip:a@1");
	expect(&w, "look 302 handed ");
	finish(&w);
}


static void test_call_redirect_decline(void **state)
{
	struct world w;
	(void)state;

	woken(&w, &handover_redirect, 1);
	call_pushed(&w.call, A, PHONE_ACCEPTED, w.now);
	call_declines(&w.call, A, w.now);
	expect(&w, "486 ended:declined ");
	finish(&w);
}


/* It is not 302 that has to be waited for when the app says it rings */
static void test_call_redirect_ringing_is_only_awake(void **state)
{
	struct world w;
	(void)state;

	woken(&w, &handover_redirect, 1);
	call_rings(&w.call, A, w.now);
	expect(&w, "");
	assert_int_equal(w.call.state, CALL_AWAKE);
	finish(&w);
}


/* --- deadlines --- */

static void test_call_late_phone_gets_its_time(void **state)
{
	struct world w;
	(void)state;

	woken(&w, &handover_fork, 1);
	w.call.look.next_at = CALL_NEVER;
	run(&w, WAKE_MS - 100);
	call_came(&w.call, A, false, "", w.now);
	run(&w, 4000);
	call_came(&w.call, A, true, "", w.now);
	clear(&w);
	run(&w, 1000);
	expect(&w, "480 handed ");
	finish(&w);

	/* but not for ever */
	woken(&w, &handover_fork, 1);
	call_pushed(&w.call, A, PHONE_ACCEPTED, w.now);
	run(&w, WAKE_MS - 100);
	call_came(&w.call, A, false, "", w.now);
	run(&w, 10000);
	ended_with(&w, 480, 1);
	assert_int_equal(w.final_at, START + WAKE_MS + 4900);
	assert_non_null(strstr(w.log, "tell:a:missed"));
	finish(&w);
}


static void test_call_ring_limit_of_the_invite(void **state)
{
	struct world w;
	(void)state;

	begin(&w, &handover_fork, CFG_180_OFF);
	w.call.prm.ring_by = w.call.prm.wake_by = START + 3000;
	call_stored(&w.call, w.now);
	phones(&w, 1);
	run(&w, 2900);
	call_came(&w.call, A, false, "", w.now);
	run(&w, 10000);
	ended_with(&w, 480, 1);
	assert_int_equal(w.final_at, START + 3000);
	finish(&w);
}


/* --- CANCEL --- */

static void test_call_cancel_tells_those_who_were_pushed(void **state)
{
	struct world w;
	(void)state;

	/* while the phones are read */
	begin(&w, &handover_fork, CFG_180_OFF);
	call_cancelled(&w.call, "cancelled", w.now);
	expect(&w, "487 ended:cancelled ");
	finish(&w);

	/* the push had not left: nobody knows of the call */
	woken(&w, &handover_fork, 1);
	w.has_left = false;
	call_cancelled(&w.call, "cancelled", w.now);
	expect(&w, "487 drop:a ended:cancelled ");
	finish(&w);

	/* it had left, its result is not here */
	woken(&w, &handover_fork, 1);
	call_cancelled(&w.call, "answered_elsewhere", w.now);
	expect(&w, "487 drop:a tell:a:answered_elsewhere "
		   "ended:answered_elsewhere ");
	/* a late result moves nothing */
	call_pushed(&w.call, A, PHONE_ACCEPTED, w.now);
	expect(&w, "");
	finish(&w);

	/* accepted, refused, declined: each as it is due */
	woken(&w, &handover_fork, 2);
	call_pushed(&w.call, A, PHONE_ACCEPTED, w.now);
	call_pushed(&w.call, B, PHONE_FAILED, w.now);
	call_cancelled(&w.call, "cancelled", w.now);
	expect(&w, "487 tell:a:cancelled ended:cancelled ");
	finish(&w);

	woken(&w, &handover_fork, 2);
	call_pushed(&w.call, A, PHONE_ACCEPTED, w.now);
	call_pushed(&w.call, B, PHONE_ACCEPTED, w.now);
	call_declines(&w.call, A, w.now);
	call_cancelled(&w.call, "cancelled", w.now);
	expect(&w, "487 tell:b:cancelled ended:cancelled ");
	finish(&w);
}


/* The one that answered at the PBX must not be told that it is over */
static void test_call_cancel_spares_those_the_pbx_rings(void **state)
{
	struct world w;
	(void)state;

	woken(&w, &handover_fork, 2);
	call_pushed(&w.call, A, PHONE_ACCEPTED, w.now);
	call_pushed(&w.call, B, PHONE_ACCEPTED, w.now);
	call_came(&w.call, A, true, "", w.now);
	call_cancelled(&w.call, "answered_elsewhere", w.now);
	expect(&w, "487 tell:b:answered_elsewhere ended:answered_elsewhere ");
	finish(&w);

	/* seen, not said */
	woken(&w, &handover_fork, 1);
	call_pushed(&w.call, A, PHONE_ACCEPTED, w.now);
	run(&w, 1000);
	looked(&w, true, 1, "sip:a@1");
	clear(&w);
	call_cancelled(&w.call, "answered_elsewhere", w.now);
	expect(&w, "487 ended:answered_elsewhere ");
	finish(&w);

	/* with redirect nobody has an INVITE yet */
	woken(&w, &handover_redirect, 2);
	call_pushed(&w.call, A, PHONE_ACCEPTED, w.now);
	call_pushed(&w.call, B, PHONE_ACCEPTED, w.now);
	call_came(&w.call, A, true, "", w.now);
	call_cancelled(&w.call, "cancelled", w.now);
	expect(&w, "487 tell:a:cancelled tell:b:cancelled ended:cancelled ");
	finish(&w);
}


/* --- sweeps --- */

/* One life with everything in it, step by step */
static void step(struct world *w, unsigned n)
{
	switch (n) {
	case 0:
		phones(w, 2);
		break;
	case 1:
		call_stored(&w->call, w->now);
		break;
	case 2:
		looked(w, true, 0, "");
		break;
	case 3:
		call_pushed(&w->call, A, PHONE_ACCEPTED, w->now);
		break;
	case 4:
		call_pushed(&w->call, B, PHONE_FAILED, w->now);
		break;
	case 5:
		call_came(&w->call, A, false, "", w->now);
		break;
	case 6:
		call_came(&w->call, A, true, "", w->now);
		break;
	case 7:
		looked(w, true, 1, "sip:a@1");
		break;
	case 8:
		call_released(&w->call, true, w->now);
		break;
	case 9:
		call_rings(&w->call, A, w->now);
		break;
	case 10:
		call_declines(&w->call, A, w->now);
		break;
	default:
		break;
	}
}

enum { STEPS = 11 };


/* CANCEL between any two steps: exactly one final answer, 487 if no other
   had gone, and the record is over */
static void test_call_sweep_cancel_at_every_step(void **state)
{
	struct world w;
	(void)state;

	for (unsigned o = 0; o < 2; o++)
		for (unsigned at = 0; at <= STEPS; at++) {
			bool answered = false;

			begin(&w, owners[o], CFG_180_ACCEPTED);
			for (unsigned n = 0; n < STEPS; n++) {
				if (n == at) {
					answered = w.finals > 0;
					call_cancelled(&w.call, "cancelled",
						       w.now);
				}
				step(&w, n);
				run(&w, 30);
			}
			if (at == STEPS) {
				answered = w.finals > 0;
				call_cancelled(&w.call, "cancelled", w.now);
			}
			run(&w, 200000);
			assert_int_equal(w.finals, 1);
			assert_true(w.ended);
			if (!answered)
				assert_int_equal(w.scode, 487);
			else
				assert_int_not_equal(w.scode, 487);
			finish(&w);
		}
}


/* All orders of facts that a wild world can deliver, by chance: there is
   always exactly one final answer, in time, never a 6xx, never after a 302 a
   second one; no timer is due twice at one moment */
static void test_call_sweep_any_order(void **state)
{
	static const unsigned allowed[] = { 302, 480, 486, 487 };
	uint32_t rnd = 4711;
	(void)state;

	for (unsigned trial = 0; trial < 20000; trial++) {
		struct world w;
		bool ok = false;
		uint64_t limit = START + WAKE_MS + 5000;

		begin(&w, owners[trial & 1], (enum cfg_auto_180)(trial % 3));
		w.has_left = trial & 8;
		for (unsigned n = 0; n < 24; n++) {
			rnd = rnd * 1664525 + 1013904223;
			if ((rnd >> 24) % 20 == 19)
				call_cancelled(&w.call, "cancelled", w.now);
			else if ((rnd >> 24) % 20 == 18)
				call_pushed(&w.call, A, PHONE_FAILED, w.now);
			else if ((rnd >> 24) % 20 == 17)
				call_rings(&w.call, B, w.now);
			else
				step(&w, (rnd >> 24) % STEPS);
			run(&w, (rnd >> 8) & 1023);
		}
		run(&w, 200000);

		assert_int_equal(w.finals, 1);
		assert_true(w.ended);
		assert_true(w.final_at <= limit);
		for (unsigned i = 0; i < 4; i++)
			ok |= w.scode == allowed[i];
		assert_true(ok);
		assert_int_equal(call_next(&w.call), CALL_NEVER);
		finish(&w);
	}
}


/* A dead push path and a dead everything: answered long before 32 s */
static void test_call_sweep_silence(void **state)
{
	(void)state;

	for (unsigned o = 0; o < 2; o++)
		for (unsigned have = 0; have < 1u << STEPS; have++) {
			struct world w;

			begin(&w, owners[o], CFG_180_OFF);
			for (unsigned n = 0; n < STEPS; n++)
				if (have & (1u << n))
					step(&w, n);
			run(&w, 200000);
			assert_int_equal(w.finals, 1);
			assert_true(w.final_at - START < 32000);
			finish(&w);
		}
}


/* --- relay: the phones get our INVITE --- */

/* INVITE stored, n phones that can be pushed, all of them asleep */
static void relayed(struct world *w, unsigned n)
{
	begin(w, &handover_relay, CFG_180_OFF);
	call_stored(&w->call, w->now);
	phones(w, n);
	expect(w, n == 2 ? "100 push:a push:b " : "100 push:a ");
}


/* The same, with a flow from the start */
static void connected(struct world *w, unsigned n)
{
	begin(w, &handover_relay, CFG_180_OFF);
	call_flow(&w->call, A, w->now);
	if (n == 2)
		call_flow(&w->call, B, w->now);
	call_stored(&w->call, w->now);
	phones(w, n);
	expect(w, n == 2 ? "100 relay:a relay:b " : "100 relay:a ");
}


static void test_call_relay_wakes_and_relays(void **state)
{
	struct world w;
	(void)state;

	relayed(&w, 1);
	call_pushed(&w.call, A, PHONE_ACCEPTED, w.now);
	run(&w, 3000);
	expect(&w, "");
	call_flow(&w.call, A, w.now);
	expect(&w, "relay:a ");
	call_relay_rings(&w.call, A, w.now);
	/* it may ring longer than a phone may take to wake up */
	run(&w, WAKE_MS + 5000);
	expect(&w, "");
	call_relay_taken(&w.call, A, w.now);
	expect(&w, "handed ended:answered ");
	assert_int_equal(w.finals, 0); /* the phone's own went up */
	finish(&w);
}


static void test_call_relay_flow_first(void **state)
{
	struct world w;
	(void)state;

	connected(&w, 1);
	run(&w, 399);
	expect(&w, "");
	call_relay_rings(&w.call, A, w.now);
	run(&w, 10000);
	expect(&w, ""); /* no push */
	finish(&w);

	connected(&w, 1);
	run(&w, 400);
	expect(&w, "push:a ");
	finish(&w);

	/* it was gone before it was asked */
	begin(&w, &handover_relay, CFG_180_OFF);
	w.no_flow = true;
	call_flow(&w.call, A, w.now);
	call_stored(&w.call, w.now);
	phones(&w, 1);
	expect(&w, "100 relay:a ");
	run(&w, 1);
	expect(&w, "push:a ");
	finish(&w);

	/* or while it had the INVITE */
	connected(&w, 1);
	call_relay_failed(&w.call, A, 0, w.now);
	expect(&w, "push:a ");
	call_flow(&w.call, A, w.now);
	expect(&w, "relay:a ");
	finish(&w);
}


/* A phone that rings, or was about to, loses its flow */
static void test_call_relay_lost_is_pushed(void **state)
{
	struct world w;
	(void)state;

	connected(&w, 1);
	call_relay_rings(&w.call, A, w.now);
	until(&w, START + WAKE_MS + 20000);
	expect(&w, "");
	call_relay_lost(&w.call, A, true, w.now);
	run(&w, 399);
	expect(&w, "");
	run(&w, 1);
	expect(&w, "push:a ");
	call_pushed(&w.call, A, PHONE_ACCEPTED, w.now);
	/* it has its whole time once more */
	run(&w, WAKE_MS - 401);
	expect(&w, "");
	call_flow(&w.call, A, w.now);
	expect(&w, "relay:a ");
	call_relay_rings(&w.call, A, w.now);
	assert_int_equal(w.call.state, CALL_RINGING);
	call_relay_taken(&w.call, A, w.now);
	expect(&w, "handed ended:answered ");
	finish(&w);

	/* it is not waited for any longer */
	connected(&w, 1);
	call_relay_rings(&w.call, A, w.now);
	until(&w, START + WAKE_MS + 20000);
	call_relay_lost(&w.call, A, true, w.now);
	run(&w, 400);
	expect(&w, "push:a ");
	call_pushed(&w.call, A, PHONE_ACCEPTED, w.now);
	run(&w, WAKE_MS - 401);
	expect(&w, "");
	run(&w, 1);
	expect(&w, "480 cancel:a:missed tell:a:missed ended:missed ");
	finish(&w);
}


static void test_call_relay_lost_and_back(void **state)
{
	struct world w;
	(void)state;

	/* in time: no push */
	connected(&w, 1);
	call_relay_rings(&w.call, A, w.now);
	run(&w, 1000);
	call_relay_lost(&w.call, A, true, w.now);
	run(&w, 200);
	call_flow(&w.call, A, w.now);
	expect(&w, "relay:a ");
	call_relay_rings(&w.call, A, w.now);
	run(&w, 5000);
	expect(&w, "");
	finish(&w);

	/* its answer counts though it has not come back */
	connected(&w, 2);
	call_relay_rings(&w.call, A, w.now);
	call_relay_rings(&w.call, B, w.now);
	call_relay_lost(&w.call, A, true, w.now);
	assert_int_equal(w.call.state, CALL_RINGING); /* the other one does */
	call_relay_taken(&w.call, A, w.now);
	expect(&w, "cancel:b:answered_elsewhere handed ended:answered ");
	finish(&w);

	/* nor is it forgotten when the other one declines */
	connected(&w, 2);
	call_relay_rings(&w.call, A, w.now);
	call_relay_lost(&w.call, B, true, w.now);
	w.best = 486;
	call_relay_failed(&w.call, A, 486, w.now);
	expect(&w, "");
	call_flow(&w.call, B, w.now);
	expect(&w, "relay:b ");
	call_relay_failed(&w.call, B, 486, w.now);
	expect(&w, "486 ended:declined ");
	finish(&w);

	/* gone again before it was asked */
	connected(&w, 1);
	call_relay_lost(&w.call, A, true, w.now);
	w.no_flow = true;
	call_flow(&w.call, A, w.now);
	expect(&w, "relay:a ");
	call_cancelled(&w.call, "cancelled", w.now);
	expect(&w, "487 cancel:a:cancelled tell:a:cancelled ended:cancelled ");
	finish(&w);

	/* it has signed off, as some do before they register anew */
	connected(&w, 1);
	call_relay_lost(&w.call, A, false, w.now);
	run(&w, 1000);
	expect(&w, "");
	call_flow(&w.call, A, w.now);
	expect(&w, "relay:a ");
	finish(&w);

	/* a flow that flaps */
	connected(&w, 1);
	for (unsigned i = 0; i < 6; i++) {
		call_relay_rings(&w.call, A, w.now);
		call_relay_lost(&w.call, A, true, w.now);
		run(&w, 400);
		expect(&w, i < 3 ? "push:a " : "");
		call_pushed(&w.call, A, PHONE_ACCEPTED, w.now);
		call_flow(&w.call, A, w.now);
		expect(&w, "relay:a ");
	}
	finish(&w);
}


/* Two ring for longer than one may take to wake up: one that has lost its way
   is pushed with time to come, while the other rings on */
static void test_call_relay_lost_while_others_ring(void **state)
{
	struct world w;
	uint64_t lost;
	(void)state;

	connected(&w, 2);
	call_relay_rings(&w.call, A, w.now);
	call_relay_rings(&w.call, B, w.now);
	run(&w, WAKE_MS + 1000);
	lost = w.now;
	call_relay_lost(&w.call, A, true, w.now);
	assert_int_equal(w.call.state, CALL_RINGING);
	run(&w, 400);
	expect(&w, "push:a ");
	assert_int_equal(w.call.prm.wake_by, lost + WAKE_MS);
	finish(&w);
}


/* It was silent for so long that it was taken for lost, and rings */
static void test_call_relay_heard(void **state)
{
	struct world w;
	(void)state;

	connected(&w, 1);
	call_relay_lost(&w.call, A, true, w.now);
	run(&w, 400);
	expect(&w, "push:a ");
	call_pushed(&w.call, A, PHONE_ACCEPTED, w.now);
	call_relay_heard(&w.call, A, false, w.now);
	assert_int_equal(w.call.state, CALL_RINGING);
	run(&w, WAKE_MS + 1000); /* as long as any phone */
	expect(&w, "");
	call_cancelled(&w.call, "cancelled", w.now);
	expect(&w, "487 cancel:a:cancelled ended:cancelled ");
	finish(&w);

	/* a CANCEL would not reach it */
	connected(&w, 1);
	call_relay_lost(&w.call, A, true, w.now);
	run(&w, 400);
	expect(&w, "push:a ");
	call_relay_heard(&w.call, A, true, w.now);
	assert_int_equal(w.call.state, CALL_RINGING);
	call_cancelled(&w.call, "cancelled", w.now);
	expect(&w, "487 drop:a cancel:a:cancelled tell:a:cancelled "
		   "ended:cancelled ");
	finish(&w);

	/* the same, and it is connected now, perhaps an app started anew: if
	   it still rings it says so to another INVITE, once */
	connected(&w, 1);
	call_relay_lost(&w.call, A, true, w.now);
	call_relay_heard(&w.call, A, true, w.now);
	expect(&w, "");
	call_flow(&w.call, A, w.now);
	expect(&w, "relay:a ");
	call_relay_has(&w.call, A, w.now);
	call_flow(&w.call, A, w.now);
	expect(&w, "");
	call_cancelled(&w.call, "cancelled", w.now);
	expect(&w, "487 cancel:a:cancelled tell:a:cancelled "
		   "ended:cancelled ");
	finish(&w);

	/* it never had the INVITE */
	connected(&w, 1);
	call_relay_heard(&w.call, B, false, w.now);
	assert_int_equal(w.call.state, CALL_AWAKE);
	finish(&w);
}


/* The call is over while a phone that may ring has no flow */
static void test_call_relay_lost_is_told(void **state)
{
	struct world w;
	(void)state;

	connected(&w, 2);
	call_relay_rings(&w.call, A, w.now);
	call_relay_rings(&w.call, B, w.now);
	call_relay_lost(&w.call, B, true, w.now);
	call_relay_taken(&w.call, A, w.now);
	expect(&w, "cancel:b:answered_elsewhere tell:b:answered_elsewhere "
		   "handed ended:answered ");
	finish(&w);

	connected(&w, 1);
	call_relay_rings(&w.call, A, w.now);
	call_relay_lost(&w.call, A, true, w.now);
	call_cancelled(&w.call, "cancelled", w.now);
	expect(&w, "487 cancel:a:cancelled tell:a:cancelled ended:cancelled ");
	finish(&w);

	/* it was silent, was pushed, and did not come: its flow may be dead */
	connected(&w, 1);
	run(&w, 400);
	expect(&w, "push:a ");
	call_pushed(&w.call, A, PHONE_ACCEPTED, w.now);
	call_cancelled(&w.call, "cancelled", w.now);
	expect(&w, "487 cancel:a:cancelled tell:a:cancelled ended:cancelled ");
	finish(&w);

	/* it rang when we were started anew, with little of its time left */
	begin(&w, &handover_relay, CFG_180_OFF);
	call_relay_had(&w.call, A, true, w.now);
	call_stored(&w.call, w.now);
	phones(&w, 1);
	run(&w, 399);
	expect(&w, "100 ");
	run(&w, 1);
	expect(&w, "push:a ");
	call_pushed(&w.call, A, PHONE_ACCEPTED, w.now);
	until(&w, START + RING_MS - 1);
	expect(&w, "");
	run(&w, 1);
	expect(&w, "480 cancel:a:missed tell:a:missed ended:missed ");
	finish(&w);

	/* the same, it was quick to come back, and cannot be pushed */
	begin(&w, &handover_relay, CFG_180_OFF);
	call_flow(&w.call, A, w.now);
	call_relay_had(&w.call, A, true, w.now);
	call_stored(&w.call, w.now);
	phones(&w, 0);
	expect(&w, "100 relay:a ");
	call_relay_has(&w.call, A, w.now);
	until(&w, START + RING_MS - 1);
	expect(&w, "");
	finish(&w);

	/* it has only had the INVITE: nobody knows that it rings */
	begin(&w, &handover_relay, CFG_180_OFF);
	call_relay_had(&w.call, A, false, w.now);
	call_stored(&w.call, w.now);
	phones(&w, 0);
	until(&w, START + WAKE_MS - 1);
	expect(&w, "100 ");
	call_relay_taken(&w.call, A, w.now);
	expect(&w, "handed ended:answered ");
	finish(&w);

	/* it rings by an INVITE of before a restart */
	connected(&w, 1);
	call_relay_has(&w.call, A, w.now);
	assert_int_equal(w.call.state, CALL_RINGING);
	run(&w, 1000);
	expect(&w, "");
	call_cancelled(&w.call, "cancelled", w.now);
	expect(&w, "487 cancel:a:cancelled tell:a:cancelled ended:cancelled ");
	finish(&w);
}


/* Its 18x would go up, and the PBX would not send the INVITE again */
static void test_call_relay_after_the_disk(void **state)
{
	struct world w;
	(void)state;

	begin(&w, &handover_relay, CFG_180_OFF);
	call_flow(&w.call, A, w.now);
	phones(&w, 2);
	expect(&w, "push:b ");
	call_flow(&w.call, B, w.now);
	expect(&w, "");
	call_stored(&w.call, w.now);
	expect(&w, "100 relay:a relay:b ");
	finish(&w);

	/* the disk does not get through */
	begin(&w, &handover_relay, CFG_180_OFF);
	call_flow(&w.call, A, w.now);
	phones(&w, 1);
	run(&w, 999);
	expect(&w, "push:a ");
	run(&w, 1);
	expect(&w, "100 relay:a ");
	finish(&w);
}


static void test_call_relay_first_wins(void **state)
{
	struct world w;
	(void)state;

	connected(&w, 2);
	call_relay_rings(&w.call, A, w.now);
	call_relay_rings(&w.call, B, w.now);
	call_relay_taken(&w.call, B, w.now);
	expect(&w, "cancel:a:answered_elsewhere handed ended:answered ");
	finish(&w);

	/* one of them sleeps, and has its push */
	begin(&w, &handover_relay, CFG_180_OFF);
	call_flow(&w.call, A, w.now);
	call_stored(&w.call, w.now);
	phones(&w, 2);
	expect(&w, "100 push:b relay:a ");
	call_pushed(&w.call, B, PHONE_ACCEPTED, w.now);
	call_relay_rings(&w.call, A, w.now);
	call_relay_taken(&w.call, A, w.now);
	expect(&w, "tell:b:answered_elsewhere handed ended:answered ");
	finish(&w);
}


static void test_call_relay_decline(void **state)
{
	struct world w;
	(void)state;

	connected(&w, 2);
	call_relay_rings(&w.call, A, w.now);
	call_relay_failed(&w.call, A, 486, w.now);
	expect(&w, ""); /* the other one rings on */
	w.best = 486;
	call_relay_failed(&w.call, B, 480, w.now);
	expect(&w, "486 ended:declined ");
	finish(&w);

	connected(&w, 2);
	w.call.prm.decline = CFG_DECLINE_ACCOUNT;
	w.best = 486;
	call_relay_failed(&w.call, A, 486, w.now);
	expect(&w, "486 cancel:b:declined_elsewhere ended:declined ");
	finish(&w);

	/* nobody declines where the device cannot; that is no word for all */
	connected(&w, 2);
	w.call.prm.decline = CFG_DECLINE_ACCOUNT;
	call_relay_rings(&w.call, B, w.now);
	call_relay_failed(&w.call, A, 488, w.now);
	expect(&w, "");
	w.best = 488;
	call_relay_failed(&w.call, B, 415, w.now);
	expect(&w, "488 ended:refused by the phone ");
	finish(&w);

	/* the same, of before a restart */
	begin(&w, &handover_relay, CFG_180_OFF);
	call_refuses(&w.call, A, w.now);
	call_stored(&w.call, w.now);
	phones(&w, 1);
	expect(&w, "100 480 ended:refused by the phone ");
	finish(&w);

	/* who does not come is not waited for longer than it takes to wake */
	begin(&w, &handover_relay, CFG_180_OFF);
	call_flow(&w.call, A, w.now);
	call_stored(&w.call, w.now);
	phones(&w, 2);
	call_pushed(&w.call, B, PHONE_ACCEPTED, w.now);
	call_relay_rings(&w.call, A, w.now);
	clear(&w);
	w.best = 486;
	call_relay_failed(&w.call, A, 486, w.now);
	until(&w, START + WAKE_MS - 1);
	expect(&w, "");
	run(&w, 1);
	expect(&w, "486 tell:b:missed ended:missed ");
	finish(&w);
}


static void test_call_relay_cancel(void **state)
{
	struct world w;
	(void)state;

	connected(&w, 2);
	call_relay_rings(&w.call, A, w.now);
	call_cancelled(&w.call, "cancelled", w.now);
	expect(&w, "487 cancel:a:cancelled cancel:b:cancelled "
		   "ended:cancelled ");
	ended_with(&w, 487, 1);
	finish(&w);
}


static void test_call_relay_ring_limit(void **state)
{
	struct world w;
	(void)state;

	connected(&w, 1);
	call_relay_rings(&w.call, A, w.now);
	until(&w, START + RING_MS - 1);
	assert_false(w.ended);
	run(&w, 1);
	assert_true(w.ended);
	ended_with(&w, 480, 1);
	finish(&w);
}


static int setup(void **state)
{
	(void)state;
	log_set_level(LOG_ERROR_);
	return 0;
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_call_push_does_not_wait_for_the_disk),
		cmocka_unit_test(test_call_push_after_the_disk),
		cmocka_unit_test(test_call_slow_disk_has_a_limit),
		cmocka_unit_test(test_call_auto_180),
		cmocka_unit_test(test_call_long_ringing_repeats_180),
		cmocka_unit_test(test_call_no_phone),
		cmocka_unit_test(test_call_phones_cannot_be_read),
		cmocka_unit_test(test_call_declined_while_the_phones_are_read),
		cmocka_unit_test(test_call_push_path_dead),
		cmocka_unit_test(test_call_push_left_and_was_not_heard_of),
		cmocka_unit_test(test_call_nobody_comes),
		cmocka_unit_test(test_call_looks_once_a_second),
		cmocka_unit_test(test_call_looks_when_there_is_room),
		cmocka_unit_test(test_call_fork_ringing),
		cmocka_unit_test(test_call_fork_registered_word),
		cmocka_unit_test(test_call_fork_seen_in_the_bindings),
		cmocka_unit_test(test_call_old_bindings_do_not_count),
		cmocka_unit_test(test_call_desk_phones_refresh),
		cmocka_unit_test(test_call_new_binding_in_place_of_an_old_one),
		cmocka_unit_test(test_call_fork_awake_before_the_push_result),
		cmocka_unit_test(test_call_awake_while_the_phones_are_read),
		cmocka_unit_test(test_call_only_phones_that_are_awake),
		cmocka_unit_test(test_call_fork_decline),
		cmocka_unit_test(test_call_fork_two_phones),
		cmocka_unit_test(test_call_redirect_word),
		cmocka_unit_test(test_call_redirect_not_ours_any_more),
		cmocka_unit_test(test_call_redirect_seen_and_ours),
		cmocka_unit_test(test_call_redirect_silent_registrar),
		cmocka_unit_test(
			test_call_redirect_waits_for_a_look_that_is_out),
		cmocka_unit_test(test_call_redirect_gathers),
		cmocka_unit_test(test_call_redirect_decline),
		cmocka_unit_test(test_call_redirect_ringing_is_only_awake),
		cmocka_unit_test(test_call_late_phone_gets_its_time),
		cmocka_unit_test(test_call_ring_limit_of_the_invite),
		cmocka_unit_test(test_call_cancel_tells_those_who_were_pushed),
		cmocka_unit_test(test_call_cancel_spares_those_the_pbx_rings),
		cmocka_unit_test(test_call_relay_wakes_and_relays),
		cmocka_unit_test(test_call_relay_flow_first),
		cmocka_unit_test(test_call_relay_lost_is_pushed),
		cmocka_unit_test(test_call_relay_lost_and_back),
		cmocka_unit_test(test_call_relay_lost_while_others_ring),
		cmocka_unit_test(test_call_relay_heard),
		cmocka_unit_test(test_call_relay_lost_is_told),
		cmocka_unit_test(test_call_relay_after_the_disk),
		cmocka_unit_test(test_call_relay_first_wins),
		cmocka_unit_test(test_call_relay_decline),
		cmocka_unit_test(test_call_relay_cancel),
		cmocka_unit_test(test_call_relay_ring_limit),
		cmocka_unit_test(test_call_sweep_cancel_at_every_step),
		cmocka_unit_test(test_call_sweep_any_order),
		cmocka_unit_test(test_call_sweep_silence),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
