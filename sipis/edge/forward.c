/**
 * @file forward.c  One request on its way out; RFC 3261 16.6 to 16.10
 *
 * The client half of a proxy transaction.  libre sends, repeats and ACKs a
 * refusal; timer C, CANCEL with a Reason (RFC 3326) and a 2xx that nobody
 * wants any more are ours:
 *
 *                 1xx                      final, lost, timer C
 *     CALLING ---------> PROCEEDING ------------------------------> over
 *        | cancel            | cancel                                ^
 *        v        1xx        v                    final, 32 s        |
 *     (waits) ---------> CANCEL sent -------------------------------+
 *                                     2xx and nobody there: ACK, BYE
 *
 * A waiting call whose phone loses its flow is not over: the phone may ring.
 * Its transaction stays, for answers are known by their branch wherever they
 * come from; libre's, once it has sent, hears nothing of connections.
 *
 *                    its flow is gone             it is back
 *     any of these -------------------> ADRIFT ----------------> where it was
 *                                                its CANCEL; relay.c sends
 *                                                another INVITE beside it
 */

#include <errno.h>
#include <string.h>
#include "common/log.h"
#include "sipis/edge/contacts.h"
#include "sipis/edge/priv.h"


enum {
	TIMER_C_MS = 180 * 1000,
	CANCEL_MS = 64 * SIP_T1,
	ADRIFT_MS = 180 * 1000, /* as long as it may ring by itself */
};

struct edge_forward {
	struct le le; /**< of the flow, or of those that are leaving */
	struct le le_flow;
	struct edge *edge;
	struct sip *sip;
	struct sip_request *req;
	struct sip_msg *msg;
	char *uri;
	struct sa dst;
	enum sip_transp tp;
	struct copy_prm copy; /**< of it pop and CSeq are kept */
	char *via;            /**< of the request that is out, after a 1xx */
	char *reason;
	struct tmr tmr, tmr_cancel, tmr_again;
	unsigned cancels;
	bool invite, timer_c, cancelled, leaving;
	bool adrift, moved;
	bool stands; /**< where it went may still be the way to it */
	uint8_t phone[EDGE_PHONE]; /**< if there is a losth */
	char *sent;                /**< all behind the Request-Line */
	size_t sent_len;
	edge_forward_lost_h *losth;
	edge_forward_h *h;
	void *arg;
};

/** The next hop as libre wants it */
struct hop {
	struct uri uri;
	char host[64], params[24];
};


static void destructor(void *data)
{
	struct edge_forward *f = data;

	list_unlink(&f->le);
	list_unlink(&f->le_flow);
	tmr_cancel(&f->tmr);
	tmr_cancel(&f->tmr_cancel);
	tmr_cancel(&f->tmr_again);
	mem_deref(f->req);
	mem_deref(f->msg);
	mem_deref(f->uri);
	mem_deref(f->via);
	mem_deref(f->reason);
	mem_deref(f->sent);
}


static void hop_make(struct hop *h, const struct sa *dst, enum sip_transp tp)
{
	memset(&h->uri, 0, sizeof(h->uri));
	(void)re_snprintf(h->host, sizeof(h->host), "%j", dst);
	(void)re_snprintf(h->params, sizeof(h->params), "%s",
			  tp == SIP_TRANSP_UDP ? ";transport=udp"
					       : sip_transp_param(tp));
	pl_set_str(&h->uri.scheme, "sip");
	pl_set_str(&h->uri.host, h->host);
	pl_set_str(&h->uri.params, h->params);
	h->uri.port = sa_port(dst);
}


static void over(struct edge_forward *f, int err, const struct sip_msg *msg)
{
	edge_forward_h *h = f->h;

	tmr_cancel(&f->tmr);
	tmr_cancel(&f->tmr_cancel);
	tmr_cancel(&f->tmr_again);
	list_unlink(&f->le_flow);
	f->h = NULL;
	if (f->leaving)
		mem_deref(f);
	else if (h)
		h(err, msg, f->arg);
}


