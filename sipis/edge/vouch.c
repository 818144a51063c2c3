/**
 * @file vouch.c  A phone's request to a PBX whose challenges we answer
 */

#include <errno.h>
#include <string.h>
#include "common/clock.h"
#include "common/log.h"
#include "sipis/edge/flow.h"
#include "sipis/edge/forward.h"
#include "sipis/edge/turns.h"
#include "sipis/edge/vouch_impl.h"
#include "sipis/sip/digest.h"


static void credentials_drop(struct edge_vouch *v)
{
	for (int i = 0; i < 2; i++) {
		v->credv[i].asker = mem_deref(v->credv[i].asker);
		v->credv[i].nonce = mem_deref(v->credv[i].nonce);
	}
}


static void destructor(void *data)
{
	struct edge_vouch *v = data;

	credentials_drop(v);
	mem_deref(v->msg);
	mem_deref(v->realm);
	mem_deref(v->lines);
}


bool edge_vouch_strides(const struct pbx *pbx, const struct edge_routes *r)
{
	return r->signed_ ? r->token.stride.on
			  : pbx_cfg(pbx)->challenges == CFG_CHALLENGES_ANSWER;
}


static void limit_key(char key[LIMIT_KEY_MAX], const struct acct_row *row)
{
	/* a new secret is a new chance */
	(void)re_snprintf(key, LIMIT_KEY_MAX, "%llu.%u",
			  (unsigned long long)row->id,
			  hash_joaat(row->sealed, row->sealed_len));
}


/* Who is wrong again and again gets us locked out by the PBX */
static bool may_answer(const struct edge *e, const struct acct_row *row)
{
	char key[LIMIT_KEY_MAX];

	limit_key(key, row);

	return !row->auth_failed &&
	       limit_has(e->refusals, key, 1, clock_mono_ms());
}


static enum edge_vouched refused(const struct edge_vouch *v,
				 const struct acct_row *row, bool again)
{
	char key[LIMIT_KEY_MAX];

	if (!again) {
		limit_key(key, row);
		(void)limit_take(v->prm.edge->refusals, key, 1,
				 clock_mono_ms());
	}
	log_warning("edge", NULL,
		    "PBX refused the account's secret: pbx=%s %s@%s, %s%s",
		    row->pbx, row->user, row->domain, v->met,
		    again ? " is not tried" : "");

	return EDGE_VOUCH_REFUSED;
}


static bool fits(const struct edge_asker *a, const struct edge_vouch *v,
		 const struct acct_row *row)
{
	return a->pbx == v->pbx && !strcmp(a->realm, v->realm) &&
	       (row->sealed_is_ha1 ? a->alg == row->alg : a->alg >= row->alg);
}


/* What this PBX will ask for, by all that we know */
static void anticipate(struct edge_vouch *v, const struct acct_row *row)
{
	struct list *askers = &v->prm.edge->askers;

	if (!may_answer(v->prm.edge, row))
		return;

	for (struct le *le = askers->head; le; le = le->next) {
		struct edge_asker *a = le->data;
		struct edge_credential *p = &v->credv[a->proxy];

		if (p->nonce || !fits(a, v, row) ||
		    !edge_asker_ready(a, v->kind))
			continue;
		p->asker = mem_ref(a);
		p->nonce = mem_ref(a->nonce);
		p->kept = true;
	}
}


/* --- the first turn --- */

static int account(struct edge_vouch *v, const struct edge_binding *b)
{
	const struct acct *acct = reg_find(v->prm.edge->prm.reg, b->acct);
	struct acct_row row;
	int err;

	if (!acct || pbx_cfg(v->pbx)->challenges != CFG_CHALLENGES_ANSWER)
		return 0;
	/* anybody may write an address into a datagram.  Who registers over
	   UDP has the password anyway, and can answer */
	if (b->flow->tp == SIP_TRANSP_UDP)
		return 0;

	acct_row_fill(&row, acct);
	if (!row.realm)
		return 0; /* not pinned yet */

	err = str_dup(&v->realm, row.realm);
	if (!err && !edge_vouch_is(v, "ACK"))
		anticipate(v, &row);

	return err;
}


int edge_vouch(struct edge_forward_prm *prm, struct pbx *pbx,
	       const struct edge_binding *b, const struct edge_routes *r,
	       const struct sa *laddr)
{
	struct edge_vouch *v = mem_zalloc(sizeof(*v), destructor);
	const struct sip_msg *msg = prm->msg;
	int err = 0;

	if (!v)
		return ENOMEM;

	v->prm = *prm;
	v->pbx = pbx;
	v->msg = mem_ref((void *)msg);
	v->laddr = *laddr;
	(void)pl_strcpy(&msg->met, v->met, sizeof(v->met));
	v->acct = b ? b->acct : 0;
	v->signed_ = r->signed_;
	v->kind = edge_asker_kind(&msg->met, pl_isset(&msg->to.tag));
	memcpy(v->phone, b ? b->phone : r->token.phone, EDGE_PHONE);
	if (r->signed_)
		v->stride = r->token.stride;
	else
		edge_stride_begin(&v->stride, msg->cseq.num);
	if (b)
		err = account(v, b);
	if (edge_vouch_is(v, "ACK"))
		v->turn = edge_vouch_turn_of(v, msg->cseq.num);
	err = err ? err : edge_vouch_turn(v, b);
	if (err == EACCES) { /* then let it be asked */
		credentials_drop(v);
		err = edge_vouch_turn(v, b);
	}
	if (err) {
		mem_deref(v);
		return err;
	}

	*prm = v->prm;
	prm->vouch = v;

	return 0;
}


