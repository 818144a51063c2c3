/**
 * @file hold.c  Requests in a dialog whose phone is away
 *
 * It lost its network, or we were started again: a phone that is in a call
 * comes back within seconds, over a new flow.  What its PBX wants of it waits
 * as long as that may take.
 */

#include <string.h>
#include "common/log.h"
#include "sipis/edge/priv.h"


enum {
	HOLD_MS = 8000, /* a PBX waits 32 s, some less */
	HOLD_MAX = 1000,
};

struct hold {
	struct le le;
	struct edge *edge;
	struct pbx *pbx;
	struct sip_msg *msg;
	struct sip_strans *st;
	struct edge_routes routes;
	struct tmr tmr;
};


static void destructor(void *data)
{
	struct hold *h = data;

	list_unlink(&h->le);
	tmr_cancel(&h->tmr);
	mem_deref(h->st);
	mem_deref(h->msg);
}


static void answer(struct hold *h, uint16_t scode, const char *phrase)
{
	(void)sip_treply(&h->st, pbx_sip(h->pbx), h->msg, scode, phrase);
	h->st = NULL;
	mem_deref(h);
}


static void late_handler(void *arg)
{
	answer(arg, 480, "Temporarily Unavailable");
}


static void cancel_handler(void *arg)
{
	answer(arg, 487, "Request Terminated");
}


void edge_hold(struct edge *e, struct pbx *pbx, const struct sip_msg *msg,
	       const struct edge_routes *r)
{
	struct hold *h;
	char met[32];

	if (!pl_strcmp(&msg->met, "ACK"))
		return;

	h = list_count(&e->holds) < HOLD_MAX
		    ? mem_zalloc(sizeof(*h), destructor)
		    : NULL;
	if (!h ||
	    sip_strans_alloc(&h->st, pbx_sip(pbx), msg, cancel_handler, h)) {
		mem_deref(h);
		(void)sip_reply(pbx_sip(pbx), msg, 480,
				"Temporarily Unavailable");
		return;
	}

	h->edge = e;
	h->pbx = pbx;
	h->msg = mem_ref((void *)msg);
	h->routes = *r;
	list_append(&e->holds, &h->le, h);
	tmr_start(&h->tmr, HOLD_MS, late_handler, h);
	(void)pl_strcpy(&msg->met, met, sizeof(met));
	log_info("edge", NULL, "%s waits for its phone, %d ms at most", met,
		 HOLD_MS);
	if (!pl_strcmp(&msg->met, "INVITE"))
		(void)sip_treply(&h->st, pbx_sip(pbx), msg, 100, "Trying");
}


void edge_hold_end(struct edge_binding *b)
{
	struct le *le = b->flow->edge->holds.head;

	while (le) {
		struct hold *h = le->data;

		le = le->next;
		if (memcmp(h->routes.token.phone, b->phone, EDGE_PHONE) != 0)
			continue;

		/* the passage has a transaction of its own */
		h->st = mem_deref(h->st);
		edge_to_phone(b, h->pbx, h->msg, &h->routes);
		mem_deref(h);
	}
}
