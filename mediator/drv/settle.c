/**
 * @file drv/settle.c  An answer into a result, or into a second try
 */

#include <errno.h>
#include <string.h>
#include "common/backoff.h"
#include "common/clock.h"
#include "common/log.h"
#include "mediator/drv/dest_impl.h"
#include "mediator/drv/fcm_outcome.h"

enum {
	RETRY_BASE_MS = 250,
	RETRY_MAX_MS = 1000,
	RETRY_SLOW_MS = 1000,
	RETRY_ROOM_MS = 200, /* less time than this is no time for a try */
	HOLD_MS = 60000,     /* quota, when the provider names no time */
	SKEW_MS = 60000,
	CLOCK_TELL_MS = 3600000,
};


static void clock_alarm(struct dest *d, const char *what)
{
	uint64_t now = clock_mono_ms();

	if (d->clock_told && now < d->clock_told + CLOCK_TELL_MS)
		return;

	d->clock_told = now;
	dest_alert(d, "%s: %s; check NTP on this host", d->name, what);
}


/* The provider's date header tells whose clock is right */
static void clock_check(struct dest *d, const struct req *r)
{
	const char *v = req_answer_header(r, "date");
	time_t date = v ? curl_getdate(v, NULL) : -1;
	int64_t diff;
	char text[96];

	if (date == -1)
		return;
	diff = clock_wall_ms() - (int64_t)date * 1000;
	if (diff < SKEW_MS && diff > -SKEW_MS)
		return;

	(void)re_snprintf(text, sizeof(text),
			  "our clock is %lld s off the provider's",
			  (long long)(diff / 1000));
	clock_alarm(d, text);
}


static void trip(struct dest *d, struct push *p, const char *reason)
{
	char text[96];

	(void)re_snprintf(text, sizeof(text), "%u %s", p->res.status, reason);
	p->probe &= ~(unsigned)PROBE_DEST;
	if (!breaker_trip(&d->breaker, text, clock_mono_ms()))
		return;

	dest_alert(d, "%s: %s; %s; pushes fail until that is mended", d->name,
		   text,
		   p->res.status ? "it refuses our credential: check the key, "
				   "its id and team, or the service account"
		   : d->outside_only
			   ? "it could not prove who it is, or is not on the "
			     "internet: check link.ca and private_addresses"
			   : "it could not prove who it is: check link.ca "
			     "and the URL");
	queue_flush(d->queue);
}


static void trip_line(struct dest *d, struct push *p, const char *reason)
{
	struct dest_line *l = p->line;
	char text[96];

	(void)re_snprintf(text, sizeof(text), "%u %s", p->res.status, reason);
	p->probe &= ~(unsigned)PROBE_LINE;
	if (breaker_trip(&l->breaker, text, clock_mono_ms()))
		dest_alert(d,
			   "%s refuses app \"%s\": %s; check its topic "
			   "or package; its pushes fail until that is mended",
			   d->name, l->app, text);
}


static void retry_handler(void *arg)
{
	struct push *p = arg;
	struct dest *d = p->dest;

	if (queue_put_back(d->queue, &p->q)) {
		dest_finish(d, p, WIRE__OUTCOME__RETRY_LATER, "out of memory");
		return;
	}
	dest_dispatch(d);
}


/* At most one, and only if its answer can still matter */
static bool retry(struct dest *d, struct push *p, uint64_t delay_ms)
{
	uint64_t now = clock_mono_ms(), due = now + delay_ms;

	if (p->over || p->tries >= PUSH_TRIES ||
	    due + RETRY_ROOM_MS > p->q.expires ||
	    due + RETRY_ROOM_MS > p->q.give_up)
		return false;

	log_info("dest", p->trace, "again in %llu ms, was %u %s id=%s via=%s",
		 (unsigned long long)delay_ms, p->res.status, p->res_reason,
		 p->uuid, d->name);
	if (d->counters.retries)
		metric_inc(d->counters.retries);
	queue_done(&p->q);
	tmr_start(&p->tmr, delay_ms, retry_handler, p);
	return true;
}


static uint64_t retry_delay(const struct answer *a)
{
	if (a->retry_after_ms)
		return a->retry_after_ms;

	return backoff_ms(RETRY_BASE_MS, RETRY_MAX_MS, 0, rand_u32());
}


