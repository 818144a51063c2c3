/**
 * @file route/pushes.c  All pushes between their frame and their result
 */

#include <errno.h>
#include <string.h>
#include "common/clock.h"
#include "common/log.h"
#include "common/secret.h"
#include "mediator/route/pushes.h"

enum { TURN_MS = 1000, CALLS_BUCKETS = 4096 };

struct pushes {
	struct seen *seen;
	struct list live;   /**< owns */
	struct hash *calls; /**< the CALLs of live, by their call */
	uint32_t count;
	uint32_t wait_ms;
	struct tmr tmr;
	pushes_reply_h *h;
	void *arg;
	struct metric outcome[TENANT_OUTCOMES];
	char name[TENANT_OUTCOMES][64];
	struct metric duplicates, connects, retries, unknown, old_handles;
	struct dest_counters counters;
	struct histogram wait, answer;
};

/** A push frame before there is a push */
struct asked {
	struct pushes *ps;
	struct tenant *t;
	void *origin;
	const Wire__Push *frame;
	int64_t received_us;
};


static void destructor(void *arg)
{
	struct pushes *ps = arg;

	tmr_cancel(&ps->tmr);
	list_flush(&ps->live);
	mem_deref(ps->calls);
	mem_deref(ps->seen);
}


static void turn_handler(void *arg)
{
	struct pushes *ps = arg;

	seen_turn(ps->seen, clock_mono_ms());
	tmr_start(&ps->tmr, TURN_MS, turn_handler, ps);
}


static void count(struct pushes *ps, struct tenant *t, Wire__Outcome o)
{
	if ((unsigned)o >= TENANT_OUTCOMES)
		return;

	metric_inc(&ps->outcome[o]);
	t->outcome[o]++;
}


static void reply(struct pushes *ps, void *origin, const uint8_t *id,
		  const struct push_result *res, const uint8_t *handle,
		  size_t len)
{
	/* of a repetition: a new handle has come with the first result */
	bool gone = res->outcome == WIRE__OUTCOME__TOKEN_GONE;
	struct pushes_reply r = {
		.id = id,
		.res = res,
		.handle = gone ? handle : NULL,
		.handle_len = gone ? len : 0,
	};

	ps->h(origin, &r, ps->arg);
}


/* Without a push: it was judged by its frame alone */
static void refuse(const struct asked *a, Wire__Outcome outcome,
		   const char *reason)
{
	struct push_result res = {
		.outcome = outcome,
		.reason = reason,
		.provider_id = "",
		.received_us = a->received_us,
	};

	count(a->ps, a->t, outcome);
	log_warning("push", a->frame->trace,
		    "refused use=%s outcome=%s reason=\"%s\" tenant=%s",
		    wire_use_name(a->frame->use), wire_outcome_name(outcome),
		    reason, a->t->name);
	reply(a->ps, a->origin, a->frame->id.data, &res, a->frame->handle.data,
	      a->frame->handle.len);
}


/* The same id again */
static void repeat(const struct asked *a, struct seen_entry *e)
{
	static const struct push_result moved = {
		.outcome = WIRE__OUTCOME__DUPLICATE,
		.reason = "asked again",
		.provider_id = "",
	};
	struct push_result res;
	struct push *p = seen_look(e, &res);

	metric_inc(&a->ps->duplicates);
	log_info("push", a->frame->trace, "again, %s tenant=%s",
		 p ? "still under way" : "its result is known", a->t->name);

	if (!p) {
		reply(a->ps, a->origin, a->frame->id.data, &res,
		      a->frame->handle.data, a->frame->handle.len);
		return;
	}

	/* A notice to whoever asked before, and out of its window with it.
	   Asked again over the same connection, the request counts once */
	reply(a->ps, p->origin, p->id, &moved, NULL, 0);
	mem_deref(p->origin);
	p->origin = mem_ref(a->origin);
}


