/**
 * @file window.c  How much of one mediator's window is taken
 *
 *     free --sent--> in flight --result--> free
 *                       |
 *                       +--given up--> orphan --result, or 30 s after
 *                                               the youngest--> free
 *
 * The mediator closes a connection that has more in flight than its window;
 * it does not know what we have given up.
 */

#include "sipis/med/window.h"


static unsigned orphans(const struct window *w, uint64_t now)
{
	return now > w->orphan_at + WINDOW_ORPHAN_MS ? 0 : w->orphans;
}


unsigned window_room(const struct window *w, uint32_t size, uint64_t now)
{
	const unsigned used = w->inflight + orphans(w, now);

	return size > used ? size - used : 0;
}


void window_give_up(struct window *w, uint64_t now)
{
	--w->inflight;
	w->orphans = 1 + orphans(w, now);
	w->orphan_at = now;
}


void window_orphan_done(struct window *w)
{
	if (w->orphans)
		--w->orphans;
}
