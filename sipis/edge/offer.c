/**
 * @file offer.c  Requests of a PBX to an account, outside of a dialog
 *
 * MESSAGE and NOTIFY go to all its phones that are connected: the first 2xx
 * counts, else the best refusal.  What begins a dialog, or does something at
 * a phone (SUBSCRIBE, REFER), goes to the one that registered last: it shall
 * be done once.
 */

#include <errno.h>
#include "sipis/edge/flow.h"
#include "sipis/edge/forward.h"
#include "sipis/edge/priv.h"
#include "sipis/sip/copy.h"


enum { OFFER_MAX = 32 /* phones */ };

struct offer {
	struct le le;
	struct edge *edge;
	struct sip *in;
	struct sip_msg *msg;
	struct sip_strans *st; /**< NULL: it is answered */
	struct sip_msg *best;  /**< the refusal to pass on, or NULL */
	struct list tries;
};

/** At one phone */
struct
try {
	struct le le;
	struct offer *offer;
	struct edge_forward *fwd;
};


static void destructor(void *data)
{
	struct offer *o = data;

	list_unlink(&o->le);
	list_flush(&o->tries);
	mem_deref(o->st);
	mem_deref(o->best);
	mem_deref(o->msg);
}


static void try_destructor(void *data)
{
	struct try *t = data;

	list_unlink(&t->le);
	mem_deref(t->fwd);
}


static void pass_up(struct offer *o, const struct sip_msg *resp)
{
	/* other devices of the account are not ours to refuse for */
	const bool global = resp->scode >= 600;
	struct mbuf *mb;
	struct sa dst;

	if (copy_response(&mb, resp, global ? 480 : 0,
			  "Temporarily Unavailable"))
		return;

	copy_reply_addr(&dst, o->msg);
	(void)sip_strans_reply(&o->st, o->in, o->msg, &dst,
			       global ? 480 : resp->scode, mb);
	o->st = NULL;
	mem_deref(mb);
}


/* Nobody said anything.  A NOTIFY gets 200 as it does while all phones sleep:
   what it says is the last word until the next one */
static void pass_none(struct offer *o)
{
	const bool notify = !pl_strcmp(&o->msg->met, "NOTIFY");

	(void)sip_treply(&o->st, o->in, o->msg, notify ? 200 : 480,
			 notify ? "OK" : "Temporarily Unavailable");
	o->st = NULL;
}


static void over(struct offer *o)
{
	if (o->st && o->best)
		pass_up(o, o->best);
	else if (o->st)
		pass_none(o);
	mem_deref(o);
}


/* RFC 3261 16.7: the lowest class, and what says most in it: not 408 */
static unsigned rank(const struct sip_msg *resp)
{
	return resp->scode >= 600   ? 480
	       : resp->scode == 408 ? 499
				    : resp->scode;
}


static void response_handler(int err, const struct sip_msg *resp, void *arg)
{
	struct try *t = arg;
	struct offer *o = t->offer;

	if (!err && resp->scode < 200)
		return;

	if (!err && resp->scode < 300 && o->st) {
		pass_up(o, resp);
	}
	else if (!err && (!o->best || rank(resp) < rank(o->best))) {
		mem_deref(o->best);
		o->best = mem_ref((void *)resp);
	}

	mem_deref(t);
	if (list_isempty(&o->tries))
		over(o);
}


static void send_to(struct offer *o, struct edge_binding *b)
{
	const struct edge_forward_prm prm = {
		.edge = o->edge,
		.ties = &b->flow->forwards,
		.sip = o->edge->sip,
		.msg = o->msg,
		.uri = b->contact,
		.dst = b->flow->peer,
		.tp = b->flow->tp,
		.copy = { .breadth = 1 },
		.h = response_handler,
	};
	struct edge_forward_prm out = prm;
	struct try *t = mem_zalloc(sizeof(*t), try_destructor);

	if (!t)
		return;

	t->offer = o;
	out.arg = t;
	list_append(&o->tries, &t->le, t);
	if (edge_forward(&t->fwd, &out))
		mem_deref(t);
}


static int offer_alloc(struct offer **op, struct edge *e, struct sip *in,
		       const struct sip_msg *msg)
{
	struct offer *o = mem_zalloc(sizeof(*o), destructor);
	int err;

	if (!o)
		return ENOMEM;

	o->edge = e;
	o->in = in;
	o->msg = mem_ref((void *)msg);
	err = sip_strans_alloc(&o->st, in, msg, NULL, NULL);
	if (err) {
		mem_deref(o);
		return err;
	}

	list_append(&e->offers, &o->le, o);
	*op = o;

	return 0;
}


/* Once for each phone, whatever flows it has; the newest first */
static struct edge_binding *next(const struct edge *e, uint64_t acct,
				 const struct edge_binding *after)
{
	const uint32_t key = hash_joaat((const uint8_t *)&acct, sizeof(acct));
	struct le *le = after ? after->he_acct.prev
			      : list_tail(hash_list(e->accts, key));

	for (; le; le = le->prev) {
		struct edge_binding *b = le->data;

		if (b->acct == acct && b == edge_binding_of(e, b->phone))
			return b;
	}

	return NULL;
}


static void to_all(struct edge *e, struct pbx *pbx, uint64_t acct,
		   const struct sip_msg *msg)
{
	const uint32_t breadth = copy_breadth(msg);
	const unsigned max = breadth < OFFER_MAX ? breadth : OFFER_MAX;
	struct edge_binding *b, *v[OFFER_MAX];
	unsigned n = 0;
	struct offer *o;

	for (b = next(e, acct, NULL); b && n < max; b = next(e, acct, b))
		v[n++] = b;

	if (offer_alloc(&o, e, pbx_sip(pbx), msg)) {
		(void)sip_reply(pbx_sip(pbx), msg, 500,
				"Server Internal Error");
		return;
	}

	metric_inc(&e->metricv[EDGE_M_PASSED]);
	for (unsigned i = 0; i < n; i++)
		send_to(o, v[i]);
	if (list_isempty(&o->tries))
		over(o);
}


bool edge_offer(struct edge *e, struct pbx *pbx, uint64_t acct,
		const struct sip_msg *msg)
{
	static const struct edge_routes none;
	struct edge_binding *b;

	if (!e || e->closed)
		return false;

	b = next(e, acct, NULL);
	if (!b)
		return false;

	if (!pl_strcmp(&msg->met, "MESSAGE") ||
	    !pl_strcmp(&msg->met, "NOTIFY"))
		to_all(e, pbx, acct, msg);
	else
		edge_to_phone(b, pbx, msg, &none);

	return true;
}
