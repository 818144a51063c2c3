/**
 * @file tx.c  One request in flight: out, and its end
 *
 * Ends in one event for the account and one answer for who asked by hand.
 * Exists only as long as the request does.
 */

#include <errno.h>
#include <string.h>
#include "sipis/reg/priv.h"


enum {
	HOP_MS = 5000, /* to answer, while there is another target */
	URI_MAX = 300,
};


static void destructor(void *data)
{
	struct tx *tx = data;

	list_unlink(&tx->le);
	mem_deref(tx->req);
	mem_deref(tx->nonce);
	mem_deref(tx->op);
}


/* --- sending --- */

/* Where the request goes, and whether there is yet another place to go */
static int target(struct tx *tx)
{
	struct line *ln = tx->line;
	const struct acct *a = tx->acct;
	const struct probe *p = tx->op ? tx->op->probe : NULL;
	const char *proxy = "";
	int transport = -1, err;
	enum sip_transp tp;
	struct sa addr;

	if (a) {
		proxy = line_proxy(ln, acct_proxy(a), acct_domain(a));
		transport = acct_transport(a);
	}
	else if (p) {
		proxy = line_proxy(ln, p->proxy, p->domain);
		transport = p->transport;
	}

	err = pbx_target(ln->pbx, proxy, transport, tx->hop, &addr, &tp);
	if (err == ENOENT && tx->kind == TX_CANARY && tx->hop) {
		tx->hop = ln->canary_hop = 0;
		err = pbx_target(ln->pbx, proxy, transport, 0, &addr, &tp);
	}

	err = err ? err : line_peer(ln, &tx->peer, &addr, tp);
	tx->more = !err && !pbx_target(ln->pbx, proxy, transport, tx->hop + 1u,
				       &addr, &tp);

	return err;
}


static int send_it(struct tx *tx, const char *met, const char *domain,
		   struct mbuf *mb)
{
	char uri[URI_MAX];

	if (re_snprintf(uri, sizeof(uri), "sip:%s", domain) < 0)
		return EOVERFLOW;

	{
		const struct request_prm prm = {
			.met = met,
			.uri = uri,
			.dst = &tx->peer->addr,
			.tp = tx->peer->tp,
			.route = &tx->peer->route,
			.mb = mb,
			.timeout_ms = tx->more ? HOP_MS : 0,
			.h = tx_answer,
			.arg = tx,
		};

		return pbx_request(&tx->req, tx->line->pbx, &prm);
	}
}


static int send_options(struct tx *tx)
{
	const char *domain = tx->line->cfg->domains[0];
	char uri[URI_MAX];
	struct mbuf *mb;
	int err;

	if (re_snprintf(uri, sizeof(uri), "sip:%s", domain) < 0)
		return EOVERFLOW;

	err = msg_options(&mb, uri);
	if (err)
		return err;

	err = send_it(tx, "OPTIONS", domain, mb);
	mem_deref(mb);

	return err;
}


static int contact_for(char *buf, size_t size, const struct tx *tx)
{
	struct sa laddr;
	int err;

	*buf = '\0';
	if (tx->kind != TX_REGISTER && tx->kind != TX_REMOVE)
		return 0;

	err = pbx_local(tx->line->pbx, tx->peer->tp, &tx->peer->addr, &laddr);

	return err ? err
		   : msg_contact(buf, size, tx->acct, tx->peer->tp, &laddr);
}


static int fill(struct msg_prm *prm, char *callid, struct tx *tx)
{
	struct acct *a = tx->acct;
	const struct probe *p = tx->op ? tx->op->probe : NULL;

	prm->callid = callid;
	prm->expires_s = tx->kind == TX_REMOVE ? 0 : tx->expires_s;
	if (a) {
		prm->user = acct_user(a);
		prm->domain = acct_domain(a);
		prm->auth_user = acct_auth_user(a);
		msg_callid(callid, a);
		return reg_cseq(tx->line->reg, a, &prm->cseq) ? 0 : EAGAIN;
	}

	if (!p)
		return EINVAL;

	prm->user = p->user;
	prm->domain = p->domain;
	prm->auth_user = p->auth_user;
	prm->callid = p->callid;
	prm->cseq = tx->resent + 1u;

	return 0;
}


static int send_register(struct tx *tx)
{
	char contact[200], callid[17], instance[GRUU_INSTANCE];
	uint8_t ha1[CRED_HA1_MAX];
	struct msg_prm prm = { .contact = contact };
	struct mbuf *mb;
	int err;

	err = contact_for(contact, sizeof(contact), tx);
	if (!err && *contact && gruu_wanted(tx->line)) {
		prm.instance = instance;
		err = gruu_instance(instance, sizeof(instance), tx->acct);
	}
	if (!err && tx->nonce)
		err = tx_ha1(ha1, tx);
	if (!err)
		err = fill(&prm, callid, tx);
	if (err)
		return err;

	prm.nonce = tx->nonce;
	prm.ha1 = ha1;
	err = msg_register(&mb, &prm);
	explicit_bzero(ha1, sizeof(ha1));
	if (err)
		return err;

	err = send_it(tx, "REGISTER", prm.domain, mb);
	mem_deref(mb);
	if (!err)
		metric_inc(&tx->line->reg->m[M_SENT]);

	return err;
}


static int send_next(struct tx *tx)
{
	int err = target(tx);

	if (err)
		return err;

	return tx->kind == TX_CANARY ? send_options(tx) : send_register(tx);
}


