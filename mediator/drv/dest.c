/**
 * @file drv/dest.c  One provider endpoint under one credential: who goes next
 *
 * Something may go when a push comes, an answer comes, a connection or the
 * bearer comes, or a pause ends: each of these calls dest_dispatch().
 */

#include <errno.h>
#include <string.h>
#include "common/clock.h"
#include "common/log.h"
#include "mediator/drv/dest_impl.h"

enum {
	TICK_MS = 50,          /* looks after what waits */
	SLOW_CONNECT_MS = 300, /* then a second connection is tried */
	FULL_RETRY_MS = 1000,
};


static void line_destructor(void *arg)
{
	struct dest_line *l = arg;

	for (unsigned i = 0; i < l->kinds; i++)
		mem_deref(l->hdrs[i]);
	mem_deref(l->hdrs);
	mem_deref(l->guards);
	mem_deref(l->app);
	mem_deref(l->topic);
	mem_deref(l->package);
}


static void destructor(void *arg)
{
	struct dest *d = arg;
	struct le *le;

	d->dispatching = true;
	tmr_cancel(&d->tmr);
	list_unlink(&d->watch.le);
	mem_deref(d->queue);

	for (le = d->busy.head; le; le = le->next) {
		struct req *r = le->data;

		conn_cancel(r->conn, r);
	}
	list_flush(&d->busy);
	list_flush(&d->idle);
	list_flush(&d->retired);
	for (uint32_t i = 0; d->conns && i < d->link.connections; i++)
		mem_deref(d->conns[i]);
	mem_deref(d->conns);
	mem_deref(d->auth);
	mem_deref(d->hush);
	mem_deref(d->name);
	mem_deref(d->url);
	mem_deref(d->project);
	mem_deref(d->ca);
}


void dest_finish(struct dest *d, struct push *p, Wire__Outcome outcome,
		 const char *reason)
{
	uint64_t now = clock_mono_ms();
	struct dest_line *l = p->line;

	queue_done(&p->q);
	if (p->probe & PROBE_DEST)
		breaker_undecided(&d->breaker, now);
	if (p->probe & PROBE_LINE)
		breaker_undecided(&l->breaker, now);

	push_outcome(p, outcome, reason);
	d->resulth(p, d->arg);
}


/* Why a push could wait for so long */
static void finish_waited(struct dest *d, struct push *p)
{
	uint32_t gen;

	if (clock_mono_ms() < d->hold_until) {
		p->res.retry_after_ms =
			(uint32_t)(d->hold_until - clock_mono_ms());
		dest_finish(d, p, WIRE__OUTCOME__THROTTLED, "provider quota");
		return;
	}
	if (!auth_bearer(d->auth, &gen)) {
		dest_finish(d, p, WIRE__OUTCOME__RETRY_LATER,
			    "no bearer token yet");
		return;
	}

	for (uint32_t i = 0; i < d->link.connections; i++) {
		if (conn_state(d->conns[i]) != CONN_WARM)
			continue;
		p->res.retry_after_ms = FULL_RETRY_MS;
		dest_finish(d, p, WIRE__OUTCOME__THROTTLED, "over the rate");
		return;
	}

	dest_finish(d, p, WIRE__OUTCOME__RETRY_LATER,
		    "no connection to the provider");
}


static void drop_handler(struct queue_item *it, enum queue_drop why, void *arg)
{
	struct push *p = (struct push *)it;
	struct dest *d = arg;

	switch (why) {

	case QUEUE_EXPIRED:
		dest_finish(d, p, WIRE__OUTCOME__EXPIRED,
			    "its time passed in the queue");
		break;

	case QUEUE_WAITED:
		finish_waited(d, p);
		break;

	case QUEUE_FLUSHED:
		dest_finish(d, p, WIRE__OUTCOME__MISCONFIGURED,
			    auth_broken(d->auth) ? auth_broken(d->auth)
						 : d->breaker.reason);
		break;
	}
}


static void tmr_handler(void *arg)
{
	struct dest *d = arg;
	uint32_t gen;

	mem_ref(d);
	/* A renewal may be refused while the old one still serves */
	if (!auth_bearer(d->auth, &gen) && auth_broken(d->auth))
		queue_flush(d->queue);
	queue_sweep(d->queue, clock_mono_ms());
	dest_dispatch(d);
	mem_deref(d);
}


/* Not at once: somebody may be in the middle of the queue */
static void change_handler(void *arg)
{
	struct dest *d = arg;

	tmr_start(&d->tmr, 0, tmr_handler, d);
}


