/**
 * @file grant.c  What a REGISTER is granted: its 200
 */

#include <string.h>
#include "common/clock.h"
#include "sipis/edge/flow.h"
#include "sipis/edge/purr.h"
#include "sipis/edge/registrar.h"
#include "sipis/edge/wake.h"


enum {
	EXPIRES_UDP = 600, /* nobody tells when such a flow ends */
	LISTED = 4,        /* of others: it has to fit a datagram */
	LISTED_URI = 128,
};


uint32_t edge_grant_s(const struct edge *e, const struct sip_msg *msg,
		      uint32_t asked)
{
	uint32_t max = e->prm.cfg->expires_s;

	if (msg->tp == SIP_TRANSP_UDP && max > EXPIRES_UDP)
		max = EXPIRES_UDP;

	return asked < max ? asked : max;
}


/* Whoever finds us without being told to shall find us again */
static int own_route(struct re_printf *pf, const struct edge_login *l)
{
	const struct sip_msg *msg = l->msg;
	const char *host = l->edge->prm.cfg->host;

	return host ? re_hprintf(pf, "sip:%s:%u%s;lr", host,
				 sa_port(&msg->dst), sip_transp_param(msg->tp))
		    : re_hprintf(pf, "sip:%J%s;lr", &msg->dst,
				 sip_transp_param(msg->tp));
}


/* RFC 8599 5.6.1: what a client did not ask for it does not need to know */
static int caps_print(struct re_printf *pf, const struct edge_pn_offer *offer)
{
	return offer ? edge_pn_caps(pf, offer) : 0;
}


/* RFC 5627 5.2, of the account's binding at its PBX.  It is the PBX that
   resolves it: to us, and so to all phones of the account */
static int gruu_print(struct re_printf *pf, const struct edge_login *l)
{
	const struct pl *urn = &l->wish.contact.urn;
	char gruu[EDGE_ROUTE];

	if (!sip_msg_hdr_has_value(l->msg, SIP_HDR_SUPPORTED, "gruu") ||
	    !pl_isset(urn) ||
	    acct_gruu(gruu, sizeof(gruu), reg_find(l->edge->prm.reg, l->acct)))
		return 0;

	return re_hprintf(pf, ";pub-gruu=\"%s\"", gruu);
}


struct listing {
	const struct edge_login *l;
	const char *skip; /**< URI that stands there already */
};


/* RFC 3261 10.3, 8: all of the account's, as long as they are few */
static int others_print(struct re_printf *pf, const struct listing *what)
{
	const struct edge_login *l = what->l;
	const struct edge_binding *b = NULL;
	const uint64_t now = clock_mono_ms();
	unsigned n = 0;
	int err = 0;

	while (!err && n < LISTED &&
	       (b = edge_binding_next(l->edge, l->acct, b))) {
		char uri[LISTED_URI];

		if ((what->skip && !strcmp(b->contact, what->skip)) ||
		    re_snprintf(uri, sizeof(uri), "%H", edge_contact_public,
				b->contact) < 1)
			continue;
		++n;
		err = re_hprintf(pf, "Contact: <%s>;expires=%u\r\n", uri,
				 b->until > now
					 ? (uint32_t)((b->until - now) / 1000)
					 : 0);
	}

	return err;
}


void edge_grant_list(struct edge_login *l)
{
	const struct listing what = { .l = l };

	edge_login_replyf(l, 200, "OK", "%H", others_print, &what);
}


/* 0: it is not told.  Without that a client waits for our push (4.1.4): one
   that we cannot push must hear it most of all */
static uint32_t pnsreg_of(const struct edge_wish *w, uint32_t expires_s)
{
	return w->pn.pnsreg && w->pn.kind == EDGE_PN_TOKENS
		       ? edge_refresh_by(expires_s)
		       : 0;
}


/* NULL: it is not pushed for what comes in its dialogs */
static const char *purr_of(char text[EDGE_PURR_LEN + 1], const struct edge *e,
			   const struct edge_binding *b,
			   const struct edge_wish *w)
{
	return w->pn.pnspurr && b->known && edge_wake_may(e, &w->pn) &&
			       !edge_purr_write(text, &e->key, b->phone,
						clock_wall_ms() / 1000)
		       ? text
		       : NULL;
}


void edge_grant(struct edge_login *l, const struct edge_binding *b,
		uint32_t expires_s)
{
	const struct edge_wish *w = &l->wish;
	char purr[EDGE_PURR_LEN + 1];
	const struct edge_pn_offer offer = {
		.cfg = l->edge->prm.cfg,
		.provider = w->pn.provider,
		.pnsreg_s = pnsreg_of(w, expires_s),
		.purr = purr_of(purr, l->edge, b, w)
	};
	const struct listing what = { .l = l, .skip = b->contact };
	const bool outbound = edge_wish_outbound(w, l->msg);

	edge_login_replyf(l, 200, "OK",
			  "Contact: <%r>;expires=%u%s%H\r\n"
			  "%H"
			  "Service-Route: <%H>\r\n"
			  "Supported: outbound, path\r\n"
			  "%s"
			  "Flow-Timer: %u\r\n"
			  "%H",
			  &w->contact.addr.auri, expires_s, b->params,
			  gruu_print, l, others_print, &what, own_route, l,
			  outbound ? "Require: outbound\r\n" : "",
			  l->edge->prm.cfg->flow_timer_s, caps_print,
			  w->pn.kind && !l->untaken ? &offer : NULL);
}
