/**
 * @file tmr_heap.h  Timers of libre whose price does not grow
 *
 * libre keeps its timers in one sorted list on the wall clock: a start costs
 * time in proportion to all timers running, and a step of the clock fires or
 * freezes them all.  tmr_heap.c defines libre's timer functions anew; libre
 * calls them through the PLT, so they take the place of its own, in all of
 * libre.  Nothing else changes: use <re/re.h>'s tmr_start() and friends.
 */

#ifndef COMMON_TMR_HEAP_H
#define COMMON_TMR_HEAP_H

/** Each transaction leaves a long one behind (RFC 3261, timers J and K), and
    the loop is to wake up for many at once: from here on they end at multiples
    of a step, which is later, never earlier */
enum {
	TMR_LONG_MS = 4000,
	TMR_STEP_MS = 32,
};

/** ENOSYS if the timers in use are not ours: then do not run.  Calling it is
    also what makes the linker take tmr_heap.c out of the library */
int tmrheap_check(void);

#endif
