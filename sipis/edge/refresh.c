/**
 * @file refresh.c  A push before the binding of a sleeping phone runs out
 *
 * RFC 8599 5.5: who has not registered again so many seconds (the lead)
 * before the end is pushed.  One that can refresh by itself (sip.pnsreg) hears
 * in Feature-Caps by when it has to, which is before the lead, and is pushed
 * only if it did not.  Only with a token for quiet pushes: a VoIP push that
 * brings no call ends the app's right to them.
 *
 *     REGISTER --> asleep --lead--> due --a few a second--> push (wake.c)
 *                    ^               |                                  |
 *                    +-- it is there, or nobody could push just now ----+
 *
 * Nothing of it is stored: after a restart the phone is pushed for its calls
 * as ever, and only misses this.
 */

#include <errno.h>
#include <string.h>
#include "common/clock.h"
#include "common/ident.h"
#include "common/log.h"
#include "common/wheel.h"
#include "sipis/edge/flow.h"
#include "sipis/edge/priv.h"
#include "sipis/edge/wake.h"


enum {
	LEAD_S = 3600,    /* quiet pushes may come late */
	LEAD_MIN_S = 120, /* RFC 8599 5.5, where the grant is so long */
	BEAT_MS = 1000,
	PER_BEAT = 50,
	TRIES = 3,
	SLEEPERS_MAX = 200000,
};

struct sleeper {
	struct wheel_link link;
	struct le he, le; /**< le: it is due */
	struct edge *edge;
	uint8_t phone[EDGE_PHONE];
	char id[STORE_ID_LEN + 1];
	uint32_t until; /**< monotonic s */
	unsigned tries;
	struct edge_wake *wake;
};


static uint32_t now_s(void)
{
	return (uint32_t)(clock_mono_ms() / 1000);
}


static void destructor(void *data)
{
	struct sleeper *s = data;

	wheel_cancel(&s->link);
	list_unlink(&s->le);
	hash_unlink(&s->he);
	edge_wake_stop(&s->wake);
}


static uint32_t key(const uint8_t phone[EDGE_PHONE])
{
	return hash_joaat(phone, EDGE_PHONE);
}


static struct sleeper *find(const struct edge *e,
			    const uint8_t phone[EDGE_PHONE])
{
	struct le *le = list_head(hash_list(e->sleepers, key(phone)));

	for (; le; le = le->next) {
		struct sleeper *s = le->data;

		if (!memcmp(s->phone, phone, EDGE_PHONE))
			return s;
	}

	return NULL;
}


static void drop(struct sleeper *s)
{
	--s->edge->sleeperc;
	mem_deref(s);
}


static void again(struct sleeper *s)
{
	const uint32_t now = now_s();

	if (now >= s->until)
		drop(s);
	else
		wheel_start(s->edge->wheel, &s->link,
			    now + 1 + (s->until - now) / 4);
}


static void woken_handler(enum edge_woken res, void *arg)
{
	struct sleeper *s = arg;

	edge_wake_stop(&s->wake);
	if (res == EDGE_WAKE_LATER && ++s->tries < TRIES)
		again(s);
	else
		drop(s);
}


/* Over TCP and TLS it can refresh by itself.  Nobody tells when a UDP flow
   ends: there it counts as awake while it pings, but not for its REGISTER
   alone, which is at least as long ago as there is left (seconds are whole
   here) */
static bool is_awake(const struct sleeper *s, uint32_t left_s)
{
	const struct edge_binding *b = edge_binding_of(s->edge, s->phone);

	if (!b || b->flow->tp != SIP_TRANSP_UDP)
		return b != NULL;

	return !edge_flow_silent(b->flow) &&
	       clock_mono_ms() + 1000 < b->flow->heard + left_s * 1000ull;
}


static void wake(struct sleeper *s)
{
	const uint32_t now = now_s();
	int err;

	list_unlink(&s->le);
	if (now >= s->until || is_awake(s, s->until - now)) {
		again(s);
		return;
	}

	err = edge_wake(&s->wake,
			&(struct edge_wake_prm){
				.edge = s->edge,
				.id = s->id,
				.life_ms = (s->until - now) * 1000ull,
				.metric = EDGE_M_REFRESHES,
				.h = woken_handler,
				.arg = s,
			});
	if (err)
		again(s);
}


static void due_handler(struct wheel_link *link, void *arg)
{
	struct sleeper *s =
		(void *)((char *)link - offsetof(struct sleeper, link));
	struct edge *e = arg;

	list_append(&e->due, &s->le, s);
}


static void beat_handler(void *arg)
{
	struct edge *e = arg;
	struct le *le;

	wheel_turn(e->wheel, now_s());
	for (unsigned n = 0; n < PER_BEAT && (le = list_head(&e->due)); n++)
		wake(le->data);

	if (e->sleeperc)
		tmr_start(&e->beat, BEAT_MS, beat_handler, e);
}


uint32_t edge_refresh_lead(uint32_t expires_s)
{
	if (expires_s < 2 * LEAD_MIN_S)
		return expires_s / 2;
	if (expires_s < 4 * LEAD_MIN_S)
		return LEAD_MIN_S;

	return expires_s < 4 * LEAD_S ? expires_s / 4 : LEAD_S;
}


uint32_t edge_refresh_by(uint32_t expires_s)
{
	const uint32_t lead = edge_refresh_lead(expires_s);
	const uint32_t by = lead + lead / 2;

	return by > LEAD_MIN_S ? by : 0;
}


bool edge_refresh_may(const struct edge *e, const struct edge_pn *pn)
{
	return e->sleeperc < SLEEPERS_MAX && edge_wake_may(e, pn);
}


int edge_refresh_set(struct edge *e, const struct edge_binding *b,
		     uint32_t expires_s)
{
	struct sleeper *s;

	edge_refresh_drop(e, b->phone);
	s = mem_zalloc(sizeof(*s), destructor);
	if (!s)
		return ENOMEM;

	s->edge = e;
	memcpy(s->phone, b->phone, EDGE_PHONE);
	(void)str_ncpy(s->id, b->id, sizeof(s->id));
	s->until = now_s() + expires_s;
	hash_append(e->sleepers, key(s->phone), &s->he, s);
	wheel_start(e->wheel, &s->link,
		    s->until - edge_refresh_lead(expires_s));
	++e->sleeperc;
	if (!tmr_isrunning(&e->beat))
		tmr_start(&e->beat, BEAT_MS, beat_handler, e);

	return 0;
}


void edge_refresh_drop(struct edge *e, const uint8_t phone[EDGE_PHONE])
{
	struct sleeper *s = find(e, phone);

	if (s)
		drop(s);
}


int edge_refresh_open(struct edge *e)
{
	int err = hash_alloc(&e->sleepers, EDGE_HASH);

	return err ? err : wheel_alloc(&e->wheel, now_s(), due_handler, e);
}


static bool drop_handler(struct le *le, void *arg)
{
	(void)arg;
	drop(le->data);

	return false;
}


void edge_refresh_close(struct edge *e)
{
	tmr_cancel(&e->beat);
	if (e->sleepers)
		(void)hash_apply(e->sleepers, drop_handler, NULL);
	e->sleepers = mem_deref(e->sleepers);
	e->wheel = mem_deref(e->wheel);
}