/* Nothing shows yet that environment and topic are right */
static void place_unproved(struct dest *d, struct push *p,
			   const struct answer *a)
{
	char text[96];

	(void)re_snprintf(text, sizeof(text), "%s: check environment of %s",
			  a->reason, d->name);
	dest_finish(d, p, WIRE__OUTCOME__MISCONFIGURED, text);
}


/* Ours is wrong for all, or this subscription was made with another one.  The
   breaker stays: in the second case the others are well */
static void key_refused(struct dest *d, struct guard *g, const struct push *p)
{
	const struct dest_line *l = p->line;

	if (g->refused)
		return;

	g->refused = true;
	dest_alert(d,
		   "%s: %u %s; it refuses our VAPID key, and has taken "
		   "nothing of app \"%s\" and tenant %s yet: check key_file, "
		   "subject and the clock",
		   d->name, p->res.status, p->res_reason, l->app,
		   p->q.tenant->name);
}


static void token_error(struct dest *d, struct push *p,
			const struct verdict *v, const struct answer *a)
{
	struct dest_line *l = p->line;
	struct guard *g = guards_of(l->guards, p->q.tenant);

	guard_add(g, true, false);
	if (v->act == DRV_TOKEN_SINCE && a->since_ms &&
	    p->target.enrolled_ms >= a->since_ms) {
		/* It came back to life after that */
		dest_finish(d, p, WIRE__OUTCOME__RETRY_LATER, a->reason);
		return;
	}
	if (v->act == DRV_TOKEN_FORM && !g->passed) {
		dest_finish(d, p, WIRE__OUTCOME__REJECTED, a->reason);
		return;
	}
	if (v->act == DRV_TOKEN_PLACE && !g->passed) {
		place_unproved(d, p, a);
		return;
	}
	if (v->act == DRV_TOKEN_AUTH && !g->passed) {
		key_refused(d, g, p);
		dest_finish(d, p, WIRE__OUTCOME__MISCONFIGURED, a->reason);
		return;
	}
	if (guard_trusts(g)) {
		g->shut = false;
		dest_finish(d, p, v->outcome, a->reason);
		return;
	}

	if (!g->shut)
		dest_alert(d,
			   "%s calls too many tokens of app \"%s\" and "
			   "tenant %s dead (%s): none of them is forgotten "
			   "until that is over; check %s",
			   d->name, l->app, p->q.tenant->name, a->reason,
			   v->act == DRV_TOKEN_AUTH
				   ? "key_file and subject"
				   : "topic, environment and project");
	g->shut = true;
	dest_finish(d, p, WIRE__OUTCOME__MISCONFIGURED, a->reason);
}


static void reauth(struct dest *d, struct push *p, const struct req *r,
		   const struct verdict *v, const struct answer *a)
{
	if (auth_refused(d->auth, r->gen) == TOKEN_YOUNG) {
		clock_alarm(d, "a new bearer is called stale");
		trip(d, p, a->reason);
	}
	else if (retry(d, p, 0)) {
		return;
	}
	else if (p->tries >= PUSH_TRIES) {
		trip(d, p, a->reason);
	}

	dest_finish(d, p, v->outcome, a->reason);
}


static void act(struct dest *d, struct push *p, const struct req *r,
		const struct verdict *v, const struct answer *a)
{
	uint64_t now = clock_mono_ms();

	switch (v->act) {

	case DRV_RETRY:
		if (retry(d, p, retry_delay(a)))
			return;
		p->res.retry_after_ms = a->retry_after_ms;
		break;

	case DRV_RETRY_SLOW:
		if (retry(d, p, RETRY_SLOW_MS))
			return;
		break;

	case DRV_REAUTH:
		reauth(d, p, r, v, a);
		return;

	case DRV_TOKEN_AUTH:
		if (p->tries < PUSH_TRIES &&
		    auth_refused(d->auth, r->gen) == TOKEN_RENEW &&
		    retry(d, p, 0))
			return;
		token_error(d, p, v, a);
		return;

	case DRV_TOKEN:
	case DRV_TOKEN_SINCE:
	case DRV_TOKEN_FORM:
	case DRV_TOKEN_PLACE:
		token_error(d, p, v, a);
		return;

	case DRV_BREAK:
		trip(d, p, a->reason);
		break;

	case DRV_BREAK_APP:
		trip_line(d, p, a->reason);
		break;

	case DRV_HOLD:
		d->hold_until = now + (a->retry_after_ms ? a->retry_after_ms
							 : HOLD_MS);
		log_warning("dest", "-", "%s: over the quota, pause of %u ms",
			    d->name, (unsigned)(d->hold_until - now));
		p->res.retry_after_ms = (uint32_t)(d->hold_until - now);
		break;

	case DRV_DONE:
		p->res.retry_after_ms = a->retry_after_ms;
		break;
	}

	dest_finish(d, p, v->outcome, a->reason);
}


