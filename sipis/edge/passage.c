/**
 * @file passage.c  One request on its way through
 *
 * The server half of a proxy transaction, with one forward.  The waiting
 * calls of call/ have a server half of their own (relay.c).
 *
 *     to a phone:  flow ends --> over the one it has now, or hold.c
 *     of a phone:  flow ends --> answers over the one it has now; while it has
 *                  none the newest answer is kept (32 s)
 *                  PBX not to be connected, 503, or silent for HOP_MS to an
 *                  INVITE, and it has another target --> there
 */

#include <errno.h>
#include <string.h>
#include "common/log.h"
#include "sipis/edge/flow.h"
#include "sipis/edge/forward.h"
#include "sipis/edge/party.h"
#include "sipis/edge/passage.h"
#include "sipis/edge/talk.h"
#include "sipis/edge/vouch.h"
#include "sipis/sip/copy.h"
#include "sipis/sip/trying.h"


enum {
	LATE_MS = 64 * SIP_T1, /* what waits for it has given up then */
	HOP_MS = 5000,         /* for a word, while there is another target */
	DOWN_S = 60,           /* a target that has failed */
};

struct passage {
	struct le le; /**< of the edge's passages, or of those that are late */
	struct edge *edge;
	struct pbx *pbx;
	uint8_t phone[EDGE_PHONE];
	struct edge_routes routes;
	bool bound, to_phone, more;
	edge_again_h *againh;
	struct sa dst;
	enum sip_transp tp;
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

