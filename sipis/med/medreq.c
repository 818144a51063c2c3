/**
 * @file medreq.c  One request to a mediator: lanes, windows, plan, end
 *
 * A request is encoded once and kept as bytes: a resend over the other link
 * is the same frame with the same id (where clocks agree: medask.c).  What
 * cannot leave now waits in one of three lanes, calls first.  plan.c decides,
 * this file carries it out.
 */

#include <errno.h>
#include <string.h>
#include "common/clock.h"
#include "sipis/med/priv.h"

enum {
	QUEUE_MAX = 20000, /**< requests that wait for a window */
};


static void step_handler(void *arg);


static void dequeue(struct med_req *req)
{
	if (!req->le.list)
		return;

	list_unlink(&req->le);
	--req->med->queued;
	metric_set(&req->med->metricv[M_QUEUED], req->med->queued);
}


static void enqueue(struct med_req *req)
{
	struct med *med = req->med;

	if (req->le.list)
		return;

	list_append(&med->lanev[req->lane], &req->le, req);
	++med->queued;
	metric_set(&med->metricv[M_QUEUED], med->queued);
}


/* Its mediators still have it: the windows stay as full as they are */
static void leave_links(struct med_req *req)
{
	struct med *med = req->med;

	for (unsigned i = 0; i < med->slotc; i++) {
		if (plan_left(&req->plan, i))
			window_give_up(&med->slotv[i].window, clock_mono_ms());
	}
}


/* Link i has answered */
static void leave_link(struct med_req *req, unsigned i)
{
	if (plan_left(&req->plan, i))
		--req->med->slotv[i].window.inflight;
}


static unsigned room_of(const struct slot *slot)
{
	return window_room(&slot->window, mlink_window(slot->link),
			   clock_mono_ms());
}


static void req_unlink(struct med_req *req)
{
	if (!req->med)
		return;

	tmr_cancel(&req->tmr);
	hash_unlink(&req->he);
	dequeue(req);
	leave_links(req);
	req->med = NULL;
	if (req->reqp)
		*req->reqp = NULL;
	req->reqp = NULL;
}


static void req_destructor(void *data)
{
	req_unlink(data);
}


static void count(struct med *med, const struct med_result *res)
{
	unsigned m = M_REFUSED;

	if (res->err || res->outcome == WIRE__OUTCOME__RETRY_LATER)
		m = M_UNTAKEN;
	else if (res->outcome == WIRE__OUTCOME__DELIVERED)
		m = M_DELIVERED;
	else if (res->outcome == WIRE__OUTCOME__TOKEN_GONE)
		m = M_TOKEN_GONE;

	metric_inc(&med->metricv[m]);
}


static void push_done(struct med_req *req, const struct med_result *res)
{
	struct med *med = req->med;

	count(med, res);
	histogram_add(&med->rtt, 1000 * (clock_mono_ms() - req->begun));
	req_unlink(req);
	req->resulth(res, req->arg);
	mem_deref(req);
}


static void enrol_done(struct med_req *req, int err, Wire__Outcome outcome,
		       const char *reason, const uint8_t *handle, size_t len)
{
	req_unlink(req);
	req->enrolh(err, outcome, reason, handle, len, req->arg);
	mem_deref(req);
}


static void late_handler(void *arg)
{
	struct med_req *req = arg;
	struct med *med = req->med;

	for (unsigned i = 0; i < med->slotc; i++)
		leave_link(req, i);
	req_unlink(req);
	mem_deref(req);
	medreq_pump(med);
}


/* It stays in the windows that it is in, until its result or for a while */
static void push_timed_out(struct med_req *req, const struct med_result *res)
{
	struct med *med = req->med;

	req->timed_out = true;
	dequeue(req);
	tmr_start(&req->tmr, WINDOW_ORPHAN_MS, late_handler, req);
	count(med, res);
	histogram_add(&med->rtt, 1000 * (clock_mono_ms() - req->begun));
	req->resulth(res, req->arg);
}


