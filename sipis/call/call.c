/**
 * @file call.c  The record of one waiting call
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <re/re.h>
#include "common/log.h"
#include "sipis/call/call_impl.h"

enum {
	STORED_MS = 1000, /**< then 100 though the disk is slow */
	BRIEF_MS = 3000,  /**< for one that is awake by itself to register */
	AWAKE_MS = 5000,  /**< for a phone that came late to register */
	HANDED_MS = 5000, /**< late phones and words after the answer */
	RING_AGAIN_MS = 60000, /**< RFC 3261 13.3.1.1 */
	HOLD_PUSH_MS = 400,    /**< for a phone with a flow to ring */
};

typedef void(call_action_h)(struct call *c, uint64_t now);


static uint64_t max_at(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}


static uint64_t min_at(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}


int call_init(struct call *c, const struct call_prm *prm)
{
	if (!c || !prm || !prm->owner || !prm->acts)
		return EINVAL;

	memset(c, 0, sizeof(*c));
	c->prm = *prm;
	c->state = CALL_READING;
	c->state_by = prm->read_by;
	c->wake_ms = prm->wake_by > prm->received
			     ? prm->wake_by - prm->received
			     : 0;
	c->owner_at = CALL_NEVER;

	return 0;
}


void call_reset(struct call *c)
{
	c->phonev = mem_deref(c->phonev);
	c->phonec = 0;
}


void call_note(struct call *c, enum call_fact f, const char *detail)
{
	if (!c->quiet)
		c->prm.acts->note(call_fact_who(f), call_fact_what(f), detail,
				  c->prm.arg);
}


struct call_phone *call_phone_find(const struct call *c, const char *inst)
{
	for (unsigned i = 0; i < c->phonec; i++)
		if (!strcmp(c->phonev[i].inst, inst))
			return &c->phonev[i];

	return NULL;
}


struct call_phone *call_phone_add(struct call *c, const char *inst)
{
	struct call_phone *p = call_phone_find(c, inst);

	if (p)
		return p;
	if (c->phonec == STORE_INST_MAX)
		return NULL;

	if (!c->phonev)
		c->phonev =
			mem_zalloc(STORE_INST_MAX * sizeof(*c->phonev), NULL);
	if (!c->phonev)
		return NULL;

	p = &c->phonev[c->phonec++];
	(void)snprintf(p->inst, sizeof(p->inst), "%s", inst);
	return p;
}


bool call_in_play(const struct call_phone *p)
{
	if (p->declined)
		return false;

	return p->awake || p->flow == PHONE_FLOW_ADRIFT ||
	       p->push == PHONE_OUT || p->push == PHONE_ACCEPTED;
}


bool call_waits(const struct call *c)
{
	return c->state != CALL_ENDED;
}


bool call_wants_phone(const struct call *c)
{
	return c->state < CALL_HANDED;
}


void call_release(struct call *c)
{
	c->prm.acts->release(c->prm.arg);
}


static void ring(struct call *c, uint64_t now)
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


/* Has the PBX itself an INVITE at that phone? */
static bool pbx_tells(const struct call *c, const struct call_phone *p)
{
	if (!c->prm.owner->forks)
		return false;

	return p->ringing_at || p->registered_at ||
	       (c->seen_at && c->phonec == 1);
}


/* What waited for its flow is not needed any more */
void call_push_forget(struct call_phone *p)
{
	if (!p->push_at)
		return;

	p->push_at = 0;
	p->push = PHONE_SELF;
}


/* Has its push left?  It leaves no more */
static bool may_ring(struct call *c, struct call_phone *p)
{
	call_push_forget(p);
	if (p->push == PHONE_OUT)
		return c->prm.acts->drop(p->inst, c->prm.arg);

	return p->push == PHONE_ACCEPTED || p->push == PHONE_UNKNOWN;
}


