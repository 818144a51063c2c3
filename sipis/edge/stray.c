/**
 * @file stray.c  Responses that nobody waits for; RFC 3261 16.7, 18.1.2
 *
 * A 2xx to an INVITE is repeated until its ACK arrives, and the transactions
 * are gone after the first one.  Our token in its Record-Route says that it
 * is of a call through us, and where to.  Which of several phones has a call
 * that waited here call/ knows; the others hear ACK and BYE each time.
 */

#include "common/clock.h"
#include "common/ident.h"
#include "sipis/edge/flow.h"
#include "sipis/edge/hangup.h"
#include "sipis/edge/media.h"
#include "sipis/edge/party.h"
#include "sipis/edge/priv.h"
#include "sipis/edge/turns.h"
#include "sipis/sip/copy.h"


struct found {
	const struct edge *e;
	struct edge_token token;
	bool last, any;
};


static bool route_handler(const struct sip_hdr *hdr, const struct sip_msg *msg,
			  void *arg)
{
	struct found *f = arg;
	struct sip_addr addr;

	if (sip_addr_decode(&addr, &hdr->val) ||
	    edge_token_read(&f->token, &f->e->key, &addr.uri.user,
			    &msg->callid))
		return false;

	f->any = true;

	return !f->last;
}


static bool via_handler(const struct sip_hdr *hdr, const struct sip_msg *msg,
			void *arg)
{
	struct sip_via *via = arg;

	/* the second one */
	return msg->via.val.p != hdr->val.p && !sip_via_decode(via, &hdr->val);
}


static bool via_addr(struct sa *dst, const struct sip_via *via)
{
	struct pl pl;

	*dst = via->addr;
	if (!msg_param_decode(&via->params, "received", &pl))
		(void)sa_set(dst, &pl, sa_port(&via->addr));
	if (!msg_param_decode(&via->params, "rport", &pl) && pl_isset(&pl))
		sa_set_port(dst, (uint16_t)pl_u32(&pl));
	if (!sa_port(dst))
		sa_set_port(dst, sip_transp_port(via->tp, 0));

	return sa_isset(dst, SA_ALL);
}


struct pbx *edge_pbx_by(const struct edge *e, uint32_t id)
{
	for (uint32_t i = 0; i < e->prm.pbxc; i++)
		if (edge_token_pbx(pbx_cfg(e->prm.pbxv[i])->name) == id)
			return e->prm.pbxv[i];

	return NULL;
}


/* The ACK that follows is to name the same turn */
static uint32_t phones_cseq(const struct edge *e, const struct edge_token *t,
			    const struct sip_msg *msg)
{
	const uint32_t cseq = edge_stride_in(&t->stride, msg->cseq.num);
	const struct edge_turn_key key = { t->phone, &msg->callid, cseq };

	if (t->stride.on)
		(void)edge_turns_put(
			e->turns, &key,
			edge_stride_turn(&t->stride, msg->cseq.num),
			clock_mono_ms());

	return cseq;
}


/* Up, as it is */
static void to_pbx(struct edge *e, struct pbx *pbx, const struct found *f,
		   const struct sip_msg *msg, const struct sip_via *via)
{
	struct sip_msg *m;
	struct mbuf *mb;
	struct sa dst;

	if (!via_addr(&dst, via) || !pbx_is_peer(pbx, &dst) ||
	    !edge_media_again(&m, e, pbx, f->token.phone, msg))
		return;

	if (!copy_response_to(&mb, m, msg->cseq.num)) {
		(void)sip_send(pbx_sip(pbx), NULL, via->tp, &dst, mb);
		mem_deref(mb);
	}
	mem_deref(m);
}


/* The phone rang when we were started again, and has answered */
static void take(struct edge *e, struct pbx *pbx, const struct found *f,
		 const struct sip_msg *msg, const struct sip_via *via)
{
	char id[STORE_ID_LEN + 1];
	struct sip_msg *m;

	if (!edge_media_again(&m, e, pbx, f->token.phone, msg))
		return;

	ident_hex(id, f->token.phone, EDGE_PHONE);
	if (!edge_binding_of(e, f->token.phone))
		edge_guest(e, &f->token, msg);
	if (!calls_late_take(e->prm.calls, f->token.acct, id, m, &via->branch))
		edge_party_put(e->party, &msg->callid, f->token.phone);
	mem_deref(m);
}


/* Whose flow it came over does not count where Call-ID, token and the PBX's
   branch agree: they are known to who has had our INVITE */
static void of_phone(struct edge *e, const struct found *f,
		     const struct sip_msg *msg, const struct sip_via *via)
{
	struct pbx *pbx = edge_pbx_by(e, f->token.pbx);

	if (!pbx)
		return;

	switch (calls_late(e->prm.calls, f->token.acct, msg, &via->branch)) {
	case CALLS_LATE_FOREIGN: /* in a dialog, or of a call that it made */
		if (edge_flow_find(e, msg))
			to_pbx(e, pbx, f, msg, via);
		break;
	case CALLS_LATE_WON:
		to_pbx(e, pbx, f, msg, via);
		break;
	case CALLS_LATE_WAITED:
		take(e, pbx, f, msg, via);
		break;
	case CALLS_LATE_LOST:
		edge_hang_up(e, msg);
		break;
	default:
		break;
	}
}


/* To the phone that called */
static void to_phone(struct edge *e, struct pbx *pbx, const struct found *f,
		     const struct sip_msg *msg)
{
	const struct edge_binding *b = edge_dialogs_of(e, f->token.phone);
	uint32_t cseq;
	struct sip_msg *m;
	struct mbuf *mb;

	if (!b)
		return;

	cseq = phones_cseq(e, &f->token, msg);
	if (!edge_media_again(&m, e, pbx, f->token.phone, msg))
		return;

	if (!copy_response_to(&mb, m, cseq)) {
		(void)sip_send(e->sip, NULL, b->flow->tp, &b->flow->peer, mb);
		mem_deref(mb);
	}
	mem_deref(m);
}


void edge_stray(struct edge *e, struct pbx *pbx, const struct sip_msg *msg)
{
	/* where both ends are phones of ours the one that called is below */
	struct found f = { .e = e, .last = pbx != NULL };
	struct sip_via via;

	if (msg->scode < 200 || msg->scode >= 300 ||
	    pl_strcmp(&msg->cseq.met, "INVITE"))
		return;

	(void)sip_msg_hdr_apply(msg, true, SIP_HDR_RECORD_ROUTE, route_handler,
				&f);
	if (!f.any ||
	    !sip_msg_hdr_apply(msg, true, SIP_HDR_VIA, via_handler, &via))
		return;

	if (pbx)
		to_phone(e, pbx, &f, msg);
	else
		of_phone(e, &f, msg, &via);
}