	b = edge_dialogs_of(p->edge, p->phone);
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


static bool is_invite(const struct passage *p)
{
	return !pl_strcmp(&p->msg->met, "INVITE");
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
		if (is_invite(p))
			answer(p, 408, "Request Timeout");
		else if (p->to_phone)
			answer(p, 480, "Temporarily Unavailable");
		/* else its sender has given up as well; RFC 4320, 4.2 */
		break;
	case EMSGSIZE:
		answer(p, 513, "Message Too Large");
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

	if (!p->to_phone && p->bound && is_invite(p) && resp->scode >= 200 &&
	    resp->scode < 300)
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
	const struct edge_ends ends = { .pbx = p->pbx,
					.phone = p->phone,
					.routes = &r,
					.againh = p->againh };

	if (!p->to_phone || !r.signed_ || p->cancelled || p->edge->closed ||
	    err == ELOOP || err == ETIMEDOUT || err == ENOMEM ||
	    (p->talk && copy_body(p->msg).l))
		return false;

	edge_talk_over(p->talk, 0);
	/* who takes it has a transaction of its own */
	p->st = mem_deref(p->st);
	r.talk = NULL;
	p->againh(p->edge, &ends, p->msg);
	mem_deref(p);

	return true;
}


/* It is down for all.  Other errors may be those of this request, and one
   phone is not to take the target from the others */
static bool is_down(const struct passage *p, int err)
{
	switch (err) {
	case ECONNREFUSED:
	case EHOSTDOWN:
	case EHOSTUNREACH:
	case ENETDOWN:
	case ENETUNREACH:
		return true;
	case ETIMEDOUT:
		return is_invite(p);
	default:
		return false;
	}
}


/* Nobody gets it twice.  An INVITE is given up where it was, and who has said
   100 has it; other requests have no 100 (RFC 4320), so that silence means
   nothing, and over UDP one that has left may be there */
static bool is_not_there(const struct passage *p, int err)
{
	switch (err) {
	case EBADMSG:
	case EINVAL:
	case ELOOP:
	case ENOMEM:
		return false; /* no target would help */
	default:
		break;
	}

	if (!p->fwd) /* it has not left */
		return true;
	if (is_invite(p))
		return !edge_forward_heard(p->fwd);

	return p->tp != SIP_TRANSP_UDP && is_down(p, err);
}


/* RFC 3263 4.3.  err 0: who says 503 is there for others: it may be a trunk
   behind it that is out of order */
static bool next_target(struct passage *p, int err)
{
	struct edge_routes r = p->routes;
	const struct edge_ends ends = { .pbx = p->pbx,
					.phone = p->bound ? p->phone : NULL,
					.routes = &r };

	if (!p->more || p->cancelled || p->edge->closed ||
	    (err && !is_not_there(p, err)) ||
	    (p->bound && !edge_dialogs_of(p->edge, p->phone)))
		return false;

	log_info("edge", NULL, "pbx %s: a target %s, the next one is asked",
		 pbx_cfg(p->pbx)->name,
		 !err               ? "says 503"
		 : err == ETIMEDOUT ? "is silent"
				    : strerror(err));
	if (is_down(p, err))
		pbx_target_down(p->pbx, &p->dst, p->tp, DOWN_S);
	else
		++r.hop;
	(void)edge_forward_leave(&p->fwd, NULL);
	/* who takes it has a transaction of its own */
	p->st = mem_deref(p->st);
	r.talk = p->talk;
	p->againh(p->edge, &ends, p->msg);
	p->talk = mem_deref(p->talk);
	mem_deref(p);

	return true;
}


static void silent_handler(void *arg)
{
	struct passage *p = arg;

	(void)next_target(p, ETIMEDOUT);
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

	tmr_cancel(&p->tmr);
	if (!err && p->vouch && is_vouched(p, resp))
		return;
	if ((err || resp->scode == 503) && next_target(p, err))
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


/* The sent-by may be another one now; RFC 3261 9.2 */
static bool is_cancel_of(const struct sip_msg *msg, const struct passage *p,
			 const struct edge_flow *f)
{
	const struct sip_msg *invite = p->msg;

	return !p->to_phone && p->bound &&
	       !pl_strcmp(&invite->met, "INVITE") &&
	       !pl_cmp(&msg->via.branch, &invite->via.branch) &&
	       !pl_cmp(&msg->callid, &invite->callid) &&
	       !pl_cmp(&msg->from.tag, &invite->from.tag) &&
	       msg->cseq.num == invite->cseq.num &&
	       edge_dialogs_on(f, p->phone);
}


bool edge_passage_cancel(struct edge *e, const struct sip_msg *msg)
{
	const struct edge_flow *f = edge_flow_find(e, msg);

	for (struct le *le = f ? e->passages.head : NULL; le; le = le->next) {
		struct passage *p = le->data;

		if (!is_cancel_of(msg, p, f))
			continue;
		(void)sip_reply(e->sip, msg, 200, "OK");
		cancel_handler(p);
		return true;
	}

	return false;
}


void edge_passages_give_up(struct edge *e)
{
	for (struct le *le = e->passages.head; le; le = le->next) {
		struct passage *p = le->data;

		if (!p->to_phone && p->st && is_invite(p))
			answer(p, 480, "Temporarily Unavailable");
	}
}


static int passage_alloc(struct passage **pp, struct sip *in,
			 const struct edge_forward_prm *prm,
			 const struct edge_ends *ends)
{
	struct passage *p = mem_zalloc(sizeof(*p), destructor);
	int err;

	if (!p)
		return ENOMEM;

	p->edge = prm->edge;
	p->pbx = ends->pbx;
	p->routes = *ends->routes;
	p->againh = ends->againh;
	p->to_phone = ends->to_phone;
	p->more = ends->more;
	p->dst = prm->dst;
	p->tp = prm->tp;
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


void edge_passage_begin(struct sip *in, const struct edge_forward_prm *prm,
			const struct edge_ends *ends)
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

	if (is_invite(p))
		(void)trying_send(&p->st, in, p->msg);

	out.h = response_handler;
	out.arg = p;
	err = edge_forward(&p->fwd, &out);
	if (err && !next_target(p, err)) {
		fail(p, err);
		edge_talk_over(p->talk, 0);
		mem_deref(p);
	}
	else if (!err && p->more && is_invite(p))
		tmr_start(&p->tmr, HOP_MS, silent_handler, p);
}
