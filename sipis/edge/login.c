/**
 * @file login.c  One REGISTER: who is that?
 *
 * Digest (RFC 7616, 8760) with the credentials that the account has at its
 * PBX, or Bearer (RFC 8898) with the instance's, over TLS.  The account comes
 * first: a REGISTER makes none.
 *
 *     nothing, old nonce                 401, stateless
 *     nonce of ours -> account's row --> answer right? -> its phones -> known
 *     Bearer ---------> instance's row > secret right? ---------------> known
 */

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include "common/clock.h"
#include "common/ident.h"
#include "common/log.h"
#include "common/secret.h"
#include "sipis/edge/contacts.h"
#include "sipis/edge/priv.h"
#include "sipis/sip/digest.h"


enum { SECRET = 256 };


static void destructor(void *data)
{
	struct edge_login *l = data;

	list_unlink(&l->le);
	mem_deref(l->st);
	mem_deref(l->msg);
	mem_deref(l->user);
	mem_deref(l->domain);
	mem_deref(l->proxy);
}


void edge_login_replyf(struct edge_login *l, uint16_t scode,
		       const char *phrase, const char *fmt, ...)
{
	struct mbuf *mb = mbuf_alloc(256);
	va_list ap;
	int err = mb ? 0 : ENOMEM;

	va_start(ap, fmt);
	if (!err && fmt)
		err = mbuf_vprintf(mb, fmt, ap);
	va_end(ap);
	if (!err)
		err = sip_treplyf(&l->st, NULL, l->edge->sip, l->msg, false,
				  scode, phrase, "%bContent-Length: 0\r\n\r\n",
				  mb->buf, mb->end);
	if (err)
		log_warning("edge", NULL, "cannot answer a REGISTER: %s",
			    strerror(err));

	l->st = NULL; /* it ends by itself */
	list_unlink(&l->le);
	mem_deref(mb);
	mem_deref(l);
}


void edge_login_refuse(struct edge_login *l, const char *why)
{
	if (edge_may_log(l->edge, &l->msg->src))
		log_info("edge", NULL, "403 to REGISTER of %s@%s: %s", l->user,
			 l->domain, why);
	metric_inc(&l->edge->metricv[EDGE_M_REFUSED]);
	edge_login_replyf(l, 403, "Forbidden", NULL);
}


/* --- how often may one be wrong? --- */

static void was_wrong(struct edge_login *l, enum edge_purse purse,
		      const char *why)
{
	char from[EDGE_ADDR];

	(void)re_snprintf(from, sizeof(from), "%j", &l->msg->src);
	edge_budget_wrong(l->edge->budget, &l->claim, purse, clock_mono_ms());
	if (edge_may_log(l->edge, &l->msg->src))
		log_info("edge", NULL, "%s@%s cannot register from %s: %s",
			 l->user, l->domain, from, why);
}


/* Asked again when the secret is looked at: many may have been under way to
   the store at once.  False: it is over */
static bool can_pay(struct edge_login *l, enum edge_purse *purse)
{
	*purse = edge_budget_may(l->edge->budget, &l->claim, clock_mono_ms());
	if (*purse == EDGE_PURSE_NONE)
		edge_login_refuse(l, "wrong too often; unread for a while");

	return *purse != EDGE_PURSE_NONE;
}


static void was_right(struct edge_login *l)
{
	/* over its flow it was right before */
	if (!l->bound)
		edge_budget_right(l->edge->budget, &l->claim, clock_mono_ms());
}


/* --- digest --- */

static bool digest_decode(struct httpauth_digest_resp *resp,
			  const struct sip_hdr *hdr)
{
	return hdr->id == SIP_HDR_AUTHORIZATION &&
	       !httpauth_digest_response_decode(resp, &hdr->val) &&
	       pl_isset(&resp->nonce) && pl_isset(&resp->response) &&
	       pl_isset(&resp->username) && pl_isset(&resp->uri);
}


/* Of several the answer to what we have asked */
static enum edge_nonce nonce_find(struct pl *nonce, const struct edge *e,
				  const struct sip_msg *msg)
{
	enum edge_nonce best = EDGE_NONCE_FOREIGN;
	struct httpauth_digest_resp r;
	char aor[EDGE_AOR];
	const struct edge_asked who = { &msg->src, aor };

	edge_aor_print(aor, msg);
	for (struct le *le = msg->hdrl.head; le; le = le->next) {
		enum edge_nonce n;

		if (!digest_decode(&r, le->data))
			continue;
		n = edge_nonce_read(&r.nonce, &e->key, &who,
				    clock_wall_ms() / 1000);
		/* it moved, or was ours under another name: its password may
		   well be right */
		if (n == EDGE_NONCE_FOREIGN && r.nonce.l == EDGE_NONCE_LEN)
			n = EDGE_NONCE_STALE;
		if (n < best) {
			best = n;
			*nonce = r.nonce;
		}
	}

	return best;
}


