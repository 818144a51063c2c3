/**
 * @file adopt.c  Push tokens that come by REGISTER; RFC 8599
 *
 * They make the phone an instance, as if the API had created it.
 */

#include "common/ident.h"
#include "common/log.h"
#include "sipis/call/reason.h"
#include "sipis/edge/flow.h"
#include "sipis/edge/registrar.h"


void edge_adopt_refuse(struct edge_login *l, const char *why)
{
	const struct edge_pn_offer offer = { .cfg = l->edge->prm.cfg };

	edge_vain(l, 555, why);
	edge_login_replyf(l, 555, "Push Notification Service Not Supported",
			  "%H", edge_pn_caps, &offer);
}


/* What a push is for is its sleep; now it is here, and is served as one that
   knows nothing of pushes.  One that is an instance keeps the tokens that it
   had */
static void untaken(struct edge_login *l, const char *detail)
{
	l->untaken = true;
	if (edge_may_log(l->edge, &l->msg->src))
		log_warning("edge", NULL,
			    "no pushes for %s@%s until it registers again: %s",
			    l->user, l->domain, detail);
}


static void adopt_handler(enum inst_res res, const char *detail,
			  const char *id, void *arg)
{
	struct edge_login *l = arg;
	edge_login_h *h = l->adopting;

	l->adopting = NULL;
	if (res == INST_R_NOT_ALLOWED || res == INST_R_INVALID) {
		edge_adopt_refuse(l, detail);
		return;
	}
	if (id)
		(void)str_ncpy(l->inst, id, sizeof(l->inst));
	else
		untaken(l, detail);

	h(l);
}


void edge_adopt(struct edge_login *l, edge_login_h *h)
{
	const struct edge_wish *w = &l->wish;
	const struct sip_hdr *agent = sip_msg_hdr(l->msg, SIP_HDR_USER_AGENT);
	char name[EDGE_URI], label[64] = "", fresh[STORE_ID_LEN + 1];
	uint8_t phone[EDGE_PHONE], slot;
	const struct inst_adopt what = {
		.acct = l->acct,
		.id = *l->inst ? l->inst : NULL,
		.fresh = fresh,
		.app = w->pn.app,
		.installation = name,
		.platform = w->pn.platform,
		.label = label,
		.tokenv = w->pn.tokenv,
		.tokenc = w->pn.tokenc,
	};
	int err;

	if (agent)
		reason_text(label, sizeof(label), &agent->val);
	l->adopting = h;
	err = edge_contact_name(name, sizeof(name), &w->contact);
	err = err ? err : edge_phone_of(phone, &slot, l);
	if (!err) {
		ident_hex(fresh, phone, sizeof(phone));
		err = inst_adopt(l->edge->prm.inst, &what, adopt_handler, l);
	}
	if (err)
		adopt_handler(INST_R_NO_MEDIATOR,
			      "push tokens cannot be enrolled at present",
			      NULL, l);
}


/* Enrolling costs the mediator a turn: only what has changed, or what we do
   not remember after a start */
bool edge_adopt_done(const struct edge_login *l)
{
	const struct edge_binding *b;
	uint8_t phone[EDGE_PHONE], slot;

	if (edge_phone_of(phone, &slot, l))
		return false;

	b = edge_binding_of(l->edge, phone);

	return b && b->known && b->pn_hash == l->wish.pn.hash;
}
