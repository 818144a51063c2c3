/**
 * @file count.c  Counters, and those who wait for them
 */

#include <errno.h>
#include "pns.h"

static const char *const names[CNT_N] = {
	[CNT_CONNECTIONS] = "connections",
	[CNT_CONNECTIONS_OPEN] = "connections_open",
	[CNT_CONNECT_RATE_MAX] = "connect_rate_max",
	[CNT_HANDSHAKES] = "handshakes",
	[CNT_HANDSHAKES_FAILED] = "handshakes_failed",
	[CNT_RESUMED] = "resumed",
	[CNT_REQUESTS] = "requests",
	[CNT_APNS] = "apns",
	[CNT_APNS_OK] = "apns_ok",
	[CNT_APNS_REJECTED] = "apns_rejected",
	[CNT_FCM] = "fcm",
	[CNT_FCM_OK] = "fcm_ok",
	[CNT_FCM_REJECTED] = "fcm_rejected",
	[CNT_OAUTH] = "oauth",
	[CNT_OAUTH_OK] = "oauth_ok",
	[CNT_WEBPUSH] = "webpush",
	[CNT_WEBPUSH_OK] = "webpush_ok",
	[CNT_WEBPUSH_REJECTED] = "webpush_rejected",
	[CNT_OTHER] = "other",
	[CNT_MAX_STREAMS_SEEN] = "max_streams_seen",
	[CNT_STREAMS_OPEN] = "streams_open",
	[CNT_STREAMS_REFUSED] = "streams_refused",
	[CNT_STREAMS_OVER_LIMIT] = "streams_over_limit",
	[CNT_RST_RECEIVED] = "rst_received",
	[CNT_PINGS] = "pings",
	[CNT_GOAWAY_SENT] = "goaway_sent",
	[CNT_DUPLICATES_APNS_ID] = "duplicates_apns_id",
	[CNT_DUPLICATES_CALL] = "duplicates_call",
	[CNT_LATE] = "late",
	[CNT_EXPIRATION_PAST] = "expiration_past",
	[CNT_PUSH_TYPE_MISSING] = "push_type_missing",
	[CNT_JWT_DISTINCT] = "jwt_distinct",
	[CNT_JWT_DISTINCT_WINDOW] = "jwt_distinct_window",
	[CNT_JWT_UPDATES_REFUSED] = "jwt_updates_refused",
	[CNT_DELIVERED] = "delivered",
	[CNT_STORED] = "stored",
	[CNT_LOST_OFFLINE] = "lost_offline",
	[CNT_EXPIRED_STORED] = "expired_stored",
	[CNT_APP_KILLS] = "app_kills",
	[CNT_VOIP_DROPPED] = "voip_dropped",
	[CNT_VOIP_MISUSED] = "voip_misused",
	[CNT_DEPRIORITISED] = "deprioritised",
	[CNT_FAULTS] = "faults",
};

struct reason {
	struct le le;
	char name[64];
	int64_t v;
};

struct pns_wait {
	struct le le;
	struct tmr tmr;
	const int64_t *v; /**< a reason that never came has none yet */
	char reason[64];
	int64_t min;
	pns_wait_h *h;
	void *arg;
};


static void wait_destructor(void *arg)
{
	struct pns_wait *w = arg;

	tmr_cancel(&w->tmr);
	list_unlink(&w->le);
}


static void wait_end(struct pns_wait *w, bool hit)
{
	pns_wait_h *h = w->h;
	void *arg = w->arg;
	const int64_t v = w->v ? *w->v : 0;

	mem_deref(w);
	h(hit, v, arg);
}


static void wait_check(struct pns_count *c, const int64_t *v)
{
	struct le *le = c->waitl.head;

	while (le) {
		struct pns_wait *w = le->data;

		le = le->next;
		if (w->v == v && *v >= w->min)
			wait_end(w, true);
	}
}


void pns_count_add(struct pns_count *c, enum pns_counter n, int64_t by)
{
	c->v[n] += by;
	if (c->waitl.head)
		wait_check(c, &c->v[n]);
}


