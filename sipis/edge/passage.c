/**
 * @file passage.c  One request on its way through
 *
 * The server half of a proxy transaction, with one forward.  The waiting
 * calls of call/ have a server half of their own (relay.c).
 *
 *     to a phone:  flow ends --> over the one it has now, or hold.c
 *     of a phone:  flow ends --> answers over the one it has now; while it has
 *                  none the newest answer is kept (32 s)
 */

#include <errno.h>
#include <string.h>
#include "common/log.h"
#include "sipis/edge/party.h"
#include "sipis/edge/priv.h"
#include "sipis/edge/talk.h"
#include "sipis/edge/vouch.h"


enum { LATE_MS = 64 * SIP_T1 /* what waits for it has given up then */ };

/** Between whom */
struct ends {
	struct pbx *pbx;
	const uint8_t *phone; /**< NULL: known by its token alone */
	const struct edge_routes *routes;
	bool to_phone;
};

struct passage {
	struct le le; /**< of the edge's passages, or of those that are late */
	struct edge *edge;
	struct pbx *pbx;
	uint8_t phone[EDGE_PHONE];
	struct edge_routes routes;
	bool bound, to_phone;
	struct sip *in;
	struct sip_msg *msg;
	struct sip_strans *st;
	struct edge_forward *fwd;
	struct edge_vouch *vouch; /**< of a request to a PBX, or NULL */
	struct edge_talk *talk;   /**< NULL: no media of it is relayed */
	struct sip_msg *late;     /**< the answer that a phone is to get */
	struct tmr tmr;
	bool cancelled;
};


static void destructor(void *data)
{
	struct passage *p = data;

	list_unlink(&p->le);
	tmr_cancel(&p->tmr);
	mem_deref(p->late);
	mem_deref(p->fwd);
	mem_deref(p->vouch);
	edge_talk_drop(p->talk);
	mem_deref(p->st);
	mem_deref(p->msg);
}


/* RFC 5626: a phone is heard over the flow that it has now.  The transaction
   says what it has to say over that of its request, so that becomes it */
static bool flow_find(struct passage *p)
{
	const struct edge_binding *b;
	struct sip_msg *msg = p->msg;
	const struct edge_flow *f;

	if (p->to_phone || !p->bound || edge_flow_find(p->edge, msg))
		return true;

	b = edge_binding_of(p->edge, p->phone);
	if (!b)
		return false;

	f = b->flow;
	if (f->tp != SIP_TRANSP_UDP || msg->tp != f->tp) {
		mem_deref(msg->sock);
		msg->sock = mem_ref(f->sock);
	}
	msg->tp = f->tp;
	msg->src = f->peer;

	return true;
}


static void answer(struct passage *p, uint16_t scode, const char *phrase)
{
	(void)flow_find(p);
	(void)sip_treply(&p->st, p->in, p->msg, scode, phrase);
	p->st = NULL;
}


/* Our own words where there are none of the other side's */
static void fail(struct passage *p, int err)
{
	switch (err) {
	case ELOOP:
		answer(p, 483, "Too Many Hops");
		break;
	case ETIMEDOUT:
		/* else its sender has given up as well; RFC 4320, 4.2 */
		if (!pl_strcmp(&p->msg->met, "INVITE"))
			answer(p, 408, "Request Timeout");
		break;
	default:
		answer(p, 480, "Temporarily Unavailable");
		break;
	}
}


/* It is on the move: RFC 5626 has it back within seconds */
static void keep(struct passage *p, const struct sip_msg *resp)
{
	const struct sip_msg *old = p->late;

	p->late = mem_ref((void *)resp);
	mem_deref((void *)old);
	list_unlink(&p->le);
	list_append(&p->edge->lates, &p->le, p);
}


static void pass_up(struct passage *p, const struct sip_msg *resp)
{
	struct mbuf *mb;
	struct sa dst;

	if (!p->to_phone && p->bound && !pl_strcmp(&p->msg->met, "INVITE") &&
	    resp->scode >= 200 && resp->scode < 300)
		edge_party_put(p->edge->party, &resp->callid, p->phone);
	if (!flow_find(p)) {
		keep(p, resp);
		return;
	}

	if (copy_response_to(&mb, resp, p->msg->cseq.num))
		return;

	copy_reply_addr(&dst, p->msg);
	(void)sip_strans_reply(&p->st, p->in, p->msg, &dst, resp->scode, mb);
	if (resp->scode >= 200)
		p->st = NULL;
	mem_deref(mb);
}


