/**
 * @file guest.c  Phones that answered before they registered again
 *
 * We were started anew while they rang, and nothing tells them so: over UDP
 * they register when their time has come, and that may take an hour.  What
 * their PBX says in that dialog, the ACK first of all, goes to where the 2xx
 * came from; what they say passes by its token (edge.c).  It is no binding:
 * no call goes there.
 *
 *     2xx --> guest --+-- it registers, or is deleted
 *                     +-- BYE of its PBX
 *                     +-- GUEST_MS
 */

#include <string.h>
#include "sipis/edge/forward.h"
#include "sipis/edge/priv.h"


enum {
	GUEST_MS = 3600 * 1000,
	GUESTS_MAX = 1000, /* then the oldest one goes */
};

struct guest {
	struct le he; /**< by phone */
	struct le le; /**< the oldest first */
	struct edge *edge;
	uint8_t phone[EDGE_PHONE];
	char *callid;
	struct sa peer;
	enum sip_transp tp;
	struct tmr tmr;
};


static void destructor(void *data)
{
	struct guest *g = data;

	if (g->le.list)
		--g->edge->guestc;
	hash_unlink(&g->he);
	list_unlink(&g->le);
	tmr_cancel(&g->tmr);
	mem_deref(g->callid);
}


static uint32_t key_of(const uint8_t phone[EDGE_PHONE])
{
	return hash_joaat(phone, EDGE_PHONE);
}


/* callid NULL: any */
static struct guest *find(const struct edge *e,
			  const uint8_t phone[EDGE_PHONE],
			  const struct pl *callid)
{
	struct le *le = list_head(hash_list(e->guests, key_of(phone)));

	for (; le; le = le->next) {
		struct guest *g = le->data;

		if (!memcmp(g->phone, phone, EDGE_PHONE) &&
		    (!callid || !pl_strcmp(callid, g->callid)))
			return g;
	}

	return NULL;
}


static void gone_handler(void *arg)
{
	mem_deref(arg);
}


void edge_guest(struct edge *e, const struct edge_token *token,
		const struct sip_msg *resp)
{
	struct guest *g = find(e, token->phone, &resp->callid);

	mem_deref(g);
	if (e->guestc >= GUESTS_MAX)
		mem_deref(list_ledata(list_head(&e->guestl)));

	g = mem_zalloc(sizeof(*g), destructor);
	if (!g || pl_strdup(&g->callid, &resp->callid)) {
		mem_deref(g);
		return;
	}

	g->edge = e;
	memcpy(g->phone, token->phone, EDGE_PHONE);
	g->peer = resp->src;
	g->tp = resp->tp;
	tmr_start(&g->tmr, GUEST_MS, gone_handler, g);
	hash_append(e->guests, key_of(g->phone), &g->he, g);
	list_append(&e->guestl, &g->le, g);
	++e->guestc;
}


void edge_guests_drop(struct edge *e, const uint8_t phone[EDGE_PHONE])
{
	struct guest *g;

	while ((g = find(e, phone, NULL)))
		mem_deref(g);
}


bool edge_guest_pass(struct edge *e, struct pbx *pbx,
		     const struct sip_msg *msg, const struct edge_routes *r)
{
	struct guest *g = find(e, r->token.phone, &msg->callid);
	struct edge_forward_prm prm = {
		.edge = e,
		.sip = e->sip,
		.msg = msg,
		.copy = { .pop = r->pop },
		.timer_c = true,
	};

	if (!g)
		return false;

	prm.dst = g->peer;
	prm.tp = g->tp;
	edge_passage(pbx, &prm, r);
	if (!pl_strcmp(&msg->met, "BYE"))
		mem_deref(g);

	return true;
}
