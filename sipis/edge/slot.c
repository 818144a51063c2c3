/**
 * @file slot.c  Phones that do not say which one they are
 *
 * Without +sip.instance a phone is one of a few of its account.  Two that are
 * both there must be two; one that comes back from elsewhere, with another
 * port or Call-ID, must be itself, so that nothing piles up.
 *
 *     the same Call-ID                                it is the same
 *     the same Contact, from the same host
 *         or its flow is silent                       the same
 *     over the same flow, with no proxy between       the same
 *     the Contact's host and the sender's are the
 *         same, and its flow is silent                the same
 *     else                                            a free place, or that
 *                                                     of the one that
 *                                                     registered longest ago
 */

#include <string.h>
#include "sipis/edge/flow.h"
#include "sipis/edge/priv.h"


static bool same_host(const struct edge_binding *b,
		      const struct edge_client *c)
{
	const struct pl text = { b->contact, strlen(b->contact) };
	struct uri uri;

	return !uri_decode(&uri, &text) && !pl_casecmp(&uri.host, &c->host);
}


/* How sure it is; 0: it is another */
static unsigned likeness(const struct edge_binding *b,
			 const struct edge_client *c)
{
	const struct edge_flow *f = b->flow;
	const bool near = sa_cmp(&f->peer, &c->msg->src, SA_ADDR);
	const bool silent = edge_flow_silent(f);

	if (!pl_strcmp(&c->msg->callid, b->callid))
		return 4;
	if (b->name == c->name && (near || silent))
		return 3;
	if (f == edge_flow_find(f->edge, c->msg) &&
	    sip_msg_hdr_count(c->msg, SIP_HDR_VIA) == 1)
		return 2;

	return near && silent && same_host(b, c);
}


uint8_t edge_slot(const struct edge *e, const struct edge_client *c, bool take)
{
	const struct edge_binding *b = NULL;
	bool taken[EDGE_SLOTS + 1] = { false };
	uint8_t slot = 0, oldest = 0;
	unsigned best = 0;

	while ((b = edge_binding_next(e, c->acct, b))) {
		unsigned like;

		if (!b->slot)
			continue;
		taken[b->slot] = true;
		oldest = oldest ? oldest : b->slot;
		like = likeness(b, c);
		if (like > best) {
			best = like;
			slot = b->slot;
		}
	}
	if (best || !take)
		return slot;

	for (unsigned i = 1; i <= EDGE_SLOTS; i++)
		if (!taken[i])
			return (uint8_t)i;

	return oldest;
}
