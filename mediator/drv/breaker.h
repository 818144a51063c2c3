/**
 * @file drv/breaker.h  Fail fast while a human has something to mend
 *
 *              trip                       probe answered well
 *   CLOSED ------------> OPEN <---+---> PROBING ------------> CLOSED
 *                          |      |        |
 *                          +------+--------+
 *                       probe time     failed again, or lost
 *
 * One for each credential and one for each app.  Pure: the time (monotonic
 * milliseconds) is an argument.
 */

#ifndef MEDIATOR_DRV_BREAKER_H
#define MEDIATOR_DRV_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

enum {
	BREAKER_FIRST_MS = 30000, /**< to the first probe; then doubling */
	BREAKER_MAX_MS = 300000,
};

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_PROBING };

enum breaker_pass { BREAKER_GO, BREAKER_PROBE, BREAKER_STOP };

struct breaker {
	enum breaker_state state;
	uint64_t probe_at;
	uint32_t wait_ms;
	char reason[96]; /**< what stopped pushes get as their reason */
};

/** PROBE: this one may go to see whether all is well again */
enum breaker_pass breaker_pass(struct breaker *b, uint64_t now);

/** True if it was closed: tell a human, once */
bool breaker_trip(struct breaker *b, const char *reason, uint64_t now);

/** The credential was accepted.  True if it was not closed: tell a human */
bool breaker_reset(struct breaker *b);

/** A probe ended without an answer to the question */
void breaker_undecided(struct breaker *b, uint64_t now);

#endif