/* Does it ring, perhaps, where no CANCEL of ours arrives? */
static bool is_deaf(const struct call_phone *p)
{
	return p->flow == PHONE_FLOW_ADRIFT || p->flow == PHONE_FLOW_BACK ||
	       (p->blind && p->flow == PHONE_FLOW_RINGS);
}


/* Those that may ring must hear that it is over; not those that never got
   the push, said no, or hear it from the PBX */
static void tell_phones(struct call *c, const char *why)
{
	for (unsigned i = 0; i < c->phonec; i++) {
		struct call_phone *p = &c->phonev[i];
		const bool invited = p->flow >= PHONE_FLOW_ADRIFT;
		const bool deaf = is_deaf(p), pushed = may_ring(c, p);

		if (invited) {
			p->flow = PHONE_FLOW_OPEN;
			c->prm.acts->unrelay(p->inst, why, c->prm.arg);
		}
		/* where the CANCEL arrives the push was for the same call */
		if (invited ? deaf || (pushed && p->blind)
			    : pushed && !p->declined && !pbx_tells(c, p))
			c->prm.acts->tell(p->inst, why, c->prm.arg);
	}
}


static void drop_pushes(struct call *c)
{
	for (unsigned i = 0; i < c->phonec; i++)
		if (c->phonev[i].push == PHONE_OUT)
			(void)may_ring(c, &c->phonev[i]);
}


static void act_none(struct call *c, uint64_t now)
{
	(void)c;
	(void)now;
}


/* A flow may be dead without anybody knowing: the push waits for its 18x, but
   not for long */
