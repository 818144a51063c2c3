/**
 * @file registrar.c  One REGISTER of somebody who is known; RFC 3261 10.3
 *
 * What is bound is the phone, to the flow that its REGISTER came over (RFC
 * 5626).  One binding per phone and reg-id: contacts never pile up.
 */

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include "common/clock.h"
#include "common/ident.h"
#include "common/log.h"
#include "common/secret.h"
#include "sipis/call/reason.h"
#include "sipis/edge/priv.h"
#include "sipis/edge/purr.h"


enum {
	EXPIRES = 3600,
	EXPIRES_MIN = 60,
	EXPIRES_UDP = 600, /* nobody tells when such a flow ends */
	PARAMS = 512,
	CONTACTS = 8, /* in one REGISTER */
	LISTED = 4,   /* of others, in its answer: it has to fit a datagram */
	LISTED_URI = 128,
	SEEN_MS = 3600 * 1000, /* inactivity is counted in days */
};

/** What its Contact says */
struct wish {
	struct sip_addr addr;
	struct pl uri;
	char params[PARAMS];
	uint32_t expires_s, reg_id;
	bool none, all; /**< no Contact; "*" */
	struct edge_pn pn;
};


/** Walks through them: several headers, or several in one */
struct contacts {
	const struct le *le; /**< the next header */
	struct pl rest;
};


static struct contacts contacts_of(const struct sip_msg *msg)
{
	return (struct contacts){ .le = msg->hdrl.head };
}


/* The length up to the next comma that parts two; libre does not part them */
static size_t one_len(const struct pl *pl)
{
	bool quoted = false, angled = false;
	size_t n;

	for (n = 0; n < pl->l && (quoted || angled || pl->p[n] != ','); n++) {
		const char c = pl->p[n];

		if (quoted && c == '\\')
			++n;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && (c == '<' || c == '>'))
			angled = c == '<';
	}

	return n < pl->l ? n : pl->l;
}


static bool contact_next(struct pl *one, struct contacts *c)
{
	while (!c->rest.l && c->le) {
		const struct sip_hdr *hdr = c->le->data;

		c->le = c->le->next;
		if (hdr->id == SIP_HDR_CONTACT)
			c->rest = hdr->val;
	}
	if (!c->rest.l)
		return false;

	one->p = c->rest.p;
	one->l = one_len(&c->rest);
	pl_advance(&c->rest, (ssize_t)one->l);
	if (c->rest.l)
		pl_advance(&c->rest, 1);
	while (one->l && strchr(" \t\r\n", *one->p))
		pl_advance(one, 1);
	while (one->l && strchr(" \t\r\n", one->p[one->l - 1]))
		--one->l;

	return true;
}


/* A sips: Contact means that nobody but TLS may reach it; RFC 5630 */
static bool contact_read(struct sip_addr *addr, const struct pl *one,
			 const struct sip_msg *msg)
{
	return !sip_addr_decode(addr, one) &&
	       (!pl_strcasecmp(&addr->uri.scheme, "sip") ||
		(msg->tp == SIP_TRANSP_TLS &&
		 !pl_strcasecmp(&addr->uri.scheme, "sips")));
}


/* RFC 3261 10.2.1.1, 20.19: what is no number is an hour */
static uint32_t seconds(const struct pl *pl)
{
	size_t n = 0;

	while (n < pl->l && isdigit((unsigned char)pl->p[n]))
		++n;
	if (!n || n < pl->l)
		return EXPIRES;

	return n > 9 ? UINT32_MAX : pl_u32(pl);
}


static uint32_t expires_of(const struct sip_addr *addr,
			   const struct sip_msg *msg)
{
	struct pl pl;

	if (!msg_param_decode(&addr->params, "expires", &pl))
		return seconds(&pl);

	return pl_isset(&msg->expires) ? seconds(&msg->expires) : EXPIRES;
}


static uint32_t reg_id_of(const struct sip_addr *addr)
{
	struct pl pl;

	return msg_param_decode(&addr->params, "reg-id", &pl) ? 0
							      : pl_u32(&pl);
}