/* --- CANCEL --- */

static int route_put(struct mbuf *mb, const struct edge_forward *f)
{
	unsigned n = 0;
	int err = 0;

	for (struct le *le = f->msg->hdrl.head; le && !err; le = le->next) {
		const struct sip_hdr *hdr = le->data;

		if (hdr->id == SIP_HDR_ROUTE && n++ >= f->copy.pop)
			err = mbuf_printf(mb, "Route: %r\r\n", &hdr->val);
	}

	return err;
}


/* In the INVITE's own transaction: CANCEL, or the ACK of a refusal */
static int own_print(struct mbuf *mb, const struct edge_forward *f,
		     const char *met, const struct pl *to, const char *reason)
{
	const struct sip_msg *msg = f->msg;
	int err = mbuf_printf(mb,
			      "%s %s SIP/2.0\r\n"
			      "Via: %s\r\n"
			      "Max-Forwards: 70\r\n",
			      met, f->uri, f->via);

	err |= route_put(mb, f);
	err |= mbuf_printf(mb,
			   "To: %r\r\n"
			   "From: %r\r\n"
			   "Call-ID: %r\r\n"
			   "CSeq: %u %s\r\n",
			   to, &msg->from.val, &msg->callid,
			   msg->cseq.num + (uint32_t)f->copy.cseq_add, met);
	if (str_isset(reason))
		err |= mbuf_printf(mb, "Reason: %s\r\n", reason);
	err |= mbuf_write_str(mb, "Content-Length: 0\r\n\r\n");
	mb->pos = 0;

	return err;
}


static void leave_handler(void *arg)
{
	over(arg, ETIMEDOUT, NULL);
}


static void own_send(const struct edge_forward *f, const char *met,
		     const struct pl *to, const char *reason)
{
	struct mbuf *mb = mbuf_alloc(512);

	if (mb && !own_print(mb, f, met, to, reason))
		(void)sip_send(f->sip, NULL, f->tp, &f->dst, mb);
	mem_deref(mb);
}


static bool may_hear(const struct edge_forward *f)
{
	return !f->adrift || f->stands;
}


static void cancel_send(void *arg)
{
	struct edge_forward *f = arg;

	own_send(f, "CANCEL", &f->msg->to.val, f->reason);

	if (f->tp == SIP_TRANSP_UDP && f->cancels < 6)
		tmr_start(&f->tmr_cancel, (uint64_t)SIP_T1 << f->cancels++,
			  cancel_send, f);
}


static void cancel_start(struct edge_forward *f)
{
	/* it may be ignored, or the other half may be gone */
	tmr_start(&f->tmr, f->adrift ? ADRIFT_MS : CANCEL_MS, leave_handler,
		  f);
	tmr_cancel(&f->tmr_again);
	if (f->via && may_hear(f))
		cancel_send(f);
}


/* Its phone may have another flow, RFC 5626 5.3 */
static void elsewhere_handler(void *arg)
{
	struct edge_forward *f = arg;
	struct edge_binding *b = edge_binding_of(f->edge, f->phone);

	if (b)
		(void)edge_forward_back(f, b);
}


void edge_forward_cancel(struct edge_forward *f, const char *reason)
{
	if (!f || !f->invite || f->cancelled)
		return;

	f->cancelled = true;
	if (str_isset(reason))
		(void)str_dup(&f->reason, reason);
	cancel_start(f);
}


void edge_forward_leave(struct edge_forward **fp, const char *reason)
{
	struct edge_forward *f = *fp;

	if (!f)
		return;

	*fp = NULL;
	if (!f->h || !f->invite) { /* it is over */
		mem_deref(f);
		return;
	}

	f->leaving = true;
	list_append(&f->edge->leaving, &f->le, f);
	edge_forward_cancel(f, reason);
	if (f->adrift)
		tmr_start(&f->tmr_again, 0, elsewhere_handler, f);
}


/* --- a 2xx that nobody wants --- */

