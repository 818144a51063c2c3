/**
 * @file calls.c  The calls that wait for a phone: the set, the app's word,
 * questions
 */

#include <errno.h>
#include <string.h>
#include "common/clock.h"
#include "sipis/call/priv.h"

static const struct metric metric_init[CALLS_M_COUNT] = {
	[CALLS_M_WAITING] = { .name = "sipis_calls_waiting",
			      .help = "Calls that wait for a phone",
			      .type = METRIC_GAUGE },
	[CALLS_M_INVITES] = { .name = "sipis_calls_total",
			      .help = "INVITEs that became a call" },
	[CALLS_M_HANDED] = { .name = "sipis_calls_ended_total"
				     "{how=\"handed\"}",
			     .help = "Calls by how they ended for us" },
	[CALLS_M_CANCELLED] = { .name = "sipis_calls_ended_total"
					"{how=\"cancelled\"}",
				.help = "Calls by how they ended for us" },
	[CALLS_M_DECLINED] = { .name = "sipis_calls_ended_total"
				       "{how=\"declined\"}",
			       .help = "Calls by how they ended for us" },
	[CALLS_M_MISSED] = { .name = "sipis_calls_ended_total"
				     "{how=\"missed\"}",
			     .help = "Calls by how they ended for us" },
	[CALLS_M_BY_PHONE] = { .name = "sipis_calls_ended_total"
				       "{how=\"refused\"}",
			       .help = "Calls by how they ended for us" },
	[CALLS_M_LIMITED] = { .name = "sipis_calls_limited_total",
			      .help = "INVITEs over an account's limit" },
	[CALLS_M_FULL] = { .name = "sipis_calls_full_total",
			   .help = "INVITEs refused because too many calls "
				   "wait" },
	[CALLS_M_REFUSED] = { .name = "sipis_calls_refused_total",
			      .help = "INVITEs for an account that became "
				      "no call" },
	[CALLS_M_UNLISTED] = { .name = "sipis_calls_refused_unlisted_total",
			       .help = "INVITEs that became no call and are "
				       "not listed: too many at once" },
	[CALLS_M_ECHO] = { .name = "sipis_calls_echo_total",
			   .help = "INVITEs that were the PBX's echo of our "
				   "own answer" },
};


static bool close_leg(struct le *le, void *arg)
{
	struct leg *leg = le->data;
	(void)arg;

	tmr_cancel(&leg->tmr);
	leg->cs = NULL;
	leg->callee = NULL;
	list_unlink(&leg->le);
	list_unlink(&leg->look_le);
	hash_unlink(&leg->he_callid);
	leg->fanout = mem_deref(leg->fanout);
	leg_forget(leg);
	return false;
}


static bool close_callee(struct le *le, void *arg)
{
	struct callee *ce = le->data;
	(void)arg;

	tmr_cancel(&ce->tmr);
	ce->cs = NULL;
	ce->watching = false;
	return false;
}


static bool answer_leg(struct le *le, void *arg)
{
	(void)arg;
	leg_answer_up(le->data);
	return false;
}


void calls_give_up(struct calls *cs)
{
	if (!cs)
		return;

	swap_give_up(cs);
	/* its end is with the store, which is closed last */
	if (cs->by_id)
		(void)hash_apply(cs->by_id, answer_leg, NULL);
}


void calls_close(struct calls *cs)
{
	if (!cs || cs->closed)
		return;

	cs->closed = true;
	if (cs->by_id)
		(void)hash_apply(cs->by_id, close_leg, NULL);
	if (cs->callees)
		(void)hash_apply(cs->callees, close_callee, NULL);
	hash_flush(cs->by_id);
	hash_flush(cs->callees);
	list_flush(&cs->dials);
	list_flush(&cs->swaps);
	cs->waiting = 0;
}


static void destructor(void *data)
{
	struct calls *cs = data;

	calls_close(cs);
	/* by now the engine is closed and answers no more */
	list_flush(&cs->queries);
	list_flush(&cs->lanes);
	list_flush(&cs->refusals);
	mem_deref(cs->by_id);
	mem_deref(cs->by_callid);
	mem_deref(cs->callees);
}


static int metrics_start(struct calls *cs)
{
	int err;

	memcpy(cs->metricv, metric_init, sizeof(cs->metricv));
	cs->invite_to_push.name = "sipis_invite_to_push_seconds";
	cs->invite_to_push.help = "From an INVITE to its push on the way";
	if (!cs->prm.metrics)
		return 0;

	err = metrics_add(cs->prm.metrics, cs->metricv, CALLS_M_COUNT);
	return err ? err
		   : metrics_add_histogram(cs->prm.metrics,
					   &cs->invite_to_push);
}


int calls_alloc(struct calls **csp, const struct calls_prm *prm)
{
	struct calls *cs;
	int err;

	if (!csp || !prm || !prm->store || !prm->med || !prm->reg)
		return EINVAL;

	cs = mem_zalloc(sizeof(*cs), destructor);
	if (!cs)
		return ENOMEM;

	cs->prm = *prm;
	err = hash_alloc(&cs->by_id, CALLS_HASH);
	err |= hash_alloc(&cs->by_callid, CALLS_HASH);
	err |= hash_alloc(&cs->callees, CALLS_HASH);
	if (!err)
		err = metrics_start(cs);
	if (!err)
		err = dial_load(cs);

	if (err)
		mem_deref(cs);
	else
		*csp = cs;

	return err;
}


