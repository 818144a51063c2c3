/**
 * @file call.c  The record of one waiting call: facts and time come in
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
	RING_AGAIN_MS = 60000, /**< RFC 3261 13.3.1.1 */
};


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


void call_note(struct call *c, enum call_fact f, const char *detail)
{
	if (!c->quiet)
		c->prm.acts->note(call_fact_who(f), call_fact_what(f), detail,
				  c->prm.arg);
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


void call_stored(struct call *c, uint64_t now)
{
	if (c->stored)
		return;

	c->stored = true;
	if (c->answered)
		return;

	call_push_stored(c, now);
	c->prm.acts->reply(100, NULL, c->prm.arg);
	if (c->ring_wanted || c->prm.auto_180 == CFG_180_IMMEDIATE)
		call_ring(c, now);
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


static void declines(struct call *c, const char *inst, bool refused,
		     uint64_t now)
{
	struct call_phone *p;

	if (c->state == CALL_ENDED)
		return;

	p = call_phone_add(c, inst);
	if (!p || p->declined)
		return;

	p->declined = true;
	p->refused = refused;
	call_push_forget(p);
	call_note(c, refused ? CALL_FACT_REFUSED : CALL_FACT_DECLINED, inst);
	call_check_hope(c, now);
	call_owner_turn(c, now);
}


void call_declines(struct call *c, const char *inst, uint64_t now)
{
	declines(c, inst, false, now);
}


void call_refuses(struct call *c, const char *inst, uint64_t now)
{
	declines(c, inst, true, now);
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


uint64_t call_next(const struct call *c)
{
	uint64_t at = min_at(c->state_by, call_push_due(c));

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
		call_ring(c, now);

	if (now >= call_look_due(c))
		call_look_now(c, false, now);
	if (now >= call_push_due(c))
		call_push_held(c, now);

	if (now >= c->owner_at)
		call_owner_turn(c, now);
	if (now >= c->state_by)
		call_event(c, CALL_EV_LATE, now);
}