/* --- what the PBX says --- */

static bool is_challenge(uint16_t scode)
{
	return scode == 401 || scode == 407;
}


/* Somebody will name this request by its CSeq */
static void learn_turn(const struct edge_vouch *v, const struct sip_msg *resp)
{
	const struct edge_turn_key key = { v->phone, &v->msg->callid,
					   v->msg->cseq.num };

	if (!v->signed_ || v->turn == v->stride.turn || resp->scode >= 300 ||
	    (!edge_vouch_is(v, "INVITE") && !edge_vouch_is(v, "REFER")))
		return;

	(void)edge_turns_put(v->prm.edge->turns, &key, v->turn,
			     clock_mono_ms());
}


/* A 403 may be one of the credentials as well */
static void learn_nonces(struct edge_vouch *v, const struct sip_msg *resp)
{
	struct answer ans;

	if (pbx_cfg(v->pbx)->nonce != CFG_NONCE_SHARED || resp->scode == 403)
		return;

	answer_of_msg(&ans, resp);
	for (int i = 0; i < 2; i++) {
		struct digest_nonce *next = NULL;
		struct edge_credential *p = &v->credv[i];

		if (!p->nonce)
			continue;
		(void)digest_nonce_next(&next, p->nonce, &ans);
		/* once: when a call is answered there may be a newer one */
		if (next || !p->good)
			edge_asker_good(p->asker, p->nonce, p->kept, next,
					clock_mono_ms());
		p->good = true;
		mem_deref(next);
	}
}


static enum edge_vouched next_turn(struct edge_vouch *v,
				   const struct digest_chall *ch)
{
	struct edge *e = v->prm.edge;
	struct edge_credential *p = &v->credv[ch->proxy];
	const struct edge_binding *b = edge_dialogs_of(e, v->phone);
	struct edge_asker *a =
		edge_asker_get(&e->askers, v->pbx, v->realm, ch);
	struct digest_nonce *nonce;

	if (!a || !b || b->acct != v->acct || v->turn + 1 >= EDGE_TURNS ||
	    digest_nonce_alloc(&nonce, ch))
		return EDGE_VOUCH_PASS;

	a->kinds |= v->kind;
	if (p->asker != a) {
		mem_deref(p->asker);
		p->asker = mem_ref(a);
	}
	mem_deref(p->nonce);
	p->nonce = nonce;
	p->kept = p->good = false;
	++v->turn;
	metric_inc(&e->metricv[EDGE_M_ANSWERED]);

	return edge_vouch_turn(v, b) ? EDGE_VOUCH_PASS : EDGE_VOUCH_AGAIN;
}


/* Was our answer wrong, or only old? */
static bool once_more(struct edge_credential *p, bool stale)
{
	if (!p->nonce)
		return true;

	if (p->kept) {
		edge_asker_bad(p->asker, p->nonce, clock_mono_ms());
		return true;
	}
	if (!stale || p->staled)
		return false;

	p->staled = true;

	return true;
}


static bool strangers(const struct digest_chall *v, unsigned n,
		      const struct digest_pin *pin)
{
	const struct digest_chall *ch;

	for (unsigned i = 0; i < n; i++)
		if (digest_choose(&ch, &v[i], 1, pin) == EACCES)
			return true;

	return false;
}


static enum edge_vouched challenged(struct edge_vouch *v,
				    const struct acct_row *row,
				    const struct sip_msg *resp)
{
	const struct digest_pin pin = {
		.realm = v->realm,
		.alg = row->alg,
		.exact = row->sealed_is_ha1,
	};
	struct digest_chall challv[DIGEST_CHALLENGES];
	const struct digest_chall *ch;
	struct answer ans;
	unsigned n;
	int err;

	answer_of_msg(&ans, resp);
	n = digest_challenges(challv, DIGEST_CHALLENGES, NULL, &ans);
	err = digest_choose(&ch, challv, n, &pin);
	if (err) {
		log_info("edge", NULL,
			 "challenge of pbx %s goes to the phone of %s@%s: %s",
			 row->pbx, row->user, row->domain,
			 err == EACCES    ? "foreign realm"
			 : err == ENOTSUP ? "weaker than before"
					  : "none that is known");
		return EDGE_VOUCH_PASS;
	}
	if (!may_answer(v->prm.edge, row))
		return refused(v, row, true);
	if (once_more(&v->credv[ch->proxy], ch->stale))
		return next_turn(v, ch);

	/* another realm was joined to it, 22.3: the phone's turn */
	return strangers(challv, n, &pin) ? EDGE_VOUCH_PASS
					  : refused(v, row, false);
}


enum edge_vouched edge_vouch_heard(struct edge_vouch *v,
				   const struct sip_msg *resp,
				   struct edge_forward_prm *prm)
{
	const struct acct *acct;
	enum edge_vouched res;
	struct acct_row row;

	if (!is_challenge(resp->scode)) {
		learn_turn(v, resp);
		learn_nonces(v, resp);
		return EDGE_VOUCH_PASS;
	}

	acct = v->realm ? reg_find(v->prm.edge->prm.reg, v->acct) : NULL;
	if (!acct)
		return EDGE_VOUCH_PASS;

	acct_row_fill(&row, acct);
	res = challenged(v, &row, resp);
	if (res == EDGE_VOUCH_AGAIN)
		*prm = v->prm;

	return res;
}