static void done_handler(struct conn *c, struct req *r, enum net_fail fail,
			 uint32_t status, void *arg)
{
	struct dest *d = arg;

	mem_ref(d);
	dest_settle(d, c, r, fail, status);
	dest_dispatch(d);
	mem_deref(d);
}


static void room_handler(struct conn *c, void *arg)
{
	(void)c;
	dest_dispatch(arg);
}


static int conn_new(struct dest *d, unsigned i)
{
	struct conn_prm prm = {
		.name = d->name,
		.number = i,
		.streams = d->link.streams,
		.user_timeout_ms = d->link.user_timeout_ms,
		.opened = d->counters.connects,
		.doneh = done_handler,
		.roomh = room_handler,
		.arg = d,
	};

	return conn_alloc(&d->conns[i], &prm);
}


void dest_replace_conn(struct dest *d, struct conn *c)
{
	unsigned i = conn_number(c);

	/* Another request has done it already */
	if (d->conns[i] != c)
		return;
	if (conn_new(d, i)) {
		d->conns[i] = c;
		return;
	}

	conn_retire(c, &d->retired);
}


/* A quarter of each connection's streams is for calls alone: messages that
   hang for their whole timeout leave a call room that is warm */
static uint32_t reserved(const struct dest *d, enum queue_lane lane)
{
	uint32_t n = d->link.streams;

	return lane == QUEUE_CALLS || n < 2 ? 0 : (n + 3) / 4;
}


/* What one tenant may have under way while another one waits */
static uint32_t share(const struct dest *d, enum queue_lane lane)
{
	uint32_t n = d->link.connections *
		     (d->link.streams - reserved(d, lane)) / 2;

	return n ? n : 1;
}


/* Warm ones are filled in their order: the more answers come together, the
   less each of them costs.  Beyond that one more is opened at a time, and
   while another opens slowly the last one is opened for a call only. */
static struct conn *pick(struct dest *d, enum queue_lane lane, uint64_t now,
			 unsigned avoid)
{
	struct conn *cold = NULL;
	bool opening = false, slow = false;
	unsigned left = 0; /* where a call could go */

	for (uint32_t i = 0; i < d->link.connections; i++) {
		struct conn *c = d->conns[i];
		uint32_t room = conn_room(c);

		if (i + 1 == avoid)
			continue;
		if (conn_state(c) == CONN_PRIMING && conn_inflight(c)) {
			slow = true;
			if (now < conn_since(c) + SLOW_CONNECT_MS)
				opening = true;
		}
		if (!room)
			continue;
		left++;
		if (conn_state(c) != CONN_WARM)
			cold = cold ? cold : c;
		else if (room > reserved(d, lane))
			return c;
	}
	if (opening || (lane != QUEUE_CALLS && slow && left < 2))
		return NULL;

	return cold;
}


/* The next of this lane, and where it goes */
static struct push *next(struct dest *d, struct conn **cp,
			 enum queue_lane lane, uint64_t now, uint64_t *wait_ms)
{
	struct conn *c = pick(d, lane, now, 0), *other = NULL;
	struct push *p;

	if (!c)
		return NULL;
	p = (struct push *)queue_take(d->queue, lane, share(d, lane), now,
				      wait_ms);
	if (p && p->avoid)
		other = pick(d, lane, now, p->avoid);

	*cp = other ? other : c;
	return p;
}


static void dispatch(struct dest *d, uint64_t now, uint64_t *wait_ms)
{
	while (queue_count(d->queue) && now >= d->hold_until) {
		const char *bearer;
		struct push *p;
		struct conn *c;
		uint32_t gen;

		bearer = auth_bearer(d->auth, &gen);
		if (!bearer)
			return;
		p = next(d, &c, QUEUE_CALLS, now, wait_ms);
		if (!p)
			p = next(d, &c, QUEUE_OTHERS, now, wait_ms);
		if (!p)
			return;

		dest_send(d, c, p, bearer, gen, now);
	}
}


void dest_dispatch(struct dest *d)
{
	uint64_t wait_ms = 0, now;

	if (d->dispatching || !queue_count(d->queue))
		return;

	mem_ref(d);
	d->dispatching = true;
	now = clock_mono_ms();
	dispatch(d, now, &wait_ms);
	d->dispatching = false;

	if (!queue_count(d->queue))
		tmr_cancel(&d->tmr);
	else if (!tmr_isrunning(&d->tmr) || wait_ms)
		tmr_start(&d->tmr,
			  wait_ms && wait_ms < TICK_MS ? wait_ms : TICK_MS,
			  tmr_handler, d);
	mem_deref(d);
}


