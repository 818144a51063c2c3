/**
 * @file belated.c  Answers whose SDP is at an rtpengine, though no
 * transaction waits for them
 *
 * The phone has had its INVITE, and the rtpengine that offer: from us before a
 * restart, or from a transaction that was over before the phone spoke.  What
 * it says now is an answer like any other.
 *
 *     18x, 2xx --> at the rtpengine --+-- up (stray.c)
 *                                     +-- fails, or its call is over
 *                                         meanwhile: ACK, BYE
 */

#include <string.h>
#include "sipis/edge/belated.h"
#include "sipis/edge/media.h"
#include "sipis/edge/talk.h"


enum { KEEP_MS = 64 * SIP_T1 /* it says more, or says it again */ };

struct belated {
	struct le le;
	struct edge *edge;
	struct pbx *pbx;
	char *call; /**< what the rtpengine knows it by */
	struct edge_talk *talk;
	edge_belated_h *h;
	struct tmr tmr;
};


static void destructor(void *data)
{
	struct belated *b = data;

	list_unlink(&b->le);
	tmr_cancel(&b->tmr);
	edge_talk_drop(b->talk);
	mem_deref(b->call);
}


static void late_handler(void *arg)
{
	mem_deref(arg);
}


static void talk_handler(int err, const struct sip_msg *resp, void *arg)
{
	struct belated *b = arg;
	const bool last = resp->scode >= 200;

	if (!err && last)
		edge_talk_settle(b->talk);
	if (!b->h(b->edge, b->pbx, err, resp) && last)
		edge_talk_over(b->talk, 487);
	else if (err)
		edge_talk_over(b->talk, 500);
	if (last)
		mem_deref(b);
}


static struct belated *find(const struct edge *e, const char *call)
{
	for (struct le *le = e->belated.head; le; le = le->next) {
		struct belated *b = le->data;

		if (!strcmp(b->call, call))
			return b;
	}

	return NULL;
}


/* Takes call */
static struct belated *add(struct edge *e, struct pbx *pbx,
			   const uint8_t *phone, const struct sip_msg *invite,
			   char *call)
{
	struct belated *b = mem_zalloc(sizeof(*b), destructor);

	if (!b) {
		mem_deref(call);
		return NULL;
	}

	b->edge = e;
	b->pbx = pbx;
	b->call = call;
	tmr_init(&b->tmr);
	if (edge_talk_begin(&b->talk,
			    &(struct edge_talk_prm){
				    .edge = e,
				    .pbx = pbx,
				    .phone = phone,
				    .to_phone = true,
				    .msg = invite,
			    }) ||
	    !b->talk) {
		mem_deref(b);
		return NULL;
	}

	edge_talk_resume(b->talk);
	edge_talk_holder(b->talk, talk_handler, b);
	tmr_start(&b->tmr, KEEP_MS, late_handler, b);
	list_append(&e->belated, &b->le, b);

	return b;
}


bool edge_belated(struct edge *e, struct pbx *pbx, const uint8_t *phone,
		  const struct sip_msg *invite, const struct sip_msg *resp,
		  edge_belated_h *h)
{
	struct belated *b;
	char *call;

	if (edge_media_call(&call, phone, resp))
		return false;

	/* by now, or by the transaction that it was too late for */
	if (edge_talk_asks(e, call, resp)) {
		mem_deref(call);
		return true;
	}

	b = find(e, call);
	if (b)
		mem_deref(call);
	else
		b = add(e, pbx, phone, invite, call);
	if (!b)
		return false;

	b->h = h;
	if (edge_talk_response(b->talk, resp))
		return true;

	if (resp->scode >= 200) {
		edge_talk_settle(b->talk);
		mem_deref(b);
	}

	return false;
}
