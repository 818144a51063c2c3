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
	struct lane *lane;
	void *who;
	query_h *h;
};


static void destructor(void *data)
{
	struct query *q = data;

	list_unlink(&q->le);
	--q->lane->pending;
	mem_deref(q->lane);
	mem_deref(q->who);
}


static void answer_handler(const struct reg_answer *ans, void *arg)
{
	struct query *q = arg;

	list_unlink(&q->le);
	q->h(ans, q->who);
	mem_deref(q);
}


int query_start(struct callee *ce, query_ask_h *ask, query_h *h, void *who)
{
	struct acct *acct = reg_find(ce->cs->prm.reg, ce->acct);
	struct query *q;
	int err;

	if (!acct)
		return ENOENT;

	q = mem_zalloc(sizeof(*q), destructor);
	if (!q)
		return ENOMEM;

	q->lane = mem_ref(ce->lane);
	++q->lane->pending;
	q->who = mem_ref(who);
	q->h = h;
	list_append(&ce->cs->queries, &q->le, q);

	err = ask(acct, answer_handler, q);
	if (err)
		mem_deref(q);
	return err;
}


bool query_may(const struct callee *ce)
{
	return ce->lane->pending < ce->cfg->look_rate;
}


static void lane_destructor(void *data)
{
	struct lane *lane = data;

	list_unlink(&lane->le);
}


int query_lane(struct lane **lanep, struct calls *cs,
	       const struct pbx_cfg *cfg)
{
	struct lane *lane;

	for (struct le *le = cs->lanes.head; le; le = le->next) {
		lane = le->data;
		if (lane->cfg == cfg) {
			*lanep = lane;
			return 0;
		}
	}

	lane = mem_zalloc(sizeof(*lane), lane_destructor);
	if (!lane)
		return ENOMEM;

	lane->cfg = cfg;
	list_append(&cs->lanes, &lane->le, lane);
	*lanep = lane;
	return 0;
}