/* Of several the one that is to be called: the first that does not end.  The
   phone that speaks has one way, which is its flow */
static bool contact_main(struct pl *main, const struct sip_msg *msg)
{
	struct contacts c = contacts_of(msg);
	bool found = false;
	struct pl one;

	while (contact_next(&one, &c)) {
		struct sip_addr addr;
		const bool lives = contact_read(&addr, &one, msg) &&
				   expires_of(&addr, msg);

		if (lives || !found)
			*main = one;
		if (lives)
			return true;
		found = true;
	}

	return found;
}


static bool contact(struct sip_addr *addr, const struct sip_msg *msg)
{
	struct pl main;

	return contact_main(&main, msg) && contact_read(addr, &main, msg);
}


static int installation_of(char *buf, size_t size, const struct sip_addr *addr)
{
	struct pl urn;
	int n;

	if (!re_regex(addr->params.p, addr->params.l,
		      "+sip.instance[ \t]*=[ \t]*\"<[^>\"]+>\"", NULL, NULL,
		      &urn))
		n = re_snprintf(buf, size, "%r", &urn);
	else
		n = re_snprintf(buf, size, "contact:%r", &addr->uri.user);

	return n < 0 ? EOVERFLOW : 0;
}


int edge_installation(char *buf, size_t size, const struct sip_msg *msg)
{
	struct sip_addr addr;

	return contact(&addr, msg) ? installation_of(buf, size, &addr)
				   : ENOENT;
}


static bool has_instance(const struct sip_addr *addr)
{
	return !re_regex(addr->params.p, addr->params.l,
			 "+sip.instance[ \t]*=", NULL);
}


/* Without an instance its address tells it from others of its kind */
static uint32_t name_hash(const struct sip_addr *addr)
{
	const struct uri *uri = &addr->uri;
	char name[EDGE_URI];
	int err = 0;

	if (has_instance(addr))
		err = installation_of(name, sizeof(name), addr);
	else if (re_snprintf(name, sizeof(name), "contact:%r@%r:%u",
			     &uri->user, &uri->host, uri->port) < 0)
		err = EOVERFLOW;

	return err ? 0 : hash_joaat_str(name);
}


uint32_t edge_installation_hash(const struct sip_msg *msg)
{
	struct sip_addr addr;

	return contact(&addr, msg) ? name_hash(&addr) : 0;
}


/* Neither an instance nor a token tells which one it is */
static bool is_plain(const struct sip_addr *addr)
{
	struct pl prid;

	return !has_instance(addr) &&
	       msg_param_decode(&addr->uri.params, "pn-prid", &prid);
}


bool edge_is_plain(const struct sip_msg *msg)
{
	struct sip_addr addr;

	return contact(&addr, msg) && is_plain(&addr);
}


/* One parameter with its semicolon; a quoted one may hold semicolons */
static struct pl next_param(struct pl *rest)
{
	struct pl p = { rest->p, 0 };
	bool quoted = false;

	while (p.l < rest->l && (!p.l || quoted || rest->p[p.l] != ';')) {
		if (rest->p[p.l] == '"')
			quoted = !quoted;
		++p.l;
	}
	rest->p += p.l;
	rest->l -= p.l;

	return p;
}


static bool named(const struct pl *param, const char *name)
{
	const size_t len = strlen(name);

	return param->l > len && !strncasecmp(param->p + 1, name, len);
}


/* It goes back as it came, but for what we decide; RFC 3261 10.3, 5627 5.1 */
static void params_keep(char *dst, size_t size, struct pl rest)
{
	size_t n = 0;

	*dst = '\0';
	while (rest.l) {
		const struct pl p = next_param(&rest);
		const bool ours = named(&p, "expires") ||
				  named(&p, "pub-gruu") ||
				  named(&p, "temp-gruu");

		if (p.l < 2 || *p.p != ';' || ours || n + p.l >= size)
			continue;
		memcpy(dst + n, p.p, p.l);
		n += p.l;
		dst[n] = '\0';
	}
}


