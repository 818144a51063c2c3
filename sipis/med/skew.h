/**
 * @file skew.h  How far the clock of another host is from ours
 *
 * Fed with answers that carry the other's time; each is right to half of its
 * round trip.  No clock is read here, nothing is sent.
 */

#ifndef SIPIS_MED_SKEW_H
#define SIPIS_MED_SKEW_H

#include <stdbool.h>
#include <stdint.h>

/** All zero: nothing is known */
struct skew {
	bool known;
	int64_t off_ms;  /**< theirs minus ours */
	uint64_t err_ms; /**< the truth is within off_ms +- this */
	uint64_t at_ms;  /**< monotonic: when it was measured */
};

/** asked_ms, now_ms: monotonic, of question and answer; wall_ms: our clock at
    now_ms; theirs_ms: theirs in between.  A time that is none (0, or of
    another age) is ignored */
void skew_feed(struct skew *s, uint64_t asked_ms, uint64_t now_ms,
	       int64_t wall_ms, int64_t theirs_ms);

/** To be added to one of our times to get one of theirs; 0 as long as the
    round trip may explain the difference, or it is too small to matter */
int64_t skew_ms(const struct skew *s);

#endif
