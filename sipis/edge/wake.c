/**
 * @file sipis/edge/wake.c  One quiet push to a phone that sleeps
 *
 * Never over a VoIP token: a push that brings no call ends the app's right to
 * them.
 *
 *     store: has it a token, and does it want pushes? --> mediator --> word
 */

#include <errno.h>
#include <string.h>
#include "common/clock.h"
#include "common/ident.h"
#include "common/log.h"
#include "sipis/edge/priv.h"
#include "sipis/edge/wake.h"


#define USE(u) (1u << WIRE__USE__USE_##u)

struct edge_wake {
	struct edge *edge;
	char id[STORE_ID_LEN + 1];
	uint64_t until; /**< monotonic ms */
	unsigned metric;
	struct med_req *req;
	uint8_t *handle;
	size_t handle_len;
	edge_wake_h *h; /**< NULL: nobody waits for it any more */
	void *arg;
};


static void destructor(void *data)
{
	struct edge_wake *w = data;

	mem_deref(w->req);
	mem_deref(w->handle);
}


static void over(struct edge_wake *w, enum edge_woken res)
{
	edge_wake_h *h = w->h;

	w->h = NULL;
	if (h)
		h(res, w->arg);
}


void edge_wake_stop(struct edge_wake **wp)
{
	struct edge_wake *w = *wp;

	*wp = NULL;
	if (!w)
		return;

	/* the store may hold it yet */
	w->h = NULL;
	w->req = mem_deref(w->req);
	mem_deref(w);
}


static void result_handler(const struct med_result *res, void *arg)
{
	struct edge_wake *w = arg;

	if (!res->err && res->outcome == WIRE__OUTCOME__TOKEN_GONE)
		inst_token_gone(w->edge->prm.inst, w->handle, w->handle_len,
				res->reason ? res->reason : "");
	log_info("edge", NULL, "push to wake %s: %s", w->id,
		 res->err ? strerror(res->err)
			  : wire_outcome_name(res->outcome));
	if (res->err || res->outcome == WIRE__OUTCOME__RETRY_LATER)
		over(w, EDGE_WAKE_LATER);
	else
		over(w, res->outcome == WIRE__OUTCOME__DELIVERED
				? EDGE_WOKEN
				: EDGE_WAKE_NEVER);
}


static const struct push_row *quiet_row(const struct inst_row *inst)
{
	for (unsigned i = 0; i < inst->push_count; i++) {
		const struct push_row *row = &inst->push[i];
		const size_t len = str_len(row->topic);

		if (!row->gone && row->uses & USE(WAKE) &&
		    (len < 5 || strcmp(row->topic + len - 5, ".voip")))
			return row;
	}

	return NULL;
}


static int push(struct edge_wake *w, const struct push_row *row)
{
	const int64_t wall = clock_wall_ms();
	char trace[UUID_LEN + 1];
	struct med_push what = {
		.handle = row->handle,
		.handle_len = row->handle_len,
		.use = WIRE__USE__USE_WAKE,
		.trace = trace,
		.instance = w->id,
		.received_ms = wall,
		.expires_ms = wall + (int64_t)(w->until - clock_mono_ms()),
	};
	int err = ident_uuid_random(trace);

	err = err ? err : ident_uuid_decode(what.id, trace);
	if (err)
		return err;

	w->handle = mem_alloc(row->handle_len, NULL);
	if (!w->handle)
		return ENOMEM;

	memcpy(w->handle, row->handle, row->handle_len);
	w->handle_len = row->handle_len;

	err = med_push(&w->req, w->edge->prm.med, &what, 0, result_handler, w);
	if (!err)
		metric_inc(&w->edge->metricv[w->metric]);

	return err;
}


static void inst_handler(int err, const struct inst_row *inst,
			 const struct acct_row *acct, void *arg)
{
	const struct push_row *row;
	struct edge_wake *w = arg;
	(void)acct;

	if (!w->h)
		goto out;

	if (err && err != ENOENT) {
		over(w, EDGE_WAKE_LATER);
		goto out;
	}

	row = !err && inst->state == INST_INACTIVE && inst->push_enabled &&
			      clock_mono_ms() < w->until
		      ? quiet_row(inst)
		      : NULL;
	if (!row || push(w, row))
		over(w, EDGE_WAKE_NEVER);
out:
	mem_deref(w);
}


bool edge_wake_may(const struct edge *e, const struct edge_pn *pn)
{
	for (unsigned i = 0; e->prm.med && i < pn->tokenc; i++)
		if (pn->tokenv[i].uses & USE(WAKE))
			return true;

	return false;
}


int edge_wake(struct edge_wake **wp, const struct edge_wake_prm *prm)
{
	struct edge_wake *w;
	int err;

	if (!prm->edge->prm.med)
		return ENOENT;

	w = mem_zalloc(sizeof(*w), destructor);
	if (!w)
		return ENOMEM;

	w->edge = prm->edge;
	w->until = clock_mono_ms() + prm->life_ms;
	w->metric = prm->metric;
	w->h = prm->h;
	w->arg = prm->arg;
	(void)str_ncpy(w->id, prm->id, sizeof(w->id));
	err = store_inst_get(w->edge->prm.store, w->id, inst_handler,
			     mem_ref(w));
	if (err) {
		mem_deref(w);
		mem_deref(w);
		return err;
	}

	*wp = w;

	return 0;
}