static void late_handler(void *arg)
{
	mem_deref(arg);
}


/* It has had its final answer, or waits for its phone with it */
static void over(struct passage *p)
{
	if (!p->late) {
		mem_deref(p);
		return;
	}

	p->fwd = mem_deref(p->fwd);
	tmr_start(&p->tmr, LATE_MS, late_handler, p);
}


void edge_passage_back(struct edge_binding *b)
{
	struct edge *e = b->flow->edge;
	struct le *le = list_head(&e->lates);

	while (le) {
		struct passage *p = le->data;
		struct sip_msg *late = p->late;

		le = le->next;
		if (memcmp(p->phone, b->phone, EDGE_PHONE))
			continue;

		p->late = NULL;
		list_unlink(&p->le);
		list_append(&e->passages, &p->le, p);
		pass_up(p, late);
		if (late->scode >= 200)
			over(p);
		mem_deref(late);
	}
}


/* Its flow has ended: the phone may not have read it.  What an rtpengine has
   made of an SDP is not asked for twice */
static bool goes_again(struct passage *p, int err)
{
	struct edge_routes r = p->routes;
	struct edge_binding *b;

	if (!p->to_phone || !r.signed_ || p->cancelled || p->edge->closed ||
	    err == ELOOP || err == ETIMEDOUT || err == ENOMEM ||
	    (p->talk && copy_body(p->msg).l))
		return false;

	b = edge_binding_of(p->edge, p->phone);

	edge_talk_over(p->talk, 0);
	/* who takes it has a transaction of its own */
	p->st = mem_deref(p->st);
	r.talk = NULL;
	if (b)
		edge_to_phone(b, p->pbx, p->msg, &r);
	else
		edge_hold(p->edge, p->pbx, p->msg, &r);
	mem_deref(p);

	return true;
}


static void response_handler(int err, const struct sip_msg *resp, void *arg);


/* The PBX asks who that is; true: the response goes no further */
static bool is_vouched(struct passage *p, const struct sip_msg *resp)
{
	struct edge_forward_prm out;
	int err;

	switch (edge_vouch_heard(p->vouch, resp, &out)) {
	case EDGE_VOUCH_REFUSED:
		/* nothing that the phone knows would help; RFC 3261 21.4.4 */
		answer(p, 403, "Forbidden");
		break;
	case EDGE_VOUCH_AGAIN:
		if (p->cancelled) {
			answer(p, 487, "Request Terminated");
			break;
		}
		out.h = response_handler;
		out.arg = p;
		p->fwd = mem_deref(p->fwd);
		err = edge_forward(&p->fwd, &out);
		if (!err)
			return true;
		fail(p, err);
		break;
	default:
		return false;
	}
	edge_talk_over(p->talk, 0);
	mem_deref(p);

	return true;
}


static void response_handler(int err, const struct sip_msg *resp, void *arg)
{
	struct passage *p = arg;

	if (!err && p->vouch && is_vouched(p, resp))
		return;
	if (!err && edge_talk_response(p->talk, resp))
		return;
	if (err && goes_again(p, err))
		return;

	if (err)
		fail(p, err);
	else
		pass_up(p, resp);

	if (err || resp->scode >= 200) {
		edge_talk_over(p->talk, err ? 0 : resp->scode);
		over(p);
	}
}


/* The SDP of a response has been at an rtpengine */
static void talk_handler(int err, const struct sip_msg *resp, void *arg)
{
	struct passage *p = arg;

	if (err) {
		edge_forward_hang_up(p->fwd, resp);
		edge_talk_over(p->talk, 500);
		answer(p, EDGE_NO_MEDIA);
		mem_deref(p);
		return;
	}

	pass_up(p, resp);
	if (resp->scode >= 200) {
		edge_talk_over(p->talk, resp->scode);
		over(p);
	}
}


