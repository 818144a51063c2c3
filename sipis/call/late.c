/**
 * @file late.c  2xx and 18x of phones that no transaction waits for
 *
 * RFC 3261 16.7: a proxy that is stateful passes each 2xx of an INVITE up, for
 * who has called may want to speak to all.  Here the calls are of one user who
 * has several phones: one of them has the call, and who is told so is the
 * PBX.
 */

#include <errno.h>
#include "common/clock.h"
#include "sipis/call/priv.h"


enum { TOLD_MAX = 32 /* lines of one call: a phone may say it for ever */ };


static struct leg *find(const struct calls *cs, uint64_t acct,
			const struct sip_msg *resp, const struct pl *branch)
{
	struct leg *leg = cs && !cs->closed
				  ? leg_of_branch(cs, &resp->callid, branch)
				  : NULL;

	return leg && leg->callee->acct == acct && leg->call.prm.owner->relays
		       ? leg
		       : NULL;
}


enum calls_late calls_late(const struct calls *cs, uint64_t acct,
			   const struct sip_msg *resp, const struct pl *branch)
{
	const struct leg *leg = find(cs, acct, resp, branch);

	if (!leg)
		return cs && !cs->closed ? swap_late(cs, acct, resp, branch)
					 : CALLS_LATE_FOREIGN;
	if (leg->winner)
		return pl_strcmp(&resp->to.tag, leg->winner) ? CALLS_LATE_LOST
							     : CALLS_LATE_WON;
	if (!leg_open(leg))
		return CALLS_LATE_LOST;

	return leg->call.state == CALL_READING ? CALLS_LATE_SOON
					       : CALLS_LATE_WAITED;
}


const struct sip_msg *calls_late_invite(const struct calls *cs, uint64_t acct,
					const struct sip_msg *resp,
					const struct pl *branch)
{
	const struct leg *leg = find(cs, acct, resp, branch);
	const struct branch *b = leg ? leg_waiting(leg) : NULL;

	if (!leg)
		return cs && !cs->closed ? swap_invite(cs, acct, resp, branch)
					 : NULL;

	return b ? b->msg : NULL;
}


void calls_late_failed(struct calls *cs, uint64_t acct, const char *inst,
		       const struct sip_msg *refusal, const struct pl *branch)
{
	struct leg *leg = find(cs, acct, refusal, branch);

	if (!leg && cs && !cs->closed)
		swap_refused(cs, acct, inst, refusal, branch);
	if (!leg)
		return;

	mem_ref(leg);
	tries_late_failed(leg, inst, refusal);
	leg_schedule(leg);
	mem_deref(leg);
}


int calls_late_take(struct calls *cs, uint64_t acct, const char *inst,
		    const struct sip_msg *resp, const struct pl *branch)
{
	struct leg *leg = find(cs, acct, resp, branch);
	struct branch *b = leg ? leg_waiting(leg) : NULL;

	if (!leg && cs && !cs->closed)
		return swap_take(cs, acct, resp, branch);
	if (!b)
		return ENOENT;

	mem_ref(leg);
	/* where we have sent it once more, it is not wanted there now */
	tries_stop(leg, inst, "answered_elsewhere");
	tries_taken(leg, inst, b, resp);
	leg_schedule(leg);
	mem_deref(leg);

	return 0;
}


void calls_late_rings(struct calls *cs, uint64_t acct, const char *inst,
		      const struct sip_msg *resp, const struct pl *branch)
{
	struct leg *leg = find(cs, acct, resp, branch);
	struct branch *b = leg ? leg_waiting(leg) : NULL;

	if (!leg && cs && !cs->closed)
		swap_rings(cs, acct, resp, branch);
	if (!b)
		return;

	mem_ref(leg);
	tries_late_rings(leg, inst, b, resp);
	leg_schedule(leg);
	mem_deref(leg);
}


const char *calls_late_told(struct calls *cs, uint64_t acct, const char *inst,
			    const struct sip_msg *resp,
			    const struct pl *branch)
{
	struct leg *leg = find(cs, acct, resp, branch);

	if (!leg)
		return NULL;

	if (leg->told < TOLD_MAX) {
		++leg->told;
		leg_note(leg, 0, "sipis", "CANCEL to phone",
			 "%s it rings late", inst);
	}

	return tries_reason(leg);
}
