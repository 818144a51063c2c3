/**
 * @file stray.c  Responses that nobody waits for; RFC 3261 16.7, 18.1.2
 *
 * A 2xx to an INVITE is repeated until its ACK arrives, and the transactions
 * are gone after the first one.  Our token in its Record-Route says that it
 * is of a call through us, and where to.  Which of several phones has a call
 * that waited here call/ knows; the others hear ACK and BYE each time.
 *
 * A phone may read its INVITE when the call is long over: its app was frozen,
 * its network away.  It rings then, and nothing but its 1xx tells: that has
 * all of which a CANCEL is made.
 *
 *     the call          1xx            2xx
 *     waits             up             up, it is the answer
 *     is another's      CANCEL         ACK, BYE
 *     is this one's     -              up, again
 *     is over           CANCEL         ACK, BYE
 *     in a dialog       -              up
 *
 * What no call is known of is over, if the PBX began the dialog with it, once
 * we are up for as long as a 2xx of before may be repeated.
 */

#include <string.h>
#include "common/clock.h"
#include "common/ident.h"
#include "common/log.h"
#include "sipis/edge/belated.h"
#include "sipis/edge/flow.h"
#include "sipis/edge/hangup.h"
#include "sipis/edge/media.h"
#include "sipis/edge/party.h"
#include "sipis/edge/priv.h"
#include "sipis/edge/talk.h"
#include "sipis/edge/turns.h"
#include "sipis/sip/copy.h"


enum {
	AGAIN_MS = 64 * SIP_T1, /* RFC 3261 13.3.1.4 */
	SIZE = 512,
};

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
static void take(struct edge *e, const struct found *f,
		 const struct sip_msg *msg, const struct sip_via *via)
{
	char id[STORE_ID_LEN + 1];

	ident_hex(id, f->token.phone, EDGE_PHONE);
	if (!edge_binding_of(e, f->token.phone))
		edge_guest(e, &f->token, msg);
	if (!calls_late_take(e->prm.calls, f->token.acct, id, msg,
			     &via->branch))
		edge_party_put(e->party, &msg->callid, f->token.phone);
}


/* RFC 3261 9.1: the To of the request, which had no tag */
static int to_print(struct re_printf *pf, const struct sip_msg *msg)
{
	static const char name[] = ";tag=";
	const struct pl *val = &msg->to.val, *tag = &msg->to.tag;
	const size_t n = sizeof(name) - 1;
	struct pl head = { val->p, 0 }, tail, param;

	if (!pl_isset(tag))
		return re_hprintf(pf, "%r", val);
	/* of another To */
	if (tag->p < val->p || tag->p + tag->l > val->p + val->l)
		return re_hprintf(pf, "<%r>", &msg->to.auri);

	head.l = (size_t)(tag->p - val->p);
	tail.p = tag->p + tag->l;
	tail.l = (size_t)(val->p + val->l - tail.p);
	param.p = tag->p - n;
	param.l = n;
	if (head.l < n || pl_strcasecmp(&param, name))
		return re_hprintf(pf, "<%r>", &msg->to.auri);

	head.l -= n;

	return re_hprintf(pf, "%r%r", &head, &tail);
}


/* CANCEL and the ACK of a refusal, in the transaction that is over here */
static void say(struct edge *e, const struct sip_msg *msg, const char *met,
		const struct pl *uri, const char *reason)
{
	const bool ack = !strcmp(met, "ACK");
	struct mbuf *mb = mbuf_alloc(SIZE);
	int err;

	if (!mb)
		return;

	err = mbuf_printf(mb,
			  "%s %r SIP/2.0\r\n"
			  "Via: SIP/2.0/%s %r;branch=%r;rport\r\n"
			  "Max-Forwards: 70\r\n",
			  met, uri, sip_transp_name(msg->via.tp),
			  &msg->via.sentby, &msg->via.branch);
	err |= ack ? mbuf_printf(mb, "To: %r\r\n", &msg->to.val)
		   : mbuf_printf(mb, "To: %H\r\n", to_print, msg);
	err |= mbuf_printf(mb,
			   "From: %r\r\n"
			   "Call-ID: %r\r\n"
			   "CSeq: %u %s\r\n"
			   "%s%s%s"
			   "Content-Length: 0\r\n\r\n",
			   &msg->from.val, &msg->callid, msg->cseq.num, met,
			   str_isset(reason) ? "Reason: " : "",
			   str_isset(reason) ? reason : "",
			   str_isset(reason) ? "\r\n" : "");
	mb->pos = 0;
	if (!err)
		(void)sip_send(e->sip, msg->sock, msg->tp, &msg->src, mb);
	mem_deref(mb);
}