static void cancel_handler(void *arg)
{
	struct passage *p = arg;

	/* its 487 comes back like any other answer */
	p->cancelled = true;
	edge_forward_cancel(p->fwd, p->to_phone ? NULL : p->edge->cancel_why);
}


static int passage_alloc(struct passage **pp, struct sip *in,
			 const struct edge_forward_prm *prm,
			 const struct ends *ends)
{
	struct passage *p = mem_zalloc(sizeof(*p), destructor);
	int err;

	if (!p)
		return ENOMEM;

	p->edge = prm->edge;
	p->pbx = ends->pbx;
	p->routes = *ends->routes;
	p->to_phone = ends->to_phone;
	p->bound = ends->phone != NULL;
	if (p->bound)
		memcpy(p->phone, ends->phone, EDGE_PHONE);
	tmr_init(&p->tmr);
	p->in = in;
	p->msg = mem_ref((void *)prm->msg);
	p->vouch = mem_ref(prm->vouch);
	p->talk = mem_ref(prm->talk);
	edge_talk_holder(p->talk, talk_handler, p);
	err = sip_strans_alloc(&p->st, in, prm->msg, cancel_handler, p);
	if (err) {
		mem_deref(p);
		return err;
	}

	list_append(&p->edge->passages, &p->le, p);
	*pp = p;

	return 0;
}


/* in: the stack it came over.  prm->h and arg are the passage's */
static void pass(struct sip *in, const struct edge_forward_prm *prm,
		 const struct ends *ends)
{
	struct edge_forward_prm out = *prm;
	struct passage *p;
	int err;

	metric_inc(&prm->edge->metricv[EDGE_M_PASSED]);
	if (!pl_strcmp(&prm->msg->met, "ACK")) {
		(void)edge_forward_once(prm);
		return;
	}

	err = passage_alloc(&p, in, prm, ends);
	if (err) {
		(void)sip_reply(in, prm->msg, 500, "Server Internal Error");
		return;
	}

	if (!pl_strcmp(&prm->msg->met, "INVITE"))
		(void)sip_treply(&p->st, in, p->msg, 100, "Trying");

	out.h = response_handler;
	out.arg = p;
	err = edge_forward(&p->fwd, &out);
	if (err) {
		fail(p, err);
		edge_talk_over(p->talk, 0);
		mem_deref(p);
	}
}


void edge_passage(struct pbx *pbx, const struct edge_forward_prm *prm,
		  const struct edge_routes *r)
{
	pass(pbx_sip(pbx), prm,
	     &(struct ends){ .pbx = pbx,
			     .phone = r->token.phone,
			     .routes = r,
			     .to_phone = true });
}


/* --- where to --- */

/* The next Route behind ours, else the Request-URI */
static void next_hop(struct uri *uri, const struct sip_msg *msg, unsigned pop)
{
	unsigned n = 0;

	*uri = msg->uri;
	for (struct le *le = msg->hdrl.head; le; le = le->next) {
		const struct sip_hdr *hdr = le->data;
		struct sip_addr addr;

		if (hdr->id != SIP_HDR_ROUTE || n++ < pop)
			continue;
		if (!sip_addr_decode(&addr, &hdr->val))
			*uri = addr.uri;
		return;
	}
}


static enum sip_transp transp_of(const struct uri *uri)
{
	struct pl pl;

	if (msg_param_decode(&uri->params, "transport", &pl))
		return SIP_TRANSP_UDP;

	return !pl_strcasecmp(&pl, "tls")   ? SIP_TRANSP_TLS
	       : !pl_strcasecmp(&pl, "tcp") ? SIP_TRANSP_TCP
					    : SIP_TRANSP_UDP;
}


/* Where a dialog says if that is the PBX; else to the PBX all the same: a
   phone reaches nothing else through us */
