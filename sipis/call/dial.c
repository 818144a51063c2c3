/**
 * @file dial.c  The 302s of before a restart
 *
 * The PBX dials again within seconds of a 302.  A daemon that was killed in
 * between would take that for a new call and wake the phone that already has
 * it, so the last calls of the store are asked once at the start.
 */

#include <errno.h>
#include <string.h>
#include "common/clock.h"
#include "sipis/call/priv.h"

enum {
	DIALS_MAX = 1000, /**< calls that are looked through */
};

struct dial {
	struct le le;
	uint64_t acct;
	char *from;
	struct tmr tmr;
};


static void destructor(void *data)
{
	struct dial *d = data;

	tmr_cancel(&d->tmr);
	list_unlink(&d->le);
	mem_deref(d->from);
}


static void over_handler(void *arg)
{
	mem_deref(arg);
}


static void dial_add(struct calls *cs, const struct call_row *row,
		     uint64_t left)
{
	struct dial *d = mem_zalloc(sizeof(*d), destructor);

	if (!d)
		return;

	d->acct = row->acct;
	if (str_dup(&d->from, row->from)) {
		mem_deref(d);
		return;
	}

	list_append(&cs->dials, &d->le, d);
	tmr_start(&d->tmr, left, over_handler, d);
}


/* With redirect a call is handed over by 302; a phone may decline after it,
   and before: then 486 is the right answer as well */
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
		dial_add(cs, row, (uint64_t)(ECHO_MS - age));
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

		if (d->acct == acct && (diverted || !strcmp(d->from, from)))
			return true;
	}

	return false;
}
