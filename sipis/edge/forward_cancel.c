/**
 * @file forward_cancel.c  A request on its way out: its CANCEL and its end
 */

#include <errno.h>
#include "sipis/edge/forward.h"
#include "sipis/edge/forward_impl.h"


enum {
	CANCEL_MS = 64 * SIP_T1,
	ADRIFT_MS = 180 * 1000, /* as long as it may ring by itself */
};


void edge_forward_over(struct edge_forward *f, int err,
		       const struct sip_msg *msg)
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


void edge_forward_own(const struct edge_forward *f, const char *met,
		      const struct pl *to, const char *reason)
{
	struct mbuf *mb = mbuf_alloc(512);

	if (mb && !own_print(mb, f, met, to, reason))
		(void)sip_send(f->sip, NULL, f->tp, &f->dst, mb);
	mem_deref(mb);
}


bool edge_forward_hears(const struct edge_forward *f)
{
	return !f->adrift || f->stands;
}


static void again_handler(void *arg)
{
	edge_forward_cancel_send(arg);
}


void edge_forward_cancel_send(struct edge_forward *f)
{
	f->told = true;
	edge_forward_own(f, "CANCEL", &f->msg->to.val, f->reason);

	if (f->tp == SIP_TRANSP_UDP && f->cancels < 6)
		tmr_start(&f->tmr_cancel, (uint64_t)SIP_T1 << f->cancels++,
			  again_handler, f);
}


static void leave_handler(void *arg)
{
	edge_forward_over(arg, ETIMEDOUT, NULL);
}


/* It may be ignored, or the other half may be gone */
void edge_forward_end_soon(struct edge_forward *f)
{
	tmr_start(&f->tmr, f->adrift ? ADRIFT_MS : CANCEL_MS, leave_handler,
		  f);
}


void edge_forward_cancel_start(struct edge_forward *f)
{
	edge_forward_end_soon(f);
	tmr_cancel(&f->tmr_again);
	if (f->via && edge_forward_hears(f))
		edge_forward_cancel_send(f);
}


void edge_forward_cancel(struct edge_forward *f, const char *reason)
{
	if (!f || !f->invite || f->cancelled)
		return;

	f->cancelled = true;
	if (str_isset(reason))
		(void)str_dup(&f->reason, reason);
	edge_forward_cancel_start(f);
}
