/**
 * @file tries.c  The phones that have our INVITE
 *
 * Carries the answers of phones up to the PBX: each 18x and the first 2xx as
 * they are; of the refusals the best one, when the record says so (RFC 3261
 * 16.7).  The record learns of each what it must know.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "common/clock.h"
#include "common/log.h"
#include "sipis/call/fact.h"
#include "sipis/call/priv.h"
#include "sipis/call/reason.h"
#include "sipis/sip/copy.h"


struct
try {
	struct le le;
	struct leg *leg; /**< owns us */
	char inst[STORE_ID_LEN + 1];
	struct branch *branch; /**< whose INVITE it has */
	bool rings;            /**< it has said so */
	bool had;              /**< by one of before a restart; out is over */
	struct relay_try *out;
};


static void destructor(void *data)
{
	struct try *t = data;

	list_unlink(&t->le);
	mem_deref(t->out);
	mem_deref(t->branch);
}


static struct try *find(const struct leg *leg, const char *inst)
{
	for (struct le *le = leg->tries.head; le; le = le->next) {
		struct try *t = le->data;

		if (!strcmp(t->inst, inst))
			return t;
	}

	return NULL;
}


/* The nearer to the caller's wish the better: 6xx are no worse than others
   here, for the PBX may have more phones; RFC 3261 16.7 step 6 */
static unsigned rank(uint16_t scode)
{
	switch (scode) {
	case 401:
	case 407:
		return 0;
	case 600:
	case 603:
	case 486:
		return 1;
	default:
		return scode / 100 == 4 ? 2 : scode / 100 == 3 ? 3 : 4;
	}
}


static void keep_best(struct leg *leg, const struct sip_msg *resp)
{
	if (leg->best && rank(leg->best->scode) <= rank(resp->scode))
		return;

	mem_deref(leg->best);
	leg->best = mem_ref((void *)resp);
}


static void note(struct leg *leg, const char *inst, const struct sip_msg *resp)
{
	const struct sip_hdr *hdr = sip_msg_hdr(resp, SIP_HDR_WARNING);
	char what[8], phrase[NAME_SIZE] = "", why[NAME_SIZE] = "";

	(void)snprintf(what, sizeof(what), "%u", resp->scode);
	hdr = hdr ? hdr : sip_msg_hdr(resp, SIP_HDR_REASON);
	if (resp->scode >= 300)
		reason_text(phrase, sizeof(phrase), &resp->reason);
	if (resp->scode >= 300 && hdr)
		reason_text(why, sizeof(why), &hdr->val);
	leg_note(leg, 0, "app", what, "%s%s%s%s%s", inst, *phrase ? " " : "",
		 phrase, *why ? ": " : "", why);
}


static void provisional(struct try *t, const struct sip_msg *resp)
{
	struct leg *leg = t->leg;

	t->rings = true;
	(void)branch_pass(t->branch, resp, 0);
	if (!call_rings_at(&leg->call, t->inst))
		note(leg, t->inst, resp);
	call_relay_rings(&leg->call, t->inst, clock_mono_ms());
}


void tries_taken(struct leg *leg, const char *inst, struct branch *b,
		 const struct sip_msg *resp)
{
	/* one without a To tag is nobody's winner, and may be said again */
	if (leg->answer)
		return;

	(void)pl_strdup(&leg->winner, &resp->to.tag);
	note(leg, inst, resp);
	leg->scode = resp->scode;
	leg_answer(leg, b, resp);
	call_relay_taken(&leg->call, inst, clock_mono_ms());
	leg_answer_due(leg);
}


static void answered(struct leg *leg, struct try *t,
		     const struct sip_msg *resp)
{
	char inst[STORE_ID_LEN + 1];
	struct branch *b = mem_ref(t->branch);

	memcpy(inst, t->inst, sizeof(inst));
	mem_deref(t);
	tries_taken(leg, inst, b, resp);
	mem_deref(b);
}


/* RFC 3261 8.2.2.2, to an INVITE that it had from us before a restart: it
   rings, and how it goes on it says there; late.c.  One that takes it for a
   second call may be busy: it rings by the first */
static bool has_it(const struct try *t, const struct sip_msg *resp)
{
	const struct leg *leg = t->leg;

	return leg->restored &&
	       (resp->scode == 482 ||
		(!t->rings && call_had_rung(&leg->call, t->inst)));
}


/* It may lose the flow that it has now, and come anew */
static void watch(const struct try *t)
{
	const struct relay *relay = &t->leg->cs->relay;

	if (t->out && relay->watch)
		relay->watch(t->out, relay->arg);
}


static void response_handler(int err, const struct sip_msg *resp, void *arg)
{
	struct try *t = arg;
	struct leg *leg = mem_ref(t->leg);
	char inst[STORE_ID_LEN + 1];

	if (!err && resp->scode < 200) {
		provisional(t, resp);
	}
	else if (!err && resp->scode < 300) {
		answered(leg, t, resp);
	}
	else if (!err && has_it(t, resp)) {
		note(leg, t->inst, resp);
		t->had = true;
		watch(t);
		call_relay_has(&leg->call, t->inst, clock_mono_ms());
	}
	else {
		if (!err) {
			note(leg, t->inst, resp);
			keep_best(leg, resp);
		}
		memcpy(inst, t->inst, sizeof(inst));
		mem_deref(t);
		call_relay_failed(&leg->call, inst, err ? 0 : resp->scode,
				  clock_mono_ms());
	}

	leg_schedule(leg);
	mem_deref(leg);
}


