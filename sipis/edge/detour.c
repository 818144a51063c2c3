/**
 * @file detour.c  Requests whose SDP is at an rtpengine
 *
 *     request --> talk --+-- nothing to ask ------------------> on its way
 *                        +-- asked: waits --+-- relayed, or the
 *                                           |   profile goes on --> on its way
 *                                           +-- fails: 500
 *                                           +-- CANCEL: 487
 *
 * Meanwhile it has a server transaction of its own, for what is repeated.
 */

#include <errno.h>
#include <string.h>
#include "common/log.h"
#include "sipis/edge/flow.h"
#include "sipis/edge/media.h"
#include "sipis/edge/priv.h"
#include "sipis/edge/talk.h"


struct detour {
	struct le le;
	struct edge *edge;
	struct pbx *pbx;
	struct sip *in;
	struct sip_msg *msg;
	struct sip_strans *st; /**< NULL: an ACK */
	struct edge_talk *talk;
	struct edge_routes routes;
	uint8_t phone[EDGE_PHONE];
	bool to_phone, bound;
};


static void destructor(void *data)
{
	struct detour *d = data;

	list_unlink(&d->le);
	edge_talk_drop(d->talk);
	mem_deref(d->st);
	mem_deref(d->msg);
}


static void refuse(struct detour *d, uint16_t scode, const char *phrase)
{
	if (d->st)
		(void)sip_treply(&d->st, d->in, d->msg, scode, phrase);
	d->st = NULL;
	edge_talk_over(d->talk, scode);
	mem_deref(d);
}


static void cancel_handler(void *arg)
{
	refuse(arg, 487, "Request Terminated");
}


/* The passage has it now */
static void left(struct detour *d)
{
	d->talk = mem_deref(d->talk);
	mem_deref(d);
}


static void on_to_pbx(struct detour *d, const struct sip_msg *msg)
{
	struct edge_flow *f = edge_flow_find(d->edge, msg);
	struct edge_binding *b =
		d->bound && f ? edge_dialogs_on(f, d->phone) : NULL;

	if (d->bound && !b) {
		refuse(d, 480, "Temporarily Unavailable");
		return;
	}

	/* the passage has a transaction of its own */
	d->st = mem_deref(d->st);
	edge_to_pbx(d->edge, d->pbx, b, msg, &d->routes);
	left(d);
}


static void on_to_phone(struct detour *d, const struct sip_msg *msg)
{
	struct edge_binding *b = edge_dialogs_of(d->edge, d->phone);

	d->st = mem_deref(d->st);
	if (b) {
		edge_to_phone(b, d->pbx, msg, &d->routes);
	}
	else if (!edge_guest_pass(d->edge, d->pbx, msg, &d->routes)) {
		d->routes.talk = NULL;
		edge_hold(d->edge, d->pbx, d->msg, &d->routes);
	}
	left(d);
}


static void request_handler(int err, const struct sip_msg *msg, void *arg)
{
	struct detour *d = arg;

	if (err)
		refuse(d, EDGE_NO_MEDIA);
	else if (d->to_phone)
		on_to_phone(d, msg);
	else
		on_to_pbx(d, msg);
}


static int detour_alloc(struct detour **dp, const struct edge_detour_prm *prm)
{
	struct detour *d = mem_zalloc(sizeof(*d), destructor);

	if (!d)
		return ENOMEM;

	d->edge = prm->edge;
	d->pbx = prm->pbx;
	d->to_phone = prm->peer != NULL;
	d->in = d->to_phone ? pbx_sip(prm->pbx) : prm->edge->sip;
	d->msg = mem_ref((void *)prm->msg);
	d->routes = *prm->routes;
	memcpy(d->phone, prm->phone, EDGE_PHONE);
	d->bound = prm->binding != NULL;
	*dp = d;

	return 0;
}


/* False: a repetition, or no memory */
static bool take(struct detour *d)
{
	if (!pl_strcmp(&d->msg->met, "ACK"))
		return true;
	if (sip_strans_alloc(&d->st, d->in, d->msg, cancel_handler, d)) {
		(void)sip_reply(d->in, d->msg, 500, "Server Internal Error");
		return false;
	}

	return true;
}


/* Of the next hop */
static int family(const struct edge_detour_prm *prm)
{
	const struct edge_binding *b = prm->binding;
	enum sip_transp tp;
	struct sa dst;

	if (prm->peer)
		return sa_af(prm->peer);

	return pbx_target(prm->pbx, b ? b->proxy : NULL, b ? b->transport : -1,
			  0, &dst, &tp)
		       ? AF_UNSPEC
		       : sa_af(&dst);
}


bool edge_detour(const struct edge_detour_prm *prm)
{
	struct edge_talk_prm talk = {
		.edge = prm->edge,
		.pbx = prm->pbx,
		.phone = prm->phone,
		.to_phone = prm->peer != NULL,
		.msg = prm->msg,
		.requesth = request_handler,
	};
	struct detour *d;

	if (prm->routes->talk || !edge_media_on(prm->edge, prm->pbx))
		return false;
	if (detour_alloc(&d, prm))
		return false;

	talk.af = family(prm);
	talk.arg = d;
	if (edge_talk_begin(&d->talk, &talk) || !d->talk) {
		mem_deref(d);
		return false;
	}

	list_append(&prm->edge->detours, &d->le, d);
	d->routes.talk = d->talk;
	if (!edge_talk_request(d->talk))
		request_handler(0, prm->msg, d);
	else if (!take(d))
		mem_deref(d);

	return true;
}
