/**
 * @file vouch.c  A phone's request to a PBX whose challenges we answer
 */

#include <errno.h>
#include <string.h>
#include "common/clock.h"
#include "common/log.h"
#include "sipis/edge/asker.h"
#include "sipis/edge/priv.h"
#include "sipis/edge/turns.h"
#include "sipis/edge/vouch.h"
#include "sipis/sip/digest.h"


/** Credentials in the request that is out, of one kind */
struct proof {
	struct edge_asker *asker;
	struct digest_nonce *nonce;
	bool kept;   /**< not of a challenge to this request */
	bool staled; /**< the one that was told is used up */
	bool good;   /**< the PBX has taken it */
};

struct edge_vouch {
	struct edge_forward_prm prm;
	struct pbx *pbx;
	struct sip_msg *msg;
	char met[32];
	struct edge_stride stride;
	struct sa laddr;
	uint8_t phone[EDGE_PHONE];
	uint64_t acct;
	char *realm; /**< that is answered; NULL: none */
	bool signed_;
	uint32_t kind;
	unsigned turn;
	struct proof proofv[2]; /**< 401, 407 */
	char *lines;
};


static void proofs_drop(struct edge_vouch *v)
{
	for (int i = 0; i < 2; i++) {
		v->proofv[i].asker = mem_deref(v->proofv[i].asker);
		v->proofv[i].nonce = mem_deref(v->proofv[i].nonce);
	}
}


static void destructor(void *data)
{
	struct edge_vouch *v = data;

	proofs_drop(v);
	mem_deref(v->msg);
	mem_deref(v->realm);
	mem_deref(v->lines);
}


bool edge_vouch_strides(const struct pbx *pbx, const struct edge_routes *r)
{
	return r->signed_ ? r->token.stride.on
			  : pbx_cfg(pbx)->challenges == CFG_CHALLENGES_ANSWER;
}


static bool is_met(const struct edge_vouch *v, const char *met)
{
	return !strcmp(v->met, met);
}


/* --- its headers --- */

static int splice(struct mbuf *mb, const struct sip_hdr *hdr,
		  const struct pl *num, uint32_t cseq)
{
	const struct pl head = { hdr->val.p, (size_t)(num->p - hdr->val.p) };
	const struct pl tail = { num->p + num->l,
				 hdr->val.l - head.l - num->l };

	return mbuf_printf(mb, "%r: %r%u%r\r\n", &hdr->name, &head, cseq,
			   &tail);
}


/* The turn of another request of this phone */
static unsigned turn_of(const struct edge_vouch *v, uint32_t cseq)
{
	const struct edge_turn_key key = { v->phone, &v->msg->callid, cseq };

	return edge_turns_get(v->prm.edge->turns, &key,
			      v->signed_ ? v->stride.turn : 0);
}


static uint32_t named(const struct edge_vouch *v, const struct pl *num)
{
	const uint32_t cseq = pl_u32(num);

	return edge_stride_out(&v->stride, cseq, turn_of(v, cseq));
}


/* A client may show what it told the edge, or the credential of its instance:
   neither is for the PBX */
static bool is_ours(const struct edge_vouch *v, const struct pl *val)
{
	struct httpauth_digest_resp resp;

	return !re_regex(val->p, val->l < 7 ? val->l : 7, "Bearer ") ||
	       (v->realm && !httpauth_digest_response_decode(&resp, val) &&
		!pl_strcmp(&resp.realm, v->realm));
}


static bool header_handler(struct mbuf *mb, const struct sip_hdr *hdr,
			   int *err, void *arg)
{
	const struct edge_vouch *v = arg;
	struct pl num;

	switch (hdr->id) {
	case SIP_HDR_RACK:
		if (!edge_stride_rack(&num, &hdr->val))
			return false;
		*err |= splice(mb, hdr, &num, named(v, &num));
		return true;
	case SIP_HDR_EVENT:
		if (!is_met(v, "SUBSCRIBE") ||
		    !edge_stride_refer(&num, &hdr->val))
			return false;
		*err |= splice(mb, hdr, &num, named(v, &num));
		return true;
	case SIP_HDR_AUTHORIZATION:
	case SIP_HDR_PROXY_AUTHORIZATION:
		return is_ours(v, &hdr->val);
	default:
		return false;
	}
}