static bool stopped(struct dest *d, struct breaker *b, struct push *p,
		    unsigned probe, uint64_t now)
{
	switch (breaker_pass(b, now)) {

	case BREAKER_PROBE:
		p->probe |= probe;
		break;

	case BREAKER_STOP:
		dest_finish(d, p, WIRE__OUTCOME__MISCONFIGURED, b->reason);
		return true;

	default:
		break;
	}

	return false;
}


void dest_submit(struct dest *d, struct push *p)
{
	struct dest_line *l = p->line;
	uint64_t now = clock_mono_ms();
	uint32_t gen;

	if (stopped(d, &d->breaker, p, PROBE_DEST, now) ||
	    stopped(d, &l->breaker, p, PROBE_LINE, now))
		return;

	/* Asking is also what makes it try again */
	if (!auth_bearer(d->auth, &gen) && auth_broken(d->auth)) {
		dest_finish(d, p, WIRE__OUTCOME__MISCONFIGURED,
			    auth_broken(d->auth));
		return;
	}
	if (p->q.give_up < d->hold_until) {
		p->res.retry_after_ms = (uint32_t)(d->hold_until - now);
		dest_finish(d, p, WIRE__OUTCOME__THROTTLED, "provider quota");
		return;
	}

	if (queue_put(d->queue, &p->q)) {
		p->res.retry_after_ms = FULL_RETRY_MS;
		dest_finish(d, p, WIRE__OUTCOME__THROTTLED, "queue full");
		return;
	}
	dest_dispatch(d);
}


void dest_drop(struct push *p)
{
	p->over = true;
	if (!p->q.flow && !tmr_isrunning(&p->tmr))
		return;

	tmr_cancel(&p->tmr);
	queue_remove(&p->q);
	dest_finish(p->dest, p, WIRE__OUTCOME__EXPIRED,
		    "its call was over before it left");
}


static int strings(struct dest *d, const struct dest_prm *prm)
{
	int err = str_dup(&d->name, prm->name);

	err |= str_dup(&d->url, prm->url);
	if (prm->project)
		err |= str_dup(&d->project, prm->project);
	if (prm->link->ca)
		err |= str_dup(&d->ca, prm->link->ca);

	d->place.url = d->url;
	d->place.project = d->project;
	return err ? ENOMEM : 0;
}


int dest_alloc(struct dest **dp, const struct dest_prm *prm)
{
	struct dest *d;
	int err;

	if (!dp || !prm || !prm->drv || !prm->auth || !prm->resulth)
		return EINVAL;

	d = mem_zalloc(sizeof(*d), destructor);
	if (!d)
		return ENOMEM;

	tmr_init(&d->tmr);
	d->drv = prm->drv;
	d->link = *prm->link;
	d->outside_only = prm->outside_only;
	d->hush = mem_ref(prm->hush);
	d->auth = mem_ref(prm->auth);
	if (prm->counters)
		d->counters = *prm->counters;
	d->resulth = prm->resulth;
	d->arg = prm->arg;
	auth_watch(d->auth, &d->watch, change_handler, d);

	err = strings(d, prm);
	if (!err)
		err = queue_alloc(&d->queue, drop_handler, d);
	if (!err) {
		d->conns = mem_zalloc(sizeof(*d->conns) * d->link.connections,
				      NULL);
		err = d->conns ? 0 : ENOMEM;
	}
	for (unsigned i = 0; !err && i < d->link.connections; i++)
		err = conn_new(d, i);

	if (err)
		mem_deref(d);
	else
		*dp = d;

	return err;
}


int dest_line_alloc(struct dest_line **lp, const char *app,
		    const struct drv_app *prm)
{
	struct dest_line *l;
	int err;

	if (!lp || !app || !prm)
		return EINVAL;

	l = mem_zalloc(sizeof(*l), line_destructor);
	if (!l)
		return ENOMEM;

	err = str_dup(&l->app, app);
	err |= guards_alloc(&l->guards);
	if (prm->topic)
		err |= str_dup(&l->topic, prm->topic);
	if (prm->package)
		err |= str_dup(&l->package, prm->package);
	l->prm.topic = l->topic;
	l->prm.package = l->package;

	if (err)
		mem_deref(l);
	else
		*lp = l;

	return err ? ENOMEM : 0;
}


int dest_print(struct re_printf *pf, const struct dest *d)
{
	int err = re_hprintf(pf, "%s: waiting %u, connections", d->name,
			     queue_count(d->queue));

	for (uint32_t i = 0; i < d->link.connections; i++)
		err |= re_hprintf(pf, " %s/%u",
				  conn_state_name(conn_state(d->conns[i])),
				  conn_inflight(d->conns[i]));

	return err |
	       re_hprintf(pf, "%s\n", d->breaker.state ? ", stopped" : "");
}