static bool hash_hex(char *dst, enum digest_alg alg,
		     const struct digest_part *v, size_t n)
{
	uint8_t md[DIGEST_MAX];
	const size_t len = digest_hash(md, alg, v, n);

	ident_hex(dst, md, len);

	return len != 0;
}


#define PART(pl)               \
	{                      \
		(pl).p, (pl).l \
	}
#define TEXT(s)                \
	{                      \
		(s), strlen(s) \
	}

/** RFC 7616 3.4.1 */
static bool response_of(char *dst, enum digest_alg alg, const uint8_t *ha1,
			size_t ha1_len, const struct pl *met,
			const struct httpauth_digest_resp *r)
{
	char a1[2 * DIGEST_MAX + 1], a2[2 * DIGEST_MAX + 1];
	const struct digest_part two[] = { PART(*met),
					   { ":", 1 },
					   PART(r->uri) };

	ident_hex(a1, ha1, ha1_len);
	if (!hash_hex(a2, alg, two, sizeof(two) / sizeof(two[0])))
		return false;

	if (pl_isset(&r->qop)) {
		const struct digest_part v[] = {
			TEXT(a1),     { ":", 1 }, PART(r->nonce),  { ":", 1 },
			PART(r->nc),  { ":", 1 }, PART(r->cnonce), { ":", 1 },
			PART(r->qop), { ":", 1 }, TEXT(a2),
		};

		return hash_hex(dst, alg, v, sizeof(v) / sizeof(v[0]));
	}
	else {
		const struct digest_part v[] = {
			TEXT(a1),   { ":", 1 }, PART(r->nonce),
			{ ":", 1 }, TEXT(a2),
		};

		return hash_hex(dst, alg, v, sizeof(v) / sizeof(v[0]));
	}
}


size_t edge_ha1(uint8_t ha1[CRED_HA1_MAX], const struct edge *e,
		const struct acct_row *row, enum digest_alg alg,
		const struct pl *realm)
{
	char secret[SECRET + 1], name[256];
	size_t len = SECRET;

	if (cred_open(e->prm.key, row, row->sealed, row->sealed_len, secret,
		      &len))
		return 0;

	if (row->sealed_is_ha1) {
		if (row->alg != alg || len > CRED_HA1_MAX)
			len = 0;
		else
			memcpy(ha1, secret, len);
	}
	else {
		secret[len] = '\0';
		(void)pl_strcpy(realm, name, sizeof(name));
		len = cred_ha1(ha1, alg, row->auth_user, name, secret);
	}
	explicit_bzero(secret, sizeof(secret));

	return len;
}


static enum digest_alg alg_of(const struct httpauth_digest_resp *r)
{
	return r->response.l == 64 ? DIGEST_SHA256 : DIGEST_MD5;
}


static bool is_right(const struct edge_login *l, const struct acct_row *row,
		     const struct httpauth_digest_resp *r)
{
	const enum digest_alg alg = alg_of(r);
	char wanted[2 * DIGEST_MAX + 1];
	uint8_t ha1[CRED_HA1_MAX];
	size_t len = edge_ha1(ha1, l->edge, row, alg, &r->realm);
	bool ok;

	ok = len && response_of(wanted, alg, ha1, len, &l->msg->met, r) &&
	     strlen(wanted) == r->response.l &&
	     secret_equal(wanted, r->response.p, r->response.l);
	explicit_bzero(ha1, sizeof(ha1));

	return ok;
}


/* --- who is that? --- */

static void challenge_again(struct edge_login *l, bool stale)
{
	l->st = mem_deref(l->st);
	edge_challenge(l->edge, l->msg, stale);
	mem_deref(l);
}


static int acct_take(struct edge_login *l, const struct acct_row *row)
{
	l->acct = row->id;
	l->transport = row->transport;

	return str_isset(row->outbound_proxy)
		       ? str_dup(&l->proxy, row->outbound_proxy)
		       : 0;
}


/* The API may have been told the UUID alone */
static bool same_installation(const struct inst_row *inst, const char *name)
{
	static const char uuid[] = "urn:uuid:";
	const size_t head = sizeof(uuid) - 1;

	return !str_casecmp(name, inst->installation) ||
	       (!strncasecmp(name, uuid, head) &&
		!str_casecmp(name + head, inst->installation));
}


static void inst_take(struct edge_login *l, const struct inst_row *inst)
{
	(void)str_ncpy(l->inst, inst->id, sizeof(l->inst));
	l->pushed = false;
	for (unsigned i = 0; i < inst->push_count; i++)
		l->pushed |= inst->push[i].via_sip && !inst->push[i].gone;
}


