/**
 * @file tx.c  One request in flight
 *
 *     start --> out --1xx--> out
 *                |--401----> out again, once per challenge and once if stale
 *                |--423----> out again, once, with what was asked for
 *                |--5xx, time-out, transport--> out to the next target
 *                +--anything else, or the same again--> done
 *
 * Ends in one event for the account and one answer for who asked by hand.
 * Exists only as long as libre has the request.
 */

#include <errno.h>
#include <string.h>
#include "common/log.h"
#include "sipis/reg/priv.h"


enum {
	HOPS_MAX = 8,
	DOWN_S = 60,   /* a target that failed while there is another */
	HOP_MS = 5000, /* to answer, while there is another */
	URI_MAX = 300,
};

/* What the verdict on an answer ends in */
struct end {
	enum reg_event ev;
	uint32_t retry_after_s;
	bool blame; /* the credentials were wrong */
};

static void resp_handler(int err, const struct answer *msg, void *arg);


static void destructor(void *data)
{
	struct tx *tx = data;

	list_unlink(&tx->le);
	mem_deref(tx->req);
	mem_deref(tx->nonce);
	mem_deref(tx->op);
}


/* --- credentials --- */

static bool is_proven(const struct tx *tx)
{
	return tx->acct && tx->acct->proven;
}


static void get_pin(struct digest_pin *pin, const struct tx *tx)
{
	const struct acct *a = tx->acct;
	const struct probe *p = tx->op ? tx->op->probe : NULL;

	memset(pin, 0, sizeof(*pin));
	if (a) {
		pin->realm =
			a->realm ? tx->line->realmv[a->realm - 1].name : NULL;
		pin->alg = a->realm || a->is_ha1 ? (enum digest_alg)a->alg
						 : DIGEST_MD5;
		pin->exact = a->is_ha1;
	}
	else if (p) {
		pin->realm = p->realm;
		pin->alg = p->has_ha1 ? p->alg : DIGEST_MD5;
		pin->exact = p->has_ha1;
	}
}


static size_t alg_len(enum digest_alg alg)
{
	return alg == DIGEST_SHA256 ? 32 : 16;
}


static int acct_ha1(uint8_t ha1[CRED_HA1_MAX], const struct acct *a,
		    enum digest_alg alg, const char *realm)
{
	uint8_t secret[SECRET_MAX + 1];
	size_t len = SECRET_MAX;
	struct acct_row row;
	int err;

	acct_row_fill(&row, a);
	err = cred_opener_open(a->line->reg->opener, &row, row.sealed,
			       row.sealed_len, secret, &len);
	if (err)
		return EACCES;

	if (a->is_ha1) {
		if (len == alg_len(alg))
			memcpy(ha1, secret, len);
		else
			err = EACCES;
	}
	else {
		secret[len] = '\0';
		if (!cred_ha1(ha1, alg, row.auth_user, realm, (char *)secret))
			err = ENOMEM;
	}
	explicit_bzero(secret, sizeof(secret));

	return err;
}


static int probe_ha1(uint8_t ha1[CRED_HA1_MAX], const struct probe *p,
		     enum digest_alg alg, const char *realm)
{
	if (p->has_ha1) {
		memcpy(ha1, p->ha1, CRED_HA1_MAX);
		return 0;
	}

	return cred_ha1(ha1, alg, p->auth_user, realm, p->password) ? 0
								    : ENOMEM;
}


