/**
 * @file guest.c  Phones that answered before they registered again
 *
 * We were started anew while they rang, and nothing tells them so: over UDP
 * they register when their time has come, and that may take an hour.  What
 * their PBX says in that dialog, the ACK first of all, goes to where the 2xx
 * came from; what they say passes by its token (edge.c).  It is no binding:
 * no call goes there.
 *
 *     2xx --> guest --+-- it registers: what it has not answered goes to
 *                     |   where it is now.  Or it is deleted
 *                     +-- BYE of its PBX
 *                     +-- its connection ends: it is away, as any other
 *                     +-- GUEST_MS
 */

#include <errno.h>
#include <string.h>
#include "sipis/edge/flow.h"
#include "sipis/edge/forward.h"
#include "sipis/edge/priv.h"


enum {
	GUEST_MS = 3600 * 1000,
	BYE_MS = 64 * SIP_T1,
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
	struct sip_keepalive *ka; /**< NULL: UDP */
	struct list forwards;     /**< of struct edge_forward */
	bool over;                /**< BYE is on its way */
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
	list_clear(&g->forwards);
	mem_deref(g->ka);
	mem_deref(g->callid);
}


static uint32_t key_of(const uint8_t phone[EDGE_PHONE])
{
	return hash_joaat(phone, EDGE_PHONE);
}


/* callid NULL: any that is not over */
static struct guest *find(const struct edge *e,
			  const uint8_t phone[EDGE_PHONE],
			  const struct pl *callid)
{
	struct le *le = list_head(hash_list(e->guests, key_of(phone)));

	for (; le; le = le->next) {
		struct guest *g = le->data;

		if (!g->over && !memcmp(g->phone, phone, EDGE_PHONE) &&
		    (!callid || !pl_strcmp(callid, g->callid)))
			return g;
	}

	return NULL;
}


static void gone_handler(void *arg)
{
	mem_deref(arg);
}


/* Nobody can connect to where it was (RFC 5626).  What it has not answered
   waits for it */
static void lost_handler(int err, void *arg)
{
	struct guest *g = arg;
	struct le *le;

	hash_unlink(&g->he);
	while ((le = list_head(&g->forwards))) {
		list_unlink(le);
		edge_forward_lost(le->data, err ? err : ECONNRESET);
	}
	mem_deref(g);
}


/* The connection may be gone already; see flow.c */
static int watch(struct guest *g, const struct sip_msg *resp)
{
	return g->tp == SIP_TRANSP_UDP
		       ? 0
		       : sip_keepalive_start(&g->ka, g->edge->sip, resp,
					     EDGE_NEVER_S, lost_handler, g);
}


void edge_guest(struct edge *e, const struct edge_token *token,
		const struct sip_msg *resp)
{
	struct guest *g = find(e, token->phone, &resp->callid);

	mem_deref(g);
	if (e->guestc >= GUESTS_MAX)
		mem_deref(list_ledata(list_head(&e->guestl)));

	g = mem_zalloc(sizeof(*g), destructor);
	if (!g)
		return;

	g->edge = e;
	memcpy(g->phone, token->phone, EDGE_PHONE);
	g->peer = resp->src;
	g->tp = resp->tp;
	if (pl_strdup(&g->callid, &resp->callid) || watch(g, resp)) {
		mem_deref(g);
		return;
	}

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


void edge_guests_join(struct edge *e, const struct edge_binding *b)
{
	struct le *le = list_head(hash_list(e->guests, key_of(b->phone)));

	while (le) {
		struct guest *g = le->data;

		le = le->next;
		if (memcmp(g->phone, b->phone, EDGE_PHONE))
			continue;
		if (edge_flow_at(e, &g->peer, g->tp) == b->flow)
			mem_deref(g);
		else
			lost_handler(0, g);
	}
}


bool edge_guest_pass(struct edge *e, struct pbx *pbx,
		     const struct sip_msg *msg, const struct edge_routes *r)
{
	struct guest *g = find(e, r->token.phone, &msg->callid);
	struct edge_forward_prm prm = {
		.edge = e,
		.sip = e->sip,
		.talk = r->talk,
		.msg = msg,
		.copy = { .pop = r->pop },
		.timer_c = true,
	};

	if (!g)
		return false;
	if (edge_detour(&(struct edge_detour_prm){
		    .edge = e,
		    .pbx = pbx,
		    .phone = g->phone,
		    .msg = msg,
		    .routes = r,
		    .peer = &g->peer,
	    }))
		return true;

	prm.ties = &g->forwards;
	prm.dst = g->peer;
	prm.tp = g->tp;
	edge_passage(pbx, &prm, r);
	if (!pl_strcmp(&msg->met, "BYE")) {
		g->over = true;
		tmr_start(&g->tmr, BYE_MS, gone_handler, g);
	}

	return true;
}
