/**
 * @file drv/breaker.c  Fail fast while a human has something to mend
 */

#include <stdio.h>
#include <string.h>
#include "mediator/drv/breaker.h"


enum breaker_pass breaker_pass(struct breaker *b, uint64_t now)
{
	switch (b->state) {

	case BREAKER_CLOSED:
		return BREAKER_GO;

	case BREAKER_OPEN:
		if (now < b->probe_at)
			return BREAKER_STOP;
		b->state = BREAKER_PROBING;
		return BREAKER_PROBE;

	case BREAKER_PROBING:
		break;
	}

	return BREAKER_STOP;
}


static void reopen(struct breaker *b, uint64_t now)
{
	b->state = BREAKER_OPEN;
	b->probe_at = now + b->wait_ms;
	b->wait_ms *= 2;
	if (b->wait_ms > BREAKER_MAX_MS)
		b->wait_ms = BREAKER_MAX_MS;
}


bool breaker_trip(struct breaker *b, const char *reason, uint64_t now)
{
	bool first = b->state == BREAKER_CLOSED;

	snprintf(b->reason, sizeof(b->reason), "%s", reason);
	if (first)
		b->wait_ms = BREAKER_FIRST_MS;
	/* Answers to what was in flight when it tripped change nothing */
	if (first || b->state == BREAKER_PROBING)
		reopen(b, now);

	return first;
}


bool breaker_reset(struct breaker *b)
{
	bool was = b->state != BREAKER_CLOSED;

	b->state = BREAKER_CLOSED;
	return was;
}


void breaker_undecided(struct breaker *b, uint64_t now)
{
	if (b->state == BREAKER_PROBING)
		reopen(b, now);
}
