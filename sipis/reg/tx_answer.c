/**
 * @file tx_answer.c  What the PBX said to a request in flight
 *
 *     200 ---------------------> done
 *     401 ---> credentials ----> out again, once per challenge, once if stale
 *     423 ---> longer Expires -> out again, once
 *     5xx, time-out, transport -> out to the next target
 *     anything else, or the same again -> done
 */

#include <errno.h>
#include <string.h>
#include "common/log.h"
#include "sipis/reg/priv.h"


enum {
	HOPS_MAX = 8,
	DOWN_S = 60, /* a target that failed while there is another */
};


/* Retry-After: 120 (in a meeting);duration=60 */
static bool number_handler(enum sip_hdrid id, const struct pl *val, void *arg)
{
	struct pl pl = *val;
	(void)id;

	for (size_t i = 0; i < pl.l; i++) {
		if (pl.p[i] < '0' || pl.p[i] > '9')
			pl.l = i;
	}
	*(uint32_t *)arg = pl.l ? grant_number(&pl) : 0;

	return true;
}


static uint32_t header_number(const struct answer *msg, enum sip_hdrid id)
{
	uint32_t v = 0;

	(void)answer_each(msg, id, number_handler, &v);

	return v;
}


static uint32_t retry_after(const struct answer *msg)
{
	const uint32_t s = header_number(msg, SIP_HDR_RETRY_AFTER);

	return s > REG_RETRY_MAX ? REG_RETRY_MAX : s;
}


/* A PBX that adds a little chance to each grant shall not cost a write for
   each refresh, nor move the account on the grid */
static void take_grant(struct acct *a, uint32_t s)
{
	const uint32_t old = a->grant_s;
	const bool same = s >= old - old / 16 && s <= old + old / 16;

	a->line->grant_s = s;
	if (!same)
		acct_set_grant(a, s);
	if (same && !a->unsettled && a->proven)
		return;

	a->unsettled = false;
	a->proven = true;
	acct_learn(a);
}


/* What the PBX says of the account's bindings */
static void see_bindings(struct grant *g, const struct tx *tx,
			 const struct answer *msg, struct reg_answer *ans)
{
	const struct line *ln = tx->line;
	struct grant_home home = { .tp = tx->peer->tp };
	char gruu[GRUU_MAX];

	if (gruu_wanted(ln) && !gruu_of(gruu, sizeof(gruu), tx->acct))
		home.gruu = gruu;
	sa_init(&home.addr, AF_UNSPEC);
	(void)pbx_local(ln->pbx, home.tp, &tx->peer->addr, &home.addr);
	grant_parse(g, msg, tx->acct->contact, &home);

	ans->stale = g->ours && !g->here && ln->shown != SHOWN_CHANGED;
	ans->ours = g->ours && !(ans->stale && ln->shown == SHOWN_AS_SENT);
	ans->others = g->others;
}


/* Some PBXs, and what stands before them, keep another address than the one
   in our REGISTER: there the address says nothing */
static void learn_shown(struct line *ln, const struct grant *g)
{
	if (g->ours && ln->shown != SHOWN_CHANGED)
		ln->shown = g->here ? SHOWN_AS_SENT : SHOWN_CHANGED;
}


static void on_registered(struct tx *tx, const struct answer *msg,
			  struct reg_answer *ans)
{
	const struct tx_end end = { .ev = REG_EV_OK };
	struct acct *a = tx->acct;
	struct grant g;

	if (a) {
		see_bindings(&g, tx, msg, ans);
		learn_shown(tx->line, &g);
		ans->grant_s = grant_seconds(&g, msg, tx->expires_s);

		tx_pin_realm(tx);
		nonce_good(tx->line, a, tx->nonce, (enum nonce_use)tx->use,
			   msg);
		a->peer = acct_peer(tx->peer->number);
		a->last = (uint16_t)reg_now_s();
		a->known = true;
		a->fails = 0;
		a->scode = 0;
		a->told = false;
		a->doubted = false;
		a->auth_failed = false;
		a->gruu = g.gruu;
		take_grant(a, ans->grant_s);
	}

	tx_finish(tx, &end, ans);
}


static void on_ok(struct tx *tx, const struct answer *msg,
		  struct reg_answer *ans)
{
	const struct tx_end end = { .ev = REG_EV_OK };
	struct grant g;

	if (tx->kind == TX_REGISTER) {
		on_registered(tx, msg, ans);
		return;
	}

	if (tx->acct) {
		see_bindings(&g, tx, msg, ans);
		memcpy(ans->other, g.other, sizeof(ans->other));
		memcpy(ans->hashes, g.hashes, sizeof(ans->hashes));
		ans->hashc = g.hashc;
		nonce_good(tx->line, tx->acct, tx->nonce,
			   (enum nonce_use)tx->use, msg);
	}

	tx_finish(tx, &end, ans);
}


/* The credentials that were refused: may they be tried once more? */
static bool once_more(struct tx *tx, bool stale)
{
	if (!tx->nonce)
		return true;

	if (tx->use == NONCE_KEPT) {
		nonce_refused(tx->line, tx->nonce, stale);
		tx->use = stale ? NONCE_OWN : NONCE_DOUBTED;
		return true;
	}
	if (stale && !tx->staled) {
		tx->staled = true;
		return true;
	}

	return false;
}


