/**
 * @file fanout.c  The pushes of one call
 *
 * One alert per sleeping phone of the account: read from the store, after a
 * restart together with what the timeline knows of them.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "common/clock.h"
#include "common/log.h"
#include "sipis/call/alert.h"
#include "sipis/call/recall.h"

enum { FRESH_MS = 5000 /**< an app that became active just now */ };

struct fanout {
	struct alert *alertv;
	unsigned alertc;
};

/** A question to the store */
struct ask {
	struct leg *leg;
	struct list accepted; /**< of struct recalled */
};


static void fanout_destructor(void *data)
{
	struct fanout *fo = data;

	for (unsigned i = 0; i < fo->alertc; i++)
		alert_clear(&fo->alertv[i]);
	mem_deref(fo->alertv);
}


static struct alert *find(const struct leg *leg, const char *inst)
{
	struct fanout *fo = leg->fanout;

	for (unsigned i = 0; fo && i < fo->alertc; i++)
		if (!strcmp(fo->alertv[i].inst, inst))
			return &fo->alertv[i];

	return NULL;
}


void fanout_push(struct leg *leg, const char *inst)
{
	struct alert *a = find(leg, inst);

	if (a)
		alert_push(a);
}


bool fanout_drop(struct leg *leg, const char *inst)
{
	struct alert *a = find(leg, inst);

	return a && alert_drop(a);
}


void fanout_tell(struct leg *leg, const char *inst, const char *why)
{
	struct alert *a = find(leg, inst);

	if (a)
		alert_tell(a, why);
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

	fo->alertv =
		mem_zalloc((instc ? instc : 1) * sizeof(*fo->alertv), NULL);
	if (!fo->alertv) {
		mem_deref(fo);
		return ENOMEM;
	}

	for (unsigned i = 0; i < instc; i++)
		if (may_push(leg, &instv[i]) &&
		    !alert_init(&fo->alertv[fo->alertc], leg, &instv[i]))
			++fo->alertc;

	leg->fanout = fo;
	return 0;
}


/* --- who is there? --- */

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
		const struct recalled *k = le->data;
		struct alert *a = find(leg, k->inst);

		if (a)
			a->accepted = true;
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
	for (unsigned i = 0; !err && !late && i < leg->fanout->alertc &&
			     namec < STORE_INST_MAX;
	     i++)
		namev[namec++] = leg->fanout->alertv[i].inst;

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
		recall_event(&ask->leg->call, &ask->accepted, &ev[i]);
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