static int make_ha1(uint8_t ha1[CRED_HA1_MAX], const struct tx *tx)
{
	const enum digest_alg alg = digest_nonce_alg(tx->nonce);
	char realm[256];
	int err;

	err = digest_nonce_realm(realm, sizeof(realm), tx->nonce);
	if (err)
		return err;

	if (tx->acct)
		return acct_ha1(ha1, tx->acct, alg, realm);

	return probe_ha1(ha1, tx->op->probe, alg, realm);
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
			.h = resp_handler,
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
	char contact[200], callid[17];
	uint8_t ha1[CRED_HA1_MAX];
	struct msg_prm prm = { .contact = contact };
	struct mbuf *mb;
	int err;

	err = contact_for(contact, sizeof(contact), tx);
	if (!err && tx->nonce)
		err = make_ha1(ha1, tx);
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
static int send_again(struct tx *tx)
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
	if (kind != TX_CANARY && !is_proven(tx)) {
		tx->reserved = true;
		++ln->reserved;
	}
	if (a) {
		a->busy = true;
		a->bound |= kind == TX_REGISTER;
	}

	return 0;
}


/* --- the end --- */

/* Only a mistake that was made costs something */
static void settle_mistake(struct tx *tx, bool blame)
{
	if (!tx->reserved)
		return;

	--tx->line->reserved;
	if (blame)
		(void)bucket_take(&tx->line->fails, 1, reg_now_ms());
}


static void finish_acct(struct acct *a, enum tx_kind kind,
			const struct end *end, const struct reg_answer *ans)
{
	uint32_t wait = 0;

	a->busy = false;

	if (kind == TX_REMOVE) {
		if (!ans->err && ans->scode < 300)
			a->bound = false;
		acct_event(a, REG_EV_GONE, 0, ans->reason);
		return;
	}
	if (kind != TX_REGISTER)
		return;

	if (end->ev != REG_EV_OK)
		a->scode = ans->scode;
	if (end->ev == REG_EV_LATER) {
		wait = reg_wait_s(end->retry_after_s, a->fails, rand_u32());
		a->told = end->retry_after_s != 0;
	}
	else if (end->ev == REG_EV_REFUSED && a->proven) {
		/* It was once welcome: ask again, but seldom */
		wait = reg_wait_s(0, UINT8_MAX, rand_u32());
	}
	if (end->ev != REG_EV_OK && a->fails < UINT8_MAX)
		++a->fails;

	acct_event(a, end->ev, wait, ans->reason);
}


static void finish(struct tx *tx, const struct end *end,
		   struct reg_answer *ans)
{
	struct line *ln = tx->line;
	struct acct *a = tx->acct;
	struct op *op = tx->op;
	const enum tx_kind kind = tx->kind;

	settle_mistake(tx, end->blame);
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
	if (a)
		finish_acct(a, kind, end, ans);

	if (ln->fresh.n + ln->refresh.n || ln->removel.head ||
	    ln->lookl.head || ln->probel.head)
		reg_kick(ln->reg, TICK_MS);

	if (op && op->kind == OP_QUERY)
		watch_query_done(ln, a, ans);
	if (op)
		op_answer(op, ans);
}


static void fail(struct tx *tx, enum reg_event ev, struct reg_answer *ans,
		 uint32_t retry_after_s)
{
	const struct end end = {
		.ev = ev,
		.retry_after_s = retry_after_s,
		.blame = ev == REG_EV_AUTH,
	};

	finish(tx, &end, ans);
}


/* --- answers --- */

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


/* The password has done its work: from here on its hash is enough, and only
   for this realm */
static void pin_realm(struct tx *tx)
{
	struct acct *a = tx->acct;
	const struct reg *reg = tx->line->reg;
	uint8_t ha1[CRED_HA1_MAX], sealed[CRED_SEALED_MAX];
	size_t len = sizeof(sealed);
	struct acct_row row;
	char realm[256];
	uint16_t number;
	int err;

	if (!tx->nonce || (a->realm && a->is_ha1))
		return;

	err = digest_nonce_realm(realm, sizeof(realm), tx->nonce);
	err = err ? err : make_ha1(ha1, tx);
	err = err ? err : line_realm(tx->line, realm, &number);
	if (err)
		return;

	acct_row_fill(&row, a);
	err = cred_seal(reg->key, &row, ha1,
			alg_len(digest_nonce_alg(tx->nonce)), sealed, &len);
	explicit_bzero(ha1, sizeof(ha1));
	if (err || acct_set_sealed(a, sealed, len))
		return;

	a->is_ha1 = true;
	a->realm = number;
	a->alg = digest_nonce_alg(tx->nonce) & 1;
	a->unsettled = true;
}