/* The Request-URI of our INVITE is gone with its transaction.  Calls go to the
   Contact that the phone has registered, and most flows are one phone's; else
   its To says who was meant.  The Contact of a 3xx is somebody else's.  A
   phone knows the ACK by its branch (RFC 3261 17.2.3), which is the INVITE's
 */
static void acknowledge(struct edge *e, const struct sip_msg *msg)
{
	const struct edge_flow *f = edge_flow_find(e, msg);
	const struct edge_binding *b;
	struct pl uri = msg->to.auri;

	if (!f)
		return;

	b = f->bindings.head == f->bindings.tail
		    ? list_ledata(f->bindings.head)
		    : edge_binding_from(f, &msg->to.uri);
	if (b)
		pl_set_str(&uri, b->contact);
	say(e, msg, "ACK", &uri, NULL);
}


/* It rings though that call is over */
static void ghost(struct edge *e, const struct found *f,
		  const struct sip_msg *msg, const struct sip_via *via)
{
	const struct sip_hdr *hdr = sip_msg_hdr(msg, SIP_HDR_CONTACT);
	const char *reason;
	char id[STORE_ID_LEN + 1];
	struct sip_addr addr;

	ident_hex(id, f->token.phone, EDGE_PHONE);
	reason = calls_late_told(e->prm.calls, f->token.acct, id, msg,
				 &via->branch);
	if (!reason && edge_may_log(e, &msg->src))
		log_info("edge", NULL,
			 "CANCEL to phone %s: it rings for a call that was "
			 "over long ago",
			 id);
	/* of the phone's own URI the edge may know a newer one */
	say(e, msg, "CANCEL",
	    hdr && !sip_addr_decode(&addr, &hdr->val) ? &addr.auri
						      : &msg->to.auri,
	    reason);
}


/* It was silent for so long that nobody waits for it */
static void rings(struct edge *e, const struct found *f,
		  const struct sip_msg *msg, const struct sip_via *via)
{
	char id[STORE_ID_LEN + 1];

	ident_hex(id, f->token.phone, EDGE_PHONE);
	calls_late_rings(e->prm.calls, f->token.acct, id, msg, &via->branch);
}


/* Its SDP has no relay, and the profile wants one.  Of an 18x nobody hears:
   its 2xx decides */
static void fails(struct edge *e, const struct found *f,
		  const struct sip_msg *msg, const struct sip_via *via)
{
	const struct sip_msg *invite = calls_late_invite(
		e->prm.calls, f->token.acct, msg, &via->branch);
	char id[STORE_ID_LEN + 1];
	struct sip_msg *refusal;

	edge_hang_up(e, msg);
	if (!invite || edge_refusal(&refusal, invite, EDGE_NO_MEDIA))
		return;

	ident_hex(id, f->token.phone, EDGE_PHONE);
	calls_late_failed(e->prm.calls, f->token.acct, id, refusal,
			  &via->branch);
	mem_deref(refusal);
}


static bool parse(struct found *f, struct sip_via *via,
		  const struct sip_msg *msg)
{
	(void)sip_msg_hdr_apply(msg, true, SIP_HDR_RECORD_ROUTE, route_handler,
				f);

	return f->any &&
	       sip_msg_hdr_apply(msg, true, SIP_HDR_VIA, via_handler, via);
}


static void up(struct edge *e, const struct found *f,
	       const struct sip_msg *msg, const struct sip_via *via)
{
	if (msg->scode < 200)
		rings(e, f, msg, via);
	else
		take(e, f, msg, via);
}


static void of_phone(struct edge *e, const struct found *f,
		     const struct sip_msg *msg, const struct sip_via *via);


/* Its call may have ended meanwhile */
static bool relayed_handler(struct edge *e, struct pbx *pbx, int err,
			    const struct sip_msg *msg)
{
	struct found f = { .e = e };
	struct sip_via via;
	enum calls_late late;
	(void)pbx;

	if (!parse(&f, &via, msg))
		return false;

	late = calls_late(e->prm.calls, f.token.acct, msg, &via.branch);
	if (late != CALLS_LATE_WAITED)
		of_phone(e, &f, msg, &via);
	else if (err)
		fails(e, &f, msg, &via);
	else
		up(e, &f, msg, &via);

	return late == CALLS_LATE_WAITED || late == CALLS_LATE_WON;
}