bool edge_vouch_event(struct mbuf *mb, const struct sip_hdr *hdr, int *err,
		      void *arg)
{
	const struct edge_stride *stride = arg;
	struct pl num;

	if (hdr->id != SIP_HDR_EVENT || !edge_stride_refer(&num, &hdr->val))
		return false;

	*err |= splice(mb, hdr, &num, edge_stride_in(stride, pl_u32(&num)));

	return true;
}


/* --- its credentials --- */

static int proof_put(struct mbuf *mb, const struct edge_vouch *v,
		     struct digest_nonce *nonce)
{
	const struct edge *e = v->prm.edge;
	const struct acct *acct = reg_find(e->prm.reg, v->acct);
	uint8_t ha1[CRED_HA1_MAX];
	char *uri = NULL;
	struct acct_row row;
	struct pl realm;
	int err;

	if (!acct)
		return EACCES;

	acct_row_fill(&row, acct);
	pl_set_str(&realm, v->realm);
	if (!edge_ha1(ha1, e, &row, digest_nonce_alg(nonce), &realm)) {
		log_warning("edge", NULL, "secret of %s@%s does not open",
			    row.user, row.domain);
		return EACCES;
	}

	err = pl_strdup(&uri, &v->msg->ruri);
	err = err ? err
		  : digest_authorize(mb, nonce, row.auth_user, ha1, v->met,
				     uri);
	explicit_bzero(ha1, sizeof(ha1));
	mem_deref(uri);

	return err;
}


static int lines_print(struct mbuf *mb, const struct edge_vouch *v,
		       const struct edge_binding *b)
{
	struct edge_stride stride = v->stride;
	char rr[EDGE_ROUTE];
	int err;

	if (!v->signed_)
		stride.turn = (uint8_t)v->turn;
	err = edge_record_route(rr, sizeof(rr), b, &v->msg->callid, &stride,
				&v->laddr, v->prm.tp, false);
	err = err ? err : mbuf_write_str(mb, rr);
	for (int i = 0; !err && i < 2; i++)
		if (v->proofv[i].nonce)
			err = proof_put(mb, v, v->proofv[i].nonce);

	return err;
}


/* What goes out in this turn */
static int turn_make(struct edge_vouch *v, const struct edge_binding *b)
{
	struct mbuf *mb = mbuf_alloc(2 * EDGE_ROUTE);
	int err = mb ? 0 : ENOMEM;

	if (!err && b)
		err = lines_print(mb, v, b);
	v->lines = mem_deref(v->lines);
	if (!err && mb->end) {
		mb->pos = 0;
		err = mbuf_strdup(mb, &v->lines, mb->end);
	}
	mem_deref(mb);

	v->prm.copy.record_route = v->lines;
	v->prm.copy.cseq_add =
		(int32_t)(edge_stride_out(&v->stride, v->msg->cseq.num,
					  v->turn) -
			  v->msg->cseq.num);
	v->prm.copy.headerh = header_handler;
	v->prm.copy.arg = v;

	return err;
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
		struct proof *p = &v->proofv[a->proxy];

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
	if (!err && !is_met(v, "ACK"))
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
	if (is_met(v, "ACK"))
		v->turn = turn_of(v, msg->cseq.num);
	err = err ? err : turn_make(v, b);
	if (err == EACCES) { /* then let it be asked */
		proofs_drop(v);
		err = turn_make(v, b);
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
	    (!is_met(v, "INVITE") && !is_met(v, "REFER")))
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
		struct proof *p = &v->proofv[i];

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
	struct proof *p = &v->proofv[ch->proxy];
	const struct edge_binding *b = edge_binding_of(e, v->phone);
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

	return turn_make(v, b) ? EDGE_VOUCH_PASS : EDGE_VOUCH_AGAIN;
}


/* Was our answer wrong, or only old? */
static bool once_more(struct proof *p, bool stale)
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
	if (once_more(&v->proofv[ch->proxy], ch->stale))
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