static int answer_challenge(struct tx *tx, const struct answer *msg,
			    bool *wrong)
{
	struct digest_chall v[DIGEST_CHALLENGES];
	const struct digest_chall *ch = NULL;
	struct digest_nonce *nonce;
	struct digest_pin pin;
	unsigned n;
	int err;

	tx_pin(&pin, tx);
	n = digest_challenges(v, DIGEST_CHALLENGES, NULL, msg);
	err = digest_choose(&ch, v, n, &pin);

	if (!once_more(tx, ch && ch->stale)) {
		*wrong = !(ch && ch->stale);
		return EACCES;
	}
	if (err) {
		log_info("reg", "-", "challenge not answered pbx=%s: %s",
			 tx->line->cfg->name,
			 err == EACCES    ? "foreign realm"
			 : err == ENOTSUP ? "weaker than before"
					  : "none");
		return err;
	}
	err = digest_nonce_alloc(&nonce, ch);
	if (err)
		return err;

	mem_deref(tx->nonce);
	tx->nonce = nonce;
	++tx->resent;
	metric_inc(&tx->line->reg->m[M_CHALLENGED]);

	return tx_send_again(tx);
}


static void on_challenge(struct tx *tx, const struct answer *msg,
			 struct reg_answer *ans)
{
	bool wrong = false;
	int err;

	if (!tx->acct && (!tx->op || !tx->op->probe)) {
		/* OPTIONS, or the account has gone: an answer is an answer */
		tx_fail(tx, REG_EV_OK, ans, 0);
		return;
	}

	err = answer_challenge(tx, msg, &wrong);
	if (!err)
		return;

	if (wrong) {
		tx_fail(tx, REG_EV_AUTH, ans, 0);
		return;
	}
	if (tx->kind == TX_PROBE)
		ans->err = err;
	tx_fail(tx, REG_EV_LATER, ans, 0);
}


static void on_brief(struct tx *tx, const struct answer *msg,
		     struct reg_answer *ans)
{
	const uint32_t s = reg_brief(tx->expires_s,
				     header_number(msg, SIP_HDR_MIN_EXPIRES));

	if (tx->kind == TX_REGISTER && tx->acct && s && !tx->briefed) {
		tx->briefed = true;
		tx->expires_s = s;
		/* The others need not learn it by failing */
		if (tx->line->expires_s < s)
			tx->line->expires_s = s;
		if (!tx_send_again(tx))
			return;
	}

	tx_fail(tx, REG_EV_LATER, ans, 0);
}


/* Another target, if there is one that we did not have yet */
static bool next_hop(struct tx *tx, const struct answer *msg)
{
	const uint32_t after = retry_after(msg);
	const bool silent = !msg;
	struct peer *peer = tx->peer;

	if (tx->kind == TX_CANARY) {
		++tx->line->canary_hop;
		return false;
	}
	if (msg && msg->scode == 503 && after)
		pbx_target_down(tx->line->pbx, &peer->addr, peer->tp, after);
	if (tx->hop + 1 >= HOPS_MAX || (!tx->acct && !tx->op))
		return false;

	/* One that is marked down has left the list already */
	if (!(msg && msg->scode == 503 && after))
		++tx->hop;
	if (tx_send_again(tx))
		return false;

	if (silent) {
		pbx_target_down(tx->line->pbx, &peer->addr, peer->tp, DOWN_S);
		--tx->hop;
	}

	return true;
}


static void on_hop(struct tx *tx, const struct answer *msg,
		   struct reg_answer *ans)
{
	if (next_hop(tx, msg))
		return;

	if (!msg)
		watch_silent(tx->line, ans->err);
	tx_fail(tx, REG_EV_LATER, ans, retry_after(msg));
}


/* The next one is queued already; but the PBX has counted a mistake */
static void on_outdated(struct tx *tx, enum reg_verdict v,
			struct reg_answer *ans)
{
	const struct tx_end end = {
		.ev = v == REG_V_OK ? REG_EV_OK : REG_EV_LATER,
		.blame =
			tx->nonce && (v == REG_V_CHALLENGE || v == REG_V_AUTH),
	};

	tx_finish(tx, &end, ans);
}


void tx_answer(int err, const struct answer *msg, void *arg)
{
	struct tx *tx = arg;
	struct reg_answer ans = { .err = err };
	const enum reg_verdict v =
		reg_judge(err, msg ? msg->scode : 0, tx->nonce != NULL);

	if (msg) {
		ans.scode = msg->scode;
		(void)pl_strcpy(&msg->reason, ans.reason, sizeof(ans.reason));
		if (msg->scode >= 300)
			ans.retry_after_s = retry_after(msg);
		watch_heard(tx->line, tx->kind == TX_CANARY);
	}

	if (tx->outdated) {
		on_outdated(tx, v, &ans);
		return;
	}

	switch (v) {
	case REG_V_OK:
		on_ok(tx, msg, &ans);
		break;
	case REG_V_CHALLENGE:
		on_challenge(tx, msg, &ans);
		break;
	case REG_V_BRIEF:
		on_brief(tx, msg, &ans);
		break;
	case REG_V_HOP:
		on_hop(tx, msg, &ans);
		break;
	case REG_V_AUTH:
		tx_fail(tx, REG_EV_AUTH, &ans, 0);
		break;
	case REG_V_REFUSED:
		tx_fail(tx, REG_EV_REFUSED, &ans, 0);
		break;
	default:
		tx_fail(tx, REG_EV_LATER, &ans, ans.retry_after_s);
		break;
	}
}