/** Those who are between us and the one that has answered */
struct beyond {
	const struct edge *edge;
	struct pl hopv[16];
	unsigned hopc;
};


static bool beyond_handler(const struct sip_hdr *hdr,
			   const struct sip_msg *msg, void *arg)
{
	struct beyond *b = arg;
	struct edge_token token;
	struct sip_addr addr;

	if (sip_addr_decode(&addr, &hdr->val) ||
	    !edge_token_read(&token, &b->edge->key, &addr.uri.user,
			     &msg->callid))
		return true; /* we are next */

	b->hopv[b->hopc++] = hdr->val;

	return b->hopc >= sizeof(b->hopv) / sizeof(*b->hopv);
}


/* RFC 3261 12.1.2: their order is that of the one who called */
static int beyond_put(struct mbuf *mb, const struct edge *e,
		      const struct sip_msg *resp)
{
	struct beyond b = { .edge = e };
	int err = 0;

	(void)sip_msg_hdr_apply(resp, true, SIP_HDR_RECORD_ROUTE,
				beyond_handler, &b);
	while (b.hopc && !err)
		err = mbuf_printf(mb, "Route: %r\r\n", &b.hopv[--b.hopc]);

	return err;
}


static void in_dialog(struct edge *e, struct sip *sip, struct hop *hop,
		      const struct sip_msg *resp, const char *met,
		      uint32_t cseq, const char *uri)
{
	struct mbuf *mb = mbuf_alloc(512);
	int err;

	if (!mb)
		return;

	err = beyond_put(mb, e, resp);
	err |= mbuf_printf(mb,
			   "Max-Forwards: 70\r\n"
			   "To: %r\r\n"
			   "From: %r\r\n"
			   "Call-ID: %r\r\n"
			   "CSeq: %u %s\r\n"
			   "Content-Length: 0\r\n\r\n",
			   &resp->to.val, &resp->from.val, &resp->callid, cseq,
			   met);
	mb->pos = 0;
	if (!err)
		(void)sip_request(NULL, sip, strcmp(met, "ACK") != 0, met, -1,
				  uri, -1, &hop->uri, mb, 0, NULL, NULL, NULL);
	mem_deref(mb);
}


/* The phone was quicker than our CANCEL; nobody above could end that call */
static void end(struct edge *e, struct sip *sip, struct hop *hop,
		const struct sip_msg *resp)
{
	const struct sip_hdr *hdr = sip_msg_hdr(resp, SIP_HDR_CONTACT);
	struct sip_addr addr;
	char uri[EDGE_URI];

	if (!hdr || sip_addr_decode(&addr, &hdr->val) ||
	    pl_strcpy(&addr.auri, uri, sizeof(uri)))
		return;

	in_dialog(e, sip, hop, resp, "ACK", resp->cseq.num, uri);
	in_dialog(e, sip, hop, resp, "BYE", resp->cseq.num + 1, uri);
}


static void hang_up(struct edge_forward *f, const struct sip_msg *resp)
{
	struct hop hop;

	if (f->adrift) { /* it is back, but has not registered */
		edge_hang_up(f->edge, resp);
		return;
	}

	hop_make(&hop, &f->dst, f->tp);
	end(f->edge, f->sip, &hop, resp);
}


void edge_hang_up(struct edge *e, const struct sip_msg *resp)
{
	struct hop hop;

	hop_make(&hop, &resp->src, resp->tp);
	end(e, e->sip, &hop, resp);
}


void edge_forward_hang_up(struct edge_forward *f, const struct sip_msg *resp)
{
	if (f)
		hang_up(f, resp);
}


/* --- answers --- */

static void timer_c(void *arg)
{
	struct edge_forward *f = arg;

	/* the 487 that follows ends it; RFC 3261 16.8 */
	edge_forward_cancel(f, NULL);
}


