/**
 * @file query.c  A question to the registration engine
 *
 * The engine may answer late, or never once it is closed; whoever asked may
 * be gone by then.  The set owns the questions, each holds who asked.
 */

#include <errno.h>
#include "sipis/call/priv.h"


struct query {
	struct le le;
	void *who;
	unsigned serial;
	query_h *h;
};


static void destructor(void *data)
{
	struct query *q = data;

	list_unlink(&q->le);
	mem_deref(q->who);
}


static void answer_handler(const struct reg_answer *ans, void *arg)
{
	struct query *q = arg;

	list_unlink(&q->le);
	q->h(ans, q->who, q->serial);
	mem_deref(q);
}


int query_start(struct calls *cs, uint64_t acct, query_ask_h *ask, query_h *h,
		void *who, unsigned serial)
{
	struct acct *ac = reg_find(cs->prm.reg, acct);
	struct query *q;
	int err;

	if (!ac)
		return ENOENT;

	q = mem_zalloc(sizeof(*q), destructor);
	if (!q)
		return ENOMEM;

	q->who = mem_ref(who);
	q->serial = serial;
	q->h = h;
	list_append(&cs->queries, &q->le, q);

	err = ask(ac, answer_handler, q);
	if (err)
		mem_deref(q);
	return err;
}
