/**
 * @file alert.c  What one phone is pushed with for one call
 *
 * Both ids are derived from the call, the instance and the use: whatever is
 * sent again, by us or after a crash, is known as a repetition by the
 * mediator.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "common/clock.h"
#include "sipis/call/alert.h"
#include "sipis/call/fact.h"

enum {
	ENDED_TTL_MS = 60000,
	ENDED_WAIT_MS = 10000, /**< a mediator may be away for that */
};


static const struct push_row *row_for(const struct inst_row *inst,
				      Wire__Use use)
{
	for (unsigned i = 0; i < inst->push_count; i++) {
		const struct push_row *row = &inst->push[i];

		if (!row->gone && row->uses & (1u << use))
			return row;
	}

	return NULL;
}


static int handle_dup(uint8_t **handlep, size_t *lenp,
		      const struct push_row *row)
{
	if (!row || !row->handle_len)
		return 0;

	*handlep = mem_alloc(row->handle_len, NULL);
	if (!*handlep)
		return ENOMEM;

	memcpy(*handlep, row->handle, row->handle_len);
	*lenp = row->handle_len;
	return 0;
}


int alert_init(struct alert *a, struct leg *leg, const struct inst_row *inst)
{
	int err;

	a->leg = leg;
	(void)snprintf(a->inst, sizeof(a->inst), "%s", inst->id);
	err = handle_dup(&a->handle, &a->handle_len,
			 row_for(inst, WIRE__USE__USE_CALL));
	if (!err)
		err = handle_dup(&a->ended_handle, &a->ended_len,
				 row_for(inst, WIRE__USE__USE_ENDED));
	if (!err && !a->handle)
		err = ENOENT;
	if (err)
		alert_clear(a);

	return err;
}


void alert_clear(struct alert *a)
{
	tmr_cancel(&a->tmr);
	mem_deref(a->req);
	mem_deref(a->ended_req);
	mem_deref(a->handle);
	mem_deref(a->ended_handle);
	memset(a, 0, sizeof(*a));
}


static int push_id(uint8_t id[WIRE_ID_LEN], const struct leg *leg,
		   const char *inst, const char *use)
{
	char uuid[UUID_LEN + 1];
	int err = ident_uuid_derive(uuid, leg->id, inst, use, NULL);

	return err ? err : ident_uuid_decode(id, uuid);
}


/* --- CALL --- */

static void gone_handler(int err, const struct inst_row *inst,
			 const struct acct_row *row, void *arg)
{
	struct leg *leg = arg;
	struct acct *acct;
	(void)inst;

	/* nobody left to ring: the PBX shall not try us again */
	if (!err && row && leg->cs) {
		acct = reg_find(leg->cs->prm.reg, row->id);
		if (acct && !reg_wanted(acct_pbx(acct), row))
			reg_want(acct, false);
	}
	mem_deref(leg);
}


static void token_gone(struct alert *a, const char *reason)
{
	struct leg *leg = a->leg;

	if (store_push_gone(leg->cs->prm.store, a->inst, a->handle,
			    a->handle_len, reason, gone_handler, mem_ref(leg)))
		mem_deref(leg);
}


static const char *text(const char *s)
{
	return s ? s : "";
}


/* Of a push that no mediator has answered */
static const char *err_text(int err)
{
	switch (err) {
	case ENOTCONN:
		return "no mediator is up (sipisctl status)";
	case ETIMEDOUT:
		return "timed out: the mediator that has it is lost, or says "
		       "nothing";
	default:
		return strerror(err);
	}
}


/* Each hop with its own clock */
static void note_result(struct alert *a, const struct med_result *res)
{
	struct leg *leg = a->leg;

	if (res->err) {
		leg_note(leg, 0, "sipis", "push failed", "%s %s", a->inst,
			 err_text(res->err));
		return;
	}

	if (res->received_us)
		leg_note(leg, res->received_us, "mediator", "received",
			 "%s at %s", a->inst, text(res->mediator));
	if (res->sent_us)
		leg_note(leg, res->sent_us, "provider", "sent", "%s", a->inst);

	if (res->outcome == WIRE__OUTCOME__DELIVERED)
		leg_note(leg, res->answered_us,
			 call_fact_who(CALL_FACT_ACCEPTED),
			 call_fact_what(CALL_FACT_ACCEPTED), "%s %u %s",
			 a->inst, res->status, text(res->provider_id));
	else
		leg_note(leg, res->answered_us,
			 res->status ? "provider" : "mediator", "refused",
			 "%s %s %u %s", a->inst,
			 wire_outcome_name(res->outcome), res->status,
			 text(res->reason));
}


static void verdict(struct alert *a, enum phone_push how)
{
	struct leg *leg = a->leg;

	call_pushed(&leg->call, a->inst, how, clock_mono_ms());
	leg_schedule(leg);
}


