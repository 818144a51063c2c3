/**
 * @file stray.c  Responses that nobody waits for; RFC 3261 16.7, 18.1.2
 *
 * A 2xx to an INVITE is repeated until its ACK arrives, and the transactions
 * are gone after the first one.  Our token in its Record-Route says that it
 * is of a call through us, and where to.
 */

#include "common/clock.h"
#include "sipis/edge/priv.h"
#include "sipis/edge/talk.h"
#include "sipis/edge/turns.h"


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


static bool next_via(struct sa *dst, enum sip_transp *tp,
		     const struct sip_msg *msg)
{
	struct sip_via via;
	struct pl pl;

	if (!sip_msg_hdr_apply(msg, true, SIP_HDR_VIA, via_handler, &via))
		return false;

	*tp = via.tp;
	*dst = via.addr;
	if (!msg_param_decode(&via.params, "received", &pl))
		(void)sa_set(dst, &pl, sa_port(&via.addr));
	if (!msg_param_decode(&via.params, "rport", &pl) && pl_isset(&pl))
		sa_set_port(dst, (uint16_t)pl_u32(&pl));
	if (!sa_port(dst))
		sa_set_port(dst, sip_transp_port(*tp, 0));

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


void edge_stray(struct edge *e, struct pbx *pbx, const struct sip_msg *msg)
{
	/* where both ends are phones of ours the one that called is below */
	struct found f = { .e = e, .last = pbx != NULL };
	uint32_t cseq = msg->cseq.num;
	struct edge_binding *b;
	enum sip_transp tp;
	struct sip_msg *m;
	struct mbuf *mb;
	struct sa dst;
	struct sip *out;

	if (msg->scode < 200 || msg->scode >= 300 ||
	    pl_strcmp(&msg->cseq.met, "INVITE"))
		return;

	(void)sip_msg_hdr_apply(msg, true, SIP_HDR_RECORD_ROUTE, route_handler,
				&f);
	if (!f.any || !next_via(&dst, &tp, msg))
		return;

	b = edge_binding_of(e, f.token.phone);
	if (pbx) { /* to the phone that called */
		if (!b)
			return;
		cseq = phones_cseq(e, &f.token, msg);
		out = e->sip;
		dst = b->flow->peer;
		tp = b->flow->tp;
	}
	else {
		pbx = edge_pbx_by(e, f.token.pbx);
		if (!pbx || !pbx_is_peer(pbx, &dst))
			return;
		out = pbx_sip(pbx);
	}

	if (!edge_media_again(&m, e, pbx, f.token.phone, msg))
		return;
	if (!copy_response_to(&mb, m, cseq)) {
		(void)sip_send(out, NULL, tp, &dst, mb);
		mem_deref(mb);
	}
	mem_deref(m);
}