static bool use_known(Wire__Use use)
{
	return use > WIRE__USE__USE_UNKNOWN && use <= WIRE__USE__USE_TEST;
}


/* NULL if the target takes this frame */
static const char *wrong_use(const struct push_target *t, const Wire__Push *f)
{
	if (!use_known(f->use))
		return "use is not known here";
	if (t->uses && !(t->uses & 1u << f->use))
		return "the handle was not enrolled for this use";

	return NULL;
}


/* Whoever pushes has given up after that, or nobody waits any more */
static int64_t send_by(const Wire__Push *f)
{
	return f->send_by_ms && f->send_by_ms < f->expires_at_ms
		       ? f->send_by_ms
		       : f->expires_at_ms;
}


static uint64_t mono_of(int64_t wall_ms, uint64_t now)
{
	const int64_t left = wall_ms - clock_wall_ms();

	return now + (left > 0 ? (uint64_t)left : 0);
}


static int push_make(struct push **pp, const struct asked *a,
		     const struct push_target *t)
{
	uint64_t now = clock_mono_ms();
	struct push *p;
	int err = push_alloc(&p, a->frame, t);

	if (err)
		return err;

	p->res.received_us = a->received_us;
	p->q.tenant = mem_ref(a->t);
	p->queued = now;
	p->until = mono_of(p->expires_ms, now);
	p->q.expires = mono_of(send_by(a->frame), now);
	p->q.give_up = now + a->ps->wait_ms;
	p->origin = mem_ref(a->origin);
	err = seen_add(&p->seen, a->ps->seen, a->t, p->id, p);
	if (err)
		mem_deref(p);
	else
		*pp = p;

	return err;
}


/* Without it the push goes out all the same */
static void renew(struct push *p, const struct handle_key *key)
{
	uint8_t buf[HANDLE_MAX];
	size_t len = 0;

	if (handle_seal(buf, &len, key, p->q.tenant->name, &p->target))
		return;

	p->renewed = mem_alloc(len, NULL);
	if (!p->renewed)
		return;

	memcpy(p->renewed, buf, len);
	p->renewed_len = len;
}


/* newest: the key for a new handle, NULL if this one is under it */
static void submit(const struct asked *a, const struct push_target *t,
		   const struct handle_key *newest, struct dest *dest,
		   struct dest_line *line)
{
	struct push *p = NULL;
	int err = push_make(&p, a, t);

	if (err) {
		refuse(a,
		       err == EMSGSIZE ? WIRE__OUTCOME__REJECTED
				       : WIRE__OUTCOME__RETRY_LATER,
		       err == EMSGSIZE ? "a field is too long"
				       : strerror(err));
		return;
	}

	if (newest) {
		metric_inc(&a->ps->old_handles);
		renew(p, newest);
	}
	list_append(&a->ps->live, &p->le, p);
	if (p->use == WIRE__USE__USE_CALL && *p->call)
		hash_append(a->ps->calls, hash_joaat_str(p->call), &p->call_le,
			    p);
	a->ps->count++;
	p->dest = mem_ref(dest);
	p->line = mem_ref(line);
	dest_submit(dest, p);
}


static bool is_of_call(struct le *le, void *arg)
{
	const struct push *p = le->data;
	const struct asked *a = arg;

	return !p->over && p->q.tenant == a->t &&
	       !strcmp(p->call, a->frame->call) &&
	       !strcmp(p->instance, a->frame->instance);
}


/* Its CALLs that wait leave no more.  The ENDED goes all the same: another
   mediator may have sent one */
static void call_over(const struct asked *a)
{
	const uint32_t key = hash_joaat_str(a->frame->call);
	struct le *le;

	while ((le = hash_lookup(a->ps->calls, key, is_of_call, (void *)a)))
		dest_drop(le->data);
}