static void lost_handler(enum relay_lost how, void *arg)
{
	static const char *const what[] = {
		[RELAY_GONE] = "connection lost",
		[RELAY_OFF] = "signed off",
		[RELAY_SILENT] = "says nothing",
	};
	struct try *t = arg;
	struct leg *leg = mem_ref(t->leg);

	leg_note(leg, 0, "app", what[how], "%s", t->inst);
	call_relay_lost(&leg->call, t->inst, how != RELAY_OFF,
			clock_mono_ms());
	leg_schedule(leg);
	mem_deref(leg);
}


static void still_handler(void *arg)
{
	struct try *t = arg;
	struct leg *leg = t->leg;

	leg_note(leg, 0, "app", "rings on", "%s", t->inst);
	call_relay_rings(&leg->call, t->inst, clock_mono_ms());
	leg_schedule(leg);
}


static void note_handler(const char *what, const char *detail, void *arg)
{
	const struct try *t = arg;

	leg_note(t->leg, 0, "sipis", what, "%s %s", t->inst, detail);
}


static bool start_again(struct leg *leg, struct try *t)
{
	const struct relay *relay = &leg->cs->relay;

	if (!t->out || !relay->again || relay->again(t->out, relay->arg))
		return false;

	leg_note(leg, 0, "sipis", "INVITE to phone again", "%s", t->inst);

	return true;
}


bool tries_start(struct leg *leg, const char *inst)
{
	const struct relay *relay = &leg->cs->relay;
	struct branch *b = leg_waiting(leg);
	struct try *t = find(leg, inst);
	int err;

	if (!b || !relay->invite)
		return false;
	if (t && t->had)
		t = mem_deref(t);
	if (t)
		return start_again(leg, t);
	if (list_count(&leg->tries) >= copy_breadth(b->msg))
		return false;

	t = mem_zalloc(sizeof(*t), destructor);
	if (!t)
		return false;

	t->leg = leg;
	t->branch = mem_ref(b);
	(void)snprintf(t->inst, sizeof(t->inst), "%s", inst);
	list_append(&leg->tries, &t->le, t);
	err = relay->invite(&t->out, inst, leg->pbx, b->msg,
			    &(struct relay_holder){
				    .h = response_handler,
				    .losth = lost_handler,
				    .stillh = still_handler,
				    .noteh = note_handler,
				    .arg = t,
			    },
			    relay->arg);
	if (err) {
		mem_deref(t);
		return false;
	}

	leg_note(leg, 0, call_fact_who(CALL_FACT_INVITED),
		 call_fact_what(CALL_FACT_INVITED), "%s", inst);

	return true;
}


static const char *reason_of(const struct leg *leg, const char *why)
{
	if (!strcmp(why, "answered_elsewhere"))
		return "SIP;cause=200;text=\"Call completed elsewhere\"";
	if (!strcmp(why, "declined_elsewhere"))
		return "SIP;cause=600;text=\"Declined elsewhere\"";

	return leg->cancel_text;
}


const char *tries_reason(const struct leg *leg)
{
	const char *how = leg->ended ? leg->ended : "";

	return reason_of(leg, !strcmp(how, "answered")   ? "answered_elsewhere"
			      : !strcmp(how, "declined") ? "declined_elsewhere"
							 : how);
}


void tries_stop(struct leg *leg, const char *inst, const char *why)
{
	struct try *t = find(leg, inst);
	bool left = false;

	if (!t)
		return;

	if (leg->cs->relay.leave && t->out)
		left = leg->cs->relay.leave(&t->out, reason_of(leg, why),
					    leg->cs->relay.arg);
	leg_note(leg, 0, "sipis",
		 left ? "CANCEL to phone" : "CANCEL waits for phone", "%s %s",
		 inst, why);
	mem_deref(t);
}


void tries_late_rings(struct leg *leg, const char *inst, struct branch *b,
		      const struct sip_msg *resp)
{
	const struct try *t = find(leg, inst);

	(void)branch_pass(b, resp, 0);
	if (!call_rings_at(&leg->call, inst))
		note(leg, inst, resp);
	if (t)
		watch(t);
	call_relay_heard(&leg->call, inst, !t || t->had, clock_mono_ms());
}


void tries_late_failed(struct leg *leg, const char *inst,
		       const struct sip_msg *refusal)
{
	note(leg, inst, refusal);
	keep_best(leg, refusal);
	tries_stop(leg, inst, "no relay");
	call_relay_failed(&leg->call, inst, refusal->scode, clock_mono_ms());
}


uint16_t tries_refuse(struct leg *leg)
{
	struct branch *b = leg_waiting(leg);
	uint16_t scode;

	if (!leg->best || !b)
		return 0;

	/* 6xx would end the calls of all other phones; 401 and 407 ask for
	   what nobody has */
	scode = leg->best->scode;
	if (scode >= 600 || !rank(scode))
		scode = 480;
	else if (scode == 503)
		scode = 500; /* it is one phone that is out of order */
	(void)branch_pass(b, leg->best, scode == leg->best->scode ? 0 : scode);
	leg->best = mem_deref(leg->best);

	return scode;
}


void tries_move(struct leg *leg, const struct branch *from)
{
	struct branch *b = leg_waiting(leg);

	for (struct le *le = leg->tries.head; le && b; le = le->next) {
		struct try *t = le->data;

		if (t->branch != from)
			continue;
		mem_deref(t->branch);
		t->branch = mem_ref(b);
	}
}


void tries_forget(struct leg *leg)
{
	list_flush(&leg->tries);
	leg->best = mem_deref(leg->best);
}


static void phone_handler(const char *inst, void *arg)
{
	struct leg *leg = arg;

	call_flow(&leg->call, inst, clock_mono_ms());
}


void tries_look(struct leg *leg)
{
	const struct relay *relay = &leg->cs->relay;

	if (relay->phones && leg->call.prm.owner->relays)
		relay->phones(leg->callee->acct, phone_handler, leg,
			      relay->arg);
}