static bool pns_handler(const struct sip_hdr *hdr, const struct sip_msg *msg,
			void *arg)
{
	(void)msg;
	(void)arg;

	return !re_regex(hdr->val.p, hdr->val.l, "+sip.pns[ \t]*=", NULL);
}


/* RFC 8599 5.6.1.1: a proxy between it and us pushes it, so we do not */
static void leave_to_others(struct edge_pn *pn, const struct sip_msg *msg)
{
	if (pn->kind > EDGE_PN_ASKS &&
	    sip_msg_xhdr_apply(msg, true, "Feature-Caps", pns_handler, NULL))
		memset(pn, 0, sizeof(*pn));
}


/* RFC 3261 10.3, 6: all of them are good, or none counts.  RFC 5626 6: with
   reg-id there is one that does not end */
static bool contacts_good(const struct sip_msg *msg)
{
	struct contacts c = contacts_of(msg);
	unsigned n = 0, live = 0, outbound = 0;
	struct pl one;

	while (contact_next(&one, &c)) {
		struct sip_addr addr;

		if (++n > CONTACTS || !contact_read(&addr, &one, msg) ||
		    addr.auri.l >= EDGE_URI)
			return false;
		if (!expires_of(&addr, msg))
			continue;
		++live;
		outbound += reg_id_of(&addr) != 0;
	}

	return live < 2 || !outbound;
}


static int wish_read(struct wish *w, const struct edge_cfg *cfg,
		     const struct sip_msg *msg)
{
	const struct sip_hdr *hdr = sip_msg_hdr(msg, SIP_HDR_CONTACT);
	struct pl pl;

	memset(w, 0, sizeof(*w));
	w->expires_s =
		pl_isset(&msg->expires) ? seconds(&msg->expires) : EXPIRES;
	w->none = !hdr;
	w->all = hdr && !pl_strcmp(&hdr->val, "*");
	if (w->none || w->all)
		return w->all && (w->expires_s ||
				  sip_msg_hdr_count(msg, SIP_HDR_CONTACT) > 1)
			       ? EBADMSG
			       : 0;

	if (!contacts_good(msg) || !contact(&w->addr, msg))
		return EBADMSG;

	w->uri = w->addr.auri;
	w->expires_s = expires_of(&w->addr, msg);
	w->reg_id = reg_id_of(&w->addr);
	params_keep(w->params, sizeof(w->params), w->addr.params);
	edge_pn_read(&w->pn, cfg, &w->addr.uri);
	leave_to_others(&w->pn, msg);
	w->pn.pnsreg = !msg_param_exists(&w->addr.params, "+sip.pnsreg", &pl);
	w->pn.pnspurr =
		!msg_param_exists(&w->addr.params, "+sip.pnspurr", &pl) ||
		!msg_param_exists(&w->addr.uri.params, "pn-purr", &pl);

	return 0;
}


/* The id of its instance, or one that is the same each time it comes.  ENOENT:
   it has nothing, and wants nothing */
static int phone_of(uint8_t phone[EDGE_PHONE], uint8_t *slot,
		    const struct edge_login *l, const struct wish *w)
{
	char name[EDGE_URI], text[EDGE_URI + 32];
	uint8_t md[32];
	int n, err = 0;

	*slot = 0;
	if (*l->inst)
		return ident_unhex(phone, EDGE_PHONE, l->inst);

	if (is_plain(&w->addr)) {
		const struct edge_client c = { .msg = l->msg,
					       .acct = l->acct,
					       .name = name_hash(&w->addr),
					       .host = w->addr.uri.host };

		*slot = edge_slot(l->edge, &c, w->expires_s != 0);
		if (!*slot)
			return ENOENT;
		(void)re_snprintf(name, sizeof(name), "contact;%u", *slot);
	}
	else {
		err = edge_installation(name, sizeof(name), l->msg);
	}
	if (err)
		return err;

	n = re_snprintf(text, sizeof(text), "edge %llu %s", l->acct, name);
	if (n < 0)
		return EINVAL;

	err = secret_sha256(md, text, (size_t)n);
	memcpy(phone, md, EDGE_PHONE);

	return err;
}


