/**
 * @file wheel.h  Very many coarse timers on one fine one
 *
 * A ring of one-second slots with intrusive links: start and cancel cost the
 * same for one timer and for a million.  Time is in seconds of any clock that
 * never steps back, handed in by the caller; the wheel has no clock.  A due
 * time further ahead than the ring is long stays in its slot for several
 * turns.  Due links of one second come out together: work gathers in ticks.
 */

#ifndef COMMON_WHEEL_H
#define COMMON_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

struct wheel_link {
	struct wheel_link *next, **pprev; /**< pprev NULL = not running */
	uint32_t due;                     /**< seconds */
};

struct wheel;
typedef void(wheel_h)(struct wheel_link *link, void *arg);

int wheel_alloc(struct wheel **wp, uint32_t now, wheel_h *h, void *arg);
void wheel_start(struct wheel *w, struct wheel_link *link, uint32_t due);
void wheel_cancel(struct wheel_link *link);
static inline bool wheel_running(const struct wheel_link *link)
{
	return link->pprev != 0;
}
/** Calls h for every link due at or before now, each already unlinked; h may
    start, cancel and free any link */
void wheel_turn(struct wheel *w, uint32_t now);

#endif
