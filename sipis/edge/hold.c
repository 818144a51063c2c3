/**
 * @file hold.c  Requests in a dialog whose phone is away
 *
 * It lost its network, or we were started again: a phone that is in a call
 * comes back within seconds, over a new flow.  Or it sleeps, and its dialog
 * is a long one: it has asked to be woken for that (pn-purr in its Contact,
 * RFC 8599, section 6).
 *
 *     request --> hold of its phone --> push, if it asked for that
 *                  |        |
 *                  |        +-- it registers: on its way, in their order
 *                  +-- nobody woke it: HOLD_MS; else LONG_MS, INVITE_MS: 480
 *
 * A phone has room for a few.  A BYE takes the place of one that is none,
 * which has its 480 then: whoever does not hear it is in a dead call.
 *
 * A phone is pushed once, for all that waits for it, and not again for
 * PAUSE_MS, so that a dead one costs little.
 */

#include <errno.h>
#include <string.h>
#include "common/clock.h"
#include "common/ident.h"
#include "common/log.h"
#include "sipis/edge/flow.h"
#include "sipis/edge/priv.h"
#include "sipis/edge/purr.h"
#include "sipis/edge/wake.h"
#include "sipis/sip/trying.h"


enum {
	HOLD_MS = 8000, /* a PBX waits 32 s, some less */
	/* The sender gives up after 32 s (RFC 3261, timer F), and the phone
	   wants some of them for its answer */
	LONG_MS = 24000,
	/* Our 100 has ended that; timer C of proxies on the way is more than
	   180 s, most of which belongs to the phone */
	INVITE_MS = 60000,
	TRYING_MS = 3500, /* RFC 4320, section 4.1: not sooner, not later */
	PAUSE_MS = 60000,
	HOLD_PHONE = 16, /* one far end may not take the room of all */
	HOLD_MAX = 4000,
	BYES_MAX = 1000, /* more, for what ends a call */
	ABSENTS = 1024,
	WAKES_PER_S = 50,
};

/** A phone that is away */
struct absent {
	struct le he;
	struct edge *edge;
	uint8_t phone[EDGE_PHONE];
	struct list holds;
	struct edge_wake *wake; /**< NULL: it is over */
	struct tmr pause;       /**< no push before its end */
	bool woken;             /**< a push is on its way */
};

struct hold {
	struct le le;
	struct absent *absent;
	struct pbx *pbx;
	struct sip_msg *msg;
	struct sip_strans *st;
	struct edge_routes routes;
	struct tmr tmr, trying;
	uint64_t since;
	bool invite, bye, wakes;
};


static void hold_destructor(void *data)
{
	struct hold *h = data;

	list_unlink(&h->le);
	tmr_cancel(&h->tmr);
	tmr_cancel(&h->trying);
	mem_deref(h->st);
	mem_deref(h->msg);
	if (h->absent)
		--h->absent->edge->holdc;
}


static void absent_destructor(void *data)
{
	struct absent *a = data;

	list_flush(&a->holds);
	hash_unlink(&a->he);
	tmr_cancel(&a->pause);
	edge_wake_stop(&a->wake);
}


static struct absent *find(const struct edge *e,
			   const uint8_t phone[EDGE_PHONE])
{
	struct le *le = list_head(
		hash_list(e->absents, hash_joaat(phone, EDGE_PHONE)));

	for (; le; le = le->next) {
		struct absent *a = le->data;

		if (!memcmp(a->phone, phone, EDGE_PHONE))
			return a;
	}

	return NULL;
}


static struct absent *absent_get(struct edge *e,
				 const uint8_t phone[EDGE_PHONE])
{
	struct absent *a = find(e, phone);

	if (a)
		return a;

	a = mem_zalloc(sizeof(*a), absent_destructor);
	if (!a)
		return NULL;

	a->edge = e;
	memcpy(a->phone, phone, EDGE_PHONE);
	tmr_init(&a->pause);
	hash_append(e->absents, hash_joaat(phone, EDGE_PHONE), &a->he, a);

	return a;
}


static void absent_done(struct absent *a)
{
	if (list_isempty(&a->holds) && !a->wake && !tmr_isrunning(&a->pause))
		mem_deref(a);
}


/* --- one request --- */

static void answer(struct hold *h, uint16_t scode, const char *phrase)
{
	struct absent *a = h->absent;

	(void)sip_treply(&h->st, pbx_sip(h->pbx), h->msg, scode, phrase);
	h->st = NULL;
	mem_deref(h);
	absent_done(a);
}


/* 408 would be worse: RFC 4320, section 4.2 */
static void late_handler(void *arg)
{
	answer(arg, 480, "Temporarily Unavailable");
}


static void cancel_handler(void *arg)
{
	answer(arg, 487, "Request Terminated");
}


static void trying_handler(void *arg)
{
	struct hold *h = arg;

	(void)trying_send(&h->st, pbx_sip(h->pbx), h->msg);
}


static uint64_t limit_of(const struct hold *h)
{
	if (!h->wakes || !h->absent->woken)
		return HOLD_MS;

	return h->invite ? INVITE_MS : LONG_MS;
}


static void timer_set(struct hold *h)
{
	const uint64_t end = h->since + limit_of(h), now = clock_mono_ms();

	tmr_start(&h->tmr, end > now ? end - now : 0, late_handler, h);
}


/* --- the push --- */