/* A PBX that adds a little chance to each grant shall not cost a write for
   each refresh, nor move the account on the grid */
static void take_grant(struct acct *a, uint32_t s)
{
	const uint32_t old = a->grant_s;
	const bool same = s >= old - old / 16 && s <= old + old / 16;

	if (!same)
		a->grant_s = (uint16_t)s;
	if (same && !a->unsettled && a->proven)
		return;

	a->unsettled = false;
	a->proven = true;
	acct_learn(a);
}


static void on_registered(struct tx *tx, const struct answer *msg,
			  struct reg_answer *ans)
{
	const struct end end = { .ev = REG_EV_OK };
	struct acct *a = tx->acct;
	struct grant g;

	if (a) {
		grant_parse(&g, msg, a->contact);
		ans->ours = g.ours;
		ans->others = g.others;
		ans->grant_s = grant_seconds(&g, msg, tx->expires_s);

		pin_realm(tx);
		nonce_good(tx->line, a, tx->nonce, (enum nonce_use)tx->use,
			   msg);
		a->peer = tx->peer->number;
		a->last_s = reg_now_s();
		a->fails = 0;
		a->scode = 0;
		a->told = false;
		a->auth_failed = false;
		take_grant(a, ans->grant_s);
	}

	finish(tx, &end, ans);
}


static void on_ok(struct tx *tx, const struct answer *msg,
		  struct reg_answer *ans)
{
	const struct end end = { .ev = REG_EV_OK };
	struct grant g;

	if (tx->kind == TX_REGISTER) {
		on_registered(tx, msg, ans);
		return;
	}

	if (tx->acct) {
		grant_parse(&g, msg, tx->acct->contact);
		ans->ours = g.ours;
		ans->others = g.others;
		memcpy(ans->other, g.other, sizeof(ans->other));
		nonce_good(tx->line, tx->acct, tx->nonce,
			   (enum nonce_use)tx->use, msg);
	}

	finish(tx, &end, ans);
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

	get_pin(&pin, tx);
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

	return send_again(tx);
}


static void on_challenge(struct tx *tx, const struct answer *msg,
			 struct reg_answer *ans)
{
	bool wrong = false;
	int err;

	if (!tx->acct && (!tx->op || !tx->op->probe)) {
		/* OPTIONS, or the account has gone: an answer is an answer */
		fail(tx, REG_EV_OK, ans, 0);
		return;
	}

	err = answer_challenge(tx, msg, &wrong);
	if (!err)
		return;

	if (wrong) {
		fail(tx, REG_EV_AUTH, ans, 0);
		return;
	}
	if (tx->kind == TX_PROBE)
		ans->err = err;
	fail(tx, REG_EV_LATER, ans, 0);
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
		if (!send_again(tx))
			return;
	}

	fail(tx, REG_EV_LATER, ans, 0);
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
	if (send_again(tx))
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
	fail(tx, REG_EV_LATER, ans, retry_after(msg));
}


static void resp_handler(int err, const struct answer *msg, void *arg)
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
		/* A limit on contacts looks the same; who has been let in
		   before has a password that was right */
		fail(tx, is_proven(tx) ? REG_EV_REFUSED : REG_EV_AUTH, &ans,
		     0);
		break;
	case REG_V_REFUSED:
		fail(tx, REG_EV_REFUSED, &ans, 0);
		break;
	default:
		fail(tx, REG_EV_LATER, &ans, ans.retry_after_s);
		break;
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
		fail(tx, REG_EV_LATER, &ans, 0);
		le = ln->txl.head;
	}
}