void pushes_take(struct pushes *ps, const struct site *s, struct tenant *t,
		 void *origin, const Wire__Push *frame, int64_t received_us)
{
	const struct asked a = { ps, t, origin, frame, received_us };
	struct seen_entry *e = seen_find(ps->seen, t, frame->id.data);
	const struct handle_keys *keys = site_handle_keys(s);
	const struct handle_key *key =
		handle_keys_of(keys, frame->handle.data, frame->handle.len);
	struct push_target target;
	struct dest_line *line;
	struct dest *dest;
	char buf[HANDLE_MAX];
	const char *wrong;
	int err;

	if (e) {
		repeat(&a, e);
		return;
	}
	if (send_by(frame) <= received_us / 1000) {
		refuse(&a, WIRE__OUTCOME__EXPIRED,
		       "its time had passed when it came");
		return;
	}

	err = handle_open(&target, buf, key, t->name, frame->handle.data,
			  frame->handle.len);
	if (err) {
		refuse(&a, WIRE__OUTCOME__NOT_ALLOWED,
		       err == EKEYEXPIRED
			       ? "handle of another key; enrol again"
			       : "not a handle of this tenant");
		return;
	}
	err = site_route(s, t, &target, &dest, &line);
	if (err == ENOSPC || err == ENOMEM) {
		refuse(&a, WIRE__OUTCOME__RETRY_LATER,
		       "too many push services are in use");
	}
	else if (err) {
		refuse(&a, WIRE__OUTCOME__NOT_ALLOWED,
		       "app or provider is not allowed any more");
	}
	else if ((wrong = wrong_use(&target, frame))) {
		refuse(&a, WIRE__OUTCOME__REJECTED, wrong);
	}
	else {
		if (frame->use == WIRE__USE__USE_ENDED)
			call_over(&a);
		submit(&a, &target, key == &keys->v[0] ? NULL : &keys->v[0],
		       dest, line);
	}
	explicit_bzero(buf, frame->handle.len);
}


static void result_log(const struct push *p, int64_t done_us)
{
	const struct push_result *r = &p->res;
	int64_t sent = r->sent_us ? r->sent_us : done_us;
	char tag[SECRET_TAG_LEN + 1] = "-";

	/* Costs a hash, and only tokens in trouble are asked for */
	if (r->outcome != WIRE__OUTCOME__DELIVERED)
		(void)secret_tag(tag, p->target.token,
				 strlen(p->target.token));

	log_info("push", p->trace,
		 "result use=%s outcome=%s status=%u reason=\"%s\" id=%s "
		 "tenant=%s app=%s provider=%s token=%s tries=%u "
		 "wait_us=%lld answer_us=%lld",
		 wire_use_name(p->use), wire_outcome_name(r->outcome),
		 r->status, r->reason, p->uuid, p->q.tenant->name,
		 p->target.app, p->target.provider, tag, p->tries,
		 (long long)(sent - r->received_us),
		 (long long)(r->answered_us ? r->answered_us - sent : 0));
}


/* The wall clock may step */
static uint64_t span_us(int64_t from, int64_t to)
{
	return to > from ? (uint64_t)(to - from) : 0;
}


/* What the provider did not decide may be tried again with the same id; also
   with a later time to send, but not for a call that is over */
static bool final(const struct push *p)
{
	const Wire__Outcome o = p->res.outcome;

	if (o == WIRE__OUTCOME__EXPIRED)
		return p->over;

	return o != WIRE__OUTCOME__RETRY_LATER &&
	       o != WIRE__OUTCOME__THROTTLED;
}


static void reply_push(struct pushes *ps, const struct push *p)
{
	struct pushes_reply r = {
		.id = p->id,
		.res = &p->res,
		.handle = p->handle,
		.handle_len = p->handle_len,
		.renewed = p->renewed,
		.renewed_len = p->renewed_len,
	};

	if (p->renewed && p->res.outcome == WIRE__OUTCOME__DELIVERED)
		ps->h(p->origin, &r, ps->arg);
	else
		reply(ps, p->origin, p->id, &p->res, p->handle, p->handle_len);
}


