/**
 * @file handover_redirect.c  The PBX dials again
 *
 * Asterisk with default settings, Kamailio that recurses.  Once the phones
 * have registered: look at the bindings, un-REGISTER only if our own contact
 * is still there (chan_sip would remove the app's binding otherwise), then
 * 302 to the account's own AOR.  Where we may still be listed the PBX calls
 * us as well; that echo is answered in calls.c.
 */

#include "sipis/call/call.h"
#include "sipis/call/fact.h"

enum {
	LOOK_MS = 1500,    /**< then 302 without having looked */
	RELEASE_MS = 2000, /**< then 302 though we may still be listed */
};


static uint64_t min_at(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}


/* When all phones that can be expected are there; 0: now */
static uint64_t gather(const struct call *c, uint64_t now)
{
	uint64_t first = c->seen_at ? c->seen_at : CALL_NEVER;
	unsigned open = 0;
	bool named = false;

	for (unsigned i = 0; i < c->phonec; i++) {
		const struct call_phone *p = &c->phonev[i];

		if (!call_in_play(p))
			continue;
		if (!p->registered_at) {
			++open;
			continue;
		}
		named = true;
		first = min_at(first, p->registered_at);
	}

	if (first == CALL_NEVER)
		return CALL_NEVER;
	if (!named && open) /* it was one of these */
		--open;
	if (!open || now >= first + c->prm.gather_ms)
		return 0;

	return first + c->prm.gather_ms;
}


/* Does the last look show us as we stand beside the app? */
static bool is_fresh(const struct call *c)
{
	if (!c->look.known)
		return false;
	if (c->seen_at && c->look.as_of >= c->seen_at)
		return true; /* it is the one that showed the app */

	for (unsigned i = 0; i < c->phonec; i++) {
		const uint64_t at = c->phonev[i].registered_at;

		if (at && c->look.as_of > at)
			return true;
	}

	return false;
}


/* An answer to a question of before this one (another call's, or one that
   was still queued) says nothing of now */
static bool is_stale(const struct call *c)
{
	return c->look.known && c->look.as_of + LOOK_MS < c->redirect_by &&
	       !is_fresh(c);
}


/* doubt: why our contact may still be listed, NULL it is not */
static uint64_t dial(struct call *c, const char *doubt, uint64_t now)
{
	c->echo = doubt != NULL;
	if (doubt)
		c->prm.acts->note(call_fact_who(CALL_FACT_ECHO),
				  call_fact_what(CALL_FACT_ECHO), doubt,
				  c->prm.arg);

	call_event(c, CALL_EV_DIAL, now);
	return CALL_NEVER;
}


/* The bindings are known, or cannot be had */
static uint64_t leave(struct call *c, uint64_t now)
{
	if (c->look.known && c->look.ours) {
		c->redirect_step = REDIRECT_RELEASE;
		c->redirect_by = now + RELEASE_MS;
		call_release(c);
		return c->redirect_by;
	}

	return dial(c, c->look.known ? NULL : "the bindings are not known",
		    now);
}


static uint64_t released(struct call *c, uint64_t now)
{
	if (!c->released && now < c->redirect_by)
		return c->redirect_by;

	if (c->gone)
		return dial(c, NULL, now);

	return dial(c,
		    c->released ? "the un-REGISTER failed"
				: "no answer to the un-REGISTER in time",
		    now);
}


static uint64_t redirect_decide(struct call *c, uint64_t now)
{
	uint64_t at;

	switch (c->redirect_step) {
	case REDIRECT_GATHER:
		at = gather(c, now);
		if (at)
			return at;
		if (is_fresh(c))
			return leave(c, now);

		c->redirect_step = REDIRECT_LOOK;
		c->redirect_by = now + LOOK_MS;
		c->look.known = false;
		call_look_now(c, true, now);
		/* fall through */

	case REDIRECT_LOOK:
		if (!c->look.pending && is_stale(c))
			call_look_now(c, true, now);
		if (!c->look.pending)
			return leave(c, now);
		if (now < c->redirect_by)
			return c->redirect_by;
		c->look.known = false; /* what is known is of before */
		return leave(c, now);

	case REDIRECT_RELEASE:
		return released(c, now);
	}

	return CALL_NEVER;
}


const struct handover handover_redirect = {
	.name = "redirect",
	.decline_scode = 486,
	.decide = redirect_decide,
};
