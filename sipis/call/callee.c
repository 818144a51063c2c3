/**
 * @file callee.c  One account that is being called
 *
 * Holds what is the account's and not one call's: how often it may be rung,
 * what an echo of our own 302 looks like, and the way back to our binding
 * after a redirect took it away.  A SIPIS that refreshed at once would throw
 * out the app on a PBX that keeps one binding, so it looks first.
 */

#include <errno.h>
#include <string.h>
#include "common/clock.h"
#include "common/log.h"
#include "sipis/call/priv.h"
#include "sipis/call/reason.h"

enum {
	WATCH_FIRST_MS = 5000, /**< the PBX has dialled again by then */
	WATCH_MS = 15000,
	WATCH_MAX_MS = 60000,
};


static void watch_handler(void *arg);


static void destructor(void *data)
{
	struct callee *ce = data;

	tmr_cancel(&ce->tmr);
	hash_unlink(&ce->he);
	mem_deref(ce->user);
	mem_deref(ce->domain);
}


static bool by_acct(struct le *le, void *arg)
{
	const struct callee *ce = le->data;

	return ce->acct == *(const uint64_t *)arg;
}


static uint32_t acct_key(uint64_t acct)
{
	return hash_joaat((const uint8_t *)&acct, sizeof(acct));
}


struct callee *callee_find(const struct calls *cs, uint64_t acct)
{
	return list_ledata(
		hash_lookup(cs->callees, acct_key(acct), by_acct, &acct));
}


int callee_get(struct callee **cep, struct calls *cs, struct acct *acct)
{
	struct callee *ce = callee_find(cs, acct_id(acct));
	double perminute;
	int err;

	if (ce) {
		*cep = ce;
		return 0;
	}

	ce = mem_zalloc(sizeof(*ce), destructor);
	if (!ce)
		return ENOMEM;

	ce->cs = cs;
	ce->acct = acct_id(acct);
	ce->cfg = pbx_cfg(acct_pbx(acct));
	err = str_dup(&ce->user, acct_user(acct));
	err |= str_dup(&ce->domain, acct_domain(acct));
	err |= query_lane(&ce->lane, cs, ce->cfg);
	if (err) {
		mem_deref(ce);
		return ENOMEM;
	}

	perminute = ce->cfg->call_pushes_per_min;
	bucket_init(&ce->limit, perminute / 60, perminute, clock_mono_ms());
	hash_append(cs->callees, acct_key(ce->acct), &ce->he, ce);

	*cep = ce;
	return 0;
}


void callee_left(struct callee *ce)
{
	if (!ce->he.list)
		return; /* it has gone before */

	/* by now the bucket is full again: tombstones outlive it */
	if (!list_isempty(&ce->legs) || ce->watching || ce->looking)
		return;

	tmr_cancel(&ce->tmr);
	hash_unlink(&ce->he);
	mem_deref(ce);
}


bool callee_may_ring(struct callee *ce, uint64_t now)
{
	return !ce->cfg->call_pushes_per_min ||
	       bucket_take(&ce->limit, 1, now);
}


/* A PBX has us in its list only if our un-REGISTER is not known to have got
   through; once we are registered anew, a call is a call */
static bool expects_echo(const struct leg *leg, const struct acct *acct,
			 uint64_t now)
{
	return now < leg->echo_until &&
	       !(leg->unbound && acct_state(acct) == REG_REGISTERED);
}


bool callee_echo(const struct callee *ce, const struct acct *acct,
		 const struct sip_msg *msg, const char *from, uint64_t now)
{
	bool diverted;

	if (now >= ce->echo_until && list_isempty(&ce->cs->dials))
		return false;

	diverted = reason_diverted_by(msg, ce->user);
	for (struct le *le = ce->legs.head; le; le = le->next) {
		const struct leg *leg = le->data;

		if (!expects_echo(leg, acct, now))
			continue;
		if (diverted || !strcmp(leg->from, from))
			return true;
	}

	return dial_of(ce->cs, ce->acct, from, diverted);
}


static bool has_waiting(const struct callee *ce)
{
	for (struct le *le = ce->legs.head; le; le = le->next) {
		const struct leg *leg = le->data;

		if (call_wants_phone(&leg->call))
			return true;
	}

	return false;
}


static void watch_stop(struct callee *ce, const char *why)
{
	log_debug("call", NULL, "account %llu: watch ends: %s",
		  (unsigned long long)ce->acct, why);
	ce->watching = false;
	callee_left(ce);
}


