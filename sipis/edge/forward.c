/**
 * @file forward.c  One request on its way out; RFC 3261 16.6 to 16.10
 *
 * The client half of a proxy transaction.  libre sends, repeats and ACKs a
 * refusal; timer C, CANCEL with a Reason (RFC 3326) and a 2xx that nobody
 * wants any more are ours:
 *
 *        timer B, to a phone: forward_adrift.c
 *        ^        1xx                      final, lost, timer C
 *     CALLING ---------> PROCEEDING ------------------------------> over
 *        | cancel            | cancel                                ^
 *        v        1xx        v                    final, 32 s        |
 *     (waits) ---------> CANCEL sent -------------------------------+
 *                                     2xx and nobody there: ACK, BYE
 *
 * A phone that says nothing to what is no INVITE is over before timer F.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "common/log.h"
#include "sipis/edge/flow.h"
#include "sipis/edge/forward.h"
#include "sipis/edge/forward_impl.h"
#include "sipis/edge/hangup.h"
#include "sipis/edge/hop.h"
#include "sipis/sip/copy.h"


enum {
	TIMER_C_MS = 180 * 1000,
	ANSWER_MS = 20 * 1000, /* for a phone, to what is no INVITE: who asks
				  gives up after 32 s, timer F */
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


bool edge_forward_leave(struct edge_forward **fp, const char *reason)
{
	struct edge_forward *f = *fp;

	if (!f)
		return false;

	*fp = NULL;
	if (!f->h || !f->invite) { /* it is over */
		mem_deref(f);
		return false;
	}

	f->leaving = true;
	list_append(&f->edge->leaving, &f->le, f);
	edge_forward_cancel(f, reason);
	if (f->adrift)
		edge_forward_elsewhere(f);

	return f->told;
}


static void hang_up(struct edge_forward *f, const struct sip_msg *resp)
{
	if (f->adrift) /* it is back, but has not registered */
		edge_hang_up(f->edge, resp);
	else
		edge_hang_up_at(f->edge, f->sip, &f->dst, f->tp, resp);
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


/* Its app is frozen, or its network away: whoever asks is to hear of it */
static void mute_handler(void *arg)
{
	struct edge_forward *f = arg;

	if (f->heard)
		return;

	f->req = mem_deref(f->req);
	edge_forward_over(f, ETIMEDOUT, NULL);
}


/* What a CANCEL needs of it */
static char *via_text(enum sip_transp tp, const struct sip_via *via)
{
	const size_t size = sizeof("SIP/2.0/SCTP ;branch=;rport") +
			    via->sentby.l + via->branch.l;
	char *text = mem_alloc(size, NULL);

	if (text)
		(void)snprintf(text, size, "SIP/2.0/%s %.*s;branch=%.*s;rport",
			       sip_transp_name(tp), (int)via->sentby.l,
			       via->sentby.p, (int)via->branch.l,
			       via->branch.p);

	return text;
}


static void provisional(struct edge_forward *f, const struct sip_msg *msg)
{
	f->heard = true;
	if (!f->via && f->invite) {
		f->via = via_text(f->tp, &msg->via);
		if (f->cancelled && edge_forward_hears(f))
			edge_forward_cancel_send(f);
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

	if (err == ETIMEDOUT && f->losth && !f->via) {
		edge_forward_unheard(f);
		return;
	}

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
		edge_forward_own(f, "ACK", &msg->to.val, NULL);

	if (f->leaving && !err && msg && msg->scode < 300 && f->invite)
		hang_up(f, msg);
	edge_forward_over(f, !err && !msg ? EPROTO : err, msg);
}


void edge_forward_holder(struct edge_forward *f, edge_forward_h *h,
			 edge_forward_lost_h *losth)
{
	f->h = h;
	f->losth = losth;
}


bool edge_forward_heard(const struct edge_forward *f)
{
	return f && f->heard;
}


bool edge_forward_roams(const struct edge_forward *f)
{
	return f->losth != NULL;
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
	struct pl via;
	(void)tp;
	(void)src;
	(void)dst;

	if (tx && f && !f->sent &&
	    !re_regex((const char *)pkt, len, "\r\nVia: [^\r]+", &via))
		(void)pl_strdup(&f->sent, &via);
}


static int go(struct edge_forward *f, const struct edge_forward_prm *prm)
{
	struct mbuf *mb;
	struct edge_hop hop;
	char met[32];
	int err = copy_request(&mb, prm->msg, &prm->copy);

	if (err)
		return err;

	edge_hop_make(&hop, &prm->dst, prm->tp);
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

	if (prm->ties)
		list_append(prm->ties, &f->le_flow, f);
	if (f->timer_c)
		tmr_start(&f->tmr, TIMER_C_MS, timer_c, f);
	else if (!f->invite && f->sip == f->edge->sip)
		tmr_start(&f->tmr, ANSWER_MS, mute_handler, f);
	*fp = f;

	return 0;
}


int edge_forward_once(const struct edge_forward_prm *prm)
{
	struct mbuf *mb = NULL;
	char *uri = NULL, met[32];
	struct edge_hop hop;
	int err = copy_request(&mb, prm->msg, &prm->copy);

	err = err ? err : uri_make(&uri, prm);
	if (!err) {
		edge_hop_make(&hop, &prm->dst, prm->tp);
		(void)pl_strcpy(&prm->msg->met, met, sizeof(met));
		err = sip_request(NULL, prm->sip, false, met, -1, uri, -1,
				  &hop.uri, mb, 0, NULL, NULL, NULL);
	}
	mem_deref(uri);
	mem_deref(mb);

	return err;
}
