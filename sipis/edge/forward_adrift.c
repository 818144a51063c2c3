/**
 * @file forward_adrift.c  A request on its way out, and its flow is gone
 *
 * A waiting call whose phone loses its flow is not over: the phone may ring.
 * Its transaction stays, for answers are known by their branch wherever they
 * come from; libre's, once it has sent, hears nothing of connections.
 *
 *                    its flow is gone             it is back
 *     any of these -------------------> ADRIFT ----------------> where it was
 *                                      ^             its CANCEL; relay.c sends
 *           timer B, not a word        |             another INVITE beside it
 *     CALLING ------------------------>+
 *           cancelled, its flow stands: CANCEL right behind the INVITE
 *
 * Adrift it is tied to no flow.  A phone that rings on by it says so over the
 * one that it has now, and may lose that as well: it is watched.
 *
 * A phone that is silent may read the INVITE when nobody waits any more: its
 * app is frozen, its network is away.  What its end has not acknowledged by
 * timer B goes with the connection; behind what it has, CANCEL may go without
 * waiting for a word: RFC 3261 9.1 keeps it from overtaking, and now nothing
 * is repeated any more.  What it says later is none of ours: stray.c.
 */

#include <errno.h>
#include <string.h>
#include "sipis/edge/flow.h"
#include "sipis/edge/forward.h"
#include "sipis/edge/forward_impl.h"


int edge_forward_back(struct edge_forward *f, const struct edge_binding *b)
{
	char *uri = NULL;
	int err;

	/* belle-sip (Linphone 5.1) dies of a repetition whose transaction
	   began over a connection that is gone, so that INVITE does not come
	   again */
	if (!f->adrift || !f->sent || !f->cancelled)
		return EPROTONOSUPPORT;

	/* an app that was started anew may know its new contact alone */
	err = str_dup(&uri, b->contact);
	if (err)
		return err;

	if (!f->via)
		f->via = mem_ref(f->sent);
	mem_deref(f->uri);
	f->uri = uri;
	f->dst = b->flow->peer;
	f->tp = b->flow->tp;
	f->adrift = false;
	f->moved = true;
	f->cancels = 0;
	list_unlink(&f->le_flow);
	list_append(&b->flow->forwards, &f->le_flow, f);
	edge_forward_cancel_start(f);

	return 0;
}


void edge_forward_watch(struct edge_forward *f)
{
	const struct edge_binding *b =
		f ? edge_binding_of(f->edge, f->phone) : NULL;

	if (!b || f->le_flow.list)
		return;

	f->watched = true;
	list_append(&b->flow->forwards, &f->le_flow, f);
}


void edge_forwards_back(const struct edge_binding *b)
{
	struct le *le = list_head(&b->flow->edge->leaving);

	for (; le; le = le->next) {
		struct edge_forward *f = le->data;

		if (f->adrift && !memcmp(f->phone, b->phone, EDGE_PHONE))
			(void)edge_forward_back(f, b);
	}
}


void edge_forward_elsewhere(struct edge_forward *f)
{
	const struct edge_binding *b = edge_binding_of(f->edge, f->phone);

	if (b)
		(void)edge_forward_back(f, b);
}


static void elsewhere_handler(void *arg)
{
	edge_forward_elsewhere(arg);
}


/* It has been deleted; as long as its connection stands libre's CANCEL gets
   there */
static bool is_gone(const struct edge_forward *f, int err)
{
	return err == ECONNABORTED && !edge_binding_of(f->edge, f->phone);
}


void edge_forward_unheard(struct edge_forward *f)
{
	struct edge_flow *flow = edge_flow_at(f->edge, &f->dst, f->tp);

	if (f->adrift) /* it waits for its phone */
		return;
	if (flow && f->le_flow.list == &flow->forwards && edge_flow_cut(flow))
		return;

	list_unlink(&f->le_flow);
	edge_forward_lost(f, ETIMEDOUT);
}


void edge_forward_lost(struct edge_forward *f, int err)
{
	if (f->edge->closed)
		return;

	/* libre would wait for an answer, or connect to the phone */
	if (!f->losth || is_gone(f, err)) {
		edge_forward_over(f, err, NULL);
		return;
	}

	/* what is watched was adrift before */
	if (!f->adrift)
		f->stands = f->tp == SIP_TRANSP_UDP || err == ENOTCONN ||
			    err == ESHUTDOWN;
	f->adrift = true;
	tmr_cancel(&f->tmr_cancel);
	tmr_cancel(&f->tmr_again);
	if (f->cancelled)
		edge_forward_end_soon(f);
	/* other bindings of its flow are still about to go */
	if (f->leaving)
		tmr_start(&f->tmr_again, 0, elsewhere_handler, f);
	else if (f->h || f->watched)
		f->losth(err, f->arg);
}