void pns_count_max(struct pns_count *c, enum pns_counter n, int64_t v)
{
	if (v > c->v[n])
		pns_count_add(c, n, v - c->v[n]);
}


void pns_count_set(struct pns_count *c, enum pns_counter n, int64_t v)
{
	pns_count_add(c, n, v - c->v[n]);
}


static struct reason *reason_find(const struct pns_count *c, const char *name)
{
	struct le *le;

	LIST_FOREACH (&c->reasonl, le) {
		struct reason *r = le->data;

		if (!strcmp(r->name, name))
			return r;
	}

	return NULL;
}


static struct reason *reason_get(struct pns_count *c, const char *name)
{
	struct reason *r = reason_find(c, name);
	struct le *le;

	if (r)
		return r;
	r = mem_zalloc(sizeof(*r), NULL);
	if (!r)
		return NULL;
	str_ncpy(r->name, name, sizeof(r->name));
	list_append(&c->reasonl, &r->le, r);

	LIST_FOREACH (&c->waitl, le) {
		struct pns_wait *w = le->data;

		if (!w->v && !strcmp(w->reason, name))
			w->v = &r->v;
	}

	return r;
}


void pns_count_reason(struct pns_count *c, const char *name)
{
	struct reason *r = reason_get(c, name);

	if (!r)
		return;
	++r->v;
	wait_check(c, &r->v);
}


static void wait_timeout(void *arg)
{
	wait_end(arg, false);
}


static int wait_target(struct pns_wait *w, struct pns_count *c,
		       const char *name)
{
	struct reason *r;

	for (int i = 0; i < CNT_N; i++) {
		if (!strcmp(names[i], name)) {
			w->v = &c->v[i];
			return 0;
		}
	}
	if (strncmp(name, "reason.", 7))
		return ENOENT;

	str_ncpy(w->reason, name + 7, sizeof(w->reason));
	r = reason_find(c, w->reason);
	w->v = r ? &r->v : NULL;

	return 0;
}


int pns_count_wait(struct pns_wait **wp, struct pns_count *c, const char *name,
		   int64_t min, uint32_t timeout_ms, pns_wait_h *h, void *arg)
{
	struct pns_wait *w = mem_zalloc(sizeof(*w), wait_destructor);
	int err;

	if (!w)
		return ENOMEM;
	tmr_init(&w->tmr);
	w->min = min;
	w->h = h;
	w->arg = arg;
	err = wait_target(w, c, name);
	if (err) {
		mem_deref(w);
		return err;
	}

	*wp = w;
	list_append(&c->waitl, &w->le, w);
	tmr_start(&w->tmr, timeout_ms, wait_timeout, w);
	if ((w->v ? *w->v : 0) >= min)
		wait_end(w, true);

	return 0;
}


json_t *pns_count_json(const struct pns_count *c)
{
	json_t *o = json_object();
	struct le *le;
	char name[80];

	for (int i = 0; i < CNT_N; i++)
		json_object_set_new(o, names[i], json_integer(c->v[i]));

	LIST_FOREACH (&c->reasonl, le) {
		const struct reason *r = le->data;

		(void)re_snprintf(name, sizeof(name), "reason.%s", r->name);
		json_object_set_new(o, name, json_integer(r->v));
	}

	return o;
}


void pns_count_reset(struct pns_count *c)
{
	struct le *le;

	for (int i = 0; i < CNT_N; i++) {
		if (i != CNT_CONNECTIONS_OPEN && i != CNT_STREAMS_OPEN)
			c->v[i] = 0;
	}
	LIST_FOREACH (&c->reasonl, le) {
		struct reason *r = le->data;

		r->v = 0;
	}
	pns_u64set_clear(c->apns_ids);
	pns_u64set_clear(c->calls);
}


int pns_count_init(struct pns_count *c)
{
	int err = pns_u64set_alloc(&c->apns_ids);

	err |= pns_u64set_alloc(&c->calls);

	return err;
}


void pns_count_close(struct pns_count *c)
{
	list_flush(&c->waitl);
	list_flush(&c->reasonl);
	c->apns_ids = mem_deref(c->apns_ids);
	c->calls = mem_deref(c->calls);
}