/* The call waits for it: up, by way of an rtpengine if its profile has one */
static void waited(struct edge *e, struct pbx *pbx, const struct found *f,
		   const struct sip_msg *msg, const struct sip_via *via)
{
	const uint8_t *phone = f->token.phone;
	const struct sip_msg *invite;
	struct sip_msg *m;

	if (edge_media_again(&m, e, pbx, phone, msg)) {
		up(e, f, m, via);
		mem_deref(m);
		return;
	}

	invite = calls_late_invite(e->prm.calls, f->token.acct, msg,
				   &via->branch);
	if (invite &&
	    !edge_belated(e, pbx, phone, invite, msg, relayed_handler))
		up(e, f, msg, via);
}


static bool is_over(const struct edge *e, const struct edge_token *token)
{
	return token->begins && clock_mono_ms() > e->since + AGAIN_MS;
}


static void provisional(struct edge *e, struct pbx *pbx, const struct found *f,
			const struct sip_msg *msg, const struct sip_via *via)
{
	switch (calls_late(e->prm.calls, f->token.acct, msg, &via->branch)) {
	case CALLS_LATE_FOREIGN:
		if (is_over(e, &f->token))
			ghost(e, f, msg, via);
		break;
	case CALLS_LATE_LOST:
		ghost(e, f, msg, via);
		break;
	case CALLS_LATE_WAITED:
		if (msg->scode > 100)
			waited(e, pbx, f, msg, via);
		break;
	default:
		break;
	}
}


/* Whose flow it came over does not count where Call-ID, token and the PBX's
   branch agree: they are known to who has had our INVITE */
static void of_phone(struct edge *e, const struct found *f,
		     const struct sip_msg *msg, const struct sip_via *via)
{
	struct pbx *pbx = edge_pbx_by(e, f->token.pbx);

	if (!pbx)
		return;
	if (msg->scode < 200) {
		provisional(e, pbx, f, msg, via);
		return;
	}

	switch (calls_late(e->prm.calls, f->token.acct, msg, &via->branch)) {
	case CALLS_LATE_FOREIGN: /* in a dialog, or of a call that it made */
		if (is_over(e, &f->token))
			edge_hang_up(e, msg);
		else if (edge_flow_find(e, msg))
			to_pbx(e, pbx, f, msg, via);
		break;
	case CALLS_LATE_WON:
		to_pbx(e, pbx, f, msg, via);
		break;
	case CALLS_LATE_WAITED:
		waited(e, pbx, f, msg, via);
		break;
	case CALLS_LATE_LOST:
		edge_hang_up(e, msg);
		break;
	default:
		break;
	}
}


/* To the phone that called.  One on UDP that has not registered since we were
   started is where its own Via says */
static void to_phone(struct edge *e, struct pbx *pbx, const struct found *f,
		     const struct sip_msg *msg, const struct sip_via *via)
{
	const struct edge_binding *b = edge_dialogs_of(e, f->token.phone);
	enum sip_transp tp = b ? b->flow->tp : SIP_TRANSP_UDP;
	uint32_t cseq;
	struct sip_msg *m;
	struct mbuf *mb;
	struct sa dst;

	if (b)
		dst = b->flow->peer;
	else if (via->tp != SIP_TRANSP_UDP || !via_addr(&dst, via))
		return;

	cseq = phones_cseq(e, &f->token, msg);
	if (!edge_media_again(&m, e, pbx, f->token.phone, msg))
		return;

	if (!copy_response_to(&mb, m, cseq)) {
		(void)sip_send(e->sip, NULL, tp, &dst, mb);
		mem_deref(mb);
	}
	mem_deref(m);
}


void edge_stray(struct edge *e, struct pbx *pbx, const struct sip_msg *msg)
{
	/* where both ends are phones of ours the one that called is below */
	struct found f = { .e = e, .last = pbx != NULL };
	struct sip_via via;

	if (pl_strcmp(&msg->cseq.met, "INVITE") || (pbx && msg->scode < 200))
		return;
	if (msg->scode >= 300) {
		if (!pbx)
			acknowledge(e, msg);
		return;
	}

	if (!parse(&f, &via, msg))
		return;

	if (pbx)
		to_phone(e, pbx, &f, msg, &via);
	else
		of_phone(e, &f, msg, &via);
}