static bool came_late(const struct edge_binding *b, const struct sip_msg *msg)
{
	return b && !pl_strcmp(&msg->callid, b->callid) &&
	       msg->cseq.num <= b->cseq;
}


static uint32_t grant(const struct edge *e, const struct sip_msg *msg,
		      uint32_t asked)
{
	uint32_t max = e->prm.cfg->expires_s;

	if (msg->tp == SIP_TRANSP_UDP && max > EXPIRES_UDP)
		max = EXPIRES_UDP;

	return asked < max ? asked : max;
}


static int bind_it(struct edge_binding **bp, struct edge_login *l,
		   const struct wish *w, const uint8_t phone[EDGE_PHONE],
		   uint8_t slot, uint32_t expires_s)
{
	struct edge_bind prm = {
		.pbx = l->pbx,
		.known = *l->inst != '\0',
		.acct = l->acct,
		.user = l->user,
		.domain = l->domain,
		.proxy = l->proxy,
		.transport = l->transport,
		.contact = w->uri,
		.callid = l->msg->callid,
		.cseq = l->msg->cseq.num,
		.reg_id = w->reg_id,
		.pn_hash = w->pn.kind == EDGE_PN_TOKENS ? w->pn.hash : 0,
		.name = name_hash(&w->addr),
		.slot = slot,
		.expires_s = expires_s,
	};
	int err = edge_flow_get(&prm.flow, l->edge, l->msg);

	if (err)
		return err;

	memcpy(prm.phone, phone, EDGE_PHONE);
	pl_set_str(&prm.params, w->params);
	err = edge_bind(bp, &prm);
	if (err)
		edge_flow_left(prm.flow, ECONNABORTED);

	return err;
}


static bool wants_outbound(const struct edge_login *l, const struct wish *w)
{
	return w->reg_id &&
	       sip_msg_hdr_has_value(l->msg, SIP_HDR_SUPPORTED, "outbound");
}


static bool ob_handler(const struct sip_hdr *hdr, const struct sip_msg *msg,
		       void *arg)
{
	(void)msg;
	(void)arg;

	return !re_regex(hdr->val.p, hdr->val.l, ";[ \t]*ob[^a-z0-9\\-]1",
			 NULL);
}


/* RFC 5626 6: another proxy is between, and knows nothing of flows */
static bool is_cut_off(const struct edge_login *l, const struct wish *w)
{
	return wants_outbound(l, w) &&
	       sip_msg_hdr_count(l->msg, SIP_HDR_VIA) > 1 &&
	       !sip_msg_hdr_apply(l->msg, true, SIP_HDR_PATH, ob_handler,
				  NULL);
}


/* Whoever finds us without being told to shall find us again */
static int own_route(struct re_printf *pf, const struct edge_login *l)
{
	const struct sip_msg *msg = l->msg;
	const char *host = l->edge->prm.cfg->host;

	return host ? re_hprintf(pf, "sip:%s:%u%s;lr", host,
				 sa_port(&msg->dst), sip_transp_param(msg->tp))
		    : re_hprintf(pf, "sip:%J%s;lr", &msg->dst,
				 sip_transp_param(msg->tp));
}


/* RFC 8599 5.6.1: what a client did not ask for it does not need to know */
static int caps_print(struct re_printf *pf, const struct edge_pn_offer *offer)
{
	return offer ? edge_pn_caps(pf, offer) : 0;
}


/* RFC 5627 5.2, of the account's binding at its PBX.  It is the PBX that
   resolves it: to us, and so to all phones of the account */
static int gruu_print(struct re_printf *pf, const struct edge_login *l)
{
	char name[EDGE_URI], gruu[EDGE_ROUTE];

	if (!sip_msg_hdr_has_value(l->msg, SIP_HDR_SUPPORTED, "gruu") ||
	    edge_installation(name, sizeof(name), l->msg) ||
	    !strncmp(name, "contact:", 8) ||
	    acct_gruu(gruu, sizeof(gruu), reg_find(l->edge->prm.reg, l->acct)))
		return 0;

	return re_hprintf(pf, ";pub-gruu=\"%s\"", gruu);
}


