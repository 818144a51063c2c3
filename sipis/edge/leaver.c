/**
 * @file leaver.c  Phones that have left, and their dialogs live on
 *
 * A phone signs off, or its binding runs out, in the middle of a call, and
 * is still there: over the connection that it opened, or where it speaks from.
 * No call goes there any more.  What its PBX says in its dialogs does, and
 * what it says itself in them is said by somebody who has logged in.
 *
 *     binding --expires=0, or too late--> leaver --+-- its flow ends
 *                                                  +-- it registers
 *                                                  +-- it is deleted
 *                                                  +-- UDP: LEAVER_MS
 */

#include <errno.h>
#include <string.h>
#include "sipis/edge/flow.h"


enum {
	LEAVER_MS = 3600 * 1000, /* nobody tells of the end of a UDP flow */
	LEAVERS_MAX = 20000,     /* then the oldest one goes */
};


static uint32_t key_of(const uint8_t phone[EDGE_PHONE])
{
	return hash_joaat(phone, EDGE_PHONE);
}


static void drop(struct edge_binding *b, int err)
{
	struct edge_flow *f = b->flow;

	mem_deref(b);
	edge_flow_left(f, err);
}


static void late_handler(void *arg)
{
	drop(arg, ENOTCONN);
}


bool edge_leaver(struct edge_binding *b, int err)
{
	struct edge_flow *f = b->flow;
	struct edge *e = f->edge;

	if ((err != ESHUTDOWN && err != ENOTCONN) || !f->he.list)
		return false;

	list_append(&f->leavers, &b->le, b);
	hash_append(e->leavers, key_of(b->phone), &b->he_phone, b);
	list_append(&e->left, &b->le_left, b);
	tmr_cancel(&b->tmr);
	if (f->tp == SIP_TRANSP_UDP)
		tmr_start(&b->tmr, LEAVER_MS, late_handler, b);
	if (++e->leftc > LEAVERS_MAX)
		drop(list_ledata(list_head(&e->left)), ENOTCONN);

	return true;
}


void edge_leaver_gone(struct edge_binding *b)
{
	if (!b->le_left.list)
		return;

	list_unlink(&b->le_left);
	--b->flow->edge->leftc;
}


struct edge_binding *edge_leaver_of(const struct edge *e,
				    const uint8_t phone[EDGE_PHONE])
{
	struct le *le = list_tail(hash_list(e->leavers, key_of(phone)));

	for (; le; le = le->prev) {
		struct edge_binding *b = le->data;

		/* a flow that has just ended still has them */
		if (!memcmp(b->phone, phone, EDGE_PHONE) && b->flow->he.list)
			return b;
	}

	return NULL;
}


struct edge_binding *edge_dialogs_of(const struct edge *e,
				     const uint8_t phone[EDGE_PHONE])
{
	struct edge_binding *b = edge_binding_of(e, phone);

	return b ? b : edge_leaver_of(e, phone);
}


struct edge_binding *edge_dialogs_on(const struct edge_flow *f,
				     const uint8_t phone[EDGE_PHONE])
{
	struct edge_binding *b = edge_binding_on(f, phone);
	struct le *le = list_head(&f->leavers);

	for (; le && !b; le = le->next) {
		struct edge_binding *x = le->data;

		if (!memcmp(x->phone, phone, EDGE_PHONE))
			b = x;
	}

	return b;
}


void edge_leavers_drop(struct edge *e, const uint8_t phone[EDGE_PHONE])
{
	struct edge_binding *b;

	while ((b = edge_leaver_of(e, phone)))
		drop(b, ECONNABORTED);
}
