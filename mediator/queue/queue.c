/**
 * @file queue/queue.c  Who is next: two lanes, fair between tenants
 *
 * A flow is what one tenant has waiting here.  A lane is the list of flows
 * with something in that lane, in the order of their turns.
 */

#include <errno.h>
#include "mediator/queue/queue.h"

enum { FLOW_BUCKETS = 64 };

struct lane {
	struct le le; /**< in queue->turns; data = flow */
	struct list items;
	uint32_t away; /**< taken and not done */
};

struct queue_flow {
	struct le he;
	struct queue *q;
	struct tenant *tenant; /**< reference */
	struct lane lanev[QUEUE_LANES];
};

struct queue {
	struct hash *flows; /**< owns them */
	struct list turns[QUEUE_LANES];
	uint32_t count;
	queue_drop_h *droph;
	void *arg;
};


static void flow_destructor(void *arg)
{
	struct queue_flow *f = arg;

	hash_unlink(&f->he);
	for (int i = 0; i < QUEUE_LANES; i++) {
		list_unlink(&f->lanev[i].le);
		list_clear(&f->lanev[i].items);
	}
	mem_deref(f->tenant);
}


static void destructor(void *arg)
{
	struct queue *q = arg;

	queue_flush(q);
	hash_flush(q->flows);
	mem_deref(q->flows);
}


int queue_alloc(struct queue **qp, queue_drop_h *h, void *arg)
{
	struct queue *q;
	int err;

	if (!qp || !h)
		return EINVAL;

	q = mem_zalloc(sizeof(*q), destructor);
	if (!q)
		return ENOMEM;

	q->droph = h;
	q->arg = arg;
	err = hash_alloc(&q->flows, FLOW_BUCKETS);
	if (err)
		mem_deref(q);
	else
		*qp = q;

	return err;
}


static uint32_t flow_key(const struct tenant *t)
{
	return (uint32_t)((uintptr_t)t >> 6);
}


static bool flow_is(struct le *le, void *arg)
{
	const struct queue_flow *f = le->data;

	return f->tenant == arg;
}


static struct queue_flow *flow_get(struct queue *q, struct tenant *t)
{
	struct le *le = hash_lookup(q->flows, flow_key(t), flow_is, t);
	struct queue_flow *f;

	if (le)
		return le->data;

	f = mem_zalloc(sizeof(*f), flow_destructor);
	if (!f)
		return NULL;

	f->q = q;
	f->tenant = mem_ref(t);
	hash_append(q->flows, flow_key(t), &f->he, f);
	return f;
}


/* A flow is kept while its tenant is only pausing: it goes when nobody but
   this queue knows the tenant any more. */
static void flow_release(struct queue_flow *f)
{
	for (int i = 0; i < QUEUE_LANES; i++)
		if (f->lanev[i].items.head || f->lanev[i].away)
			return;

	if (mem_nrefs(f->tenant) == 1)
		mem_deref(f);
}


static int item_link(struct queue *q, struct queue_item *it, bool front)
{
	struct queue_flow *f = flow_get(q, it->tenant);
	struct lane *lane;

	if (!f)
		return ENOMEM;

	lane = &f->lanev[it->lane];
	if (front)
		list_prepend(&lane->items, &it->le, it);
	else
		list_append(&lane->items, &it->le, it);
	if (!lane->le.list)
		list_append(&q->turns[it->lane], &lane->le, f);

	it->flow = f;
	it->tenant->waiting[it->lane]++;
	q->count++;
	return 0;
}


int queue_put(struct queue *q, struct queue_item *it)
{
	if (it->tenant->waiting[it->lane] >= it->tenant->limits.depth)
		return EAGAIN;

	return item_link(q, it, false);
}


int queue_put_back(struct queue *q, struct queue_item *it)
{
	queue_done(it);
	return item_link(q, it, true);
}


