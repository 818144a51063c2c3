/**
 * @file drv/send.c  A push into a request
 */

#include <errno.h>
#include <string.h>
#include "common/clock.h"
#include "common/log.h"
#include "mediator/drv/dest_impl.h"

enum {
	TRY_MIN_MS = 500, /* a second try of a call gets at least this */
};


struct req *dest_req_get(struct dest *d)
{
	struct req_prm prm = {
		.ca = d->ca,
		.connect_timeout_ms = d->link.connect_timeout_ms,
		.user_timeout_ms = d->link.user_timeout_ms,
		.outside_only = d->outside_only,
	};
	struct le *le = d->idle.tail; /* the last one used is in the cache */
	struct req *r;

	if (le) {
		r = le->data;
		list_unlink(le);
	}
	else if (req_alloc(&r, &prm)) {
		return NULL;
	}

	list_append(&d->busy, &r->le, r);
	return r;
}


void dest_req_put(struct dest *d, struct req *r)
{
	req_clear(r);
	list_unlink(&r->le);
	list_append(&d->idle, &r->le, r);
}


/* The shared header lines of this app, kind and bearer */
static int hdrs_get(struct hdrs **hp, struct dest *d, struct dest_line *l,
		    unsigned kind, const char *bearer, uint32_t gen)
{
	struct hdrs *h;
	int err;

	if (!l->hdrs) {
		l->hdrs = mem_zalloc(sizeof(*l->hdrs) * d->drv->kinds, NULL);
		if (!l->hdrs)
			return ENOMEM;
		l->kinds = d->drv->kinds;
	}
	if (l->gen != gen) {
		for (unsigned i = 0; i < l->kinds; i++)
			l->hdrs[i] = mem_deref(l->hdrs[i]);
		l->gen = gen;
	}
	if (!l->hdrs[kind]) {
		err = hdrs_alloc(&h);
		if (err)
			return err;
		err = d->drv->headers(h, bearer, &l->prm, kind);
		if (err) {
			mem_deref(h);
			return err;
		}
		l->hdrs[kind] = h;
	}

	*hp = l->hdrs[kind];
	return 0;
}


/* A call's second try ends when sipis stops waiting for it anyway */
static uint32_t try_timeout(const struct dest *d, const struct push *p,
			    uint64_t now)
{
	bool call = p->q.lane == QUEUE_CALLS;
	uint64_t ms = call ? d->link.call_timeout_ms : d->link.timeout_ms;
	uint64_t left = p->until - now;

	if (call && p->tries > 1 && p->q.give_up < now + ms)
		ms = p->q.give_up > now + TRY_MIN_MS ? p->q.give_up - now
						     : TRY_MIN_MS;
	if (ms > left)
		ms = left;

	return ms ? (uint32_t)ms : 1;
}


static int send_it(struct dest *d, struct conn *c, struct push *p,
		   struct req *r, const char *bearer, uint32_t gen,
		   uint64_t now)
{
	struct dest_line *l = p->line;
	struct hdrs *h;
	unsigned kind;
	int err;

	err = d->drv->kind(&kind, p);
	if (!err)
		err = hdrs_get(&h, d, l, kind, bearer, gen);
	if (!err)
		err = d->drv->compose(r, p, kind, &d->place, &l->prm,
				      clock_wall_ms());
	if (err)
		return err;

	p->tries++;
	r->arg = p;
	r->gen = gen;
	req_ready(r, h, try_timeout(d, p, now));

	return conn_send(c, r);
}


void dest_send(struct dest *d, struct conn *c, struct push *p,
	       const char *bearer, uint32_t gen, uint64_t now)
{
	struct dest_line *l = p->line;
	struct req *r;
	int err;

	if (l->breaker.state == BREAKER_OPEN) {
		dest_finish(d, p, WIRE__OUTCOME__MISCONFIGURED,
			    l->breaker.reason);
		return;
	}

	r = dest_req_get(d);
	err = r ? send_it(d, c, p, r, bearer, gen, now) : ENOMEM;
	if (!err)
		return;

	if (r)
		dest_req_put(d, r);
	switch (err) {

	case EMSGSIZE:
		dest_finish(d, p, WIRE__OUTCOME__REJECTED,
			    "too big for the provider");
		break;
	case EPERM:
		dest_finish(d, p, WIRE__OUTCOME__REJECTED,
			    "this token serves calls only");
		break;
	default:
		dest_finish(d, p, WIRE__OUTCOME__RETRY_LATER, strerror(err));
		break;
	}
}