static void woken_handler(enum edge_woken res, void *arg)
{
	struct absent *a = arg;

	edge_wake_stop(&a->wake);
	if (res == EDGE_WOKEN)
		return;

	/* it may come by itself, as others do */
	a->woken = false;
	tmr_cancel(&a->pause);
	for (struct le *le = a->holds.head; le; le = le->next)
		timer_set(le->data);
	absent_done(a);
}


static void wake(struct absent *a);


/* What came meanwhile is worth another push */
static void pause_handler(void *arg)
{
	struct absent *a = arg;

	a->woken = false;
	for (struct le *le = a->holds.head; le && !a->woken; le = le->next) {
		const struct hold *h = le->data;

		if (h->wakes)
			wake(a);
	}
	absent_done(a);
}


static void wake(struct absent *a)
{
	char id[STORE_ID_LEN + 1];

	if (tmr_isrunning(&a->pause) ||
	    !bucket_take(&a->edge->wakes, 1, clock_mono_ms()))
		return;

	ident_hex(id, a->phone, EDGE_PHONE);
	a->woken = !edge_wake(&a->wake, &(struct edge_wake_prm){
						.edge = a->edge,
						.id = id,
						.life_ms = INVITE_MS,
						.metric = EDGE_M_WAKES,
						.h = woken_handler,
						.arg = a,
					});
	if (a->woken)
		tmr_start(&a->pause, PAUSE_MS, pause_handler, a);
}


static bool wants_push(const struct edge *e, const struct sip_msg *msg,
		       const uint8_t phone[EDGE_PHONE])
{
	struct pl purr;

	return !msg_param_decode(&msg->uri.params, "pn-purr", &purr) &&
	       edge_purr_is(&purr, &e->key, phone);
}


bool edge_hold_better(const struct edge_binding *b, const struct sip_msg *msg)
{
	return edge_flow_silent(b->flow) && pl_strcmp(&msg->met, "ACK") &&
	       wants_push(b->flow->edge, msg, b->phone);
}


static int hold_alloc(struct hold **hp, struct edge *e, struct pbx *pbx,
		      const struct sip_msg *msg, const struct edge_routes *r)
{
	struct hold *h = mem_zalloc(sizeof(*h), hold_destructor);
	int err;

	if (!h)
		return ENOMEM;

	tmr_init(&h->tmr);
	tmr_init(&h->trying);
	h->pbx = pbx;
	h->msg = mem_ref((void *)msg);
	h->routes = *r;
	h->since = clock_mono_ms();
	h->invite = !pl_strcmp(&msg->met, "INVITE");
	h->bye = !pl_strcmp(&msg->met, "BYE");
	err = sip_strans_alloc(&h->st, pbx_sip(pbx), msg, cancel_handler, h);
	if (!err && !(h->absent = absent_get(e, r->token.phone)))
		err = ENOMEM;
	if (err) {
		mem_deref(h);
		return err;
	}

	++e->holdc;
	list_append(&h->absent->holds, &h->le, h);
	*hp = h;

	return 0;
}


static struct hold *oldest_but_byes(const struct absent *a)
{
	for (struct le *le = a->holds.head; le; le = le->next) {
		struct hold *h = le->data;

		if (!h->bye)
			return h;
	}

	return NULL;
}


static bool has_room(const struct edge *e, const uint8_t phone[EDGE_PHONE],
		     const struct sip_msg *msg)
{
	const bool bye = !pl_strcmp(&msg->met, "BYE");
	const struct absent *a = find(e, phone);
	struct hold *other;

	if (e->holdc >= HOLD_MAX + (bye ? BYES_MAX : 0))
		return false;
	if (!a || list_count(&a->holds) < HOLD_PHONE)
		return true;

	other = bye ? oldest_but_byes(a) : NULL;
	if (other)
		late_handler(other);

	return other != NULL;
}


void edge_hold(struct edge *e, struct pbx *pbx, const struct sip_msg *msg,
	       const struct edge_routes *r)
{
	struct hold *h;
	char met[32];

	if (!pl_strcmp(&msg->met, "ACK"))
		return;

	if (!has_room(e, r->token.phone, msg) ||
	    hold_alloc(&h, e, pbx, msg, r)) {
		(void)sip_reply(pbx_sip(pbx), msg, 480,
				"Temporarily Unavailable");
		return;
	}

	h->wakes = wants_push(e, msg, r->token.phone);
	if (h->wakes)
		wake(h->absent);
	timer_set(h);
	if (h->invite)
		trying_handler(h);
	else
		tmr_start(&h->trying, TRYING_MS, trying_handler, h);

	(void)pl_strcpy(&msg->met, met, sizeof(met));
	log_info("edge", NULL, "%s waits for its phone, %u ms at most", met,
		 (unsigned)limit_of(h));
}


void edge_hold_end(struct edge_binding *b)
{
	struct absent *a = find(b->flow->edge, b->phone);
	struct le *le;

	edge_passage_back(b);
	while (a && (le = list_head(&a->holds))) {
		struct hold *h = le->data;

		/* the passage has a transaction of its own */
		h->st = mem_deref(h->st);
		list_unlink(le);
		edge_to_phone(b, h->pbx, h->msg, &h->routes);
		mem_deref(h);
	}

	mem_deref(a);
}


int edge_hold_open(struct edge *e)
{
	bucket_init(&e->wakes, WAKES_PER_S, WAKES_PER_S, clock_mono_ms());

	return hash_alloc(&e->absents, ABSENTS);
}


void edge_hold_close(struct edge *e)
{
	hash_flush(e->absents);
	e->absents = mem_deref(e->absents);
}
