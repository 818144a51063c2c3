/**
 * @file refresh.c  A push before the binding of a sleeping phone runs out
 *
 * RFC 8599, sip.pnsreg: a phone that shows it hears in Feature-Caps how many
 * seconds before the end it is pushed if it has not registered again.
 * Only with a token for quiet pushes: a VoIP push that brings no call ends
 * the app's right to them.
 *
 *     REGISTER --> asleep --lead--> due --a few a second--> store --> push
 *                    ^               |                                  |
 *                    +-- it has a flow, or nobody could push just now --+
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
#include "sipis/edge/priv.h"


enum {
	LEAD_S = 3600,
	BEAT_MS = 1000,
	PER_BEAT = 50,
	TRIES = 3,
	SLEEPERS_MAX = 200000,
};

#define USE(u) (1u << WIRE__USE__USE_##u)

struct sleeper {
	struct wheel_link link;
	struct le he, le;  /**< le: it is due */
	struct edge *edge; /**< NULL: nobody waits for it any more */
	uint8_t phone[EDGE_PHONE];
	char id[STORE_ID_LEN + 1];
	uint32_t until; /**< monotonic s */
	unsigned tries;
	struct med_req *req;
	uint8_t *handle;
	size_t handle_len;
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
	mem_deref(s->req);
	mem_deref(s->handle);
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


/* The store may hold it yet */
static void drop(struct sleeper *s)
{
	--s->edge->sleeperc;
	s->edge = NULL;
	wheel_cancel(&s->link);
	list_unlink(&s->le);
	hash_unlink(&s->he);
	s->req = mem_deref(s->req);
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


static void result_handler(const struct med_result *res, void *arg)
{
	struct sleeper *s = arg;
	struct edge *e = s->edge;

	if (!res->err && res->outcome == WIRE__OUTCOME__TOKEN_GONE)
		inst_token_gone(e->prm.inst, s->handle, s->handle_len,
				res->reason ? res->reason : "");
	if ((res->err || res->outcome == WIRE__OUTCOME__RETRY_LATER) &&
	    ++s->tries < TRIES) {
		again(s);
		return;
	}

	log_info("edge", NULL, "push to refresh %s: %s", s->id,
		 res->err ? strerror(res->err)
			  : wire_outcome_name(res->outcome));
	drop(s);
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


static int push(struct sleeper *s, const struct push_row *row)
{
	const int64_t wall = clock_wall_ms();
	char trace[UUID_LEN + 1];
	struct med_push what = {
		.handle = row->handle,
		.handle_len = row->handle_len,
		.use = WIRE__USE__USE_WAKE,
		.trace = trace,
		.instance = s->id,
		.received_ms = wall,
		.expires_ms = wall + (int64_t)(s->until - now_s()) * 1000,
	};
	int err = ident_uuid_random(trace);

	err = err ? err : ident_uuid_decode(what.id, trace);
	if (err)
		return err;

	s->handle = mem_deref(s->handle);
	s->handle = mem_alloc(row->handle_len, NULL);
	if (!s->handle)
		return ENOMEM;

	memcpy(s->handle, row->handle, row->handle_len);
	s->handle_len = row->handle_len;
	err = med_push(&s->req, s->edge->prm.med, &what, 0, result_handler, s);
	if (!err)
		metric_inc(&s->edge->metricv[EDGE_M_REFRESHES]);

	return err;
}


static void inst_handler(int err, const struct inst_row *inst,
			 const struct acct_row *acct, void *arg)
{
	const struct push_row *row;
	struct sleeper *s = arg;
	(void)acct;

	if (!s->edge)
		goto out;

	if (err == ENOENT || now_s() >= s->until) {
		drop(s);
		goto out;
	}
	if (err) {
		again(s);
		goto out;
	}

	row = inst->state == INST_INACTIVE && inst->push_enabled
		      ? quiet_row(inst)
		      : NULL;
	if (!row || push(s, row))
		drop(s);
out:
	mem_deref(s);
}


/* Nobody tells when a UDP flow ends; over the others it can refresh by
   itself */
static bool is_awake(const struct sleeper *s)
{
	const struct edge_binding *b = edge_binding_of(s->edge, s->phone);

	return b && b->flow->tp != SIP_TRANSP_UDP;
}


static void wake(struct sleeper *s)
{
	list_unlink(&s->le);
	if (is_awake(s) || now_s() >= s->until) {
		again(s);
		return;
	}

	if (store_inst_get(s->edge->prm.store, s->id, inst_handler,
			   mem_ref(s))) {
		mem_deref(s);
		again(s);
	}
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
	return expires_s / 2 < LEAD_S ? expires_s / 2 : LEAD_S;
}


bool edge_refresh_offers(const struct edge *e, const struct edge_pn *pn)
{
	if (!e->prm.med || !pn->pnsreg || e->sleeperc >= SLEEPERS_MAX)
		return false;

	for (unsigned i = 0; i < pn->tokenc; i++)
		if (pn->tokenv[i].uses & USE(WAKE))
			return true;

	return false;
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
