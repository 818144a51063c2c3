/**
 * @file handover_fork.c  The PBX adds the app's branch when it registers
 *
 * Kamailio with TSILO, OpenSIPS, Flexisip.  Our branch has to stay until the
 * app's INVITE is known to have arrived, and must go then: a PBX that waits
 * for our branch too does not let a decline at the app reach the caller.  It
 * goes with 480; a 302 would win over the app's 486, a 6xx would end the
 * app's branch as well.
 */

#include "sipis/call/call.h"

#define FORK_MS 1000 /**< from the app's REGISTER to its INVITE, at most */


static uint64_t arrives_at(const struct call_phone *p)
{
	if (p->ringing_at)
		return p->ringing_at;

	return p->registered_at ? p->registered_at + FORK_MS : CALL_NEVER;
}


static uint64_t fork_decide(struct call *c, uint64_t now)
{
	uint64_t first = c->seen_at ? c->seen_at + FORK_MS : CALL_NEVER;
	uint64_t next = first > now ? first : CALL_NEVER;
	unsigned open = 0;
	bool named = false;

	for (unsigned i = 0; i < c->phonec; i++) {
		const struct call_phone *p = &c->phonev[i];
		const uint64_t at = arrives_at(p);

		if (!call_in_play(p))
			continue;
		open += at > now;
		named |= at != CALL_NEVER;
		if (at < first)
			first = at;
		if (at > now && at < next)
			next = at;
	}

	if (first > now)
		return next;

	/* what was seen in the bindings is one of those that said nothing */
	if (c->seen_at && !named && open)
		--open;

	/* others may come too, but not for ever: a decline has to get
	   through */
	if (!open || now >= first + c->prm.gather_ms) {
		call_event(c, CALL_EV_ARRIVED, now);
		return CALL_NEVER;
	}

	return next < first + c->prm.gather_ms ? next
					       : first + c->prm.gather_ms;
}


const struct handover handover_fork = {
	.name = "fork",
	.forks = true,
	.decline_scode = 480,
	.decide = fork_decide,
};