static int pbx_hop(struct edge_forward_prm *prm, struct pbx *pbx,
		   const struct edge_binding *b)
{
	struct uri uri;
	struct sa sa;

	next_hop(&uri, prm->msg, prm->copy.pop);
	prm->tp = transp_of(&uri);
	if (!sa_set(&sa, &uri.host, sip_transp_port(prm->tp, uri.port)) &&
	    pbx_is_peer(pbx, &sa)) {
		prm->dst = sa;
		return 0;
	}

	return pbx_target(pbx, b ? b->proxy : NULL, b ? b->transport : -1, 0,
			  &prm->dst, &prm->tp);
}


void edge_to_pbx(struct edge *e, struct pbx *pbx, struct edge_binding *b,
		 const struct sip_msg *msg, const struct edge_routes *r)
{
	char rr[EDGE_ROUTE];
	struct sa laddr;
	struct edge_forward_prm prm = {
		.edge = e,
		.sip = pbx_sip(pbx),
		.talk = r->talk,
		.msg = msg,
		.copy = { .pop = r->pop, .record_route = b ? rr : NULL },
		.timer_c = true,
	};
	int err;

	if (edge_detour(&(struct edge_detour_prm){
		    .edge = e,
		    .pbx = pbx,
		    .binding = b,
		    .phone = b ? b->phone : r->token.phone,
		    .msg = msg,
		    .routes = r,
	    }))
		return;

	err = pbx_hop(&prm, pbx, b);
	err = err ? err : pbx_local(pbx, prm.tp, &prm.dst, &laddr);
	if (!err && edge_vouch_strides(pbx, r))
		err = edge_vouch(&prm, pbx, b, r, &laddr);
	else if (!err && b)
		err = edge_record_route(rr, sizeof(rr), b, &msg->callid,
					r->signed_ ? &r->token.stride : NULL,
					&laddr, prm.tp, false);
	if (!err) {
		pass(e->sip, &prm,
		     &(struct ends){ .pbx = pbx,
				     .phone = b ? b->phone : NULL,
				     .routes = r });
		mem_deref(prm.vouch);
		return;
	}

	log_warning("edge", NULL, "no way to pbx %s for a phone: %s",
		    pbx_cfg(pbx)->name, strerror(err));
	if (pl_strcmp(&msg->met, "ACK"))
		(void)sip_reply(e->sip, msg, 480, "Temporarily Unavailable");
}


static bool names(const struct uri *uri, const struct sa *laddr)
{
	struct sa sa;

	return !sa_set(&sa, &uri->host, uri->port) &&
	       sa_cmp(&sa, laddr, SA_ALL);
}


void edge_to_phone(struct edge_binding *b, struct pbx *pbx,
		   const struct sip_msg *msg, const struct edge_routes *r)
{
	struct edge *e = b->flow->edge;
	char rr[EDGE_ROUTE];
	struct sa laddr = { .len = 0 };
	struct edge_forward_prm prm = {
		.edge = e,
		.flow = b->flow,
		.sip = e->sip,
		.talk = r->talk,
		.msg = msg,
		.dst = b->flow->peer,
		.tp = b->flow->tp,
		.copy = { .pop = r->pop, .record_route = rr },
		.timer_c = true,
	};

	if (edge_detour(&(struct edge_detour_prm){
		    .edge = e,
		    .pbx = pbx,
		    .binding = b,
		    .phone = b->phone,
		    .msg = msg,
		    .routes = r,
		    .to_phone = true,
	    }))
		return;

	if (r->signed_ && r->token.stride.on &&
	    !pl_strcmp(&msg->met, "NOTIFY")) {
		prm.copy.headerh = edge_vouch_event;
		prm.copy.arg = (void *)&r->token.stride;
	}

	if (pbx_local(pbx, msg->tp, &msg->src, &laddr) ||
	    edge_record_route(rr, sizeof(rr), b, &msg->callid,
			      r->signed_ ? &r->token.stride : NULL, &laddr,
			      msg->tp, true))
		prm.copy.record_route = NULL;

	/* a PBX that takes the address of a message for its Contact */
	if (names(&msg->uri, &laddr) ||
	    edge_is_us(e, pbx, &msg->uri.host, msg->uri.port))
		prm.uri = b->contact;

	pass(pbx_sip(pbx), &prm,
	     &(struct ends){ .pbx = pbx,
			     .phone = b->phone,
			     .routes = r,
			     .to_phone = true });
}