void call_push(struct call *c, struct call_phone *p, uint64_t now)
{
	if (p->flow != PHONE_FLOW_NONE && !p->push_at) {
		p->push_at = now + HOLD_PUSH_MS;
		return;
	}
	if (c->prm.store_first && !c->stored) {
		p->push_at = CALL_NEVER;
		return;
	}

	p->push_at = 0;
	p->blind = p->flow == PHONE_FLOW_SENT;
	c->prm.acts->push(p->inst, c->prm.arg);
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
		ring(c, now);
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


/* It may have rung for longer than a phone may take to wake up */
static void act_again(struct call *c, uint64_t now)
{
	c->prm.wake_by = max_at(c->prm.wake_by,
				min_at(now + c->wake_ms, c->prm.ring_by));
	c->state_by = deadline_of(c, now);
	act_owner(c, now);
}


static void act_leave(struct call *c, uint64_t now)
{
	(void)now;
	answer(c, 480, "the app has its own INVITE");
	c->prm.acts->handed(c->prm.arg);
}


/* Phones that come after this get nothing from the PBX */
static void tell_late_phones(struct call *c)
{
	bool named = false;

	for (unsigned i = 0; i < c->phonec; i++)
		named |= c->phonev[i].registered_at != 0;

	for (unsigned i = 0; named && i < c->phonec; i++) {
		struct call_phone *p = &c->phonev[i];

		if (!p->registered_at && !p->declined && may_ring(c, p))
			c->prm.acts->tell(p->inst, "answered_elsewhere",
					  c->prm.arg);
	}
}


static void act_dial(struct call *c, uint64_t now)
{
	(void)now;
	answer(c, 302, "the PBX shall dial again");
	tell_late_phones(c);
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
	tell_phones(c, "answered_elsewhere");
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


static void act_decline(struct call *c, uint64_t now)
{
	(void)now;
	refuse(c, c->prm.owner->decline_scode, "declined at the app");
	tell_phones(c, "declined_elsewhere");
	finish(c, "declined");
}


static void act_cancel(struct call *c, uint64_t now)
{
	(void)now;
	answer(c, 487, NULL);
	tell_phones(c, c->cancel_why);
	finish(c, c->cancel_why);
}


static void act_miss(struct call *c, uint64_t now)
{
	(void)now;
	refuse(c, 480,
	       c->state_by < c->prm.ring_by ? "no phone came in time"
					    : "it rang long enough");
	tell_phones(c, "missed");
	finish(c, "missed");
}


static bool has_push(const struct call *c, enum phone_push how)
{
	for (unsigned i = 0; i < c->phonec; i++)
		if (c->phonev[i].push == how)
			return true;

	return false;
}


/* What an operator has to look at; one phone may stand for all */
static const char *why_unreached(const struct call *c)
{
	if (has_push(c, PHONE_UNKNOWN))
		return "the mediator that took the push was lost, or said "
		       "nothing of it in time";
	if (has_push(c, PHONE_UNTAKEN))
		return "no mediator could be had for the push";

	return "no push got through";
}


static void act_fail(struct call *c, uint64_t now)
{
	answer(c, 480,
	       c->phonec            ? why_unreached(c)
	       : now >= c->state_by ? "out of time"
				    : "no phone sleeps");
	tell_phones(c, "missed");
	finish(c, "missed");
}


static void act_close(struct call *c, uint64_t now)
{
	bool declined = false;
	(void)now;

	drop_pushes(c);
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


/* Is there anybody left who could take it? */
void call_check_hope(struct call *c, uint64_t now)
{
	bool declined = false;

	for (unsigned i = 0; i < c->phonec; i++) {
		if (call_in_play(&c->phonev[i]))
			return;
		declined |= c->phonev[i].declined;
	}

	call_event(c, declined ? CALL_EV_DECLINED : CALL_EV_UNREACHED, now);
}


/* A fact has changed that an owner may care for */
void call_owner_turn(struct call *c, uint64_t now)
{
	if (c->state == CALL_AWAKE || c->state == CALL_RINGING)
		c->owner_at = c->prm.owner->decide(c, now);
}


/* A phone that had the INVITE before a restart */
static bool may_ring_on(const struct call *c)
{
	for (unsigned i = 0; i < c->phonec; i++)
		if (c->phonev[i].flow >= PHONE_FLOW_ADRIFT &&
		    !c->phonev[i].declined)
			return true;

	return false;
}


void call_phones(struct call *c, const char *const *instv, unsigned n,
		 uint64_t now)
{
	if (c->state != CALL_READING)
		return;

	for (unsigned i = 0; i < n; i++) {
		struct call_phone *p = call_phone_add(c, instv[i]);

		if (p && !p->declined) {
			p->push = PHONE_OUT;
			p->pushable = true;
		}
	}

	if (c->phonec && !n && !may_ring_on(c)) {
		c->brief = true;
		c->prm.wake_by = min_at(c->prm.wake_by, now + BRIEF_MS);
	}

	call_event(c, c->phonec ? CALL_EV_PHONES : CALL_EV_NOBODY, now);
	/* a phone may have declined before they were read */
	call_check_hope(c, now);
}


static void push_stored(struct call *c, uint64_t now)
{
	for (unsigned i = 0; i < c->phonec; i++)
		if (c->phonev[i].push_at == CALL_NEVER)
			call_push(c, &c->phonev[i], now);
}


void call_stored(struct call *c, uint64_t now)
{
	if (c->stored)
		return;

	c->stored = true;
	if (c->answered)
		return;

	push_stored(c, now);
	c->prm.acts->reply(100, NULL, c->prm.arg);
	if (c->ring_wanted || c->prm.auto_180 == CFG_180_IMMEDIATE)
		ring(c, now);
	call_owner_turn(c, now);
}


void call_pushed(struct call *c, const char *inst, enum phone_push how,
		 uint64_t now)
{
	struct call_phone *p = call_phone_find(c, inst);

	if (!p || p->push != PHONE_OUT)
		return;

	p->push = how;
	if (how == PHONE_ACCEPTED) {
		call_event(c, CALL_EV_ACCEPTED, now);
		return;
	}

	call_check_hope(c, now);
	call_owner_turn(c, now);
}


void call_came(struct call *c, const char *inst, bool registered,
	       const char *contact, uint64_t now)
{
	struct call_phone *p;

	if (c->state == CALL_ENDED)
		return;

	p = call_phone_add(c, inst);
	if (!p)
		return;

	if (!p->awake)
		call_note(c, CALL_FACT_AWAKE, inst);
	p->awake = true;
	if (registered && !p->registered_at) {
		char detail[CALL_URI_SIZE + 40];

		(void)snprintf(detail, sizeof(detail), "%s %s", inst,
			       contact ? contact : "");
		call_note(c, CALL_FACT_REGISTERED, detail);
		p->registered_at = now;
	}

	if (c->state == CALL_WAKING || c->state == CALL_AWAKE) {
		c->look.next_at = now;
		call_event(c, CALL_EV_CAME, now);
	}
}


void call_rings(struct call *c, const char *inst, uint64_t now)
{
	struct call_phone *p;

	if (c->state == CALL_ENDED)
		return;

	p = call_phone_add(c, inst);
	if (!p || p->ringing_at)
		return;

	p->awake = true;
	p->ringing_at = now;
	call_note(c, CALL_FACT_RINGING, inst);
	call_event(c, CALL_EV_CAME, now);
}


void call_declines(struct call *c, const char *inst, uint64_t now)
{
	struct call_phone *p;

	if (c->state == CALL_ENDED)
		return;

	p = call_phone_add(c, inst);
	if (!p || p->declined)
		return;

	p->declined = true;
	call_push_forget(p);
	call_note(c, CALL_FACT_DECLINED, inst);
	call_check_hope(c, now);
	call_owner_turn(c, now);
}


void call_released(struct call *c, bool gone, uint64_t now)
{
	c->released = true;
	c->gone = gone;
	call_owner_turn(c, now);
}


void call_cancelled(struct call *c, const char *why, uint64_t now)
{
	c->cancel_why = why;
	call_event(c, CALL_EV_CANCEL, now);
}


static uint64_t stored_due(const struct call *c)
{
	return c->stored || c->answered ? CALL_NEVER
					: c->prm.received + STORED_MS;
}


static uint64_t ring_due(const struct call *c)
{
	return c->rung_at && !c->answered ? c->rung_at + RING_AGAIN_MS
					  : CALL_NEVER;
}


static uint64_t push_due(const struct call *c)
{
	uint64_t at = CALL_NEVER;

	if (c->state != CALL_WAKING && c->state != CALL_AWAKE &&
	    c->state != CALL_RINGING)
		return at;

	for (unsigned i = 0; i < c->phonec; i++)
		if (c->phonev[i].push_at)
			at = min_at(at, c->phonev[i].push_at);

	return at;
}


static void push_held(struct call *c, uint64_t now)
{
	for (unsigned i = 0; i < c->phonec; i++) {
		struct call_phone *p = &c->phonev[i];

		if (p->push_at && now >= p->push_at)
			call_push(c, p, now);
	}
}


uint64_t call_next(const struct call *c)
{
	uint64_t at = min_at(c->state_by, push_due(c));

	at = min_at(at, call_look_due(c));
	at = min_at(at, stored_due(c));
	at = min_at(at, ring_due(c));

	return min_at(at, c->owner_at);
}


void call_tick(struct call *c, uint64_t now)
{
	if (now >= stored_due(c)) {
		log_warning("call", c->prm.id,
			    "the store is slow: 100 goes "
			    "before the call is safe");
		call_stored(c, now);
	}
	if (now >= ring_due(c))
		ring(c, now);

	if (now >= call_look_due(c))
		call_look_now(c, false, now);
	if (now >= push_due(c))
		push_held(c, now);

	if (now >= c->owner_at)
		call_owner_turn(c, now);
	if (now >= c->state_by)
		call_event(c, CALL_EV_LATE, now);
}
