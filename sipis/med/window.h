/**
 * @file window.h  How much of one mediator's window is taken
 *
 * Pure: the time is an argument, monotonic ms.
 */

#ifndef SIPIS_MED_WINDOW_H
#define SIPIS_MED_WINDOW_H

#include <stdint.h>

enum {
	WINDOW_ORPHAN_MS = 30000, /**< no result will come after that */
};

/** All zero: nothing is out there */
struct window {
	unsigned inflight;  /**< requests of ours that are out there */
	unsigned orphans;   /**< given up by us; they fill the window until
				 their results come, or are too old to */
	uint64_t orphan_at; /**< of the youngest */
};

/** How many more may be sent of size that the mediator allows */
unsigned window_room(const struct window *w, uint32_t size, uint64_t now);
/** One in flight is given up: its place stays taken */
void window_give_up(struct window *w, uint64_t now);
/** The result of a given-up one has come */
void window_orphan_done(struct window *w);

#endif
