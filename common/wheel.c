/**
 * @file wheel.c  Very many coarse timers on one fine one
 *
 *     due % SLOTS          0     1     2   ...   SLOTS - 1
 *                        +-----+-----+-----+   +-----+
 *                        |  .  |  |  |  .  |   |  .  |
 *                        +-----+--|--+-----+   +-----+
 *                                link -> link -> link   (any turn)
 *
 * A turn collects the due links of all slots passed into a list of its own
 * and then hands them out one by one.  A link in that list is still running:
 * the handler of an earlier one may cancel, restart or free it.
 */

#include <errno.h>
#include <re/re.h>
#include "common/wheel.h"


/* Longer than most refresh intervals, so that a link is rarely looked at
   before it is due; a power of 2 */
enum { SLOTS = 4096 };

struct wheel {
	struct wheel_link *slot[SLOTS];
	uint32_t now; /**< every due second up to this one is handed out */
	wheel_h *h;
	void *arg;
};


static void link_in(struct wheel_link **head, struct wheel_link *link)
{
	link->next = *head;
	link->pprev = head;
	if (link->next)
		link->next->pprev = &link->next;
	*head = link;
}


static void link_out(struct wheel_link *link)
{
	*link->pprev = link->next;
	if (link->next)
		link->next->pprev = link->pprev;
	link->next = NULL;
	link->pprev = NULL;
}


static void destructor(void *data)
{
	struct wheel *w = data;

	/* Whoever outlives the wheel may still cancel */
	for (size_t i = 0; i < SLOTS; i++) {
		struct wheel_link *link = w->slot[i];

		while (link) {
			struct wheel_link *next = link->next;

			link->next = NULL;
			link->pprev = NULL;
			link = next;
		}
	}
}


int wheel_alloc(struct wheel **wp, uint32_t now, wheel_h *h, void *arg)
{
	struct wheel *w;

	if (!wp || !h)
		return EINVAL;

	w = mem_zalloc(sizeof(*w), destructor);
	if (!w)
		return ENOMEM;

	w->now = now;
	w->h = h;
	w->arg = arg;

	*wp = w;
	return 0;
}


void wheel_start(struct wheel *w, struct wheel_link *link, uint32_t due)
{
	if (!w || !link)
		return;

	wheel_cancel(link);

	/* A second that is over comes out with the next turn */
	link->due = due > w->now ? due : w->now + 1;
	link_in(&w->slot[link->due % SLOTS], link);
}


void wheel_cancel(struct wheel_link *link)
{
	if (link && link->pprev)
		link_out(link);
}


static void collect(struct wheel *w, struct wheel_link **slot,
		    struct wheel_link **due)
{
	struct wheel_link *link = *slot;

	while (link) {
		struct wheel_link *next = link->next;

		if (link->due <= w->now) {
			link_out(link);
			link_in(due, link);
		}
		link = next;
	}
}


void wheel_turn(struct wheel *w, uint32_t now)
{
	struct wheel_link *due = NULL;
	uint32_t first, n;

	if (!w || now <= w->now)
		return;

	first = w->now + 1;
	n = now - w->now;
	if (n > SLOTS)
		n = SLOTS;

	w->now = now;

	for (uint32_t i = 0; i < n; i++)
		collect(w, &w->slot[(first + i) % SLOTS], &due);

	while (due) {
		struct wheel_link *link = due;

		link_out(link);
		w->h(link, w->arg);
	}
}
