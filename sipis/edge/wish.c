/**
 * @file wish.c  What one REGISTER asks for; RFC 3261 10.3, 5626, 8599, pure
 */

#include <errno.h>
#include <string.h>
#include "sipis/edge/contacts.h"
#include "sipis/edge/wish.h"


enum { CONTACTS = 8 /* in one REGISTER */ };


static bool pns_handler(const struct sip_hdr *hdr, const struct sip_msg *msg,
			void *arg)
{
	(void)msg;
	(void)arg;

	return !re_regex(hdr->val.p, hdr->val.l, "+sip.pns[ \t]*=", NULL);
}


/* RFC 8599 5.6.1.1: a proxy between it and us pushes it, so we do not */
static void leave_to_others(struct edge_pn *pn, const struct sip_msg *msg)
{
	if (pn->kind > EDGE_PN_ASKS &&
	    sip_msg_xhdr_apply(msg, true, "Feature-Caps", pns_handler, NULL))
		memset(pn, 0, sizeof(*pn));
}


/* RFC 3261 10.3, 6: all of them are good, or none counts.  RFC 5626 6: with
   reg-id there is one that does not end */
static bool contacts_good(const struct sip_msg *msg)
{
	struct edge_contacts c = edge_contacts_of(msg);
	unsigned n = 0, live = 0, outbound = 0;
	struct pl one;

	while (edge_contact_next(&one, &c)) {
		struct sip_addr addr;

		if (++n > CONTACTS || !edge_contact_read(&addr, &one, msg) ||
		    addr.auri.l >= EDGE_URI)
			return false;
		if (!edge_contact_expires(&addr, msg))
			continue;
		++live;
		outbound += edge_contact_reg_id(&addr) != 0;
	}

	return live < 2 || !outbound;
}


int edge_wish_read(struct edge_wish *w, const struct edge_cfg *cfg,
		   const struct sip_msg *msg)
{
	const struct sip_hdr *hdr = sip_msg_hdr(msg, SIP_HDR_CONTACT);
	struct pl pl;

	memset(w, 0, sizeof(*w));
	w->expires_s = edge_contacts_expires(msg);
	w->none = !hdr;
	w->all = hdr && !pl_strcmp(&hdr->val, "*");
	if (w->none || w->all)
		return w->all && (w->expires_s ||
				  sip_msg_hdr_count(msg, SIP_HDR_CONTACT) > 1)
			       ? EBADMSG
			       : 0;

	if (!contacts_good(msg) || !edge_contact_of(&w->addr, msg))
		return EBADMSG;

	w->expires_s = edge_contact_expires(&w->addr, msg);
	w->reg_id = edge_contact_reg_id(&w->addr);
	edge_contact_params(w->params, sizeof(w->params), &w->addr);
	edge_pn_read(&w->pn, cfg, &w->addr.uri);
	leave_to_others(&w->pn, msg);
	w->pn.pnsreg = !msg_param_exists(&w->addr.params, "+sip.pnsreg", &pl);
	w->pn.pnspurr =
		!msg_param_exists(&w->addr.params, "+sip.pnspurr", &pl) ||
		!msg_param_exists(&w->addr.uri.params, "pn-purr", &pl);

	return 0;
}


bool edge_wish_outbound(const struct edge_wish *w, const struct sip_msg *msg)
{
	return w->reg_id &&
	       sip_msg_hdr_has_value(msg, SIP_HDR_SUPPORTED, "outbound");
}


static bool ob_handler(const struct sip_hdr *hdr, const struct sip_msg *msg,
		       void *arg)
{
	(void)msg;
	(void)arg;

	return !re_regex(hdr->val.p, hdr->val.l, ";[ \t]*ob[^a-z0-9\\-]1",
			 NULL);
}


/* RFC 5626 6 */
bool edge_wish_cut_off(const struct edge_wish *w, const struct sip_msg *msg)
{
	return edge_wish_outbound(w, msg) &&
	       sip_msg_hdr_count(msg, SIP_HDR_VIA) > 1 &&
	       !sip_msg_hdr_apply(msg, true, SIP_HDR_PATH, ob_handler, NULL);
}