static void watch_again(struct callee *ce)
{
	uint32_t ms = WATCH_MS << (ce->tries < 4 ? ce->tries : 4);

	++ce->tries;
	tmr_start(&ce->tmr, ms < WATCH_MAX_MS ? ms : WATCH_MAX_MS,
		  watch_handler, ce);
}


static void watch_register(struct callee *ce, struct acct *acct,
			   const char *why)
{
	log_info("call", NULL, "%s@%s: registering again: %s", ce->user,
		 ce->domain, why);
	reg_want(acct, true);
	watch_stop(ce, why);
}


/* Somebody else's want has brought the binding back, or the account is gone
   or needs none: nothing to watch */
static bool watch_over(const struct acct *acct)
{
	const enum reg_state state = acct ? acct_state(acct) : REG_IDLE;

	return !acct || state == REG_REGISTERED || state == REG_REGISTERING;
}


static void watch_looked(struct callee *ce, const struct reg_answer *ans)
{
	struct acct *acct;

	acct = reg_find(ce->cs->prm.reg, ce->acct);
	if (watch_over(acct))
		watch_stop(ce, "not ours to bring back");
	else if (!has_waiting(ce) && !ans->err && ans->scode >= 200 &&
		 ans->scode < 300 && ans->others <= ce->base_others)
		watch_register(ce, acct, "the app's binding is gone");
	else
		watch_again(ce);
}


static void look_handler(const struct reg_answer *ans, void *who)
{
	struct callee *ce = who;
	const uint64_t as_of = ce->look_at;
	struct list lookers = LIST_INIT;
	struct le *le;

	if (!ce->cs)
		return;

	/* whoever asks from now on asks anew */
	ce->looking = false;
	if (ce->watching && ce->watch_looks)
		watch_looked(ce, ans);
	ce->watch_looks = false;
	while ((le = list_head(&ce->lookers))) {
		list_unlink(le);
		list_append(&lookers, le, le->data);
	}

	while ((le = list_head(&lookers))) {
		list_unlink(le);
		leg_looked(le->data, ans, as_of);
	}

	callee_left(ce);
}


static int look(struct callee *ce)
{
	int err = query_start(ce, reg_look, look_handler, ce);

	if (err)
		return err;

	ce->looking = true;
	ce->look_at = clock_mono_ms();
	return 0;
}


int callee_look(struct callee *ce, bool urgent, struct leg *leg)
{
	int err = 0;

	if (!ce->looking)
		err = urgent || query_may(ce) ? look(ce) : EAGAIN;
	if (err)
		return err;

	list_unlink(&leg->look_le);
	list_append(&ce->lookers, &leg->look_le, leg);
	return 0;
}


static void want_handler(int err, const struct acct_row *row, void *arg)
{
	struct callee *ce = arg;
	struct acct *acct;

	if (!ce->cs || !ce->watching)
		goto out;

	acct = reg_find(ce->cs->prm.reg, ce->acct);
	if (watch_over(acct))
		watch_stop(ce, "not ours to bring back");
	else if (err == ENOENT || (!err && !row->want))
		watch_stop(ce, "no phone sleeps");
	else if (!err && ce->by_word && ce->crowded)
		watch_register(ce, acct, "another phone sleeps");
	else if (err || ce->looking || look(ce))
		watch_again(ce);
	else
		ce->watch_looks = true;

out:
	mem_deref(ce);
}


static void watch_handler(void *arg)
{
	struct callee *ce = arg;

	if (has_waiting(ce)) {
		tmr_start(&ce->tmr, WATCH_FIRST_MS, watch_handler, ce);
		return;
	}

	if (store_acct_get(ce->cs->prm.store, ce->acct, want_handler,
			   mem_ref(ce))) {
		mem_deref(ce);
		watch_again(ce);
	}
}


void callee_watch(struct callee *ce, const struct call *c)
{
	ce->by_word = false;
	for (unsigned i = 0; i < c->phonec; i++)
		ce->by_word |= c->phonev[i].awake;

	ce->crowded = c->look.known && c->look.ours && c->look.others;
	ce->base_others = c->look.based ? c->look.base_others : 0;
	ce->tries = 0;
	ce->watching = true;
	tmr_start(&ce->tmr, WATCH_FIRST_MS, watch_handler, ce);
}
