/**
 * @file med.c  The links to the mediators
 *
 * A request is encoded once and kept as bytes: a resend over the other link
 * is the same frame with the same id.  What cannot leave now waits in one of
 * three lanes, calls first.  plan.c decides, this file carries it out.
 */

#include <errno.h>
#include <string.h>
#include "common/clock.h"
#include "common/ident.h"
#include "common/log.h"
#include "sipis/med/med.h"
#include "sipis/med/mlink.h"
#include "sipis/med/plan.h"


enum {
	HASH_SIZE = 4096,
	QUEUE_MAX = 20000, /**< requests that wait for a window */
	PUSH_TIMEOUT_MS = 4000,
	ENROL_TIMEOUT_MS = 10000,
	ORPHAN_MS = 30000, /**< no result will come after that */
	TEXT_SIZE = 256,
};

enum lane { LANE_CALL, LANE_ENDED, LANE_REST, LANES };

enum {
	M_UP,
	M_DELIVERED,
	M_TOKEN_GONE,
	M_REFUSED,
	M_UNTAKEN,
	M_RESENT,
	M_QUEUED,
	M_COUNT
};

static const struct metric metric_init[M_COUNT] = {
	[M_UP] = { .name = "sipis_mediators_up",
		   .help = "Mediators that are connected and take pushes",
		   .type = METRIC_GAUGE },
	[M_DELIVERED] = { .name = "sipis_pushes_total{result=\"delivered\"}",
			  .help = "Pushes by how they ended" },
	[M_TOKEN_GONE] = { .name = "sipis_pushes_total{result=\"token_gone\"}",
			   .help = "Pushes by how they ended" },
	[M_REFUSED] = { .name = "sipis_pushes_total{result=\"refused\"}",
			.help = "Pushes by how they ended" },
	[M_UNTAKEN] = { .name = "sipis_pushes_total{result=\"untaken\"}",
			.help = "Pushes by how they ended" },
	[M_RESENT] = { .name = "sipis_pushes_resent_total",
		       .help = "Pushes sent again over another mediator" },
	[M_QUEUED] = { .name = "sipis_pushes_queued",
		       .help = "Pushes that wait for a mediator's window",
		       .type = METRIC_GAUGE },
};

struct slot {
	struct med *med;
	struct mlink *link;
	unsigned inflight;  /**< requests of ours that are out there */
	unsigned orphans;   /**< given up by us; they fill its window until
				 their results come */
	uint64_t orphan_at; /**< of the youngest */
};

struct med {
	struct slot slotv[PLAN_LINKS];
	unsigned slotc;
	uint32_t timeout_ms;
	struct hash *reqs;
	struct list lanev[LANES];
	unsigned queued;
	bool closed;
	med_gone_h *goneh;
	void *arg;
	struct metric metricv[M_COUNT];
	struct histogram rtt;
};

struct med_req {
	struct le he;
	struct le le; /**< in a lane */
	struct tmr tmr;
	struct med *med; /**< NULL once it is over */
	struct med_req **reqp;
	struct plan_req plan;
	uint64_t begun;
	unsigned sendc;
	bool stopped; /**< only its result is still of interest */
	enum lane lane;
	bool enrol;
	uint8_t id[WIRE_ID_LEN];
	med_result_h *resulth;
	med_enrol_h *enrolh;
	void *arg;
	uint32_t status, retry_after_ms; /**< of the last RETRY_LATER */
	char reason[TEXT_SIZE];
	size_t len;
	uint8_t frame[];
};


/** What push and enrolment differ in */
struct req_prm {
	enum lane lane;
	bool enrol;
	uint8_t id[WIRE_ID_LEN];
	uint32_t timeout_ms;
	med_result_h *resulth;
	med_enrol_h *enrolh;
	void *arg;
};


static void step_handler(void *arg);
static void pump(struct med *med);


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
		struct slot *slot = &med->slotv[i];

		if (!plan_lost(&req->plan, i))
			continue;
		--slot->inflight;
		++slot->orphans;
		slot->orphan_at = clock_mono_ms();
	}
}


/* Link i has answered */
static void leave_link(struct med_req *req, unsigned i)
{
	if (plan_lost(&req->plan, i))
		--req->med->slotv[i].inflight;
}


static unsigned room_of(const struct slot *slot)
{
	const unsigned window = mlink_window(slot->link);
	const bool old = clock_mono_ms() - slot->orphan_at > ORPHAN_MS;
	const unsigned used = slot->inflight + (old ? 0 : slot->orphans);

	return window > used ? window - used : 0;
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
	else
		push_done(req, &res);
}