static enum phone_push how_of(const struct med_result *res)
{
	/* a mediator has it, and may have passed it on */
	if (res->err == ETIMEDOUT)
		return PHONE_UNKNOWN;
	if (res->err)
		return PHONE_UNTAKEN;

	return res->outcome == WIRE__OUTCOME__DELIVERED ? PHONE_ACCEPTED
							: PHONE_FAILED;
}


static void result_handler(const struct med_result *res, void *arg)
{
	struct alert *a = arg;

	note_result(a, res);
	if (!res->err && res->outcome == WIRE__OUTCOME__TOKEN_GONE)
		token_gone(a, text(res->reason));
	if (res->late)
		return;

	verdict(a, how_of(res));
}


static void sent_handler(const char *mediator, bool again, void *arg)
{
	struct alert *a = arg;
	struct leg *leg = a->leg;

	if (!again && leg->cs && a->turn == 1)
		histogram_add(&leg->cs->invite_to_push,
			      (uint64_t)(clock_wall_us() - leg->received_us));
	a->sent = true;
	leg_note(leg, 0, "sipis", again ? "push sent again" : "push sent",
		 "%s to %s", a->inst, mediator);
}


static void accepted_handler(void *arg)
{
	verdict(arg, PHONE_ACCEPTED);
}


static void failed_handler(void *arg)
{
	verdict(arg, PHONE_FAILED);
}


static int push_send(struct alert *a)
{
	struct leg *leg = a->leg;
	const struct call *c = &leg->call;
	struct med_push push = {
		.handle = a->handle,
		.handle_len = a->handle_len,
		.use = WIRE__USE__USE_CALL,
		.trace = leg->id,
		.call = leg->id,
		.instance = a->inst,
		.from = leg->from,
		.display_name = leg->display_name,
		.video = leg->video,
		.received_ms = leg->received_ms,
		.expires_ms = leg->received_ms +
			      (int64_t)(c->prm.wake_by - leg->received),
		.late = true,
		.senth = sent_handler,
	};
	char use[16] = "call";
	int err;

	/* a mediator would take it for the one that it had */
	if (a->turn > 1)
		(void)snprintf(use, sizeof(use), "call %u", a->turn);
	err = push_id(push.id, leg, a->inst, use);
	if (err)
		return err;

	a->sent = false;
	a->req = mem_deref(a->req);
	return med_push(&a->req, leg->cs->prm.med, &push, 0, result_handler,
			a);
}


void alert_push(struct alert *a)
{
	int err;

	if (++a->turn == 1 && a->accepted) {
		tmr_start(&a->tmr, 0, accepted_handler, a);
		return;
	}

	err = push_send(a);
	if (err) {
		leg_note(a->leg, 0, "sipis", "push failed", "%s %s", a->inst,
			 strerror(err));
		tmr_start(&a->tmr, 0, failed_handler, a);
		return;
	}

	/* no mediator is up, or its window is full */
	if (!a->sent)
		leg_note(a->leg, 0, "sipis", "push queued", "%s", a->inst);
}


bool alert_drop(struct alert *a)
{
	if (a->accepted && a->turn <= 1)
		return true;

	if (!med_req_stop(&a->req)) {
		leg_note(a->leg, 0, "sipis", "push dropped", "%s", a->inst);
		return false;
	}

	return true;
}


/* --- ENDED --- */

static void ended_handler(const struct med_result *res, void *arg)
{
	struct alert *a = arg;

	if (res->err || res->outcome != WIRE__OUTCOME__DELIVERED)
		leg_note(a->leg, 0, "mediator", "ended refused", "%s %s %s",
			 a->inst,
			 res->err ? err_text(res->err)
				  : wire_outcome_name(res->outcome),
			 text(res->reason));
}


void alert_tell(struct alert *a, const char *why)
{
	struct leg *leg = a->leg;
	struct med_push push = {
		.use = WIRE__USE__USE_ENDED,
		.trace = leg->id,
		.call = leg->id,
		.instance = a->inst,
		.from = leg->from,
		.display_name = leg->display_name,
		.video = leg->video,
		.received_ms = leg->received_ms,
		.expires_ms = clock_wall_ms() + ENDED_TTL_MS,
		.reason = why,
	};

	if (!a->ended_handle || a->ended_req ||
	    push_id(push.id, leg, a->inst, "ended"))
		return;

	push.handle = a->ended_handle;
	push.handle_len = a->ended_len;
	if (med_push(&a->ended_req, leg->cs->prm.med, &push, ENDED_WAIT_MS,
		     ended_handler, a))
		return;

	leg_note(leg, 0, "sipis", "ended sent", "%s %s", a->inst, why);
}