struct listing {
	const struct edge_login *l;
	const char *skip; /**< URI that stands there already */
};


/* A phone's tokens for pushes are for nobody else */
static int uri_print(struct re_printf *pf, const struct edge_binding *b)
{
	const struct pl text = { b->contact, strlen(b->contact) };
	struct uri uri;
	struct pl rest;
	int err;

	if (uri_decode(&uri, &text))
		return 0;

	rest = uri.params;
	err = re_hprintf(pf, "%b", text.p,
			 rest.l ? (size_t)(rest.p - text.p) : text.l);
	while (rest.l && !err) {
		const struct pl p = next_param(&rest);

		if (p.l > 1 && !named(&p, "pn-"))
			err = re_hprintf(pf, "%r", &p);
	}

	return err;
}


/* RFC 3261 10.3, 8: all of the account's, as long as they are few */
static int others_print(struct re_printf *pf, const struct listing *what)
{
	const struct edge_login *l = what->l;
	struct le *le = list_head(
		hash_list(l->edge->accts, hash_joaat((const uint8_t *)&l->acct,
						     sizeof(l->acct))));
	const uint64_t now = clock_mono_ms();
	unsigned n = 0;
	int err = 0;

	for (; le && !err && n < LISTED; le = le->next) {
		const struct edge_binding *b = le->data;
		char uri[LISTED_URI];

		if (b->acct != l->acct ||
		    (what->skip && !strcmp(b->contact, what->skip)) ||
		    re_snprintf(uri, sizeof(uri), "%H", uri_print, b) < 1)
			continue;
		++n;
		err = re_hprintf(pf, "Contact: <%s>;expires=%u\r\n", uri,
				 b->until > now
					 ? (uint32_t)((b->until - now) / 1000)
					 : 0);
	}

	return err;
}


static void answer_list(struct edge_login *l)
{
	const struct listing what = { .l = l };

	edge_login_replyf(l, 200, "OK", "%H", others_print, &what);
}


static void answer_bound(struct edge_login *l, const struct wish *w,
			 const struct edge_binding *b, uint32_t expires_s,
			 uint32_t pnsreg_s, const char *purr)
{
	const struct edge_pn_offer offer = { .cfg = l->edge->prm.cfg,
					     .provider = w->pn.provider,
					     .pnsreg_s = pnsreg_s,
					     .purr = purr };
	const struct listing what = { .l = l, .skip = b->contact };
	const bool outbound = wants_outbound(l, w);

	edge_login_replyf(l, 200, "OK",
			  "Contact: <%r>;expires=%u%s%H\r\n"
			  "%H"
			  "Service-Route: <%H>\r\n"
			  "Supported: outbound, path\r\n"
			  "%s"
			  "Flow-Timer: %u\r\n"
			  "%H",
			  &w->uri, expires_s, w->params, gruu_print, l,
			  others_print, &what, own_route, l,
			  outbound ? "Require: outbound\r\n" : "",
			  l->edge->prm.cfg->flow_timer_s, caps_print,
			  w->pn.kind ? &offer : NULL);
}


static void seen(struct edge *e, struct edge_binding *b, uint64_t before)
{
	const uint64_t now = clock_mono_ms();

	b->seen = before;
	if (!b->known || pbx_cfg(b->pbx)->mode != CFG_MODE_CONTINUOUS ||
	    (before && now < before + SEEN_MS))
		return;

	b->seen = now;
	inst_seen(e->prm.inst, b->id, true);
}


/* RFC 8599 5.5: whoever does not refresh in time is pushed */
static void refresh(struct edge *e, const struct edge_binding *b,
		    const struct wish *w, uint32_t expires_s)
{
	if (!b->known || !edge_refresh_may(e, &w->pn) ||
	    edge_refresh_set(e, b, expires_s))
		edge_refresh_drop(e, b->phone);
}


