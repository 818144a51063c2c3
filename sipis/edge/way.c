/**
 * @file edge/way.c  Where a request goes: to its PBX, or to a phone
 */

#include <errno.h>
#include <string.h>
#include "common/log.h"
#include "sipis/edge/flow.h"
#include "sipis/edge/forward.h"
#include "sipis/edge/passage.h"
#include "sipis/edge/vouch.h"


/* Its flow has ended: the phone may not have read it */
static void again_handler(struct edge *e, const struct edge_ends *ends,
			  const struct sip_msg *msg)
{
	struct edge_binding *b = edge_dialogs_of(e, ends->phone);

	if (b)
		edge_to_phone(b, ends->pbx, msg, ends->routes);
	else
		edge_hold(e, ends->pbx, msg, ends->routes);
}


void edge_passage(struct pbx *pbx, const struct edge_forward_prm *prm,
		  const struct edge_routes *r)
{
	edge_passage_begin(pbx_sip(pbx), prm,
			   &(struct edge_ends){ .pbx = pbx,
						.phone = r->token.phone,
						.routes = r,
						.to_phone = true,
						.againh = again_handler });
}


/* --- to its PBX --- */

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
   phone reaches nothing else through us.  more: it has another target */
static int pbx_hop(struct edge_forward_prm *prm, bool *more, struct pbx *pbx,
		   const struct edge_binding *b, unsigned hop)
{
	const char *proxy = b ? b->proxy : NULL;
	const int transport = b ? b->transport : -1;
	enum sip_transp tp;
	struct uri uri;
	struct sa sa;
	int err;

	next_hop(&uri, prm->msg, prm->copy.pop);
	prm->tp = transp_of(&uri);
	if (!sa_set(&sa, &uri.host, sip_transp_port(prm->tp, uri.port)) &&
	    pbx_is_peer(pbx, &sa)) {
		prm->dst = sa;
		return 0;
	}

	err = pbx_target(pbx, proxy, transport, hop, &prm->dst, &prm->tp);
	*more = !err && !pbx_target(pbx, proxy, transport, hop + 1, &sa, &tp);

	return err;
}


/* RFC 3263 4.3 */
static void next_handler(struct edge *e, const struct edge_ends *ends,
			 const struct sip_msg *msg)
{
	struct edge_binding *b =
		ends->phone ? edge_dialogs_of(e, ends->phone) : NULL;

	edge_to_pbx(e, ends->pbx, b, msg, ends->routes);
}


void edge_to_pbx(struct edge *e, struct pbx *pbx, struct edge_binding *b,
		 const struct sip_msg *msg, const struct edge_routes *r)
{
	const bool records = b && edge_records(msg);
	char rr[EDGE_ROUTE];
	struct sa laddr;
	struct edge_forward_prm prm = {
		.edge = e,
		.sip = pbx_sip(pbx),
		.talk = r->talk,
		.msg = msg,
		.copy = { .pop = r->pop,
			  .record_route = records ? rr : NULL,
			  .asserts_nothing = true },
		.timer_c = true,
	};
	bool more = false;
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

	err = pbx_hop(&prm, &more, pbx, b, r->hop);
	err = err ? err : pbx_local(pbx, prm.tp, &prm.dst, &laddr);
	if (!err && edge_vouch_strides(pbx, r))
		err = edge_vouch(&prm, pbx, b, r, &laddr);
	else if (!err && records)
		err = edge_record_route(rr, sizeof(rr), b, &msg->callid,
					r->signed_ ? &r->token.stride : NULL,
					&laddr, prm.tp, false);
	if (!err) {
		edge_passage_begin(
			e->sip, &prm,
			&(struct edge_ends){ .pbx = pbx,
					     .phone = b ? b->phone : NULL,
					     .routes = r,
					     .more = more,
					     .againh = next_handler });
		mem_deref(prm.vouch);
		return;
	}

	log_warning("edge", NULL, "no way to pbx %s for a phone: %s",
		    pbx_cfg(pbx)->name, strerror(err));
	if (pl_strcmp(&msg->met, "ACK"))
		(void)sip_reply(e->sip, msg, 480, "Temporarily Unavailable");
}


/* --- to a phone --- */

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
	const bool records = edge_records(msg);
	struct sa laddr = { .len = 0 };
	struct edge_forward_prm prm = {
		.edge = e,
		.ties = &b->flow->forwards,
		.sip = e->sip,
		.talk = r->talk,
		.msg = msg,
		.dst = b->flow->peer,
		.tp = b->flow->tp,
		.copy = { .pop = r->pop, .record_route = records ? rr : NULL },
		.timer_c = true,
	};

	if (edge_detour(&(struct edge_detour_prm){
		    .edge = e,
		    .pbx = pbx,
		    .binding = b,
		    .phone = b->phone,
		    .msg = msg,
		    .routes = r,
		    .peer = &b->flow->peer,
	    }))
		return;

	if (r->signed_ && r->token.stride.on &&
	    !pl_strcmp(&msg->met, "NOTIFY")) {
		prm.copy.headerh = edge_vouch_event;
		prm.copy.arg = (void *)&r->token.stride;
	}

	if (pbx_local(pbx, msg->tp, &msg->src, &laddr) ||
	    (records && edge_record_route(rr, sizeof(rr), b, &msg->callid,
					  r->signed_ ? &r->token.stride : NULL,
					  &laddr, msg->tp, true)))
		prm.copy.record_route = NULL;

	/* a PBX that takes the address of a message for its Contact */
	if (names(&msg->uri, &laddr) ||
	    edge_is_us(e, pbx, &msg->uri.host, msg->uri.port))
		prm.uri = b->contact;

	edge_passage_begin(pbx_sip(pbx), &prm,
			   &(struct edge_ends){ .pbx = pbx,
						.phone = b->phone,
						.routes = r,
						.to_phone = true,
						.againh = again_handler });
}
