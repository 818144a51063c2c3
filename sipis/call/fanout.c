/**
 * @file fanout.c  The pushes of one call
 *
 * One CALL push per sleeping phone of the account, and one ENDED push for
 * each that may have heard of the call.  Both ids are derived from the call,
 * the instance and the use: whatever is sent again, by us or after a crash,
 * is known as a repetition by the mediator.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "common/clock.h"
#include "common/log.h"
#include "sipis/call/fact.h"
#include "sipis/call/priv.h"

enum {
	ENDED_TTL_MS = 60000,
	ENDED_WAIT_MS = 10000, /**< a mediator may be away for that */
	FRESH_MS = 5000,       /**< an app that became active just now */
};

/** What one phone is pushed with */
struct push {
	struct fanout *fo;
	char inst[STORE_ID_LEN + 1];
	uint8_t *handle, *ended_handle; /**< one block each */
	size_t handle_len, ended_len;
	struct med_req *req, *ended_req;
	struct tmr tmr; /**< a verdict that needs no mediator */
	bool accepted;  /**< known from before a restart */
	bool sent;
	unsigned turn; /**< 1: the first push */
};

struct fanout {
	struct leg *leg; /**< not a reference: it owns us */
	struct push *pushv;
	unsigned pushc;
};

/** A question to the store */
struct ask {
	struct leg *leg;
	struct list accepted; /**< of struct known */
};

struct known {
	struct le le;
	char inst[STORE_ID_LEN + 1];
};


static void fanout_destructor(void *data)
{
	struct fanout *fo = data;

	for (unsigned i = 0; i < fo->pushc; i++) {
		struct push *p = &fo->pushv[i];

		tmr_cancel(&p->tmr);
		mem_deref(p->req);
		mem_deref(p->ended_req);
		mem_deref(p->handle);
		mem_deref(p->ended_handle);
	}
	mem_deref(fo->pushv);
}


static struct push *find(const struct leg *leg, const char *inst)
{
	struct fanout *fo = leg->fanout;

	for (unsigned i = 0; fo && i < fo->pushc; i++)
		if (!strcmp(fo->pushv[i].inst, inst))
			return &fo->pushv[i];

	return NULL;
}


static int push_id(uint8_t id[WIRE_ID_LEN], const struct leg *leg,
		   const char *inst, const char *use)
{
	char uuid[UUID_LEN + 1];
	int err = ident_uuid_derive(uuid, leg->id, inst, use, NULL);

	return err ? err : ident_uuid_decode(id, uuid);
}


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