/* 0: it is not told.  Without that a client waits for our push (4.1.4): one
   that we cannot push must hear it most of all */
static uint32_t pnsreg_of(const struct wish *w, uint32_t expires_s)
{
	return w->pn.pnsreg && w->pn.kind == EDGE_PN_TOKENS
		       ? edge_refresh_by(expires_s)
		       : 0;
}


/* NULL: it is not pushed for what comes in its dialogs */
static const char *purr_of(char text[EDGE_PURR_LEN + 1], const struct edge *e,
			   const struct edge_binding *b, const struct wish *w)
{
	return w->pn.pnspurr && b->known && edge_wake_may(e, &w->pn) &&
			       !edge_purr_write(text, &e->key, b->phone,
						clock_wall_ms() / 1000)
		       ? text
		       : NULL;
}


/* RFC 8599 4.1.2, 5.5: it has no binding with pn-prid, and wants no pushes */
static void pushes_end(struct edge *e, const char *inst,
		       const uint8_t phone[EDGE_PHONE])
{
	if (*inst && !edge_binding_pushed(e, phone))
		inst_pushes_end(e->prm.inst, inst);
}


static void bound(struct edge_login *l, const struct wish *w,
		  const uint8_t phone[EDGE_PHONE], uint8_t slot)
{
	const uint32_t expires_s = grant(l->edge, l->msg, w->expires_s);
	struct edge *e = l->edge;
	struct edge_binding *b, *old = edge_binding_reg(e, phone, w->reg_id);
	const bool fresh = !old || !edge_flow_find(e, l->msg) ||
			   old->flow != edge_flow_find(e, l->msg);
	char id[STORE_ID_LEN + 1], purr[EDGE_PURR_LEN + 1];
	const uint64_t acct = l->acct;
	const uint64_t was_seen = fresh ? 0 : old->seen;
	const bool pushed = l->pushed || edge_binding_pushed(e, phone);
	int err = bind_it(&b, l, w, phone, slot, expires_s);

	if (err) {
		edge_login_replyf(l, 500, "Server Internal Error", NULL);
		return;
	}

	if (fresh)
		log_info("edge", NULL, "%s of %s@%s is here over %s, for %u s",
			 b->id, b->user, b->domain,
			 sip_transp_name(b->flow->tp), expires_s);
	(void)str_ncpy(id, b->id, sizeof(id));
	seen(e, b, was_seen);
	if (pushed)
		pushes_end(e, l->inst, phone);
	refresh(e, b, w, expires_s);
	answer_bound(l, w, b, expires_s, pnsreg_of(w, expires_s),
		     purr_of(purr, e, b, w));

	/* behind the 200: some clients take no INVITE before it */
	edge_hold_end(b);
	edge_forwards_back(b);
	calls_flow(e->prm.calls, acct, id);
}


/* It speaks over its flow, and means another Contact than the one that is
   bound there: that one is gone already */
static bool is_other(const struct edge_login *l, const struct edge_binding *b,
		     const struct sip_addr *addr)
{
	const struct pl text = { b->contact, strlen(b->contact) };
	struct uri uri;

	return !b->reg_id && b->flow == edge_flow_find(l->edge, l->msg) &&
	       !uri_decode(&uri, &text) &&
	       (pl_cmp(&uri.user, &addr->uri.user) ||
		pl_casecmp(&uri.host, &addr->uri.host) ||
		uri.port != addr->uri.port);
}


static void sign_off(struct edge_binding *b)
{
	log_info("edge", NULL, "%s of %s@%s has signed off", b->id, b->user,
		 b->domain);
	edge_unbind(b, ESHUTDOWN);
}


/* It may be there over another flow (RFC 5626): then it is awake */
static void phone_left(struct edge_login *l, const char *inst,
		       const uint8_t phone[EDGE_PHONE], bool names_pushes)
{
	struct edge *e = l->edge;
	const bool gone = !edge_binding_of(e, phone);

	if (gone)
		edge_refresh_drop(e, phone);
	/* whoever names its pushes wants none any more, also not over what the
	   API has brought */
	if (gone && *inst && names_pushes)
		inst_seen(e->prm.inst, inst, false);
	pushes_end(e, inst, phone);
}


