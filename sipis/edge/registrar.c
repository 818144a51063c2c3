/**
 * @file registrar.c  One REGISTER of somebody who is known; RFC 3261 10.3
 *
 * What is bound is the phone, to the flow that its REGISTER came over (RFC
 * 5626).  One binding per phone and reg-id: contacts never pile up.
 */

#include <errno.h>
#include <string.h>
#include "common/clock.h"
#include "common/log.h"
#include "sipis/edge/flow.h"
#include "sipis/edge/forward.h"
#include "sipis/edge/registrar.h"
#include "sipis/edge/wake.h"


enum {
	EXPIRES_MIN = 60,
	PARAMS = 512,
	SEEN_MS = 3600 * 1000, /* inactivity is counted in days */
	UNTAKEN_S = 300,       /* then its tokens are tried again */
};


static const char bad_contact[] = "a Contact that makes no sense here";


static void refuse(struct edge_login *l, uint16_t scode, const char *phrase,
		   const char *why)
{
	edge_vain(l, scode, why);
	edge_login_replyf(l, scode, phrase, NULL);
}


static void too_brief(struct edge_login *l)
{
	edge_vain(l, 423, "it asks for less than a minute");
	edge_login_replyf(l, 423, "Interval Too Brief", "Min-Expires: %u\r\n",
			  EXPIRES_MIN);
}


/* Other tokens than those that are in use, if these are not */
static uint32_t pn_hash_of(const struct edge_login *l)
{
	const struct edge_pn *pn = &l->wish.pn;

	if (pn->kind != EDGE_PN_TOKENS)
		return 0;

	return l->untaken ? EDGE_PN_UNTAKEN : pn->hash;
}


static uint32_t grant_s_of(const struct edge_login *l)
{
	const uint32_t s =
		edge_grant_s(l->edge, l->msg, l->wish.contact.expires_s);

	return l->untaken && s > UNTAKEN_S ? UNTAKEN_S : s;
}


static int bind_it(struct edge_binding **bp, struct edge_login *l,
		   const uint8_t phone[EDGE_PHONE], uint8_t slot,
		   uint32_t expires_s)
{
	const struct edge_wish *w = &l->wish;
	char params[PARAMS];
	struct edge_bind prm = {
		.pbx = l->pbx,
		.known = *l->inst != '\0',
		.acct = l->acct,
		.user = l->user,
		.domain = l->domain,
		.proxy = l->proxy,
		.transport = l->transport,
		.contact = w->contact.addr.auri,
		.callid = l->msg->callid,
		.cseq = l->msg->cseq.num,
		.reg_id = w->contact.reg_id,
		.pn_hash = pn_hash_of(l),
		.name = w->name,
		.slot = slot,
		.expires_s = expires_s,
	};
	int err = edge_flow_get(&prm.flow, l->edge, l->msg);

	if (err)
		return err;

	memcpy(prm.phone, phone, EDGE_PHONE);
	edge_contact_params(params, sizeof(params), &w->contact);
	pl_set_str(&prm.params, params);
	err = edge_bind(bp, &prm);
	if (err)
		edge_flow_left(prm.flow, ECONNABORTED);

	return err;
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
static void refresh(const struct edge_login *l, const struct edge_binding *b,
		    uint32_t expires_s)
{
	struct edge *e = l->edge;

	if (!b->known || l->untaken || !edge_refresh_may(e, &l->wish.pn) ||
	    edge_refresh_set(e, b, expires_s))
		edge_refresh_drop(e, b->phone);
}


static void bound(struct edge_login *l, const uint8_t phone[EDGE_PHONE],
		  uint8_t slot)
{
	const struct edge_contact *c = &l->wish.contact;
	const uint32_t expires_s = grant_s_of(l);
	struct edge *e = l->edge;
	struct edge_binding *b, *old = edge_binding_reg(e, phone, c->reg_id);
	const bool fresh = !old || !edge_flow_find(e, l->msg) ||
			   old->flow != edge_flow_find(e, l->msg);
	char id[STORE_ID_LEN + 1];
	const uint64_t acct = l->acct;
	const uint64_t was_seen = fresh ? 0 : old->seen;
	const bool pushed = l->pushed || edge_binding_pushed(e, phone);
	int err = bind_it(&b, l, phone, slot, expires_s);

	if (err) {
		edge_vain(l, 500, "no memory for it");
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
		edge_pushes_end(e, l->inst, phone);
	refresh(l, b, expires_s);
	edge_sign_off_former(l, b);
	edge_grant(l, b, expires_s);

	/* behind the 200: some clients take no INVITE before it */
	edge_guests_join(e, b);
	edge_hold_end(b);
	edge_forwards_back(b);
	calls_flow(e->prm.calls, acct, id);
}


static void unbound(struct edge_login *l, const uint8_t phone[EDGE_PHONE])
{
	edge_sign_off(l, phone);
	edge_grant_list(l);
}


static void all_unbound(struct edge_login *l)
{
	edge_sign_off_all(l);
	edge_grant_list(l);
}


static void known(struct edge_login *l)
{
	const struct edge_contact *c = &l->wish.contact;
	uint8_t phone[EDGE_PHONE], slot;
	const int err = edge_phone_of(phone, &slot, l);

	if (err == ENOENT && !c->expires_s) {
		edge_sign_off_others(l, NULL);
		edge_grant_list(l);
	}
	else if (err)
		refuse(l, 400, "Bad Request", bad_contact);
	else if (edge_binding_late(edge_binding_reg(l->edge, phone, c->reg_id),
				   l->msg))
		refuse(l, 500, "Out Of Order",
		       "its CSeq is not above that of the one before");
	else {
		edge_sign_off_others(l, phone);
		if (!c->expires_s)
			unbound(l, phone);
		else
			bound(l, phone, slot);
	}
}


void edge_register(struct edge_login *l)
{
	const struct edge_wish *w = &l->wish;
	const uint32_t expires_s = w->contact.expires_s;

	if (w->bad)
		refuse(l, 400, "Bad Request", bad_contact);
	else if (w->none)
		edge_grant_list(l);
	else if (w->all)
		all_unbound(l);
	else if (expires_s && expires_s < EXPIRES_MIN)
		too_brief(l);
	else if (edge_wish_cut_off(w, l->msg))
		refuse(l, 439, "First Hop Lacks Outbound Support",
		       "a proxy on the way knows nothing of flows");
	else if (expires_s && w->pn.kind == EDGE_PN_FOREIGN)
		edge_adopt_refuse(
			l, "no such push service, or an app that nobody "
			   "knows");
	else if (expires_s && w->pn.kind == EDGE_PN_TOKENS &&
		 !edge_adopt_done(l))
		edge_adopt(l, known);
	else
		known(l);
}
