/**
 * @file route.c  Our Route and Record-Route; RFC 3261 16.4, 16.6, RFC 5658
 *
 * A dialog has two of us: one towards the PBX, one towards the phone, both
 * with the same token.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "common/log.h"
#include "sipis/call/reason.h"
#include "sipis/edge/flow.h"
#include "sipis/edge/priv.h"
#include "sipis/sip/copy.h"


struct walk {
	struct edge_routes *r;
	struct pl text; /**< of a token that is good */
	const struct edge *e;
	const struct pbx *pbx;
};


/* Any name that reaches us; a port of 0 fits */
bool edge_is_us(const struct edge *e, const struct pbx *pbx,
		const struct pl *host, uint16_t port)
{
	const char *name = e->prm.cfg->host;
	struct sa sa;

	if (name && !pl_strcasecmp(host, name))
		return true;
	if (sa_set(&sa, host, port ? port : SIP_PORT))
		return false;

	for (int tp = SIP_TRANSP_UDP; tp <= SIP_TRANSP_TLS; tp++) {
		if (!port && tp == SIP_TRANSP_TLS)
			sa_set_port(&sa, SIP_PORT_TLS);
		if (sip_transp_isladdr(e->sip, (enum sip_transp)tp, &sa) ||
		    (pbx && sip_transp_isladdr(pbx_sip(pbx),
					       (enum sip_transp)tp, &sa)))
			return true;
	}

	return false;
}


static bool route_handler(const struct sip_hdr *hdr, const struct sip_msg *msg,
			  void *arg)
{
	struct walk *w = arg;
	struct edge_token token;
	struct sip_addr addr;

	if (sip_addr_decode(&addr, &hdr->val))
		return true;

	if (w->r->signed_ && !pl_cmp(&w->text, &addr.uri.user)) {
		return ++w->r->pop >= 2; /* the other one of us */
	}
	else if (!edge_token_read(&token, &w->e->key, &addr.uri.user,
				  &msg->callid)) {
		if (!w->r->signed_)
			w->r->token = token;
		w->r->signed_ = true;
		w->text = addr.uri.user;
	}
	else if (pl_isset(&addr.uri.user) ||
		 !edge_is_us(w->e, w->pbx, &addr.uri.host, addr.uri.port)) {
		return true;
	}

	return ++w->r->pop >= 2;
}


void edge_routes(struct edge_routes *r, const struct edge *e,
		 const struct pbx *pbx, const struct sip_msg *msg)
{
	struct walk w = { .r = r, .e = e, .pbx = pbx };

	r->pop = 0;
	r->signed_ = false;
	r->hop = 0;
	r->talk = NULL;
	(void)sip_msg_hdr_apply(msg, true, SIP_HDR_ROUTE, route_handler, &w);
}


/* host NULL: the address itself */
static bool line_put(char **p, const char *end, const char *token,
		     const char *host, const struct sa *laddr,
		     enum sip_transp tp)
{
	const bool v6 = !host && sa_af(laddr) == AF_INET6;
	const size_t room = (size_t)(end - *p);
	char addr[64];
	int n;

	if (!host && sa_ntop(laddr, addr, sizeof(addr)))
		return false;

	n = snprintf(*p, room, "Record-Route: <sip:%s@%s%s%s:%u%s;lr>\r\n",
		     token, v6 ? "[" : "", host ? host : addr, v6 ? "]" : "",
		     sa_port(laddr), sip_transp_param(tp));
	if (n < 0 || (size_t)n >= room)
		return false;

	*p += n;
	return true;
}


/* RFC 3261 16.6, 4: who learns a route set, or learns it anew after a crash,
   does so by what begins or refreshes a dialog */
bool edge_records(const struct sip_msg *msg)
{
	return pl_strcmp(&msg->met, "ACK") && pl_strcmp(&msg->met, "BYE") &&
	       pl_strcmp(&msg->met, "PRACK");
}


int edge_record_route(char *buf, size_t size, const struct edge_binding *b,
		      const struct pl *callid,
		      const struct edge_stride *stride, const struct sa *laddr,
		      enum sip_transp tp, bool to_phone)
{
	const struct edge_flow *f = b->flow;
	const char *host = f->edge->prm.cfg->host, *end = buf + size;
	char text[EDGE_TOKEN_LEN + 1];
	struct edge_token token = {
		.acct = b->acct,
		.pbx = edge_token_pbx(pbx_cfg(b->pbx)->name),
		.begins = to_phone && !stride,
	};
	bool ok;
	int err;

