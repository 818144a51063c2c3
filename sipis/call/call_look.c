/**
 * @file call_look.c  The record: what the bindings at the PBX show
 */

#include <re/re.h>
#include "sipis/call/call_impl.h"

enum { LOOK_EVERY_MS = 1000 };


void call_look_now(struct call *c, bool urgent, uint64_t now)
{
	if (c->look.pending)
		return;

	c->look.next_at = now + LOOK_EVERY_MS;
	c->look.pending = c->prm.acts->look(urgent, c->prm.arg);
}


static bool in_base(const struct call_look *look, uint32_t hash)
{
	for (unsigned i = 0; i < look->basec; i++)
		if (look->base[i] == hash)
			return true;

	return false;
}


/* A desk phone that refreshes is the newest as well: only a binding that did
   not stand there before is the app's */
static bool is_new(const struct call_look *look, const struct call_bindings *b)
{
	if (b->hashc == b->others && look->basec >= look->base_others) {
		for (unsigned i = 0; i < b->hashc; i++)
			if (!in_base(look, b->hashes[i]))
				return true;
		return false;
	}

	/* not all are known one by one */
	return b->others > look->base_others ||
	       (b->others && hash_joaat_str(b->other) != look->base_other);
}


static void base_take(struct call_look *look, const struct call_bindings *b)
{
	look->based = true;
	look->base_others = b->others;
	look->base_other = hash_joaat_str(b->other);

	/* one that has run out may come back: it is no app */
	for (unsigned i = 0; i < b->hashc; i++)
		if (look->basec < CALL_BINDINGS &&
		    !in_base(look, b->hashes[i]))
			look->base[look->basec++] = b->hashes[i];
}


static void compare(struct call *c, const struct call_bindings *b,
		    uint64_t now)
{
	struct call_look *look = &c->look;

	if (look->based && is_new(look, b) && !c->seen_at) {
		c->seen_at = look->as_of;
		call_note(c, CALL_FACT_REGISTERED, "seen in the bindings");
		call_event(c, CALL_EV_CAME, now);
		return;
	}

	/* before the app came; also when an old binding has run out */
	if (!look->based || b->others < look->base_others)
		base_take(look, b);
}


void call_looked(struct call *c, const struct call_bindings *b, uint64_t now)
{
	struct call_look *look = &c->look;

	if (!look->pending)
		return;

	look->pending = false;
	look->known = b != NULL;
	if (b) {
		look->ours = b->ours;
		look->others = b->others;
		look->as_of = b->as_of;
		if (c->state == CALL_WAKING || c->state == CALL_AWAKE)
			compare(c, b, now);
	}

	call_owner_turn(c, now);
}


/* Somebody has registered, by his own word or as seen */
static bool is_registered(const struct call *c)
{
	if (c->seen_at)
		return true;

	for (unsigned i = 0; i < c->phonec; i++)
		if (c->phonev[i].registered_at)
			return true;

	return false;
}


uint64_t call_look_due(const struct call *c)
{
	if (c->prm.owner->relays)
		return CALL_NEVER;

	if (c->state != CALL_WAKING && c->state != CALL_AWAKE)
		return CALL_NEVER;

	return c->look.pending || is_registered(c) ? CALL_NEVER
						   : c->look.next_at;
}
