/**
 * @file call_phone.c  The record: its phones, their pushes, what they hear
 */

#include <stdio.h>
#include <string.h>
#include <re/re.h>
#include "sipis/call/call_impl.h"

enum { HOLD_PUSH_MS = 400 /**< for a phone with a flow to ring */ };


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


void call_reset(struct call *c)
{
	c->phonev = mem_deref(c->phonev);
	c->phonec = 0;
}


bool call_in_play(const struct call_phone *p)
{
	if (p->declined)
		return false;

	return p->awake || p->flow == PHONE_FLOW_ADRIFT ||
	       p->push == PHONE_OUT || p->push == PHONE_ACCEPTED;
}


/* --- pushes --- */

void call_push_forget(struct call_phone *p)
{
	if (!p->push_at)
		return;

	p->push_at = 0;
	p->push = PHONE_SELF;
}


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


void call_push_stored(struct call *c, uint64_t now)
{
	for (unsigned i = 0; i < c->phonec; i++)
		if (c->phonev[i].push_at == CALL_NEVER)
			call_push(c, &c->phonev[i], now);
}


void call_push_held(struct call *c, uint64_t now)
{
	for (unsigned i = 0; i < c->phonec; i++) {
		struct call_phone *p = &c->phonev[i];

		if (p->push_at && now >= p->push_at)
			call_push(c, p, now);
	}
}


uint64_t call_push_due(const struct call *c)
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


bool call_has_push(const struct call *c, enum phone_push how)
{
	for (unsigned i = 0; i < c->phonec; i++)
		if (c->phonev[i].push == how)
			return true;

	return false;
}


/* --- the end --- */

/* Has the PBX itself an INVITE at that phone? */
static bool pbx_tells(const struct call *c, const struct call_phone *p)
{
	if (!c->prm.owner->forks)
		return false;

	return p->ringing_at || p->registered_at ||
	       (c->seen_at && c->phonec == 1);
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


void call_tell_phones(struct call *c, const char *why)
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


void call_tell_late(struct call *c)
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


void call_drop_pushes(struct call *c)
{
	for (unsigned i = 0; i < c->phonec; i++)
		if (c->phonev[i].push == PHONE_OUT)
			(void)may_ring(c, &c->phonev[i]);
}