static void unbound(struct edge_login *l, const struct wish *w,
		    const uint8_t phone[EDGE_PHONE])
{
	struct edge_binding *b = edge_binding_reg(l->edge, phone, w->reg_id);

	if (!b || !is_other(l, b, &w->addr)) {
		if (b)
			sign_off(b);
		phone_left(l, l->inst, phone, w->pn.kind != EDGE_PN_NONE);
	}
	answer_list(l);
}


static struct edge_binding *named_as(const struct edge_login *l,
				     const struct sip_addr *addr)
{
	struct le *le = list_head(
		hash_list(l->edge->accts, hash_joaat((const uint8_t *)&l->acct,
						     sizeof(l->acct))));
	const uint32_t reg_id = reg_id_of(addr);
	const uint32_t hash = name_hash(addr);

	for (; le; le = le->next) {
		struct edge_binding *b = le->data;

		if (b->acct == l->acct && b->name == hash &&
		    b->reg_id == reg_id)
			return b;
	}

	return NULL;
}


static void other_ends(struct edge_login *l, const uint8_t *bound,
		       const struct wish *w, const struct sip_addr *addr)
{
	struct edge_binding *b = named_as(l, addr);
	char id[STORE_ID_LEN + 1];
	uint8_t phone[EDGE_PHONE];
	struct pl pn;

	if (!b || is_other(l, b, addr) || came_late(b, l->msg) ||
	    (bound && b->reg_id == w->reg_id &&
	     !memcmp(b->phone, bound, EDGE_PHONE)))
		return;

	memcpy(phone, b->phone, EDGE_PHONE);
	(void)str_ncpy(id, b->known ? b->id : "", sizeof(id));
	sign_off(b);
	phone_left(l, id, phone,
		   !msg_param_exists(&addr->uri.params, "pn-provider", &pn));
}


/* What a REGISTER ends beside the one that it is about (10.3, 7): an address
   that its phone had before, or one of its other flows */
static void others_end(struct edge_login *l, const struct wish *w,
		       const uint8_t *bound)
{
	struct contacts c = contacts_of(l->msg);
	struct pl one, main;

	if (!contact_main(&main, l->msg))
		return;

	while (contact_next(&one, &c)) {
		struct sip_addr addr;

		if (one.p != main.p && contact_read(&addr, &one, l->msg) &&
		    !expires_of(&addr, l->msg))
			other_ends(l, bound, w, &addr);
	}
}


static void all_unbound(struct edge_login *l)
{
	struct edge_flow *f = edge_flow_find(l->edge, l->msg);
	struct le *le = f ? f->bindings.head : NULL;
	char id[STORE_ID_LEN + 1];
	uint8_t phone[EDGE_PHONE];

	if (f)
		mem_ref(f);
	while (le) {
		struct edge_binding *b = le->data;

		le = le->next;
		if (b->acct != l->acct)
			continue;
		memcpy(phone, b->phone, EDGE_PHONE);
		(void)str_ncpy(id, b->known ? b->id : "", sizeof(id));
		edge_refresh_drop(l->edge, phone);
		edge_unbind(b, ESHUTDOWN);
		pushes_end(l->edge, id, phone);
	}
	mem_deref(f);
	answer_list(l);
}


/* --- RFC 8599: tokens make the phone an instance --- */

static void known(struct edge_login *l, const struct wish *w);


static void no_pushes(struct edge_login *l, const char *why)
{
	const struct edge_pn_offer offer = { .cfg = l->edge->prm.cfg };

	if (edge_may_log(l->edge, &l->msg->src))
		log_info("edge", NULL, "555 to REGISTER of %s@%s: %s", l->user,
			 l->domain, why);
	edge_login_replyf(l, 555, "Push Notification Service Not Supported",
			  "%H", edge_pn_caps, &offer);
}