static void provisional(struct edge_forward *f, const struct sip_msg *msg)
{
	if (!f->via && f->invite) {
		(void)re_sdprintf(&f->via, "SIP/2.0/%s %r;branch=%r;rport",
				  sip_transp_name(f->tp), &msg->via.sentby,
				  &msg->via.branch);
		if (f->cancelled && may_hear(f))
			cancel_send(f);
	}

	if (msg->scode <= 100)
		return;
	if (f->timer_c && !f->cancelled)
		tmr_start(&f->tmr, TIMER_C_MS, timer_c, f);
	if (f->h && !f->leaving)
		f->h(0, msg, f->arg);
}


static void response_handler(int err, const struct sip_msg *msg, void *arg)
{
	struct edge_forward *f = arg;

	tmr_cancel(&f->tmr_again);
	if (!err && msg && msg->scode < 200) {
		provisional(f, msg);
		return;
	}

	/* libre's goes where the first INVITE went */
	if (f->adrift && f->via && !err && msg && msg->scode >= 300) {
		f->dst = msg->src;
		f->tp = msg->tp;
	}
	if ((f->moved || f->adrift) && f->via && !err && msg &&
	    msg->scode >= 300)
		own_send(f, "ACK", &msg->to.val, NULL);

	if (f->leaving && !err && msg && msg->scode < 300 && f->invite)
		hang_up(f, msg);
	over(f, !err && !msg ? EPROTO : err, msg);
}


/* --- a flow that is gone --- */

static int via_read(char **via, const struct edge_forward *f)
{
	static const char name[] = "\r\nVia: ";
	const size_t n = sizeof(name) - 1;
	const char *end;

	if (f->sent_len <= n || memcmp(f->sent, name, n) != 0)
		return EBADMSG;

	end = memchr(f->sent + n, '\r', f->sent_len - n);

	return end ? re_sdprintf(via, "%b", f->sent + n,
				 (size_t)(end - f->sent) - n)
		   : EBADMSG;
}


int edge_forward_back(struct edge_forward *f, const struct edge_binding *b)
{
	char *uri = NULL;
	int err;

	/* belle-sip (Linphone 5.1) dies of a repetition whose transaction
	   began over a connection that is gone, so that INVITE does not come
	   again */
	if (!f->adrift || !f->sent || !f->cancelled)
		return EPROTONOSUPPORT;

	/* an app that was started anew may know its new contact alone */
	err = str_dup(&uri, b->contact);
	if (!err && !f->via)
		err = via_read(&f->via, f);
	if (err) {
		mem_deref(uri);
		return err;
	}

	mem_deref(f->uri);
	f->uri = uri;
	f->dst = b->flow->peer;
	f->tp = b->flow->tp;
	f->adrift = false;
	f->moved = true;
	f->cancels = 0;
	list_append(&b->flow->forwards, &f->le_flow, f);
	cancel_start(f);

	return 0;
}


void edge_forwards_back(const struct edge_binding *b)
{
	struct le *le = list_head(&b->flow->edge->leaving);

	for (; le; le = le->next) {
		struct edge_forward *f = le->data;

		if (f->adrift && !memcmp(f->phone, b->phone, EDGE_PHONE))
			(void)edge_forward_back(f, b);
	}
}


/* It has been deleted; as long as its connection stands libre's CANCEL gets
   there */
static bool is_gone(const struct edge_forward *f, int err)
{
	return err == ECONNABORTED && !edge_binding_of(f->edge, f->phone);
}


void edge_forward_lost(struct edge_forward *f, int err)
{
	if (f->edge->closed)
		return;

	/* libre would wait for an answer, or connect to the phone */
	if (!f->losth || is_gone(f, err)) {
		over(f, err, NULL);
		return;
	}

	f->adrift = true;
	f->stands =
		f->tp == SIP_TRANSP_UDP || err == ENOTCONN || err == ESHUTDOWN;
	tmr_cancel(&f->tmr_cancel);
	tmr_cancel(&f->tmr_again);
	if (f->cancelled)
		tmr_start(&f->tmr, ADRIFT_MS, leave_handler, f);
	if (f->leaving)
		tmr_start(&f->tmr_again, 0, elsewhere_handler, f);
	else if (f->h)
		f->losth(err, f->arg);
}


