/**
 * @file hangup.c  A 2xx that nobody wants: ACK and BYE
 */

#include <errno.h>
#include <string.h>
#include "sipis/edge/contacts.h"
#include "sipis/edge/hangup.h"
#include "sipis/edge/hop.h"


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


static void in_dialog(struct edge *e, struct sip *sip,
		      const struct edge_hop *hop, const struct sip_msg *resp,
		      const char *met, uint32_t cseq, const char *uri)
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
void edge_hang_up_at(struct edge *e, struct sip *sip, const struct sa *dst,
		     enum sip_transp tp, const struct sip_msg *resp)
{
	const struct sip_hdr *hdr = sip_msg_hdr(resp, SIP_HDR_CONTACT);
	struct sip_addr addr;
	struct edge_hop hop;
	char uri[EDGE_URI];

	if (!hdr || sip_addr_decode(&addr, &hdr->val) ||
	    pl_strcpy(&addr.auri, uri, sizeof(uri)))
		return;

	edge_hop_make(&hop, dst, tp);
	in_dialog(e, sip, &hop, resp, "ACK", resp->cseq.num, uri);
	in_dialog(e, sip, &hop, resp, "BYE", resp->cseq.num + 1, uri);
}


void edge_hang_up(struct edge *e, const struct sip_msg *resp)
{
	edge_hang_up_at(e, e->sip, &resp->src, resp->tp, resp);
}
