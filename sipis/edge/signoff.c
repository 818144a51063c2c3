/**
 * @file signoff.c  Phones that sign off; RFC 3261 10.2.2
 */

#include <errno.h>
#include <string.h>
#include "common/log.h"
#include "sipis/edge/flow.h"
#include "sipis/edge/registrar.h"
#include "sipis/edge/wake.h"


/* It speaks over its flow, and means another Contact than the one that is
   bound there: that one is gone already */
static bool is_other(const struct edge_login *l, const struct edge_binding *b,
		     const struct edge_contact *c)
{
	const struct uri *is = &c->addr.uri;
	const struct pl text = { b->contact, strlen(b->contact) };
	struct uri uri;

	return !b->reg_id && b->flow == edge_flow_find(l->edge, l->msg) &&
	       !uri_decode(&uri, &text) &&
	       (pl_cmp(&uri.user, &is->user) ||
		pl_casecmp(&uri.host, &is->host) || uri.port != is->port);
}


static void sign_off(struct edge_binding *b)
{
	log_info("edge", NULL, "%s of %s@%s has signed off", b->id, b->user,
		 b->domain);
	edge_unbind(b, ESHUTDOWN);
}


void edge_pushes_end(struct edge *e, const char *inst,
		     const uint8_t phone[EDGE_PHONE])
{
	if (*inst && !edge_binding_pushed(e, phone))
		inst_pushes_end(e->prm.inst, inst);
}


/* It may be there over another flow (RFC 5626): then it is awake */
static void phone_left(struct edge_login *l, const char *inst,
		       const uint8_t phone[EDGE_PHONE], bool names_pushes)
{
	struct edge *e = l->edge;
	const bool gone = !edge_binding_of(e, phone);

	if (gone)
		edge_refresh_drop(e, phone);
	/* whoever names its pushes wants none any more, also not over what the
	   API has brought */
	if (gone && *inst && names_pushes)
		inst_seen(e->prm.inst, inst, false);
	edge_pushes_end(e, inst, phone);
}


void edge_sign_off(struct edge_login *l, const uint8_t phone[EDGE_PHONE])
{
	const struct edge_wish *w = &l->wish;
	struct edge_binding *b =
		edge_binding_reg(l->edge, phone, w->contact.reg_id);

	if (!b || !is_other(l, b, &w->contact)) {
		if (b)
			sign_off(b);
		phone_left(l, l->inst, phone, w->pn.kind != EDGE_PN_NONE);
	}
}


/* One that is told by its tokens may end without naming them */
static bool is_there(const struct edge_binding *b,
		     const struct edge_contact *c)
{
	const struct uri *is = &c->addr.uri;
	const struct pl text = { b->contact, strlen(b->contact) };
	struct uri uri;

	return edge_contact_is_plain(c) && strstr(b->contact, ";pn-prid=") &&
	       !uri_decode(&uri, &text) && !pl_cmp(&uri.user, &is->user) &&
	       !pl_casecmp(&uri.host, &is->host) && uri.port == is->port;
}


static struct edge_binding *named_as(const struct edge_login *l,
				     const struct edge_contact *c)
{
	const uint32_t hash = edge_contact_hash(c);
	struct edge_binding *b = NULL;

	while ((b = edge_binding_next(l->edge, l->acct, b)))
		if (b->reg_id == c->reg_id &&
		    (b->name == hash || is_there(b, c)))
			break;

	return b;
}


static void other_ends(struct edge_login *l, const uint8_t *bound,
		       const struct edge_contact *c)
{
	struct edge_binding *b = named_as(l, c);
	char id[STORE_ID_LEN + 1];
	uint8_t phone[EDGE_PHONE];
	struct pl pn;

	if (!b || is_other(l, b, c) || edge_binding_late(b, l->msg) ||
	    (bound && b->reg_id == l->wish.contact.reg_id &&
	     !memcmp(b->phone, bound, EDGE_PHONE)))
		return;

	memcpy(phone, b->phone, EDGE_PHONE);
	(void)str_ncpy(id, b->known ? b->id : "", sizeof(id));
	sign_off(b);
	phone_left(l, id, phone,
		   !msg_param_exists(&c->addr.uri.params, "pn-provider", &pn));
}


void edge_sign_off_others(struct edge_login *l, const uint8_t *bound)
{
	struct edge_contacts walk = edge_contacts_of(l->msg);
	struct edge_contact c;
	int err = l->wish.several ? 0 : ENOENT;

	while (err != ENOENT) {
		err = edge_contact_next(&c, &walk);
		if (!err && !c.expires_s && c.text.p != l->wish.contact.text.p)
			other_ends(l, bound, &c);
	}
}


static struct edge_binding *former(const struct edge_login *l,
				   const struct edge_binding *b)
{
	struct edge_binding *o = NULL;

	while ((o = edge_binding_next(l->edge, b->acct, o)))
		if (!strcmp(o->callid, b->callid) &&
		    memcmp(o->phone, b->phone, EDGE_PHONE))
			break;

	return o;
}


void edge_sign_off_former(struct edge_login *l, const struct edge_binding *b)
{
	struct edge_binding *o;

	if (!edge_contact_is_pn(&l->wish.contact))
		return;

	while ((o = former(l, b))) {
		char id[STORE_ID_LEN + 1];
		uint8_t phone[EDGE_PHONE];

		memcpy(phone, o->phone, EDGE_PHONE);
		(void)str_ncpy(id, o->known ? o->id : "", sizeof(id));
		edge_refresh_drop(l->edge, phone);
		edge_unbind(o, ECONNABORTED);
		edge_pushes_end(l->edge, id, phone);
	}
}


void edge_sign_off_all(struct edge_login *l)
{
	struct edge_flow *f = edge_flow_find(l->edge, l->msg);
	struct le *le = f ? f->bindings.head : NULL;
	char id[STORE_ID_LEN + 1];
	uint8_t phone[EDGE_PHONE];

	if (f)
		mem_ref(f);
	while (le) {
		struct edge_binding *b = le->data;

		le = le->next;
		if (b->acct != l->acct)
			continue;
		memcpy(phone, b->phone, EDGE_PHONE);
		(void)str_ncpy(id, b->known ? b->id : "", sizeof(id));
		edge_refresh_drop(l->edge, phone);
		edge_unbind(b, ESHUTDOWN);
		edge_pushes_end(l->edge, id, phone);
	}
	mem_deref(f);
}