/* What an answer says about credential, app and connection, whatever it says
   about the push */
static void learn(struct dest *d, struct conn *c, struct push *p,
		  const struct req *r, const struct verdict *v,
		  uint32_t status)
{
	struct dest_line *l = p->line;

	if (status < 500 && status != 401 && status != 403) {
		conn_proved(c, r);
		if (breaker_reset(&d->breaker))
			log_info("dest", "-",
				 "%s accepts our credential again", d->name);
	}
	if (status / 100 == 2) {
		guard_add(guards_of(l->guards, p->q.tenant), false, true);
		if (breaker_reset(&l->breaker))
			log_info("dest", "-", "%s accepts app \"%s\" again",
				 d->name, l->app);
	}
	if (v->renew_conn)
		dest_replace_conn(d, c);
	if (v->clock)
		clock_check(d, r);
	if (v->unknown && d->counters.unknown)
		metric_inc(d->counters.unknown);
}


static void answered(struct dest *d, struct conn *c, struct req *r,
		     struct push *p, uint32_t status)
{
	struct answer a;
	struct verdict v;
	const char *after;

	memset(&a, 0, sizeof(a));
	a.status = status;
	if (r->answer_len)
		d->drv->parse(&a, r->answer, r->answer_len);
	if (status == 429 || status == 503) {
		after = req_answer_header(r, "retry-after");
		if (after)
			a.retry_after_ms =
				fcm_retry_after(after, clock_wall_ms());
	}
	d->drv->judge(&v, &a);

	p->res.status = status;
	str_ncpy(p->res_id, a.id[0] ? a.id : p->uuid, sizeof(p->res_id));
	str_ncpy(p->res_reason, a.reason, sizeof(p->res_reason));
	if (v.unknown)
		log_warning("dest", p->trace,
			    "%s: unknown answer %u \"%s\" id=%s", d->name,
			    status, a.reason, p->uuid);
	learn(d, c, p, r, &v, status);
	if (status >= 500)
		p->avoid = conn_number(c) + 1;
	act(d, p, r, &v, &a);
}


static void failed(struct dest *d, struct conn *c, struct req *r,
		   struct push *p, enum net_fail fail)
{
	p->res.status = 0;
	str_ncpy(p->res_reason, net_fail_name(fail), sizeof(p->res_reason));

	if (fail == NET_TIMEOUT && conn_silent(c, r)) {
		log_warning("dest", "-",
			    "%s: connection %u is silent, new one", d->name,
			    conn_number(c));
		dest_replace_conn(d, c);
	}

	switch (fail) {

	case NET_UNTRUSTED:
	case NET_BARRED:
		trip(d, p, net_fail_name(fail));
		dest_finish(d, p, WIRE__OUTCOME__MISCONFIGURED,
			    net_fail_name(fail));
		return;

	case NET_UNSENT:
	case NET_TURNED_BACK:
		/* The provider has not seen it: this was no try */
		p->tries--;
		if (p->over) {
			dest_finish(d, p, WIRE__OUTCOME__EXPIRED,
				    "its call was over before it left");
			return;
		}
		if (queue_put_back(d->queue, &p->q))
			break;
		log_debug("dest", p->trace, "%s: %s id=%s", d->name,
			  net_fail_name(fail), p->uuid);
		return;

	case NET_LOST:
	case NET_TIMEOUT:
		p->avoid = conn_number(c) + 1;
		if (retry(d, p, 0))
			return;
		break;

	default:
		break;
	}

	dest_finish(d, p, WIRE__OUTCOME__RETRY_LATER, net_fail_name(fail));
}


void dest_settle(struct dest *d, struct conn *c, struct req *r,
		 enum net_fail fail, uint32_t status)
{
	struct push *p = r->arg;

	req_times(r, &p->res.sent_us, &p->res.answered_us);
	if (fail == NET_OK)
		answered(d, c, r, p, status);
	else
		failed(d, c, r, p, fail);

	dest_req_put(d, r);
}
