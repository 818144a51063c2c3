/**
 * @file call_relay.c  The record: phones that have our INVITE
 */

#include "sipis/call/call_impl.h"

enum { AGAIN_MAX = 3 /**< pushes of a phone whose flow may flap */ };


void call_relay(struct call *c, struct call_phone *p)
{
	if (c->prm.acts->relay(p->inst, c->prm.arg)) {
		p->flow = PHONE_FLOW_SENT;
		return;
	}

	p->flow = p->flow == PHONE_FLOW_BACK ? PHONE_FLOW_ADRIFT
					     : PHONE_FLOW_NONE;
	p->awake = false;
	if (p->push_at)
		p->push_at = 1; /* it need not wait */
}


bool call_rings_at(const struct call *c, const char *inst)
{
	const struct call_phone *p = call_phone_find(c, inst);

	return p && p->flow == PHONE_FLOW_RINGS;
}


void call_flow(struct call *c, const char *inst, uint64_t now)
{
	struct call_phone *p;

	if (c->state == CALL_ENDED || c->state == CALL_HANDED ||
	    !c->prm.owner->relays)
		return;

	p = call_phone_add(c, inst);
	if (!p || (p->flow >= PHONE_FLOW_SENT && !p->loose))
		return;

	if (!p->awake)
		call_note(c, CALL_FACT_AWAKE, inst);
	p->awake = true;
	/* it may be an app that was started anew: another INVITE tells */
	p->blind = p->loose;
	p->loose = false;
	p->flow = p->flow >= PHONE_FLOW_ADRIFT ? PHONE_FLOW_BACK
					       : PHONE_FLOW_OPEN;
	call_event(c, CALL_EV_CAME, now);
}


void call_relay_rings(struct call *c, const char *inst, uint64_t now)
{
	struct call_phone *p = call_phone_find(c, inst);

	if (!p || p->flow < PHONE_FLOW_SENT)
		return;

	p->flow = PHONE_FLOW_RINGS;
	p->ringing_at = now;
	p->blind = p->loose = false;
	call_push_forget(p);
	call_event(c, CALL_EV_RINGS, now);
}


void call_relay_has(struct call *c, const char *inst, uint64_t now)
{
	struct call_phone *p = call_phone_find(c, inst);

	call_relay_rings(c, inst, now);
	if (p)
		p->blind = true;
}


void call_relay_heard(struct call *c, const char *inst, bool blind,
		      uint64_t now)
{
	struct call_phone *p = call_phone_find(c, inst);

	if (!p || p->flow < PHONE_FLOW_ADRIFT)
		return;

	if (p->flow < PHONE_FLOW_SENT) {
		p->flow = PHONE_FLOW_SENT;
		p->awake = true;
		call_event(c, CALL_EV_CAME, now);
	}
	call_relay_rings(c, inst, now);
	p->blind = p->loose = blind;
}


void call_relay_taken(struct call *c, const char *inst, uint64_t now)
{
	struct call_phone *p = call_phone_find(c, inst);

	if (p) {
		p->flow = PHONE_FLOW_NONE;
		p->push_at = 0;
		p->push = PHONE_SELF; /* nobody tells it of its own answer */
	}
	call_event(c, CALL_EV_TAKEN, now);
}


void call_relay_had(struct call *c, const char *inst, bool rang, uint64_t now)
{
	struct call_phone *p = call_phone_add(c, inst);

	if (!p || c->state != CALL_READING || !c->prm.owner->relays)
		return;

	p->had_rung |= rang;
	/* it may be back already */
	if (p->flow < PHONE_FLOW_ADRIFT)
		p->flow = p->flow == PHONE_FLOW_OPEN ? PHONE_FLOW_BACK
						     : PHONE_FLOW_ADRIFT;
	/* its user need not know that we were away */
	if (rang && now < c->prm.ring_by)
		c->prm.wake_by = c->prm.ring_by;
}


bool call_had_rung(const struct call *c, const char *inst)
{
	const struct call_phone *p = call_phone_find(c, inst);

	return p && p->had_rung;
}


/* A refusal of the person, not of the device */
static bool is_decline(uint16_t scode)
{
	return scode == 486 || scode == 600 || scode == 603;
}


static bool nobody_rings(const struct call *c)
{
	for (unsigned i = 0; i < c->phonec; i++)
		if (c->phonev[i].flow == PHONE_FLOW_RINGS)
			return false;

	return true;
}


void call_relay_failed(struct call *c, const char *inst, uint16_t scode,
		       uint64_t now)
{
	struct call_phone *p = call_phone_find(c, inst);

	if (!p || p->flow < PHONE_FLOW_ADRIFT)
		return;

	p->flow = PHONE_FLOW_NONE;
	if (scode) {
		p->declined = true;
		p->refused = !is_decline(scode);
		call_push_forget(p);
		call_note(c,
			  p->refused ? CALL_FACT_REFUSED : CALL_FACT_DECLINED,
			  inst);
	}
	else {
		/* it may come back, by itself or when it is pushed */
		p->awake = false;
		p->ringing_at = 0;
		if (p->push_at)
			call_push(c, p, now);
	}

	if (is_decline(scode) && c->prm.decline == CFG_DECLINE_ACCOUNT) {
		call_event(c, CALL_EV_DECLINED, now);
		return;
	}
	call_check_hope(c, now);
	if (c->state == CALL_RINGING && nobody_rings(c))
		call_event(c, CALL_EV_QUIET, now);
}


/* It may be back at once, by itself.  What it was pushed with before is
   spent: it came, or it was here anyway */
static void push_again(struct call *c, struct call_phone *p, uint64_t now)
{
	if (p->push == PHONE_OUT || !p->pushable || p->again >= AGAIN_MAX)
		return;

	++p->again;
	p->push = PHONE_OUT;
	call_wake_again(c, now); /* others may ring */
	call_push(c, p, now);
}


void call_relay_lost(struct call *c, const char *inst, bool push, uint64_t now)
{
	struct call_phone *p = call_phone_find(c, inst);

	if (!p || p->flow < PHONE_FLOW_SENT)
		return;

	p->flow = PHONE_FLOW_ADRIFT;
	p->awake = p->loose = false;
	p->ringing_at = 0;
	if (push)
		push_again(c, p, now);
	else
		call_push_forget(p);
	if (nobody_rings(c))
		call_event(c, CALL_EV_LOST, now);
}
