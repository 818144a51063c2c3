/**
 * @file dial.c  The echoes that a restart has to expect
 *
 * Where our contact may still be listed, the PBX dials us too after a 302.  A
 * daemon that was killed in between would take that for a new call and wake
 * the phone that already has it, so the last calls of the store are asked
 * once at the start, and their timelines whether an echo was expected.
 */

#include <errno.h>
#include <string.h>
#include "common/clock.h"
#include "sipis/call/fact.h"
#include "sipis/call/priv.h"

enum {
	DIALS_MAX = 1000, /**< calls that are looked through */
};

struct dial {
	struct le le;
	struct calls *cs; /**< while its timeline is read */
	uint64_t acct;
	char *from;
	int64_t until_ms; /**< wall */
	bool unbound;     /**< we were not registered at the start */
	struct tmr tmr;
};


static void destructor(void *data)
{
	struct dial *d = data;

	tmr_cancel(&d->tmr);
	list_unlink(&d->le);
	mem_deref(d->cs);
	mem_deref(d->from);
}


static void over_handler(void *arg)
{
	mem_deref(arg);
}


static bool is_echo(const struct event_row *ev)
{
	enum call_fact fact;

	return call_fact_of(&fact, ev->who, ev->what) &&
	       fact == CALL_FACT_ECHO;
}


static bool is_bound(const struct calls *cs, uint64_t acct)
{
	const struct acct *a = reg_find(cs->prm.reg, acct);

	return a && acct_state(a) == REG_REGISTERED;
}


static void events_handler(int err, const struct event_row *ev, unsigned evc,
			   void *arg)
{
	struct dial *d = arg;
	struct calls *cs = d->cs;
	const int64_t left = d->until_ms - clock_wall_ms();
	bool echo = false;

	for (unsigned i = 0; !err && i < evc; i++)
		echo |= is_echo(&ev[i]);

	d->cs = NULL;
	if (echo && !cs->closed && left > 0) {
		d->unbound = !is_bound(cs, d->acct);
		list_append(&cs->dials, &d->le, d);
		tmr_start(&d->tmr, (uint64_t)left, over_handler, d);
	}
	else {
		mem_deref(d);
	}
	mem_deref(cs);
}


static void dial_ask(struct calls *cs, const struct call_row *row)
{
	struct dial *d = mem_zalloc(sizeof(*d), destructor);
	int err;

	if (!d)
		return;

	d->cs = mem_ref(cs);
	d->acct = row->acct;
	d->until_ms = row->ended_ms + ECHO_MS;
	err = str_dup(&d->from, row->from);
	if (!err)
		err = store_events(cs->prm.store, row->id, events_handler, d);
	if (err)
		mem_deref(d);
}


/* With redirect a call is handed over by 302; a phone may decline after it */
static bool was_dialled(const struct call_row *row)
{
	const struct handover *owner = handover_find(row->handover);

	return owner == &handover_redirect && row->ended && row->from &&
	       (!strcmp(row->ended, "handed") ||
		!strcmp(row->ended, "declined"));
}


static void call_handler(int err, const struct call_row *row,
			 const struct acct_row *acct, void *arg)
{
	struct calls *cs = arg;
	int64_t age;
	(void)acct;

	if (err) {
		mem_deref(cs);
		return;
	}

	age = clock_wall_ms() - row->ended_ms;
	if (!cs->closed && was_dialled(row) && age >= 0 && age < ECHO_MS)
		dial_ask(cs, row);
}


int dial_load(struct calls *cs)
{
	int err = store_calls(cs->prm.store, "", DIALS_MAX, call_handler,
			      mem_ref(cs));

	if (err)
		mem_deref(cs);
	return err;
}


bool dial_of(const struct calls *cs, uint64_t acct, const char *from,
	     bool diverted)
{
	for (struct le *le = cs->dials.head; le; le = le->next) {
		const struct dial *d = le->data;

		/* as without a restart: registered anew, a call is a call */
		if (d->acct != acct || (d->unbound && is_bound(cs, acct)))
			continue;
		if (diverted || !strcmp(d->from, from))
			return true;
	}

	return false;
}