void pushes_result(struct push *p, void *arg)
{
	struct pushes *ps = arg;
	struct push_result *r = &p->res;

	if (!r->status)
		r->sent_us = r->answered_us = 0;
	if (r->outcome == WIRE__OUTCOME__DELIVERED) {
		histogram_add(&ps->wait, span_us(r->received_us, r->sent_us));
		histogram_add(&ps->answer,
			      span_us(r->sent_us, r->answered_us));
	}
	count(ps, p->q.tenant, r->outcome);
	result_log(p, clock_wall_us());

	if (final(p))
		seen_done(p->seen, r, clock_mono_ms());
	else
		seen_forget(p->seen);
	p->seen = NULL;
	reply_push(ps, p);

	ps->count--;
	mem_deref(p);
}


const struct dest_counters *pushes_counters(const struct pushes *ps)
{
	return &ps->counters;
}


uint32_t pushes_inflight(const struct pushes *ps)
{
	return ps->count;
}


static int metrics_register(struct pushes *ps, struct metrics *ms)
{
	static const struct {
		const char *name, *help;
	} v[] = {
		{ "mediator_duplicates_total", "Push ids that came again" },
		{ "mediator_provider_connects_total",
		  "Sockets opened to providers" },
		{ "mediator_retries_total", "Second tries" },
		{ "mediator_unknown_answers_total", "Answers no table knows" },
		{ "mediator_old_handles_total",
		  "Pushes with a handle under an old key" },
	};
	struct metric *m[] = { &ps->duplicates, &ps->connects, &ps->retries,
			       &ps->unknown, &ps->old_handles };
	int err = 0;

	for (unsigned i = 0; !err && i < TENANT_OUTCOMES; i++) {
		(void)re_snprintf(ps->name[i], sizeof(ps->name[i]),
				  "mediator_pushes_total{outcome=\"%s\"}",
				  wire_outcome_name((Wire__Outcome)i));
		ps->outcome[i].name = ps->name[i];
		ps->outcome[i].help = "Pushes by outcome";
		err = metrics_add(ms, &ps->outcome[i], 1);
	}
	for (unsigned i = 0; !err && i < sizeof(v) / sizeof(v[0]); i++) {
		m[i]->name = v[i].name;
		m[i]->help = v[i].help;
		err = metrics_add(ms, m[i], 1);
	}
	ps->wait.name = "mediator_push_wait_seconds";
	ps->wait.help = "Frame in to request out";
	ps->answer.name = "mediator_push_answer_seconds";
	ps->answer.help = "Request out to answer in";
	if (!err)
		err = metrics_add_histogram(ms, &ps->wait);
	if (!err)
		err = metrics_add_histogram(ms, &ps->answer);

	return err;
}


int pushes_alloc(struct pushes **pp, const struct mcfg_queue *cfg,
		 struct metrics *metrics, pushes_reply_h *h, void *arg)
{
	struct pushes *ps;
	int err;

	if (!pp || !cfg || !h)
		return EINVAL;

	ps = mem_zalloc(sizeof(*ps), destructor);
	if (!ps)
		return ENOMEM;

	tmr_init(&ps->tmr);
	ps->wait_ms = cfg->wait_ms;
	ps->h = h;
	ps->arg = arg;
	ps->counters.connects = &ps->connects;
	ps->counters.retries = &ps->retries;
	ps->counters.unknown = &ps->unknown;
	err = hash_alloc(&ps->calls, CALLS_BUCKETS);
	if (!err)
		err = seen_alloc(&ps->seen, cfg->remember_s * 1000ull,
				 cfg->remember_max);
	if (!err && metrics)
		err = metrics_register(ps, metrics);
	if (err) {
		mem_deref(ps);
		return err;
	}

	tmr_start(&ps->tmr, TURN_MS, turn_handler, ps);
	*pp = ps;
	return 0;
}