static void token_gone(struct push *p, const char *reason)
{
	struct leg *leg = p->fo->leg;

	if (store_push_gone(leg->cs->prm.store, p->inst, p->handle,
			    p->handle_len, reason, gone_handler, mem_ref(leg)))
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
static void note_result(struct push *p, const struct med_result *res)
{
	struct leg *leg = p->fo->leg;

	if (res->err) {
		leg_note(leg, 0, "sipis", "push failed", "%s %s", p->inst,
			 err_text(res->err));
		return;
	}

	if (res->received_us)
		leg_note(leg, res->received_us, "mediator", "received",
			 "%s at %s", p->inst, text(res->mediator));
	if (res->sent_us)
		leg_note(leg, res->sent_us, "provider", "sent", "%s", p->inst);

	if (res->outcome == WIRE__OUTCOME__DELIVERED)
		leg_note(leg, res->answered_us,
			 call_fact_who(CALL_FACT_ACCEPTED),
			 call_fact_what(CALL_FACT_ACCEPTED), "%s %u %s",
			 p->inst, res->status, text(res->provider_id));
	else
		leg_note(leg, res->answered_us,
			 res->status ? "provider" : "mediator", "refused",
			 "%s %s %u %s", p->inst,
			 wire_outcome_name(res->outcome), res->status,
			 text(res->reason));
}


static void verdict(struct push *p, enum phone_push how)
{
	struct leg *leg = p->fo->leg;

	call_pushed(&leg->call, p->inst, how, clock_mono_ms());
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
	struct push *p = arg;

	note_result(p, res);
	if (!res->err && res->outcome == WIRE__OUTCOME__TOKEN_GONE)
		token_gone(p, text(res->reason));
	if (res->late)
		return;

	verdict(p, how_of(res));
}


static void sent_handler(const char *mediator, bool again, void *arg)
{
	struct push *p = arg;
	struct leg *leg = p->fo->leg;

	if (!again && leg->cs && p->turn == 1)
		histogram_add(&leg->cs->invite_to_push,
			      (uint64_t)(clock_wall_us() - leg->received_us));
	p->sent = true;
	leg_note(leg, 0, "sipis", again ? "push sent again" : "push sent",
		 "%s to %s", p->inst, mediator);
}


static void accepted_handler(void *arg)
{
	verdict(arg, PHONE_ACCEPTED);
}


static void failed_handler(void *arg)
{
	verdict(arg, PHONE_FAILED);
}


static int push_send(struct push *p)
{
	struct leg *leg = p->fo->leg;
	const struct call *c = &leg->call;
	struct med_push push = {
		.handle = p->handle,
		.handle_len = p->handle_len,
		.use = WIRE__USE__USE_CALL,
		.trace = leg->id,
		.call = leg->id,
		.instance = p->inst,
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
	if (p->turn > 1)
		(void)snprintf(use, sizeof(use), "call %u", p->turn);
	err = push_id(push.id, leg, p->inst, use);
	if (err)
		return err;

	p->sent = false;
	p->req = mem_deref(p->req);
	return med_push(&p->req, leg->cs->prm.med, &push, 0, result_handler,
			p);
}


void fanout_push(struct leg *leg, const char *inst)
{
	struct push *p = find(leg, inst);
	int err;

	if (!p)
		return;

	if (++p->turn == 1 && p->accepted) {
		tmr_start(&p->tmr, 0, accepted_handler, p);
		return;
	}

	err = push_send(p);
	if (err) {
		leg_note(leg, 0, "sipis", "push failed", "%s %s", inst,
			 strerror(err));
		tmr_start(&p->tmr, 0, failed_handler, p);
		return;
	}

	/* no mediator is up, or its window is full */
	if (!p->sent)
		leg_note(leg, 0, "sipis", "push queued", "%s", inst);
}


bool fanout_drop(struct leg *leg, const char *inst)
{
	struct push *p = find(leg, inst);

	if (!p)
		return false;
	if (p->accepted && p->turn <= 1)
		return true;

	if (!med_req_stop(&p->req)) {
		leg_note(leg, 0, "sipis", "push dropped", "%s", inst);
		return false;
	}

	return true;
}


static void ended_handler(const struct med_result *res, void *arg)
{
	struct push *p = arg;

	if (res->err || res->outcome != WIRE__OUTCOME__DELIVERED)
		leg_note(p->fo->leg, 0, "mediator", "ended refused",
			 "%s %s %s", p->inst,
			 res->err ? err_text(res->err)
				  : wire_outcome_name(res->outcome),
			 text(res->reason));
}


void fanout_tell(struct leg *leg, const char *inst, const char *why)
{
	struct push *p = find(leg, inst);
	struct med_push push = {
		.use = WIRE__USE__USE_ENDED,
		.trace = leg->id,
		.call = leg->id,
		.instance = inst,
		.from = leg->from,
		.display_name = leg->display_name,
		.video = leg->video,
		.received_ms = leg->received_ms,
		.expires_ms = clock_wall_ms() + ENDED_TTL_MS,
		.reason = why,
	};

	if (!p || !p->ended_handle || p->ended_req ||
	    push_id(push.id, leg, inst, "ended"))
		return;

	push.handle = p->ended_handle;
	push.handle_len = p->ended_len;
	if (med_push(&p->ended_req, leg->cs->prm.med, &push, ENDED_WAIT_MS,
		     ended_handler, p))
		return;

	leg_note(leg, 0, "sipis", "ended sent", "%s %s", inst, why);
}


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


static int push_init(struct push *p, struct fanout *fo,
		     const struct inst_row *inst)
{
	int err;

	p->fo = fo;
	(void)snprintf(p->inst, sizeof(p->inst), "%s", inst->id);
	err = handle_dup(&p->handle, &p->handle_len,
			 row_for(inst, WIRE__USE__USE_CALL));
	if (!err)
		err = handle_dup(&p->ended_handle, &p->ended_len,
				 row_for(inst, WIRE__USE__USE_ENDED));
	return err ? err : p->handle ? 0 : ENOENT;
}


/* A phone that says it is active is at the PBX, or it is connected to us; but
   that connection may be dead */
static bool may_push(const struct leg *leg, const struct inst_row *inst)
{
	return inst->want ||
	       (leg->call.prm.owner->relays && inst->push_enabled &&
		inst->state == INST_ACTIVE);
}


static int fanout_alloc(struct leg *leg, const struct inst_row *instv,
			unsigned instc)
{
	struct fanout *fo = mem_zalloc(sizeof(*fo), fanout_destructor);

	if (!fo)
		return ENOMEM;

	fo->leg = leg;
	fo->pushv = mem_zalloc((instc ? instc : 1) * sizeof(*fo->pushv), NULL);
	if (!fo->pushv) {
		mem_deref(fo);
		return ENOMEM;
	}

	for (unsigned i = 0; i < instc; i++) {
		struct push *p = &fo->pushv[fo->pushc];

		if (!may_push(leg, &instv[i]))
			continue;
		if (!push_init(p, fo, &instv[i])) {
			++fo->pushc;
			continue;
		}
		mem_deref(p->handle);
		mem_deref(p->ended_handle);
		memset(p, 0, sizeof(*p));
	}

	leg->fanout = fo;
	return 0;
}


static void ask_destructor(void *data)
{
	struct ask *ask = data;

	list_flush(&ask->accepted);
	mem_deref(ask->leg);
}


/* The app became active, but the INVITE was quicker than its REGISTER (and
   than our un-REGISTER): it is awake and on its way to the PBX */
static void see_fresh(struct leg *leg, const struct inst_row *inst)
{
	if (inst->state == INST_ACTIVE &&
	    clock_wall_ms() - inst->seen_ms < FRESH_MS)
		call_came(&leg->call, inst->id, false, "", clock_mono_ms());
}


static void mark_accepted(struct leg *leg, const struct list *accepted)
{
	for (struct le *le = accepted->head; le; le = le->next) {
		const struct known *k = le->data;
		struct push *p = find(leg, k->inst);

		if (p)
			p->accepted = true;
	}
}


static void insts_handler(int err, const struct inst_row *instv,
			  unsigned instc, void *arg)
{
	struct ask *ask = arg;
	struct leg *leg = ask->leg;
	/* after a restart; what waits yet waits for phones that ring */
	const bool late = clock_mono_ms() >= leg->call.prm.wake_by;
	const char *namev[STORE_INST_MAX];
	unsigned namec = 0;

	if (!leg->cs || leg->call.state != CALL_READING)
		goto out;

	if (err)
		log_error("call", leg->id, "cannot read the phones: %s",
			  strerror(err));
	else
		err = fanout_alloc(leg, instv, instc);

	if (!err)
		mark_accepted(leg, &ask->accepted);
	for (unsigned i = 0;
	     !err && !late && i < leg->fanout->pushc && namec < STORE_INST_MAX;
	     i++)
		namev[namec++] = leg->fanout->pushv[i].inst;

	for (unsigned i = 0; !err && i < instc; i++)
		see_fresh(leg, &instv[i]);

	call_phones(&leg->call, namev, namec, clock_mono_ms());
	leg_schedule(leg);

out:
	mem_deref(ask);
}


static int ask_insts(struct ask *ask)
{
	int err = store_insts_of(ask->leg->cs->prm.store,
				 ask->leg->callee->acct, insts_handler, ask);

	if (err)
		mem_deref(ask);
	return err;
}


static int ask_alloc(struct ask **askp, struct leg *leg)
{
	struct ask *ask = mem_zalloc(sizeof(*ask), ask_destructor);

	if (!ask)
		return ENOMEM;

	ask->leg = mem_ref(leg);
	*askp = ask;
	return 0;
}


int fanout_start(struct leg *leg)
{
	struct ask *ask;
	int err = ask_alloc(&ask, leg);

	return err ? err : ask_insts(ask);
}


static void known_destructor(void *data)
{
	struct known *k = data;

	list_unlink(&k->le);
}


/* Every detail that concerns a phone begins with its id */
static bool inst_of(char inst[STORE_ID_LEN + 1], const struct event_row *ev)
{
	const size_t len = strcspn(ev->detail, " ");

	if (len != STORE_ID_LEN)
		return false;

	memcpy(inst, ev->detail, len);
	inst[len] = '\0';
	return true;
}


static void recall_accepted(struct ask *ask, const char *inst)
{
	struct known *k = mem_zalloc(sizeof(*k), known_destructor);

	if (!k)
		return;

	(void)snprintf(k->inst, sizeof(k->inst), "%s", inst);
	list_append(&ask->accepted, &k->le, k);
}


/* What the timeline knows, the record knows again */
static void recall(struct ask *ask, const struct event_row *ev)
{
	struct call *c = &ask->leg->call;
	const uint64_t now = clock_mono_ms();
	char inst[STORE_ID_LEN + 1];
	enum call_fact fact;

	if (!inst_of(inst, ev) || !call_fact_of(&fact, ev->who, ev->what))
		return;

	switch (fact) {
	case CALL_FACT_ACCEPTED:
		recall_accepted(ask, inst);
		break;
	case CALL_FACT_AWAKE:
		call_came(c, inst, false, "", now);
		break;
	case CALL_FACT_REGISTERED:
		call_came(c, inst, true, "", now);
		break;
	case CALL_FACT_RINGING:
		call_rings(c, inst, now);
		break;
	case CALL_FACT_INVITED:
	case CALL_FACT_RANG:
		call_relay_had(c, inst, fact == CALL_FACT_RANG, now);
		break;
	case CALL_FACT_DECLINED:
		call_declines(c, inst, now);
		break;
	default:
		break;
	}
}


static void events_handler(int err, const struct event_row *ev, unsigned evc,
			   void *arg)
{
	struct ask *ask = arg;
	char id[UUID_LEN + 1]; /* the question may take the call with it */

	if (!ask->leg->cs) {
		mem_deref(ask);
		return;
	}

	ask->leg->call.quiet = true;
	for (unsigned i = 0; !err && i < evc; i++)
		recall(ask, &ev[i]);
	ask->leg->call.quiet = false;

	(void)snprintf(id, sizeof(id), "%s", ask->leg->id);
	err = ask_insts(ask);
	if (err)
		log_error("call", id, "cannot read the phones: %s",
			  strerror(err));
}


int fanout_resume(struct leg *leg)
{
	struct ask *ask;
	int err = ask_alloc(&ask, leg);

	if (err)
		return err;

	err = store_events(leg->cs->prm.store, leg->id, events_handler, ask);
	if (err)
		mem_deref(ask);
	return err;
}