/* What has neither an instance nor a token is one that had tokens only if it
   goes on with its registration */
static bool is_elsewhere(const struct edge_login *l,
			 const struct inst_row *inst)
{
	const struct edge_binding *b;
	uint8_t phone[EDGE_PHONE];

	if (ident_unhex(phone, sizeof(phone), inst->id))
		return true;

	b = edge_binding_of(l->edge, phone);

	return !b || pl_strcmp(&l->msg->callid, b->callid);
}


static void insts_handler(int err, const struct inst_row *instv,
			  unsigned instc, void *arg)
{
	struct edge_login *l = arg;
	char name[EDGE_URI];

	if (!l->edge) {
		mem_deref(l);
		return;
	}
	if (err) {
		edge_login_replyf(l, 500, "Server Internal Error", NULL);
		return;
	}

	if (edge_installation(name, sizeof(name), l->msg))
		*name = '\0';
	for (unsigned i = 0; i < instc; i++)
		if (same_installation(&instv[i], name) &&
		    !(edge_is_plain(l->msg) && is_elsewhere(l, &instv[i])))
			inst_take(l, &instv[i]);

	edge_register(l);
}


/* It answered what we asked, and we asked before we knew its PBX */
static bool asked_amiss(const struct acct_row *row,
			const struct httpauth_digest_resp *r)
{
	return (str_isset(row->realm) && pl_strcmp(&r->realm, row->realm)) ||
	       (row->sealed_is_ha1 && row->alg != alg_of(r));
}


/* We may have asked in several realms, with one nonce */
static bool digest_of(struct httpauth_digest_resp *resp,
		      const struct edge_login *l, const struct acct_row *row)
{
	struct httpauth_digest_resp r;
	bool found = false;

	for (struct le *le = l->msg->hdrl.head; le; le = le->next) {
		if (!digest_decode(&r, le->data) ||
		    pl_cmp(&r.nonce, &l->nonce))
			continue;
		if (found && asked_amiss(row, &r))
			continue;
		*resp = r;
		found = true;
	}

	return found;
}


/* Without qop there is no count: such an answer is good once */
static bool is_new(const struct edge_login *l,
		   const struct httpauth_digest_resp *r)
{
	return edge_spent_take(l->edge->spent, &r->nonce,
			       pl_isset(&r->qop) ? pl_x32(&r->nc) : 1,
			       (uint32_t)(clock_wall_ms() / 1000));
}


static void acct_handler(int err, const struct acct_row *row, void *arg)
{
	struct edge_login *l = arg;
	struct httpauth_digest_resp r;
	enum edge_purse purse;

	if (!l->edge) {
		mem_deref(l);
		return;
	}
	if (!can_pay(l, &purse))
		return;
	if (err == ENOENT) {
		was_wrong(l, purse,
			  "there is no such account; make it first, over "
			  "HTTPS or by import");
		edge_login_refuse(l, "unknown account");
		return;
	}
	if (err || !digest_of(&r, l, row)) {
		edge_login_replyf(l, 500, "Server Internal Error", NULL);
		return;
	}

	edge_learn(l->edge, row);
	if (asked_amiss(row, &r)) {
		challenge_again(l, true);
		return;
	}
	if (pl_strcmp(&r.username, row->auth_user)) {
		was_wrong(l, purse, "the user name is not the account's");
		edge_login_refuse(l, "another's account");
		return;
	}
	if (!is_right(l, row, &r)) {
		was_wrong(l, purse, "wrong password");
		challenge_again(l, false);
		return;
	}

	was_right(l);
	if (!is_new(l, &r)) {
		challenge_again(l, true);
		return;
	}

	err = acct_take(l, row);
	if (!err && l->bound)
		edge_register(l);
	else if (err ||
		 store_insts_of(l->edge->prm.store, row->id, insts_handler, l))
		edge_login_replyf(l, 500, "Server Internal Error", NULL);
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
	if (!can_pay(l, &purse))
		return;
	if (err && err != ENOENT) {
		edge_login_replyf(l, 500, "Server Internal Error", NULL);
		return;
	}
	if (err || !secret_equal(inst->secret_sha256, l->secret, 32)) {
		was_wrong(l, purse, "no such instance, or another secret");
		challenge_again(l, false);
		return;
	}
	if (str_cmp(acct->user, l->user) ||
	    str_casecmp(acct->domain, l->domain)) {
		was_wrong(l, purse, "the instance is of another account");
		edge_login_refuse(l, "another's account");
		return;
	}

	was_right(l);
	inst_take(l, inst);
	if (acct_take(l, acct))
		edge_login_replyf(l, 500, "Server Internal Error", NULL);
	else
		edge_register(l);
}