static void view_links(const struct med *med, struct plan_link *linkv)
{
	for (unsigned i = 0; i < med->slotc; i++) {
		const struct slot *slot = &med->slotv[i];

		linkv[i].up = mlink_ready(slot->link);
		linkv[i].room = room_of(slot);
		linkv[i].retry_at = mlink_retry_at(slot->link);
		linkv[i].failed = mlink_failed(slot->link);
	}
}


static void req_send(struct med_req *req, unsigned i, uint64_t now)
{
	struct med *med = req->med;
	struct slot *slot = &med->slotv[i];
	int err;

	dequeue(req);
	err = req->len - 4 <= mlink_max_frame(slot->link)
		      ? mlink_send(slot->link, req->frame, req->len)
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
	++slot->inflight;
	plan_sent(&req->plan, i, now);
	tmr_start(&req->tmr, req->plan.resend_at - now, step_handler, req);
}


/* Carries out what the plan says.  False if it waits for room */
static bool req_step(struct med_req *req, bool may_fail)
{
	const uint64_t now = clock_mono_ms();
	struct plan_link linkv[PLAN_LINKS];
	struct plan_step step;

	view_links(req->med, linkv);
	step = req->stopped ? plan_rest(&req->plan, req->med->slotc, now)
			    : plan_next(&req->plan, linkv, req->med->slotc,
					now);

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
static void pump(struct med *med)
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


static unsigned index_of(const struct med *med, const struct mlink *l)
{
	unsigned i = 0;

	while (i < med->slotc && med->slotv[i].link != l)
		++i;

	return i;
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


static bool is_later(Wire__Outcome o)
{
	/* an outcome that we do not know counts as "later" (wire.proto) */
	return o == WIRE__OUTCOME__RETRY_LATER ||
	       o <= WIRE__OUTCOME__OUTCOME_UNKNOWN ||
	       o > WIRE__OUTCOME__DUPLICATE;
}


/* A result of what was given up, or of what the other link did faster */
static void orphan_done(struct slot *slot)
{
	if (slot->orphans)
		--slot->orphans;
}


static void result_handler(struct med *med, unsigned i, const Wire__Result *r)
{
	struct med_req *req = req_find(med, &r->id);
	struct med_result res = {
		.outcome = r->outcome,
		.status = r->status,
		.reason = r->reason,
		.provider_id = r->provider_id,
		.mediator = mlink_name(med->slotv[i].link),
		.received_us = r->received_us,
		.sent_us = r->sent_us,
		.answered_us = r->answered_us,
		.retry_after_ms = r->retry_after_ms,
	};

	if (r->outcome == WIRE__OUTCOME__DUPLICATE)
		return; /* the result of the first one will come */

	if (!req || req->enrol) {
		orphan_done(&med->slotv[i]);
		return;
	}

	if (is_later(r->outcome)) {
		later(req, i, r->reason, r->status, r->retry_after_ms);
		return;
	}

	leave_link(req, i);
	push_done(req, &res);
}


static void enrolled_handler(struct med *med, unsigned i,
			     const Wire__Enrolled *e)
{
	struct med_req *req = req_find(med, &e->id);

	if (e->outcome == WIRE__OUTCOME__DUPLICATE)
		return;

	if (!req || !req->enrol) {
		orphan_done(&med->slotv[i]);
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


/* A link that drains may go once its last result is here */
static void drained(struct slot *slot)
{
	if (!slot->inflight && mlink_draining(slot->link))
		mlink_restart(slot->link);
}


static int frame_handler(struct mlink *l, const Wire__Envelope *env, void *arg)
{
	struct slot *slot = arg;
	struct med *med = slot->med;
	const unsigned i = index_of(med, l);
	int err = 0;

	mem_ref(med);
	switch (env->body_case) {
	case WIRE__ENVELOPE__BODY_RESULT:
		result_handler(med, i, env->result);
		break;
	case WIRE__ENVELOPE__BODY_ENROLLED:
		enrolled_handler(med, i, env->enrolled);
		break;
	case WIRE__ENVELOPE__BODY_TOKEN_GONE:
		med->goneh(env->token_gone->handle.data,
			   env->token_gone->handle.len,
			   env->token_gone->reason, med->arg);
		break;
	default:
		err = EPROTO; /* not for us to receive */
		break;
	}

	if (!med->closed) {
		pump(med);
		drained(slot);
	}
	mem_deref(med);
	return err;
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


static bool forget_link(struct le *le, void *arg)
{
	struct med_req *req = le->data;

	(void)plan_lost(&req->plan, *(unsigned *)arg);
	return false;
}


static void step_all(struct med *med)
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


static void want_update(struct med *med)
{
	struct plan_link linkv[PLAN_LINKS];
	unsigned mask, up = 0;

	view_links(med, linkv);
	mask = plan_wanted(linkv, med->slotc);

	for (unsigned i = 0; i < med->slotc; i++) {
		struct slot *slot = &med->slotv[i];
		const bool want = mask & (1u << i);

		up += mlink_ready(slot->link);
		/* what is in flight there may still come back */
		if (want || !slot->inflight)
			mlink_want(slot->link, want);
	}

	metric_set(&med->metricv[M_UP], up);
}


static void change_handler(struct mlink *l, void *arg)
{
	struct slot *slot = arg;
	struct med *med = slot->med;
	unsigned i = index_of(med, l);

	if (med->closed || i == med->slotc)
		return;

	mem_ref(med);
	if (mlink_state(l) != MLINK_UP) {
		slot->inflight = slot->orphans = 0;
		(void)hash_apply(med->reqs, forget_link, &i);
	}

	want_update(med);
	step_all(med);
	if (!med->closed)
		drained(slot);
	mem_deref(med);
}


/* Somebody asks and nobody is there: a long pause is no use to him */
static void kick(struct med *med)
{
	if (med_up(med))
		return;

	for (unsigned i = 0; i < med->slotc; i++)
		mlink_kick(med->slotv[i].link);
}


static int req_start(struct med_req **reqp, struct med *med,
		     const Wire__Envelope *env, const struct req_prm *prm)
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
	req->resulth = prm->resulth;
	req->enrolh = prm->enrolh;
	req->arg = prm->arg;
	memcpy(req->id, prm->id, sizeof(req->id));
	req->med = med;
	req->reqp = reqp;
	hash_append(med->reqs, id_key(req->id), &req->he, req);
	if (reqp)
		*reqp = req;

	kick(med);
	(void)req_step(req, false);
	return 0;
}


static uint32_t timeout_of(const struct med *med, const struct med_push *p,
			   uint32_t timeout_ms)
{
	uint32_t ms = timeout_ms ? timeout_ms : med->timeout_ms;
	int64_t left;

	if (!p->expires_ms)
		return ms;

	left = p->expires_ms - clock_wall_ms();
	if (left < 1)
		left = 1;
	return left < (int64_t)ms ? (uint32_t)left : ms;
}


static char *text(const char *s)
{
	return (char *)(s ? s : "");
}


int med_push(struct med_req **reqp, struct med *med, const struct med_push *p,
	     uint32_t timeout_ms, med_result_h *h, void *arg)
{
	Wire__Push push = WIRE__PUSH__INIT;
	Wire__Envelope env = WIRE__ENVELOPE__INIT;
	struct req_prm prm = { .resulth = h, .arg = arg };

	if (!med || !p || !h)
		return EINVAL;

	memcpy(prm.id, p->id, sizeof(prm.id));
	prm.timeout_ms = timeout_of(med, p, timeout_ms);
	prm.lane = p->use == WIRE__USE__USE_CALL    ? LANE_CALL
		   : p->use == WIRE__USE__USE_ENDED ? LANE_ENDED
						    : LANE_REST;

	push.id.data = (uint8_t *)p->id;
	push.id.len = WIRE_ID_LEN;
	push.handle.data = (uint8_t *)p->handle;
	push.handle.len = p->handle_len;
	push.use = p->use;
	push.trace = text(p->trace);
	push.call = text(p->call);
	push.instance = text(p->instance);
	push.from = text(p->from);
	push.display_name = text(p->display_name);
	push.video = p->video;
	push.received_at_ms = p->received_ms;
	push.expires_at_ms = p->expires_ms;
	push.reason = text(p->reason);
	env.body_case = WIRE__ENVELOPE__BODY_PUSH;
	env.push = &push;

	return req_start(reqp, med, &env, &prm);
}


static size_t uses_list(Wire__Use *usev, uint32_t mask)
{
	size_t n = 0;

	for (int u = WIRE__USE__USE_CALL; u <= WIRE__USE__USE_TEST; u++)
		if (mask & (1u << u))
			usev[n++] = (Wire__Use)u;

	return n;
}


int med_enrol(struct med_req **reqp, struct med *med,
	      const struct med_token *t, med_enrol_h *h, void *arg)
{
	Wire__Enrol enrol = WIRE__ENROL__INIT;
	Wire__Envelope env = WIRE__ENVELOPE__INIT;
	struct req_prm prm = {
		.lane = LANE_REST,
		.enrol = true,
		.timeout_ms = ENROL_TIMEOUT_MS,
		.enrolh = h,
		.arg = arg,
	};
	Wire__Use usev[WIRE__USE__USE_TEST];
	int err;

	if (!med || !t || !h)
		return EINVAL;

	err = ident_random(prm.id, sizeof(prm.id));
	if (err)
		return err;

	enrol.id.data = prm.id;
	enrol.id.len = WIRE_ID_LEN;
	enrol.app = text(t->app);
	enrol.provider = text(t->provider);
	enrol.token = text(t->token);
	enrol.topic = text(t->topic);
	enrol.environment = text(t->environment);
	enrol.trace = text(t->trace);
	enrol.n_use = uses_list(usev, t->uses);
	enrol.use = usev;
	env.body_case = WIRE__ENVELOPE__BODY_ENROL;
	env.enrol = &enrol;

	return req_start(reqp, med, &env, &prm);
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


static bool close_one(struct le *le, void *arg)
{
	struct med_req *req = le->data;
	(void)arg;

	tmr_cancel(&req->tmr);
	return false;
}


void med_close(struct med *med)
{
	if (!med || med->closed)
		return;

	med->closed = true;
	(void)hash_apply(med->reqs, close_one, NULL);
	for (unsigned i = 0; i < med->slotc; i++)
		mlink_close(med->slotv[i].link);
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


static void destructor(void *data)
{
	struct med *med = data;

	med_close(med);
	if (med->reqs)
		(void)hash_apply(med->reqs, forget_req, NULL);
	hash_flush(med->reqs);
	mem_deref(med->reqs);
	for (unsigned i = 0; i < med->slotc; i++)
		mem_deref(med->slotv[i].link);
}


static void gone_ignored(const uint8_t *handle, size_t len, const char *reason,
			 void *arg)
{
	(void)handle;
	(void)len;
	(void)reason;
	(void)arg;
}


static int links_alloc(struct med *med, const struct med_cfg *cfg,
		       const char *node, char *reason, size_t reason_sz)
{
	for (uint32_t i = 0; i < cfg->addresses_count; i++) {
		struct slot *slot = &med->slotv[i];
		const struct mlink_prm prm = {
			.address = cfg->addresses[i],
			.name = cfg->name,
			.ca = cfg->ca,
			.certificate = cfg->certificate,
			.key = cfg->key,
			.node = node,
			.ping_ms = 3000,
			.dead_ms = 9000,
			.connect_ms = 5000,
			.backoff_min_ms = 200,
			.backoff_max_ms = 5000,
			.kick_ms = 1000,
		};
		int err;

		slot->med = med;
		err = mlink_alloc(&slot->link, &prm, change_handler,
				  frame_handler, slot, reason, reason_sz);
		if (err)
			return err;
		++med->slotc;
	}

	return 0;
}


static int metrics_start(struct med *med, struct metrics *metrics)
{
	int err;

	memcpy(med->metricv, metric_init, sizeof(med->metricv));
	med->rtt.name = "sipis_push_result_seconds";
	med->rtt.help = "From a push to its result";
	if (!metrics)
		return 0;

	err = metrics_add(metrics, med->metricv, M_COUNT);
	return err ? err : metrics_add_histogram(metrics, &med->rtt);
}


int med_alloc(struct med **medp, const struct med_cfg *cfg, const char *node,
	      struct metrics *metrics, med_gone_h *goneh, void *arg,
	      char *reason, size_t reason_sz)
{
	struct med *med;
	int err;

	if (!medp || !cfg || !reason || !reason_sz)
		return EINVAL;
	if (!cfg->addresses_count || cfg->addresses_count > PLAN_LINKS) {
		(void)re_snprintf(reason, reason_sz,
				  "1 to %u mediators can be named",
				  PLAN_LINKS);
		return EINVAL;
	}

	med = mem_zalloc(sizeof(*med), destructor);
	if (!med)
		return ENOMEM;

	med->goneh = goneh ? goneh : gone_ignored;
	med->arg = arg;
	med->timeout_ms =
		cfg->push_timeout_ms ? cfg->push_timeout_ms : PUSH_TIMEOUT_MS;
	err = hash_alloc(&med->reqs, HASH_SIZE);
	if (!err)
		err = metrics_start(med, metrics);
	if (!err)
		err = links_alloc(med, cfg, node, reason, reason_sz);
	if (err) {
		if (!reason[0])
			(void)re_snprintf(reason, reason_sz, "%m", err);
		mem_deref(med);
		return err;
	}

	want_update(med);
	*medp = med;
	return 0;
}


unsigned med_up(const struct med *med)
{
	unsigned n = 0;

	for (unsigned i = 0; med && i < med->slotc; i++)
		n += mlink_ready(med->slotv[i].link);

	return n;
}


int med_status(struct re_printf *pf, const struct med *med)
{
	int err = 0;

	for (unsigned i = 0; med && i < med->slotc; i++)
		err |= re_hprintf(pf, "%H in_flight=%u window=%u\n",
				  mlink_print, med->slotv[i].link,
				  med->slotv[i].inflight,
				  mlink_window(med->slotv[i].link));

	return err;
}
