/**
 * @file tmr_heap.c  libre's timer functions over a pairing heap
 *
 * The heap hangs in the timers themselves, so starting one can not fail, and
 * libre's callers never ask whether it did:
 *
 *     le.data   first child
 *     le.next   next sibling
 *     le.prev   previous sibling, or the parent of a first child
 *     le.list   number of the start; equal times run first in, first out,
 *             those of a list as one
 *
 * Start is O(1), cancel and expiry O(log n) amortised; nearly all timers of
 * SIP are cancelled.  Fredman, Sedgewick, Sleator, Tarjan: The pairing heap
 * (1986).  One heap per thread, as one loop per thread; time is
 * CLOCK_MONOTONIC.
 *
 * Those of transactions are many and are cold when they go.  They lie in
 * lists, one for each step, and only the lists are in the heap:
 *
 *     ring:   step | step | step | ...       heap: steps and short timers
 *              |
 *              +-- timer -- timer -- ...     le as in any list of libre
 */

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <re/re.h>
#include "common/clock.h"
#include "common/tmr_heap.h"


#pragma GCC visibility push(default)
void tmr_poll(struct list *tmrl);
uint64_t tmr_jiffies(void);
uint64_t tmr_next_timeout(struct list *tmrl);
void tmr_init(struct tmr *tmr);
void tmr_start(struct tmr *tmr, uint64_t delay, tmr_h *th, void *arg);
void tmr_cancel(struct tmr *tmr);
uint64_t tmr_get_expire(const struct tmr *tmr);
#pragma GCC visibility pop

enum {
	STEPS = 1024,
	FAR_MS = (STEPS - 1) * TMR_STEP_MS, /* 64 * T1 and a little more */
};

struct step {
	struct tmr tmr; /**< no handler: this is how it is known */
	struct list timers;
};

/* libre's functions name no heap: it goes by thread, like its loop */
static _Thread_local struct {
	struct le *root;
	uintptr_t starts;
	struct step ring[STEPS];
} heap;


static struct tmr *tmr_of(struct le *le)
{
	return (struct tmr *)(void *)((char *)le - offsetof(struct tmr, le));
}


static bool earlier(struct le *a, struct le *b)
{
	const struct tmr *ta = tmr_of(a), *tb = tmr_of(b);

	if (ta->jfs != tb->jfs)
		return ta->jfs < tb->jfs;

	/* The difference survives a wrap of the counter */
	return (intptr_t)((uintptr_t)a->list - (uintptr_t)b->list) < 0;
}


/* Two heaps become one; either may be NULL, neither has siblings */
static struct le *meld(struct le *a, struct le *b)
{
	struct le *tmp;

	if (!a || !b)
		return a ? a : b;

	if (earlier(b, a)) {
		tmp = a;
		a = b;
		b = tmp;
	}

	b->next = a->data;
	if (b->next)
		b->next->prev = b;
	b->prev = a;
	a->data = b;

	return a;
}


static struct le *detach_first(struct le **listp)
{
	struct le *le = *listp;

	if (le) {
		*listp = le->next;
		le->next = NULL;
		le->prev = NULL;
	}

	return le;
}


/* Pairs from the left, then all from the right: this is what keeps the
   amortised cost down */
static struct le *meld_siblings(struct le *first)
{
	struct le *pairs = NULL, *all = NULL;

	while (first) {
		struct le *a = detach_first(&first);
		struct le *b = detach_first(&first);

		a = meld(a, b);
		a->next = pairs;
		pairs = a;
	}

	while (pairs)
		all = meld(all, detach_first(&pairs));

	return all;
}


static void heap_insert(struct le *le)
{
	le->prev = NULL;
	le->next = NULL;
	le->data = NULL;
	le->list = (struct list *)++heap.starts;

	heap.root = meld(heap.root, le);
}


static void heap_remove(struct le *le)
{
	struct le *rest = meld_siblings(le->data);

	if (!le->prev) {
		heap.root = rest;
		return;
	}

	if (le->prev->data == le)
		le->prev->data = le->next;
	else
		le->prev->next = le->next;
	if (le->next)
		le->next->prev = le->prev;

	heap.root = meld(heap.root, rest);
}


