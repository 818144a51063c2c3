/**
 * @file who.c  One REGISTER: who is that?
 *
 * Digest (RFC 7616, 8760) with the credentials that the account has at its
 * PBX, or Bearer (RFC 8898) with the instance's, over TLS.  The account comes
 * first: a REGISTER makes none.
 *
 *     nothing, old nonce                 401, stateless
 *     nonce of ours -> account's row --> answer right? -> its phones -> known
 *     Bearer ---------> instance's row > secret right? ---------------> known
 */

#include <errno.h>
#include <string.h>
#include "common/clock.h"
#include "common/ident.h"
#include "common/log.h"
#include "common/secret.h"
#include "sipis/edge/flow.h"
#include "sipis/edge/login.h"
#include "sipis/inst/sight.h"


static const char too_often[] = "wrong too often; unread for a while";


/* --- how often may one be wrong? --- */

/* What only the phone itself knows tells it from those who guess: its URN, or
   the instance of its credential; without them also its address */
static void claim(struct edge_login *l, const char *bearer)
{
	const struct edge_contact *contact = &l->wish.contact;
	struct edge_claim *c = &l->claim;
	char name[EDGE_URI];

	edge_addr_print(c->addr, &l->msg->src);
	if (bearer) {
		c->phone = edge_budget_key("bearer", bearer, "");
		return;
	}

	c->aor = edge_budget_key("aor", l->user, l->domain);
	if (l->bound)
		(void)re_snprintf(c->flow, sizeof(c->flow), "%J",
				  &l->msg->src);
	else if (!edge_contact_name(name, sizeof(name), contact))
		c->phone = edge_budget_key(l->user, l->domain,
					   pl_isset(&contact->urn) ? name
								   : c->addr);
}


static void was_wrong(struct edge_login *l, enum edge_purse purse)
{
	edge_budget_wrong(l->edge->budget, &l->claim, purse, clock_mono_ms());
}


/* Asked again when the secret is looked at: many may have been under way to
   the store at once.  False: it is over */
static bool can_pay(struct edge_login *l, enum edge_purse *purse)
{
	*purse = edge_budget_may(l->edge->budget, &l->claim, clock_mono_ms());
	if (*purse == EDGE_PURSE_NONE)
		edge_login_refuse(l, too_often);

	return *purse != EDGE_PURSE_NONE;
}


static void was_right(struct edge_login *l)
{
	/* over its flow it was right before */
	if (!l->bound)
		edge_budget_right(l->edge->budget, &l->claim, clock_mono_ms());
}


/* --- who is that? --- */

static void broken(struct edge_login *l)
{
	edge_vain(l, 500, "our store cannot be asked");
	edge_login_replyf(l, 500, "Server Internal Error", NULL);
}


static int acct_take(struct edge_login *l, const struct acct_row *row)
{
	l->acct = row->id;
	l->transport = row->transport;

	return str_isset(row->outbound_proxy)
		       ? str_dup(&l->proxy, row->outbound_proxy)
		       : 0;
}


static void inst_take(struct edge_login *l, const struct inst_row *inst)
{
	(void)str_ncpy(l->inst, inst->id, sizeof(l->inst));
	l->pushed = false;
	for (unsigned i = 0; i < inst->push_count; i++)
		l->pushed |= inst->push[i].via_sip && !inst->push[i].gone;
}


/* What has neither an instance nor a token is one that had them only if it
   goes on with its registration */
static bool goes_on(const struct edge_login *l, const struct inst_row *inst)
{
	const struct edge_binding *b;
	uint8_t phone[EDGE_PHONE];

	if (ident_unhex(phone, sizeof(phone), inst->id))
		return false;

	b = edge_binding_of(l->edge, phone);

	return b && !pl_strcmp(&l->msg->callid, b->callid);
}


static void insts_handler(int err, const struct inst_row *instv,
			  unsigned instc, void *arg)
{
	struct edge_login *l = arg;
	const struct edge_contact *contact = &l->wish.contact;
	char name[EDGE_URI];

	if (!l->edge) {
		mem_deref(l);
		return;
	}
	if (err) {
		broken(l);
		return;
	}

	if (edge_contact_name(name, sizeof(name), contact))
		*name = '\0';
	for (unsigned i = 0; i < instc; i++)
		if (edge_contact_is_plain(contact)
			    ? goes_on(l, &instv[i])
			    : inst_is_called(&instv[i], name))
			inst_take(l, &instv[i]);

	edge_register(l);
}


static void acct_handler(int err, const struct acct_row *row, void *arg)
{
	struct edge_login *l = arg;
	const struct httpauth_digest_resp *r = &l->proof.resp;
	enum edge_purse purse;

	if (!l->edge) {
		mem_deref(l);
		return;
	}
	l->looked_up = true;
	l->acct = err ? 0 : row->id;
	if (!can_pay(l, &purse))
		return;
	if (err == ENOENT) {
		was_wrong(l, purse);
		edge_login_refuse(l, "there is no such account; make it "
				     "first, over HTTPS or by import");
		return;
	}
	if (err) {
		broken(l);
		return;
	}

	edge_learn(l->edge, row);
	edge_proof_choose(&l->proof, l->msg, row);
	if (edge_proof_amiss(row, r)) {
		edge_login_again(l, true);
		return;
	}
	if (pl_strcmp(&r->username, row->auth_user)) {
		was_wrong(l, purse);
		edge_login_refuse(l, "the user name is not the account's");
		return;
	}
	if (!edge_proof_right(l->edge, l->msg, row, r)) {
		was_wrong(l, purse);
		edge_vain(l, 401, "wrong password");
		edge_login_again(l, false);
		return;
	}

	was_right(l);
	if (!edge_proof_new(l->edge, r)) {
		edge_login_again(l, true);
		return;
	}

	err = acct_take(l, row);
	if (!err && l->bound)
		edge_register(l);
	else if (err ||
		 store_insts_of(l->edge->prm.store, row->id, insts_handler, l))
		broken(l);
}