/* The second and further requests of one turn: the pace counts them too */
int tx_send_again(struct tx *tx)
{
	line_charge(tx->line);
	return send_next(tx);
}


int tx_start(struct line *ln, enum tx_kind kind, struct acct *a, struct op *op)
{
	struct tx *tx = mem_zalloc(sizeof(*tx), destructor);
	int err;

	if (!tx)
		return ENOMEM;

	tx->line = ln;
	tx->kind = kind;
	tx->acct = a;
	tx->op = op;
	tx->expires_s = ln->expires_s;
	if (kind == TX_CANARY)
		tx->hop = ln->canary_hop;
	tx->nonce = mem_ref(nonce_kept(ln, a));
	tx->use = tx->nonce ? NONCE_KEPT : NONCE_OWN;

	err = send_next(tx);
	if (err) {
		tx->op = NULL; /* stays the caller's */
		mem_deref(tx);
		return err;
	}

	list_append(&ln->txl, &tx->le, tx);
	++ln->inflight;
	if (kind != TX_CANARY && !tx_is_proven(tx)) {
		tx->reserved = true;
		mistake_reserve(ln, op ? op->probe : NULL);
	}
	if (a) {
		a->busy = true;
		a->bound |= kind == TX_REGISTER;
	}

	return 0;
}


/* --- the end --- */

/* What the end of a REGISTER means for this account, and for how long */
static enum reg_event outcome(struct acct *a, const struct tx_end *end,
			      uint32_t *wait)
{
	switch (end->ev) {
	case REG_EV_LATER:
		*wait = reg_wait_s(end->retry_after_s, a->fails, rand_u32());
		a->told = end->retry_after_s != 0;
		break;
	case REG_EV_REFUSED:
		/* It was once welcome: ask again, but seldom */
		if (a->proven)
			*wait = reg_wait_s(0, UINT8_MAX, rand_u32());
		break;
	case REG_EV_AUTH:
		if (!a->proven || a->doubted)
			break;
		a->doubted = true;
		*wait = reg_doubt_s(rand_u32());
		return REG_EV_REFUSED;
	default:
		break;
	}

	return end->ev;
}


static void finish_acct(struct acct *a, enum tx_kind kind,
			const struct tx_end *end, const struct reg_answer *ans)
{
	enum reg_event ev;
	uint32_t wait = 0;

	a->busy = false;

	if (kind == TX_REMOVE) {
		leave_answered(a, end->ev, ans);
		return;
	}
	if (kind != TX_REGISTER)
		return;

	if (end->ev != REG_EV_OK)
		acct_set_scode(a, ans->scode);
	ev = outcome(a, end, &wait);
	if (ev != REG_EV_OK)
		acct_failed(a);

	acct_event(a, ev, wait, ans->reason);
}


void tx_finish(struct tx *tx, const struct tx_end *end, struct reg_answer *ans)
{
	struct line *ln = tx->line;
	struct acct *a = tx->acct;
	struct op *op = tx->op;
	const enum tx_kind kind = tx->kind;
	const bool outdated = tx->outdated;

	if (tx->reserved)
		mistake_settle(ln, op ? op->probe : NULL, end->blame);
	metric_inc(&ln->reg->m[end->ev == REG_EV_OK ? M_OK
			       : ans->err           ? M_TIMEOUT
						    : M_FAILED]);
	if (tx->nonce && kind == TX_PROBE) {
		(void)digest_nonce_realm(ans->realm, sizeof(ans->realm),
					 tx->nonce);
		ans->alg = digest_nonce_alg(tx->nonce);
	}

	tx->op = NULL;
	mem_deref(tx);
	--ln->inflight;
	if (kind == TX_CANARY)
		watch_canary_done(ln);
	if (a && outdated)
		a->busy = false;
	else if (a)
		finish_acct(a, kind, end, ans);

	if (ln->fresh.n + ln->refresh.n || ln->removel.head ||
	    ln->lookl.head || ln->probel.head)
		reg_kick(ln->reg, TICK_MS);

	if (op && op->kind == OP_QUERY)
		watch_query_done(ln, a, ans);
	if (op && op->kind == OP_LEAVE && leave_looked(op, end->ev, ans))
		return;
	if (op)
		op_answer(op, ans);
}


void tx_fail(struct tx *tx, enum reg_event ev, struct reg_answer *ans,
	     uint32_t retry_after_s)
{
	const struct tx_end end = {
		.ev = ev,
		.retry_after_s = retry_after_s,
		.blame = ev == REG_EV_AUTH,
	};

	tx_finish(tx, &end, ans);
}


void tx_outdate(const struct line *ln, const struct acct *a)
{
	for (struct le *le = a->busy ? ln->txl.head : NULL; le;
	     le = le->next) {
		struct tx *tx = le->data;

		if (tx->acct == a && tx->kind == TX_REGISTER)
			tx->outdated = true;
	}
}


void tx_flow_lost(struct line *ln, uint16_t peer, int err)
{
	struct reg_answer ans = { .err = err };
	struct le *le = ln->txl.head;

	while (le) {
		struct tx *tx = le->data;

		le = le->next;
		if (!tx->peer || tx->peer->number != peer)
			continue;
		tx->req = mem_deref(tx->req);
		tx_fail(tx, REG_EV_LATER, &ans, 0);
		le = ln->txl.head;
	}
}
