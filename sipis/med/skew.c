/**
 * @file skew.c  How far the clock of another host is from ours
 *
 *     ours    asked --------------------- answered
 *                   \                   /
 *     theirs          ------- told ----
 *
 * "told" lies somewhere between the two, so the middle is wrong by half of
 * the round trip at most.  The best measurement is kept until a better one
 * comes, until clocks may have drifted from it, or until it cannot be true
 * any more: somebody has set a clock.
 */

#include "sipis/med/skew.h"


enum {
	MIN_MS = 200,    /* less does no harm to times of seconds */
	DRIFT_DIV = 1000 /* a clock that is being slewed: 500 ppm, two */
};

#define WALL_MAX 253402300800000 /* the year 10000 */


static uint64_t distance(int64_t a, int64_t b)
{
	return (uint64_t)(a > b ? a - b : b - a);
}


/* The error of what was measured then, by now */
static uint64_t error_now(const struct skew *s, uint64_t now_ms)
{
	return s->err_ms +
	       (now_ms > s->at_ms ? (now_ms - s->at_ms) / DRIFT_DIV : 0);
}


void skew_feed(struct skew *s, uint64_t asked_ms, uint64_t now_ms,
	       int64_t wall_ms, int64_t theirs_ms)
{
	const uint64_t rtt = now_ms > asked_ms ? now_ms - asked_ms : 0;
	const uint64_t err = rtt / 2 + 1;
	uint64_t kept;
	int64_t off;

	if (!s || theirs_ms <= 0 || theirs_ms > WALL_MAX || wall_ms <= 0 ||
	    wall_ms > WALL_MAX)
		return;

	off = theirs_ms - (wall_ms - (int64_t)(rtt / 2));
	kept = error_now(s, now_ms);
	if (s->known && err > kept && distance(off, s->off_ms) <= err + kept)
		return;

	*s = (struct skew){ true, off, err, now_ms };
}


int64_t skew_ms(const struct skew *s)
{
	if (!s || !s->known || distance(s->off_ms, 0) <= s->err_ms + MIN_MS)
		return 0;

	return s->off_ms;
}
