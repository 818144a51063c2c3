/**
 * @file leg.c  One call: its answers, its end, timeline, timer
 *
 * Carries out what the record asks for.
 */

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "common/clock.h"
#include "common/log.h"
#include "sipis/call/priv.h"


static void tick_handler(void *arg);


static bool id_equal(struct le *le, void *arg)
{
	const struct leg *leg = le->data;

	return !strcmp(leg->id, arg);
}


struct leg *leg_by_id(const struct calls *cs, const char *id)
{
	return list_ledata(hash_lookup(cs->by_id, hash_joaat_str(id), id_equal,
				       (void *)id));
}


void leg_note(struct leg *leg, int64_t at_us, const char *who,
	      const char *what, const char *fmt, ...)
{
	char detail[512] = "";
	struct event_row ev = {
		.call = leg->id,
		.at_us = at_us ? at_us : clock_wall_us(),
		.who = who,
		.what = what,
		.detail = detail,
	};
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);

	log_info("call", leg->id, "%s %s%s%s", who, what, *detail ? " " : "",
		 detail);
	if (leg->cs)
		store_event(leg->cs->prm.store, &ev);
}


int64_t leg_wall(const struct leg *leg, uint64_t mono)
{
	if (mono == CALL_NEVER)
		return 0;

	return leg->received_ms + (int64_t)(mono - leg->received);
}


/* An app knows its own call best: for it the set is the API's */
const char *leg_ended_word(const char *how)
{
	if (how && !strncmp(how, "refused", 7))
		return "missed";

	return how && !strcmp(how, "handed") ? "answered" : how;
}


void leg_info(const struct leg *leg, struct call_info *info)
{
	const struct call *c = &leg->call;

	memset(info, 0, sizeof(*info));
	info->id = leg->id;
	info->from = leg->from;
	info->display_name = leg->display_name;
	info->video = leg->video;
	info->received_ms = leg->received_ms;
	info->expires_ms =
		leg_wall(leg, call_waits(c) ? c->state_by : c->prm.wake_by);
	info->handover = c->prm.owner->name;
	info->ended = leg_ended_word(leg->ended);
}


void leg_unlink(struct leg *leg)
{
	struct callee *ce = leg->callee;

	tmr_cancel(&leg->tmr);
	list_unlink(&leg->look_le);
	leg_answer_up(leg);
	if (leg->cs && call_waits(&leg->call))
		metric_set(&leg->cs->metricv[CALLS_M_WAITING],
			   --leg->cs->waiting);
	leg->cs = NULL;
	leg_forget(leg);
	leg->fanout = mem_deref(leg->fanout);
	hash_unlink(&leg->he_id);
	hash_unlink(&leg->he_callid);
	list_unlink(&leg->le);
	leg->callee = NULL;
	if (ce)
		callee_left(ce);
	mem_deref(leg);
}


static void tomb_handler(void *arg)
{
	leg_unlink(arg);
}


/* A tombstone needs no tokens */
static void settled_handler(void *arg)
{
	struct leg *leg = arg;

	leg->fanout = mem_deref(leg->fanout);
	tmr_start(&leg->tmr, TOMB_MS - SETTLE_MS, tomb_handler, leg);
}


void leg_schedule(struct leg *leg)
{
	const uint64_t now = clock_mono_ms();
	uint64_t at;

	if (!leg->cs || !call_waits(&leg->call))
		return;

	at = call_next(&leg->call);
	tmr_start(&leg->tmr, at > now ? at - now : 0, tick_handler, leg);
}


static void tick_handler(void *arg)
{
	struct leg *leg = arg;

	call_tick(&leg->call, clock_mono_ms());
	leg_schedule(leg);
}


/* --- what the record asks for --- */

const char *leg_phrase(uint16_t scode)
{
	switch (scode) {
	case 100:
		return "Trying";
	case 180:
		return "Ringing";
	case 302:
		return "Moved Temporarily";
	case 480:
		return "Temporarily Unavailable";
	case 486:
		return "Busy Here";
	case 500:
		return "Server Internal Error";
	default:
		return "Request Terminated";
	}
}


struct branch *leg_branch(const struct leg *leg, const struct pl *id)
{
	for (struct le *le = leg->branches.head; le; le = le->next) {
		struct branch *b = le->data;

		if (!pl_strcmp(id, b->id))
			return b;
	}

	return NULL;
}


struct branch *leg_waiting(const struct leg *leg)
{
	for (struct le *le = leg->branches.head; le; le = le->next)
		if (branch_waits(le->data))
			return le->data;

	return NULL;
}


unsigned leg_open(const struct leg *leg)
{
	unsigned n = 0;

	for (struct le *le = leg->branches.head; le; le = le->next)
		n += branch_waits(le->data);

	return n;
}


void leg_forget(struct leg *leg)
{
	tries_forget(leg);
	for (struct le *le = leg->branches.head; le; le = le->next)
		branch_forget(le->data);
}


void leg_reply(struct leg *leg, struct branch *b, uint16_t scode)
{
	const int err = branch_reply(b, scode);

	if (err)
		log_warning("call", leg->id, "cannot send %u: %s", scode,
			    strerror(err));
}


