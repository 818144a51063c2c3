/**
 * @file wish.c  What one REGISTER asks for; RFC 3261 10.3, 5626, 8599, pure
 */

#include <errno.h>
#include <string.h>
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
   reg-id there is one that does not end.  The phone that speaks has one way,
   which is its flow, so one of them is its own */
static bool contacts_read(struct edge_wish *w, const struct sip_msg *msg)
{
	struct edge_contacts walk = edge_contacts_of(msg);
	unsigned n, live = 0, outbound = 0;
	struct edge_contact c;
	bool good = true;
	int err;

	for (n = 0; n <= CONTACTS; n++) {
		err = edge_contact_next(&c, &walk);
		if (err == ENOENT)
			break;
		if (!n || (c.expires_s && !live))
			w->contact = c;
		good &= !err && c.addr.auri.l < EDGE_URI;
		live += c.expires_s != 0;
		outbound += c.expires_s && c.reg_id;
	}
	w->several = n > 1;

	return good && n && n <= CONTACTS && (live < 2 || !outbound);
}


void edge_wish_read(struct edge_wish *w, const struct edge_cfg *cfg,
		    const struct sip_msg *msg)
{
	const struct sip_hdr *hdr = sip_msg_hdr(msg, SIP_HDR_CONTACT);
	const struct sip_addr *addr = &w->contact.addr;
	struct pl pl;

	memset(w, 0, sizeof(*w));
	w->none = !hdr;
	w->all = hdr && !pl_strcmp(&hdr->val, "*");
	if (w->all)
		w->bad = edge_contacts_expires(msg) ||
			 sip_msg_hdr_count(msg, SIP_HDR_CONTACT) > 1;
	if (w->none || w->all)
		return;

	w->bad = !contacts_read(w, msg);
	w->name = edge_contact_hash(&w->contact);
	if (w->bad)
		return;

	edge_pn_read(&w->pn, cfg, &addr->uri);
	if (w->pn.kind == EDGE_PN_NONE)
		return;

	leave_to_others(&w->pn, msg);
	w->pn.pnsreg = w->contact.pnsreg;
	w->pn.pnspurr = w->contact.pnspurr ||
			!msg_param_exists(&addr->uri.params, "pn-purr", &pl);
}


bool edge_wish_outbound(const struct edge_wish *w, const struct sip_msg *msg)
{
	return w->contact.reg_id &&
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