static void push_late(struct med_req *req, struct med_result *res)
{
	res->late = true;
	req_unlink(req);
	req->resulth(res, req->arg);
	mem_deref(req);
}


/* No mediator took it.  EAGAIN: they answered, but not now */
static void req_fail(struct med_req *req, int err)
{
	struct med_result res = {
		.err = err == EAGAIN ? 0 : err,
		.outcome = WIRE__OUTCOME__RETRY_LATER,
		.status = req->status,
		.reason = req->reason,
		.provider_id = "",
		.mediator = "",
		.retry_after_ms = req->retry_after_ms,
	};

	if (req->enrol)
		enrol_done(req, res.err, res.outcome, req->reason, NULL, 0);
	else if (req->late && res.err == ETIMEDOUT)
		push_timed_out(req, &res);
	else
		push_done(req, &res);
}


void medreq_view(const struct med *med, struct plan_link *linkv)
{
	for (unsigned i = 0; i < med->slotc; i++) {
		const struct slot *slot = &med->slotv[i];

		linkv[i].up = !slot->gone && mlink_ready(slot->link);
		linkv[i].room = room_of(slot);
		linkv[i].retry_at =
			slot->gone ? UINT64_MAX : mlink_retry_at(slot->link);
		linkv[i].failed = slot->gone || mlink_failed(slot->link);
	}
}


static void req_send(struct med_req *req, unsigned i, uint64_t now)
{
	struct med *med = req->med;
	struct slot *slot = &med->slotv[i];
	int err;

	dequeue(req);
	err = req->len - 4 <= mlink_max_frame(slot->link)
		      ? medask_send(slot->link, req)
		      : EMSGSIZE;
	if (err) {
		/* as if it had said "later": the other link may do better */
		plan_later(&req->plan, i, now, 0);
		str_ncpy(req->reason, strerror(err), sizeof(req->reason));
		tmr_start(&req->tmr, 0, step_handler, req);
		return;
	}

	if (req->sendc++)
		metric_inc(&med->metricv[M_RESENT]);
	++slot->window.inflight;
	plan_sent(&req->plan, i, now);
	tmr_start(&req->tmr, req->plan.resend_at - now, step_handler, req);
	if (req->senth)
		req->senth(mlink_name(slot->link), req->sendc > 1, req->arg);
}


/* Carries out what the plan says.  False if it waits for room */
static bool req_step(struct med_req *req, bool may_fail)
{
	const uint64_t now = clock_mono_ms();
	struct plan_link linkv[PLAN_LINKS];
	struct plan_step step;

	if (req->timed_out)
		return true;

	medreq_view(req->med, linkv);
	step = req->stopped
		       ? plan_rest(&req->plan, req->med->slotc, now)
		       : plan_next(&req->plan, linkv, req->med->slotc, now);

	switch (step.what) {
	case PLAN_SEND:
		req_send(req, step.link, now);
		return true;

	case PLAN_FAIL:
		dequeue(req);
		if (may_fail)
			req_fail(req, step.err);
		else
			tmr_start(&req->tmr, 0, step_handler, req);
		return true;

	case PLAN_QUEUE:
		enqueue(req);
		break;

	case PLAN_WAIT:
		dequeue(req);
		break;
	}

	tmr_start(&req->tmr, step.at > now ? step.at - now : 0, step_handler,
		  req);
	return step.what != PLAN_QUEUE;
}


static void step_handler(void *arg)
{
	(void)req_step(arg, true);
}


static bool any_room(const struct med *med)
{
	for (unsigned i = 0; i < med->slotc; i++) {
		const struct slot *slot = &med->slotv[i];

		if (mlink_ready(slot->link) && room_of(slot))
			return true;
	}

	return false;
}


/* The lanes into the windows, calls first */
void medreq_pump(struct med *med)
{
	for (unsigned lane = 0; lane < LANES; lane++) {
		struct le *le = med->lanev[lane].head;

		while (le && any_room(med)) {
			struct med_req *req = le->data;

			le = le->next;
			(void)req_step(req, false);
		}
	}
}