static bool in_ring(const struct le *le)
{
	return (uintptr_t)le->list - (uintptr_t)heap.ring < sizeof(heap.ring);
}


/* False: it is for the heap */
static bool ring_append(struct tmr *tmr)
{
	struct step *step = &heap.ring[tmr->jfs / TMR_STEP_MS % STEPS];
	const bool running = step->tmr.le.list;

	/* one that is due since long ago */
	if (running && step->tmr.jfs != tmr->jfs)
		return false;

	if (!running) {
		step->tmr.jfs = tmr->jfs;
		heap_insert(&step->tmr.le);
	}
	list_append(&step->timers, &tmr->le, tmr);

	return true;
}


static void heap_stop(struct tmr *tmr)
{
	heap_remove(&tmr->le);
	tmr->le = (struct le)LE_INIT;
}


static void ring_stop(struct tmr *tmr)
{
	struct step *step =
		(void *)((char *)tmr->le.list - offsetof(struct step, timers));

	list_unlink(&tmr->le);
	if (list_isempty(&step->timers))
		heap_stop(&step->tmr);
}


static void stop(struct tmr *tmr)
{
	if (in_ring(&tmr->le))
		ring_stop(tmr);
	else
		heap_stop(tmr);
	tmr->th = NULL;
}


/* The first one of the heap, or of its first step; NULL: none is due */
static struct tmr *first_due(uint64_t now)
{
	struct tmr *tmr = heap.root ? tmr_of(heap.root) : NULL;

	if (!tmr || tmr->jfs > now)
		return NULL;

	return tmr->th ? tmr : list_ledata(((struct step *)tmr)->timers.head);
}


uint64_t tmr_jiffies(void)
{
	return clock_mono_ms();
}


void tmr_poll(struct list *tmrl)
{
	/* Read once: a handler that starts timers cannot hold us here */
	const uint64_t now = tmr_jiffies();
	struct tmr *tmr;

	(void)tmrl;

	while ((tmr = first_due(now))) {
		tmr_h *th = tmr->th;
		void *arg = tmr->arg;

		stop(tmr);
		th(arg);
	}
}


uint64_t tmr_next_timeout(struct list *tmrl)
{
	uint64_t now, due;

	(void)tmrl;

	if (!heap.root)
		return 0;

	now = tmr_jiffies();
	due = tmr_of(heap.root)->jfs;

	return due > now ? due - now : 1;
}


void tmr_init(struct tmr *tmr)
{
	if (tmr)
		*tmr = (struct tmr){ .th = NULL };
}


void tmr_start(struct tmr *tmr, uint64_t delay, tmr_h *th, void *arg)
{
	if (!tmr)
		return;

	if (tmr->th)
		stop(tmr);
	if (!th)
		return;

	tmr->th = th;
	tmr->arg = arg;
	tmr->jfs = tmr_jiffies() + delay;
	if (delay >= TMR_LONG_MS)
		tmr->jfs += -tmr->jfs % TMR_STEP_MS;
	if (delay < TMR_LONG_MS || delay >= FAR_MS || !ring_append(tmr))
		heap_insert(&tmr->le);
}


void tmr_cancel(struct tmr *tmr)
{
	tmr_start(tmr, 0, NULL, NULL);
}


uint64_t tmr_get_expire(const struct tmr *tmr)
{
	uint64_t now;

	if (!tmr || !tmr->th)
		return 0;

	now = tmr_jiffies();

	return tmr->jfs > now ? tmr->jfs - now : 0;
}


int tmrheap_check(void)
{
	static const struct {
		const char *name;
		void (*ours)(void);
	} v[] = {
		{ "tmr_start", (void (*)(void))tmr_start },
		{ "tmr_cancel", (void (*)(void))tmr_cancel },
		{ "tmr_poll", (void (*)(void))tmr_poll },
		{ "tmr_next_timeout", (void (*)(void))tmr_next_timeout },
		{ "tmr_get_expire", (void (*)(void))tmr_get_expire },
		{ "tmr_init", (void (*)(void))tmr_init },
		{ "tmr_jiffies", (void (*)(void))tmr_jiffies },
	};

	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		if (dlsym(RTLD_DEFAULT, v[i].name) != (void *)v[i].ours)
			return ENOSYS;
	}

	return 0;
}