static struct pbx *pbx_of(const struct edge *e, const char *domain)
{
	for (uint32_t i = 0; i < e->prm.pbxc; i++)
		if (pbx_has_domain(e->prm.pbxv[i], domain))
			return e->prm.pbxv[i];

	return NULL;
}


/* However it is spelled, it is one account; RFC 3261 19.1.4.  EBADMSG: it can
   be nobody's */
static int aor_read(struct edge_login *l)
{
	const struct uri *to = &l->msg->to.uri;
	char user[128];
	int n = re_snprintf(user, sizeof(user), "%H", uri_user_unescape,
			    &to->user);

	/* %00 */
	if (n < 0 || strlen(user) != (size_t)n)
		return EBADMSG;
	if (str_dup(&l->user, user) || pl_strdup(&l->domain, &to->host))
		return ENOMEM;

	for (char *p = l->domain; *p; p++)
		*p = (char)tolower((unsigned char)*p);

	return 0;
}


static int login_alloc(struct edge_login **lp, struct edge *e,
		       const struct sip_msg *msg)
{
	struct edge_login *l = mem_zalloc(sizeof(*l), destructor);
	int err;

	if (!l)
		return ENOMEM;

	l->edge = e;
	l->msg = mem_ref((void *)msg);
	l->transport = -1;
	list_append(&e->logins, &l->le, l);
	err = aor_read(l);
	if (!err && !(l->pbx = pbx_of(e, l->domain)))
		err = ENOENT;
	if (err)
		mem_deref(l);
	else
		*lp = l;

	return err;
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


static bool bearer_find(const struct sip_hdr *hdr, const struct sip_msg *msg,
			void *arg)
{
	(void)msg;

	return !re_regex(hdr->val.p, hdr->val.l, "Bearer[ ]+[^ ]+", NULL, arg);
}


/* <instance>.<secret> */
static bool bearer_read(char id[STORE_ID_LEN + 1], uint8_t sha256[32],
			const struct sip_msg *msg)
{
	struct pl text = PL_INIT;

	if (msg->tp != SIP_TRANSP_TLS ||
	    !sip_msg_hdr_apply(msg, true, SIP_HDR_AUTHORIZATION, bearer_find,
			       &text) ||
	    text.l != STORE_ID_LEN + 1 + STORE_SECRET_LEN ||
	    text.p[STORE_ID_LEN] != '.')
		return false;

	memcpy(id, text.p, STORE_ID_LEN);
	id[STORE_ID_LEN] = '\0';

	return !secret_sha256(sha256, text.p + STORE_ID_LEN + 1,
			      STORE_SECRET_LEN);
}


static struct edge_binding *here_already(const struct edge_login *l)
{
	const struct edge_flow *f = edge_flow_find(l->edge, l->msg);

	return f ? edge_binding_again(f, &l->msg->to.uri,
				      edge_installation_hash(l->msg))
		 : NULL;
}


/* What only the phone itself knows tells it from those who guess: its URN, or
   the instance of its credential; without them also its address */
static void claim(struct edge_login *l, const char *bearer)
{
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
	else if (!edge_installation(name, sizeof(name), l->msg))
		c->phone = edge_budget_key(
			l->user, l->domain,
			strncmp(name, "contact:", 8) ? name : c->addr);
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
	claim(l, bearer);
	if (edge_budget_may(e->budget, &l->claim, clock_mono_ms()) ==
	    EDGE_PURSE_NONE) {
		edge_refuse(e, l->msg, 403, "Forbidden",
			    "wrong too often; unread for a while");
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
		edge_login_replyf(l, 500, "Server Internal Error", NULL);
}


void edge_login(struct edge *e, const struct sip_msg *msg)
{
	char id[STORE_ID_LEN + 1];
	uint8_t sha256[32];
	const bool bearer = bearer_read(id, sha256, msg);
	enum edge_nonce nonce = EDGE_NONCE_FOREIGN;
	struct pl answered = PL_INIT;
	struct edge_login *l;
	int err;

	metric_inc(&e->metricv[EDGE_M_REGISTERS]);
	if (edge_requires_more(e, msg))
		return;

	if (!bearer)
		nonce = nonce_find(&answered, e, msg);
	if (!bearer && nonce != EDGE_NONCE_GOOD) {
		edge_challenge(e, msg, nonce == EDGE_NONCE_STALE);
		return;
	}

	err = login_alloc(&l, e, msg);
	if (err) {
		refuse_aor(e, msg, err);
		return;
	}
	l->nonce = answered;
	if (bearer)
		memcpy(l->secret, sha256, sizeof(l->secret));
	login_start(l, bearer ? id : NULL);
}