	if (stride)
		token.stride = *stride;
	else if (pbx_cfg(b->pbx)->challenges == CFG_CHALLENGES_ANSWER)
		edge_stride_begin(&token.stride, 0);
	memcpy(token.phone, b->phone, EDGE_PHONE);
	err = edge_token_write(text, &f->edge->key, &token, callid);
	if (err)
		return err;

	ok = to_phone ? line_put(&buf, end, text, host, &f->laddr, f->tp) &&
				line_put(&buf, end, text, NULL, laddr, tp)
		      : line_put(&buf, end, text, NULL, laddr, tp) &&
				line_put(&buf, end, text, host, &f->laddr,
					 f->tp);

	return ok ? 0 : EOVERFLOW;
}


/* --- may it go on? --- */

struct passed {
	struct sip *edge, *pbx;
	unsigned n; /**< Vias of ours */
};


static bool via_handler(const struct sip_hdr *hdr, const struct sip_msg *msg,
			void *arg)
{
	struct passed *p = arg;
	struct sip_via via;
	(void)msg;

	if (!sip_via_decode(&via, &hdr->val) &&
	    (sip_transp_isladdr(p->edge, via.tp, &via.addr) ||
	     sip_transp_isladdr(p->pbx, via.tp, &via.addr)))
		++p->n;

	return false;
}


/* Each way through us adds one Via, towards phone or PBX */
static bool loops(const struct edge *e, const struct pbx *pbx,
		  const struct sip_msg *msg)
{
	struct passed p = { .edge = e->sip, .pbx = pbx_sip(pbx) };

	if (sip_msg_hdr_count(msg, SIP_HDR_VIA) <= EDGE_SPIRAL)
		return false; /* it costs less than to read them */

	(void)sip_msg_hdr_apply(msg, true, SIP_HDR_VIA, via_handler, &p);

	return p.n > EDGE_SPIRAL;
}


static void stop(struct edge *e, struct sip *in, const struct sip_msg *msg,
		 uint16_t scode, const char *phrase, const char *tags)
{
	char to[128], from[64];

	(void)re_snprintf(to, sizeof(to), "%r", &msg->to.auri);
	(void)re_snprintf(from, sizeof(from), "%J", &msg->src);
	if (edge_may_log(e, &msg->src))
		log_info("edge", NULL, "%u %s from=%s to=%s%s%s", scode,
			 phrase, from, to, *tags ? ": it requires " : "",
			 tags);
	metric_inc(&e->metricv[EDGE_M_REFUSED]);
	(void)sip_treplyf(NULL, NULL, in, msg, false, scode, phrase,
			  "%s%s%sContent-Length: 0\r\n\r\n",
			  *tags ? "Unsupported: " : "", tags,
			  *tags ? "\r\n" : "");
}


/* Of a call that will wait its record says so */
static bool is_waiting(const struct sip_msg *msg, bool of_phone)
{
	return !of_phone && !pl_strcmp(&msg->met, "INVITE") &&
	       !pl_isset(&msg->to.tag);
}


bool edge_stops(struct edge *e, struct pbx *pbx, const struct sip_msg *msg,
		bool of_phone)
{
	struct sip *in;
	char tags[256];

	if (!e || e->closed)
		return false;
	if (!pl_strcmp(&msg->met, "ACK"))
		return loops(e, pbx, msg); /* nobody may answer it */

	in = of_phone ? e->sip : pbx_sip(pbx);
	if (!is_waiting(msg, of_phone) &&
	    reason_unsupported(tags, sizeof(tags), msg, SIP_HDR_PROXY_REQUIRE))
		stop(e, in, msg, 420, "Bad Extension", tags);
	else if (!copy_breadth(msg))
		stop(e, in, msg, 440, "Max-Breadth Exceeded", "");
	else if (loops(e, pbx, msg))
		stop(e, in, msg, 482, "Loop Detected", "");
	else
		return false;

	return true;
}