int calls_restore(struct calls *cs, struct acct *acct,
		  const struct call_row *row)
{
	struct callee *ce;
	struct leg *leg;
	int err;

	if (!cs || !acct || !row || cs->closed)
		return EINVAL;

	err = callee_get(&ce, cs, acct);
	if (err)
		return err;

	err = leg_restore(&leg, ce, acct, row);
	if (err) {
		/* it would come back at each start */
		(void)store_call_end(cs->prm.store, row->id, "missed",
				     clock_wall_ms(), NULL, NULL);
		callee_left(ce);
	}
	return err;
}


/* --- the app's word --- */

void calls_awake(struct calls *cs, uint64_t acct, const char *inst,
		 bool registered, const char *contact)
{
	struct callee *ce;
	struct le *le;

	if (!cs || cs->closed || !inst)
		return;

	ce = callee_find(cs, acct);
	for (le = ce ? ce->legs.head : NULL; le; le = le->next) {
		struct leg *leg = le->data;

		call_came(&leg->call, inst, registered, contact,
			  clock_mono_ms());
		leg_schedule(leg);
	}
}


void calls_relay(struct calls *cs, const struct relay *relay)
{
	static const struct relay none;

	if (cs)
		cs->relay = relay ? *relay : none;
}


void calls_flow(struct calls *cs, uint64_t acct, const char *inst)
{
	struct callee *ce;
	struct le *le;

	if (!cs || cs->closed || !inst)
		return;

	swap_flow(cs, inst);
	ce = callee_find(cs, acct);
	for (le = ce ? ce->legs.head : NULL; le; le = le->next) {
		struct leg *leg = le->data;

		call_flow(&leg->call, inst, clock_mono_ms());
		leg_schedule(leg);
	}
}


static void rebuffed(struct leg *leg, uint32_t kind, const char *detail)
{
	for (unsigned i = 0; i < leg->rebuffc; i++)
		if (leg->rebuffs[i] == kind)
			return;
	if (leg->rebuffc >= REBUFFS)
		return;

	leg->rebuffs[leg->rebuffc++] = kind;
	leg_note(leg, 0, "app", "REGISTER refused", "%s%s", detail,
		 leg->rebuffc < REBUFFS ? "" : "; no further ones are listed");
}


void calls_rebuffed(struct calls *cs, uint64_t acct, uint32_t kind,
		    const char *detail)
{
	struct callee *ce;
	struct le *le;

	if (!cs || cs->closed || !detail)
		return;

	ce = callee_find(cs, acct);
	for (le = ce ? ce->legs.head : NULL; le; le = le->next) {
		struct leg *leg = le->data;

		if (call_waits(&leg->call))
			rebuffed(leg, kind, detail);
	}
}


static int word(struct calls *cs, uint64_t acct, const char *call,
		const char *inst,
		void (*wordh)(struct call *c, const char *inst, uint64_t now))
{
	struct leg *leg;

	if (!cs || cs->closed || !call || !inst)
		return EINVAL;

	leg = leg_by_id(cs, call);
	if (!leg || leg->callee->acct != acct)
		return ENOENT;
	if (!call_waits(&leg->call))
		return EALREADY;

	wordh(&leg->call, inst, clock_mono_ms());
	leg_schedule(leg);
	return 0;
}


int calls_ringing(struct calls *cs, uint64_t acct, const char *call,
		  const char *inst)
{
	return word(cs, acct, call, inst, call_rings);
}


int calls_decline(struct calls *cs, uint64_t acct, const char *call,
		  const char *inst)
{
	return word(cs, acct, call, inst, call_declines);
}


/* --- questions --- */

void calls_each(const struct calls *cs, uint64_t acct, call_info_h *h,
		void *arg)
{
	struct callee *ce;
	struct call_info info;
	struct le *le;

	if (!cs || cs->closed || !h)
		return;

	ce = callee_find(cs, acct);
	for (le = ce ? ce->legs.head : NULL; le; le = le->next) {
		const struct leg *leg = le->data;

		if (!call_wants_phone(&leg->call))
			continue;
		leg_info(leg, &info);
		h(&info, arg);
	}
}


int calls_get(struct calls_wait **wp, struct calls *cs, uint64_t acct,
	      const char *call, uint32_t wait_ms, call_info_h *h, void *arg)
{
	struct leg *leg;

	if (!cs || cs->closed || !call || !h)
		return EINVAL;

	leg = leg_by_id(cs, call);
	if (!leg)
		return callwait_ask(wp, cs->prm.store, acct, call, h, arg);
	if (leg->callee->acct != acct)
		return callwait_alloc(wp, NULL, 0, h, arg);

	return callwait_alloc(wp, leg, call_waits(&leg->call) ? wait_ms : 0, h,
			      arg);
}


unsigned calls_count(const struct calls *cs)
{
	return cs ? cs->waiting : 0;
}
