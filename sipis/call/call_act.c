/**
 * @file call_act.c  The record: what its states do
 */

#include <re/re.h>
#include "common/log.h"
#include "sipis/call/call_impl.h"

enum {
	AWAKE_MS = 5000,  /**< for a phone that came late to register */
	HANDED_MS = 5000, /**< late phones and words after the answer */
};

typedef void(call_action_h)(struct call *c, uint64_t now);


void call_ring(struct call *c, uint64_t now)
{
	if (c->answered)
		return;

	c->ring_wanted = true;
	if (!c->stored)
		return;

	c->rung_at = now;
	c->prm.acts->reply(180, NULL, c->prm.arg);
}


static void answer(struct call *c, uint16_t scode, const char *why)
{
	c->answered = true;
	c->prm.acts->reply(scode, why, c->prm.arg);
}


static void act_none(struct call *c, uint64_t now)
{
	(void)c;
	(void)now;
}


static void act_wake(struct call *c, uint64_t now)
{
	bool came = false;

	for (unsigned i = 0; i < c->phonec; i++) {
		came |= c->phonev[i].awake;
		if (c->phonev[i].push == PHONE_OUT)
			call_push(c, &c->phonev[i], now);
	}

	/* what stands there before the app comes */
	if (!c->prm.owner->relays)
		call_look_now(c, false, now);
	if (came)
		call_event(c, CALL_EV_CAME, now);
}


static void act_ring(struct call *c, uint64_t now)
{
	if (c->prm.auto_180 == CFG_180_ACCEPTED && !c->ring_wanted)
		call_ring(c, now);
}


static void act_owner(struct call *c, uint64_t now)
{
	c->owner_at = c->prm.owner->decide(c, now);
}


static uint64_t deadline_of(const struct call *c, uint64_t now)
{
	switch (c->state) {
	case CALL_READING:
		return c->prm.read_by;
	case CALL_WAKING:
		return c->prm.wake_by;
	case CALL_AWAKE:
		if (c->brief)
			return c->prm.wake_by;
		return min_at(max_at(c->prm.wake_by, now + AWAKE_MS),
			      c->prm.ring_by);
	case CALL_RINGING:
		return c->prm.ring_by;
	case CALL_HANDED:
		return max_at(c->prm.wake_by, now + HANDED_MS);
	default:
		return CALL_NEVER;
	}
}


void call_wake_again(struct call *c, uint64_t now)
{
	c->prm.wake_by = max_at(c->prm.wake_by,
				min_at(now + c->wake_ms, c->prm.ring_by));
}


static void act_again(struct call *c, uint64_t now)
{
	call_wake_again(c, now);
	c->state_by = deadline_of(c, now);
	act_owner(c, now);
}


static void act_leave(struct call *c, uint64_t now)
{
	(void)now;
	answer(c, 480, "the app has its own INVITE");
	c->prm.acts->handed(c->prm.arg);
}


static void act_dial(struct call *c, uint64_t now)
{
	(void)now;
	answer(c, 302, "the PBX shall dial again");
	call_tell_late(c);
	c->prm.acts->handed(c->prm.arg);
}


static void finish(struct call *c, const char *how)
{
	c->prm.acts->ended(how, c->prm.arg);
	call_reset(c);
}


static void act_taken(struct call *c, uint64_t now)
{
	(void)now;
	c->answered = true;
	call_tell_phones(c, "answered_elsewhere");
	c->prm.acts->handed(c->prm.arg);
	finish(c, "answered");
}


/* In the phone's words if it has said some */
static void refuse(struct call *c, uint16_t scode, const char *why)
{
	const uint16_t said =
		c->prm.owner->relays ? c->prm.acts->refuse(c->prm.arg) : 0;

	/* further branches of the same INVITE get the same */
	answer(c, said ? said : scode, why);
}


/* Else none of the phones can take it */
static bool has_person(const struct call *c)
{
	for (unsigned i = 0; i < c->phonec; i++)
		if (c->phonev[i].declined && !c->phonev[i].refused)
			return true;

	return false;
}


static void act_decline(struct call *c, uint64_t now)
{
	const bool person = has_person(c);
	(void)now;

	refuse(c, c->prm.owner->decline_scode,
	       person ? "declined at the app" : "the phone cannot take it");
	call_tell_phones(c, person ? "declined_elsewhere" : "missed");
	finish(c, person ? "declined" : "refused by the phone");
}


static void act_cancel(struct call *c, uint64_t now)
{
	(void)now;
	answer(c, 487, NULL);
	call_tell_phones(c, c->cancel_why);
	finish(c, c->cancel_why);
}


static void act_miss(struct call *c, uint64_t now)
{
	(void)now;
	refuse(c, 480,
	       c->state_by < c->prm.ring_by ? "no phone came in time"
					    : "it rang long enough");
	call_tell_phones(c, "missed");
	finish(c, "missed");
}


/* What an operator has to look at; one phone may stand for all */
static const char *why_unreached(const struct call *c)
{
	if (call_has_push(c, PHONE_UNKNOWN))
		return "the mediator that took the push was lost, or said "
		       "nothing of it in time";
	if (call_has_push(c, PHONE_UNTAKEN))
		return "no mediator could be had for the push";

	return "no push got through";
}


static void act_fail(struct call *c, uint64_t now)
{
	answer(c, 480,
	       c->phonec            ? why_unreached(c)
	       : now >= c->state_by ? "out of time"
				    : "no phone sleeps");
	call_tell_phones(c, "missed");
	finish(c, "missed");
}


static void act_close(struct call *c, uint64_t now)
{
	bool declined = false;
	(void)now;

	call_drop_pushes(c);
	for (unsigned i = 0; i < c->phonec; i++)
		declined |= c->phonev[i].declined;
	finish(c, declined && now < c->state_by ? "declined" : "handed");
}


static call_action_h *const actions[CALL_ACTIONS] = {
	[CALL_AC_NONE] = act_none,       [CALL_AC_WAKE] = act_wake,
	[CALL_AC_RING] = act_ring,       [CALL_AC_OWNER] = act_owner,
	[CALL_AC_AGAIN] = act_again,     [CALL_AC_LEAVE] = act_leave,
	[CALL_AC_DIAL] = act_dial,       [CALL_AC_TAKEN] = act_taken,
	[CALL_AC_DECLINE] = act_decline, [CALL_AC_CANCEL] = act_cancel,
	[CALL_AC_MISS] = act_miss,       [CALL_AC_FAIL] = act_fail,
	[CALL_AC_CLOSE] = act_close,
};


void call_event(struct call *c, enum call_event ev, uint64_t now)
{
	const struct call_step step = call_fsm_step(c->state, ev);

	if (step.next != c->state) {
		log_debug("call", c->prm.id, "%s -> %s (%s)",
			  call_state_name(c->state),
			  call_state_name(step.next), call_event_name(ev));
		c->state = step.next;
		c->owner_at = CALL_NEVER;
		/* LATE has to see which deadline it was */
		if (step.next != CALL_ENDED)
			c->state_by = deadline_of(c, now);
	}

	actions[step.action](c, now);
	if (c->state == CALL_ENDED)
		c->state_by = CALL_NEVER;
}
