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
 */

#include <errno.h>
#include <string.h>
#include "common/log.h"
#include "sipis/edge/priv.h"


enum {
	TIMER_C_MS = 180 * 1000,
	CANCEL_MS = 64 * SIP_T1,
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
	struct tmr tmr, tmr_cancel;
	unsigned cancels;
	bool invite, timer_c, cancelled, leaving;
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
	mem_deref(f->req);
	mem_deref(f->msg);
	mem_deref(f->uri);
	mem_deref(f->via);
	mem_deref(f->reason);
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


static int cancel_print(struct mbuf *mb, const struct edge_forward *f)
{
	const struct sip_msg *msg = f->msg;
	int err = mbuf_printf(mb,
			      "CANCEL %s SIP/2.0\r\n"
			      "Via: %s\r\n"
			      "Max-Forwards: 70\r\n",
			      f->uri, f->via);

	err |= route_put(mb, f);
	err |= mbuf_printf(mb,
			   "To: %r\r\n"
			   "From: %r\r\n"
			   "Call-ID: %r\r\n"
			   "CSeq: %u CANCEL\r\n",
			   &msg->to.val, &msg->from.val, &msg->callid,
			   msg->cseq.num + (uint32_t)f->copy.cseq_add);
	if (str_isset(f->reason))
		err |= mbuf_printf(mb, "Reason: %s\r\n", f->reason);
	err |= mbuf_write_str(mb, "Content-Length: 0\r\n\r\n");
	mb->pos = 0;

	return err;
}


static void leave_handler(void *arg)
{
	over(arg, ETIMEDOUT, NULL);
}


static void cancel_send(void *arg)
{
	struct edge_forward *f = arg;
	struct mbuf *mb = mbuf_alloc(512);

	if (mb && !cancel_print(mb, f))
		(void)sip_send(f->sip, NULL, f->tp, &f->dst, mb);
	mem_deref(mb);

	if (f->tp == SIP_TRANSP_UDP && f->cancels < 6)
		tmr_start(&f->tmr_cancel, (uint64_t)SIP_T1 << f->cancels++,
			  cancel_send, f);
}


static void cancel_start(struct edge_forward *f)
{
	/* it may be ignored, or the other half may be gone */
	tmr_start(&f->tmr, CANCEL_MS, leave_handler, f);
	if (f->via)
		cancel_send(f);
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
static int beyond_put(struct mbuf *mb, const struct edge_forward *f,
		      const struct sip_msg *resp)
{
	struct beyond b = { .edge = f->edge };
	int err = 0;

	(void)sip_msg_hdr_apply(resp, true, SIP_HDR_RECORD_ROUTE,
				beyond_handler, &b);
	while (b.hopc && !err)
		err = mbuf_printf(mb, "Route: %r\r\n", &b.hopv[--b.hopc]);

	return err;
}


static void in_dialog(struct edge_forward *f, const struct sip_msg *resp,
		      const char *met, uint32_t cseq, const char *uri)
{
	struct mbuf *mb = mbuf_alloc(512);
	struct hop hop;
	int err;

	if (!mb)
		return;

	hop_make(&hop, &f->dst, f->tp);
	err = beyond_put(mb, f, resp);
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
		(void)sip_request(NULL, f->sip, strcmp(met, "ACK") != 0, met,
				  -1, uri, -1, &hop.uri, mb, 0, NULL, NULL,
				  NULL);
	mem_deref(mb);
}


/* The phone was quicker than our CANCEL; nobody above could end that call */
static void hang_up(struct edge_forward *f, const struct sip_msg *resp)
{
	const struct sip_hdr *hdr = sip_msg_hdr(resp, SIP_HDR_CONTACT);
	struct sip_addr addr;
	char uri[EDGE_URI];

	if (!hdr || sip_addr_decode(&addr, &hdr->val) ||
	    pl_strcpy(&addr.auri, uri, sizeof(uri)))
		return;

	in_dialog(f, resp, "ACK", resp->cseq.num, uri);
	in_dialog(f, resp, "BYE", resp->cseq.num + 1, uri);
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
		if (f->cancelled)
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

	if (!err && msg && msg->scode < 200) {
		provisional(f, msg);
		return;
	}

	if (f->leaving && !err && msg && msg->scode < 300 && f->invite)
		hang_up(f, msg);
	over(f, !err && !msg ? EPROTO : err, msg);
}


void edge_forward_lost(struct edge_forward *f, int err)
{
	/* libre would wait for an answer, or connect to the phone */
	over(f, err, NULL);
}


/* --- out --- */

static int uri_make(char **uri, const struct edge_forward_prm *prm)
{
	return prm->uri ? str_dup(uri, prm->uri)
			: pl_strdup(uri, &prm->msg->ruri);
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
	err = sip_request(&f->req, prm->sip, true, met, -1, f->uri, -1,
			  &hop.uri, mb, 0, NULL, response_handler, f);
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
	f->arg = prm->arg;
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