static bool by_id(struct le *le, void *arg)
{
	const struct med_req *req = le->data;

	return !memcmp(req->id, arg, WIRE_ID_LEN);
}


static uint32_t id_key(const uint8_t *id)
{
	uint32_t key;

	memcpy(&key, id, sizeof(key));
	return key;
}


static struct med_req *req_find(const struct med *med,
				const ProtobufCBinaryData *id)
{
	if (id->len != WIRE_ID_LEN)
		return NULL;

	return list_ledata(
		hash_lookup(med->reqs, id_key(id->data), by_id, id->data));
}


/* Nothing was accepted there: the other one, or there again later */
static void later(struct med_req *req, unsigned i, const char *reason,
		  uint32_t status, uint32_t retry_after_ms)
{
	leave_link(req, i);
	str_ncpy(req->reason, reason, sizeof(req->reason));
	req->status = status;
	req->retry_after_ms = retry_after_ms;
	plan_later(&req->plan, i, clock_mono_ms(), retry_after_ms);
	(void)req_step(req, true);
}


/* A notice: the result will come over the link that was asked last */
static void moved(struct med_req *req, unsigned i)
{
	if (plan_moved(&req->plan, i))
		--req->med->slotv[i].window.inflight;
}


static bool is_later(Wire__Outcome o)
{
	/* an outcome that we do not know counts as "later" (wire.proto) */
	return o == WIRE__OUTCOME__RETRY_LATER ||
	       o <= WIRE__OUTCOME__OUTCOME_UNKNOWN ||
	       o > WIRE__OUTCOME__DUPLICATE;
}


/* A timeline of two clocks that differ tells nobody what came first */
static int64_t ours(int64_t theirs_us, int64_t off_us)
{
	int64_t us;

	return !theirs_us || __builtin_sub_overflow(theirs_us, off_us, &us)
		       ? theirs_us
		       : us;
}


void medreq_result(struct med *med, unsigned i, const Wire__Result *r)
{
	struct med_req *req = req_find(med, &r->id);
	const int64_t off = 1000 * mlink_skew_ms(med->slotv[i].link);
	struct med_result res = {
		.outcome = r->outcome,
		.status = r->status,
		.reason = r->reason,
		.provider_id = r->provider_id,
		.mediator = mlink_name(med->slotv[i].link),
		.received_us = ours(r->received_us, off),
		.sent_us = ours(r->sent_us, off),
		.answered_us = ours(r->answered_us, off),
		.retry_after_ms = r->retry_after_ms,
	};

	if (r->renewed.len && r->handle.len && med->renewedh)
		med->renewedh(r->handle.data, r->handle.len, r->renewed.data,
			      r->renewed.len, med->arg);

	/* given up, or the other link was faster */
	if (!req || req->enrol) {
		window_orphan_done(&med->slotv[i].window);
		return;
	}

	if (r->outcome == WIRE__OUTCOME__DUPLICATE) {
		moved(req, i);
		return;
	}

	if (req->timed_out) {
		leave_link(req, i);
		push_late(req, &res);
		return;
	}

	if (is_later(r->outcome)) {
		later(req, i, r->reason, r->status, r->retry_after_ms);
		return;
	}

	leave_link(req, i);
	push_done(req, &res);
}


void medreq_enrolled(struct med *med, unsigned i, const Wire__Enrolled *e)
{
	struct med_req *req = req_find(med, &e->id);

	if (!req || !req->enrol) {
		window_orphan_done(&med->slotv[i].window);
		return;
	}

	if (e->outcome == WIRE__OUTCOME__DUPLICATE) {
		moved(req, i);
		return;
	}

	if (is_later(e->outcome)) {
		later(req, i, e->reason, 0, 0);
		return;
	}

	leave_link(req, i);
	enrol_done(req, 0, e->outcome, e->reason, e->handle.data,
		   e->handle.len);
}


struct visit {
	struct le le;
	struct med_req *req;
};