void edge_forward_holder(struct edge_forward *f, edge_forward_h *h)
{
	f->h = h;
}


/* --- out --- */

static int uri_make(char **uri, const struct edge_forward_prm *prm)
{
	return prm->uri ? str_dup(uri, prm->uri)
			: pl_strdup(uri, &prm->msg->ruri);
}


/* The branch is libre's, and it tells nobody else */
static void sent_handler(bool tx, enum sip_transp tp, const struct sa *src,
			 const struct sa *dst, const uint8_t *pkt, size_t len,
			 void *arg)
{
	const struct edge *e = arg;
	struct edge_forward *f = e->sending;
	const uint8_t *end =
		tx && f && !f->sent ? memchr(pkt, '\r', len) : NULL;
	(void)tp;
	(void)src;
	(void)dst;

	if (!end)
		return;

	f->sent_len = len - (size_t)(end - pkt);
	f->sent = mem_alloc(f->sent_len, NULL);
	if (f->sent)
		memcpy(f->sent, end, f->sent_len);
}


static int go(struct edge_forward *f, const struct edge_forward_prm *prm)
{
	struct mbuf *mb;
	struct hop hop;
	char met[32];
	int err = copy_request(&mb, prm->msg, &prm->copy);

	if (err)
		return err;

	hop_make(&hop, &prm->dst, prm->tp);
	(void)pl_strcpy(&prm->msg->met, met, sizeof(met));
	if (f->losth) {
		f->edge->sending = f;
		sip_set_trace_handler(f->sip, sent_handler);
	}
	err = sip_request(&f->req, prm->sip, true, met, -1, f->uri, -1,
			  &hop.uri, mb, 0, NULL, response_handler, f);
	if (f->losth) {
		sip_set_trace_handler(f->sip, NULL);
		f->edge->sending = NULL;
	}
	mem_deref(mb);

	return err;
}


int edge_forward(struct edge_forward **fp, const struct edge_forward_prm *prm)
{
	struct edge_forward *f = mem_zalloc(sizeof(*f), destructor);
	int err;

	if (!f)
		return ENOMEM;

	f->edge = prm->edge;
	f->sip = prm->sip;
	f->msg = mem_ref((void *)prm->msg);
	f->dst = prm->dst;
	f->tp = prm->tp;
	f->copy = prm->copy;
	f->copy.record_route = NULL;
	f->copy.headerh = NULL;
	f->invite = !pl_strcmp(&prm->msg->met, "INVITE");
	f->timer_c = f->invite && prm->timer_c;
	f->h = prm->h;
	f->losth = prm->losth;
	f->arg = prm->arg;
	if (prm->losth)
		memcpy(f->phone, prm->phone, EDGE_PHONE);
	err = uri_make(&f->uri, prm);
	err = err ? err : go(f, prm);
	if (err) {
		mem_deref(f);
		return err;
	}

	if (prm->flow)
		list_append(&prm->flow->forwards, &f->le_flow, f);
	if (f->timer_c)
		tmr_start(&f->tmr, TIMER_C_MS, timer_c, f);
	*fp = f;

	return 0;
}


int edge_forward_once(const struct edge_forward_prm *prm)
{
	struct mbuf *mb = NULL;
	char *uri = NULL, met[32];
	struct hop hop;
	int err = copy_request(&mb, prm->msg, &prm->copy);

	err = err ? err : uri_make(&uri, prm);
	if (!err) {
		hop_make(&hop, &prm->dst, prm->tp);
		(void)pl_strcpy(&prm->msg->met, met, sizeof(met));
		err = sip_request(NULL, prm->sip, false, met, -1, uri, -1,
				  &hop.uri, mb, 0, NULL, NULL, NULL);
	}
	mem_deref(uri);
	mem_deref(mb);

	return err;
}