static void bearer_handler(int err, const struct inst_row *inst,
			   const struct acct_row *acct, void *arg)
{
	struct edge_login *l = arg;
	enum edge_purse purse;

	if (!l->edge) {
		mem_deref(l);
		return;
	}
	l->looked_up = true;
	l->acct = err ? 0 : inst->acct;
	if (!can_pay(l, &purse))
		return;
	if (err && err != ENOENT) {
		broken(l);
		return;
	}
	if (err || !secret_equal(inst->secret_sha256, l->secret, 32)) {
		was_wrong(l, purse);
		edge_vain(l, 401, "no such instance, or another secret");
		edge_login_again(l, false);
		return;
	}
	if (str_cmp(acct->user, l->user) ||
	    str_casecmp(acct->domain, l->domain)) {
		was_wrong(l, purse);
		edge_login_refuse(l, "the instance is of another account");
		return;
	}

	was_right(l);
	inst_take(l, inst);
	if (acct_take(l, acct))
		broken(l);
	else
		edge_register(l);
}


static void refuse_aor(struct edge *e, const struct sip_msg *msg, int err)
{
	if (err == ENOENT)
		edge_refuse(e, msg, 403, "Forbidden",
			    "no profile serves that domain");
	else if (err == EBADMSG)
		edge_refuse(e, msg, 400, "Bad Request", "an AOR of nobody");
	else
		edge_refuse(e, msg, 500, "Server Internal Error",
			    strerror(err));
}


static struct edge_binding *here_already(const struct edge_login *l)
{
	const struct edge_flow *f = edge_flow_find(l->edge, l->msg);

	return f ? edge_binding_again(f, &l->msg->to.uri, l->wish.name) : NULL;
}


/* A phone that is here over this flow is known but for its digest, and that
   needs no database */
static bool known_here(struct edge_login *l, const struct edge_binding *b)
{
	const struct acct *acct =
		b ? reg_find(l->edge->prm.reg, b->acct) : NULL;
	struct acct_row row;

	if (!acct)
		return false;

	if (b->known)
		(void)str_ncpy(l->inst, b->id, sizeof(l->inst));
	acct_row_fill(&row, acct);
	acct_handler(0, &row, l);

	return true;
}


static void login_start(struct edge_login *l, const char *bearer)
{
	struct edge *e = l->edge;
	const struct edge_binding *b = bearer ? NULL : here_already(l);
	int err;

	l->bound = b != NULL;
	l->acct = b ? b->acct : 0;
	claim(l, bearer);
	if (edge_budget_may(e->budget, &l->claim, clock_mono_ms()) ==
	    EDGE_PURSE_NONE) {
		edge_vain(l, 403, too_often);
		(void)sip_reply(e->sip, l->msg, 403, "Forbidden");
		mem_deref(l);
		return;
	}

	/* it takes the repetitions while the store is asked */
	err = sip_strans_alloc(&l->st, e->sip, l->msg, NULL, NULL);
	if (err) {
		edge_refuse(e, l->msg, 500, "Server Internal Error",
			    strerror(err));
		mem_deref(l);
		return;
	}
	if (known_here(l, b))
		return;

	l->bound = false;
	if (bearer)
		err = store_inst_get(e->prm.store, bearer, bearer_handler, l);
	else
		err = store_acct_find(e->prm.store, pbx_cfg(l->pbx)->name,
				      l->user, l->domain, acct_handler, l);
	if (err)
		broken(l);
}


static void wants_more(struct edge *e, const struct sip_msg *msg)
{
	struct edge_login *l;

	if (edge_login_alloc(&l, e, msg))
		return;

	edge_vain(l, 420, "it requires an extension that we do not have");
	mem_deref(l);
}


void edge_who(struct edge *e, const struct sip_msg *msg)
{
	char id[STORE_ID_LEN + 1];
	uint8_t sha256[32];
	const bool bearer = edge_proof_bearer(id, sha256, msg);
	struct edge_proof proof = { .nonce = EDGE_NONCE_FOREIGN };
	struct edge_login *l;
	int err;

	metric_inc(&e->metricv[EDGE_M_REGISTERS]);
	if (edge_requires_more(e, msg)) {
		wants_more(e, msg);
		return;
	}

	if (!bearer)
		edge_proof_read(&proof, e, msg);
	if (!bearer && proof.nonce != EDGE_NONCE_GOOD) {
		if (proof.nonce == EDGE_NONCE_STALE)
			edge_vain_stale(e, msg);
		edge_challenge(e, msg, proof.nonce == EDGE_NONCE_STALE);
		return;
	}

	err = edge_login_alloc(&l, e, msg);
	if (err) {
		refuse_aor(e, msg, err);
		return;
	}
	l->proof = proof;
	if (bearer)
		memcpy(l->secret, sha256, sizeof(l->secret));
	login_start(l, bearer ? id : NULL);
}