static void visit_destructor(void *data)
{
	struct visit *v = data;

	list_unlink(&v->le);
	mem_deref(v->req);
}


/* The hash must not change while it is walked: remember, then step */
static bool collect(struct le *le, void *arg)
{
	struct list *list = arg;
	struct visit *v = mem_zalloc(sizeof(*v), visit_destructor);

	if (!v)
		return true;

	v->req = mem_ref(le->data);
	list_append(list, &v->le, v);
	return false;
}


void medreq_step_all(struct med *med)
{
	struct list list = LIST_INIT;
	struct le *le;

	(void)hash_apply(med->reqs, collect, &list);

	for (le = list.head; le && !med->closed; le = le->next) {
		struct visit *v = le->data;

		if (v->req->med)
			(void)req_step(v->req, true);
	}

	list_flush(&list);
}


static bool forget_link(struct le *le, void *arg)
{
	struct med_req *req = le->data;

	(void)plan_lost(&req->plan, *(unsigned *)arg);
	return false;
}


void medreq_forget_link(struct med *med, unsigned i)
{
	med->slotv[i].window = (struct window){ 0 };
	(void)hash_apply(med->reqs, forget_link, &i);
}


static bool close_one(struct le *le, void *arg)
{
	struct med_req *req = le->data;
	(void)arg;

	tmr_cancel(&req->tmr);
	return false;
}


void medreq_close_all(struct med *med)
{
	if (med->reqs)
		(void)hash_apply(med->reqs, close_one, NULL);
}


static bool forget_req(struct le *le, void *arg)
{
	struct med_req *req = le->data;
	(void)arg;

	/* its owner may still hold the pointer */
	tmr_cancel(&req->tmr);
	if (req->reqp)
		*req->reqp = NULL;
	req->reqp = NULL;
	list_unlink(&req->le);
	req->med = NULL;
	return false;
}


void medreq_flush(struct med *med)
{
	if (!med->reqs)
		return;

	(void)hash_apply(med->reqs, forget_req, NULL);
	hash_flush(med->reqs);
}


static bool is_open(struct le *le, void *arg)
{
	const struct med_req *req = le->data;
	(void)arg;

	return !req->stopped && !req->timed_out;
}


/* Somebody asks and nobody is there: a long pause is no use to him */
void medreq_kick(struct med *med)
{
	if (med_up(med) || !hash_apply(med->reqs, is_open, NULL))
		return;

	for (unsigned i = 0; i < med->slotc; i++)
		mlink_kick(med->slotv[i].link);
}


int medreq_start(struct med_req **reqp, struct med *med,
		 const Wire__Envelope *env, const struct medreq_prm *prm)
{
	const size_t size = wire_enc_size(env);
	struct med_req *req;
	int err;

	if (med->closed)
		return ENOTCONN;
	if (med->queued >= QUEUE_MAX)
		return ENOBUFS;

	req = mem_zalloc(sizeof(*req) + size, req_destructor);
	if (!req)
		return ENOMEM;

	err = wire_enc(req->frame, size, &req->len, env);
	if (err) {
		mem_deref(req);
		return err;
	}

	req->begun = clock_mono_ms();
	req->plan.deadline = req->begun + prm->timeout_ms;
	req->lane = prm->lane;
	req->enrol = prm->enrol;
	req->late = prm->late;
	req->senth = prm->senth;
	req->resulth = prm->resulth;
	req->enrolh = prm->enrolh;
	req->arg = prm->arg;
	memcpy(req->id, prm->id, sizeof(req->id));
	req->med = med;
	req->reqp = reqp;
	hash_append(med->reqs, id_key(req->id), &req->he, req);
	if (reqp)
		*reqp = req;

	medreq_kick(med);
	(void)req_step(req, false);
	return 0;
}


bool med_req_stop(struct med_req **reqp)
{
	struct med_req *req = reqp ? *reqp : NULL;

	if (!req)
		return false;

	if (req->sendc) {
		req->stopped = true;
		return true;
	}

	*reqp = mem_deref(req);
	return false;
}