void queue_remove(struct queue_item *it)
{
	struct queue_flow *f = it->flow;

	if (!f)
		return;

	list_unlink(&it->le);
	it->flow = NULL;
	it->tenant->waiting[it->lane]--;
	f->q->count--;
	if (!f->lanev[it->lane].items.head)
		list_unlink(&f->lanev[it->lane].le);
}


void queue_done(struct queue_item *it)
{
	if (it->away)
		it->away->lanev[it->lane].away--;
	it->away = NULL;
}


static void item_drop(struct queue *q, struct queue_item *it,
		      enum queue_drop why)
{
	queue_remove(it);
	q->droph(it, why, q->arg);
}


/* True if the item's time is over; it is dropped then */
static bool item_late(struct queue *q, struct queue_item *it, uint64_t now)
{
	if (now >= it->expires)
		item_drop(q, it, QUEUE_EXPIRED);
	else if (now >= it->give_up)
		item_drop(q, it, QUEUE_WAITED);
	else
		return false;

	return true;
}


static struct queue_item *flow_head(struct queue *q, struct queue_flow *f,
				    enum queue_lane lane, uint64_t now)
{
	struct le *le;

	while ((le = f->lanev[lane].items.head)) {
		if (!item_late(q, le->data, now))
			return le->data;
	}

	return NULL;
}


static bool item_pay(struct queue_item *it, uint64_t now, uint64_t *wait_ms)
{
	struct bucket *b = &it->tenant->bucket[it->lane];
	uint64_t w;

	if (it->charged)
		return true;
	if (bucket_take(b, 1, now))
		return it->charged = true;

	w = bucket_wait(b, 1, now);
	if (!*wait_ms || w < *wait_ms)
		*wait_ms = w ? w : 1;
	return false;
}


/* Its owner has the item now, and the flow stays while that is so */
static void item_take(struct queue_flow *f, struct queue_item *it)
{
	struct lane *lane = &f->lanev[it->lane];
	struct list *turns = lane->le.list;

	queue_remove(it);
	it->away = f;
	lane->away++;
	if (!lane->le.list)
		return;

	list_unlink(&lane->le);
	list_append(turns, &lane->le, f);
}


struct queue_item *queue_take(struct queue *q, enum queue_lane lane,
			      uint32_t share, uint64_t now, uint64_t *wait_ms)
{
	struct list *turns = &q->turns[lane];
	struct le *le = turns->head;

	while (le) {
		struct queue_flow *f = le->data;
		struct le *next = le->next;
		bool alone = turns->head == turns->tail;
		struct queue_item *it = NULL;

		if (alone || f->lanev[lane].away < share)
			it = flow_head(q, f, lane, now);
		if (it && item_pay(it, now, wait_ms)) {
			item_take(f, it);
			return it;
		}
		le = next;
	}

	return NULL;
}


static bool flow_sweep(struct le *le, void *arg)
{
	struct queue_flow *f = le->data;
	const uint64_t *now = arg;

	for (int i = 0; i < QUEUE_LANES; i++) {
		struct le *ile = f->lanev[i].items.head;

		while (ile) {
			struct queue_item *it = ile->data;

			ile = ile->next;
			(void)item_late(f->q, it, *now);
		}
	}
	flow_release(f);

	return false;
}


void queue_sweep(struct queue *q, uint64_t now)
{
	(void)hash_apply(q->flows, flow_sweep, &now);
}


static bool flow_flush(struct le *le, void *arg)
{
	struct queue_flow *f = le->data;
	(void)arg;

	for (int i = 0; i < QUEUE_LANES; i++)
		while (f->lanev[i].items.head)
			item_drop(f->q, f->lanev[i].items.head->data,
				  QUEUE_FLUSHED);

	return false;
}


void queue_flush(struct queue *q)
{
	if (q->flows)
		(void)hash_apply(q->flows, flow_flush, NULL);
}


uint32_t queue_count(const struct queue *q)
{
	return q ? q->count : 0;
}