static void adopt_handler(enum inst_res res, const char *detail,
			  const char *id, void *arg)
{
	struct edge_login *l = arg;
	struct wish w;

	l->adopting = false;
	if (res == INST_R_NOT_ALLOWED || res == INST_R_INVALID) {
		no_pushes(l, detail);
		return;
	}
	if (res != INST_R_OK && res != INST_R_CREATED && !*l->inst) {
		log_warning("edge", NULL, "503 to REGISTER of %s@%s: %s",
			    l->user, l->domain, detail);
		edge_login_replyf(l, 503, "Service Unavailable",
				  "Retry-After: 5\r\n");
		return;
	}

	/* without a mediator one that is known keeps the tokens it had */
	if (id)
		(void)str_ncpy(l->inst, id, sizeof(l->inst));
	if (wish_read(&w, l->edge->prm.cfg, l->msg))
		edge_login_replyf(l, 400, "Bad Request", NULL);
	else
		known(l, &w);
}


static void adopt(struct edge_login *l, const struct wish *w)
{
	const struct sip_hdr *agent = sip_msg_hdr(l->msg, SIP_HDR_USER_AGENT);
	char name[EDGE_URI], label[64] = "";
	const struct inst_adopt what = {
		.acct = l->acct,
		.id = *l->inst ? l->inst : NULL,
		.app = w->pn.app,
		.installation = name,
		.platform = w->pn.platform,
		.label = label,
		.tokenv = w->pn.tokenv,
		.tokenc = w->pn.tokenc,
	};

	if (agent)
		reason_text(label, sizeof(label), &agent->val);
	l->adopting = true;
	if (edge_installation(name, sizeof(name), l->msg) ||
	    inst_adopt(l->edge->prm.inst, &what, adopt_handler, l))
		adopt_handler(INST_R_NO_MEDIATOR,
			      "push tokens cannot be enrolled at present",
			      NULL, l);
}


/* Enrolling costs the mediator a turn: only what has changed, or what we do
   not remember after a start */
static bool is_enrolled(const struct edge_login *l, const struct wish *w)
{
	const struct edge_binding *b;
	uint8_t phone[EDGE_PHONE], slot;

	if (phone_of(phone, &slot, l, w))
		return false;

	b = edge_binding_of(l->edge, phone);

	return b && b->known && b->pn_hash == w->pn.hash;
}


static void known(struct edge_login *l, const struct wish *w)
{
	uint8_t phone[EDGE_PHONE], slot;
	const int err = phone_of(phone, &slot, l, w);

	if (err == ENOENT && !w->expires_s) {
		others_end(l, w, NULL);
		answer_list(l);
	}
	else if (err)
		edge_login_replyf(l, 400, "Bad Request", NULL);
	else if (came_late(edge_binding_reg(l->edge, phone, w->reg_id),
			   l->msg))
		edge_login_replyf(l, 500, "Out Of Order", NULL);
	else {
		others_end(l, w, phone);
		if (!w->expires_s)
			unbound(l, w, phone);
		else
			bound(l, w, phone, slot);
	}
}


void edge_register(struct edge_login *l)
{
	struct wish w;

	if (wish_read(&w, l->edge->prm.cfg, l->msg))
		edge_login_replyf(l, 400, "Bad Request", NULL);
	else if (w.none)
		answer_list(l);
	else if (w.all)
		all_unbound(l);
	else if (w.expires_s && w.expires_s < EXPIRES_MIN)
		edge_login_replyf(l, 423, "Interval Too Brief",
				  "Min-Expires: %u\r\n", EXPIRES_MIN);
	else if (is_cut_off(l, &w))
		edge_login_replyf(l, 439, "First Hop Lacks Outbound Support",
				  NULL);
	else if (w.expires_s && w.pn.kind == EDGE_PN_FOREIGN)
		no_pushes(l, "no such push service, or an app that nobody "
			     "knows");
	else if (w.expires_s && w.pn.kind == EDGE_PN_TOKENS &&
		 !is_enrolled(l, &w))
		adopt(l, &w);
	else
		known(l, &w);
}