static void echo_expect(struct leg *leg)
{
	const struct acct *acct =
		reg_find(leg->cs->prm.reg, leg->callee->acct);

	leg->echo_until = clock_mono_ms() + ECHO_MS;
	leg->callee->echo_until = leg->echo_until;
	leg->unbound = !acct || acct_state(acct) != REG_REGISTERED;
}


static void do_reply(uint16_t scode, const char *why, void *arg)
{
	struct leg *leg = arg;
	bool taken = false;
	char what[8];

	for (struct le *le = leg->branches.head; le; le = le->next) {
		taken |= branch_takes(le->data, scode);
		leg_reply(leg, le->data, scode);
	}

	(void)snprintf(what, sizeof(what), "%u", scode);
	if (taken)
		leg_note(leg, 0, "sipis", what, "%s", why ? why : "");

	if (scode >= 200)
		leg->scode = scode;
	if (scode == 302 && leg->call.echo)
		echo_expect(leg);
}


static void do_push(const char *inst, void *arg)
{
	fanout_push(arg, inst);
}


static bool do_drop(const char *inst, void *arg)
{
	return fanout_drop(arg, inst);
}


static bool do_relay(const char *inst, void *arg)
{
	return tries_start(arg, inst);
}


static void do_unrelay(const char *inst, const char *why, void *arg)
{
	tries_stop(arg, inst, why);
}


static uint16_t do_refuse(void *arg)
{
	return tries_refuse(arg);
}


static void do_tell(const char *inst, const char *why, void *arg)
{
	fanout_tell(arg, inst, why);
}


void leg_looked(struct leg *leg, const struct reg_answer *ans, uint64_t as_of)
{
	const struct call_bindings b = {
		.ours = ans->ours,
		.others = ans->others,
		.other = ans->other,
		.hashes = ans->hashes,
		.hashc = ans->hashc,
		.as_of = as_of,
	};
	const bool ok = !ans->err && ans->scode >= 200 && ans->scode < 300;

	call_looked(&leg->call, ok ? &b : NULL, clock_mono_ms());
	leg_schedule(leg);
}


static void released_handler(const struct reg_answer *ans, void *who)
{
	struct leg *leg = who;
	const bool gone = !ans->err && ans->scode / 100 == 2;

	if (!leg->cs)
		return;

	if (gone)
		leg_note(leg, 0, "pbx", "un-REGISTERed", "%u", ans->scode);
	else
		leg_note(leg, 0, "pbx", "un-REGISTER failed", "%u %s",
			 ans->scode, ans->err ? strerror(ans->err) : "");
	call_released(&leg->call, gone, clock_mono_ms());
	leg_schedule(leg);
}


static bool do_look(bool urgent, void *arg)
{
	struct leg *leg = arg;

	return !callee_look(leg->callee, urgent, leg);
}


/* No answer is an answer as well: the owner has a limit for it */
static void do_release(void *arg)
{
	struct leg *leg = arg;

	callee_watch(leg->callee, &leg->call);
	(void)query_start(leg->callee, reg_unregister, released_handler, leg);
}


static void do_handed(void *arg)
{
	struct leg *leg = arg;

	list_unlink(&leg->look_le);
	metric_inc(&leg->cs->metricv[CALLS_M_HANDED]);
	/* a restart has nothing to take up; with a 2xx it ends at once */
	if (!leg->answer)
		leg_end(leg, "handed");
}


static void count_end(struct leg *leg, const char *how)
{
	unsigned m = CALLS_M_CANCELLED;

	if (!strcmp(how, "missed"))
		m = CALLS_M_MISSED;
	else if (!strncmp(how, "refused", 7))
		m = CALLS_M_BY_PHONE;
	else if (!strcmp(how, "declined"))
		m = CALLS_M_DECLINED;

	if (strcmp(how, "answered") && strcmp(how, "handed"))
		metric_inc(&leg->cs->metricv[m]);
	metric_set(&leg->cs->metricv[CALLS_M_WAITING], --leg->cs->waiting);
}


static void do_ended(const char *how, void *arg)
{
	struct leg *leg = arg;

	list_unlink(&leg->look_le);
	leg->ended = how;
	count_end(leg, how);
	leg_note(leg, 0, "sipis", "ended", "%s", how);
	if (strcmp(how, "handed")) /* else that is stored already */
		leg_end(leg, how);
	callwait_wake(&leg->waits);
	tmr_start(&leg->tmr, SETTLE_MS, settled_handler, leg);
}


static void do_note(const char *who, const char *what, const char *detail,
		    void *arg)
{
	leg_note(arg, 0, who, what, "%s", detail);
}


const struct call_acts leg_acts = {
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


/* --- what comes in --- */

void leg_cancelled(struct leg *leg, struct branch *b, const char *by)
{
	if (!leg->cs)
		return;

	leg_note(leg, 0, "pbx", by, "%s", leg->cancel_text);
	if (leg->answer) /* it crosses the 200, as it might on the wire */
		return;
	if (leg_open(leg) > 1) {
		leg_reply(leg, b, 487);
		leg_note(leg, 0, "sipis", "487", "another branch waits");
		tries_move(leg, b);
		return;
	}

	call_cancelled(&leg->call,
		       leg->cancel_why ? leg->cancel_why : "cancelled",
		       clock_mono_ms());
	leg_schedule(leg);
}
