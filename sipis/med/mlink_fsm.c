/**
 * @file mlink_fsm.c  When a link to a mediator is tried, and what ends it
 */

#include "common/backoff.h"
#include "sipis/med/mlink_fsm.h"

enum { FAILS_MAX = 16 };

#define STAY                                \
	{                                   \
		MLINK_STATES, MLINK_NOTHING \
	}

/* clang-format off */
static const struct mlink_step table[MLINK_STATES][MLINK_EVENTS] = {
	[MLINK_IDLE] = {
		[MLINK_WANT]   = { MLINK_TRYING,   MLINK_TRY },
		[MLINK_UNWANT] = STAY,
		[MLINK_DUE]    = STAY,
		[MLINK_HELLO]  = STAY,
		[MLINK_DRAIN]  = STAY,
		[MLINK_LOST]   = STAY,
		[MLINK_KICK]   = STAY,
	},
	[MLINK_WAITING] = {
		[MLINK_WANT]   = STAY,
		[MLINK_UNWANT] = { MLINK_IDLE,     MLINK_END },
		[MLINK_DUE]    = { MLINK_TRYING,   MLINK_TRY },
		[MLINK_HELLO]  = STAY,
		[MLINK_DRAIN]  = STAY,
		[MLINK_LOST]   = STAY,
		[MLINK_KICK]   = { MLINK_WAITING,  MLINK_SOONER },
	},
	[MLINK_TRYING] = {
		[MLINK_WANT]   = STAY,
		[MLINK_UNWANT] = { MLINK_IDLE,     MLINK_END },
		[MLINK_DUE]    = STAY,
		[MLINK_HELLO]  = { MLINK_UP,       MLINK_SERVE },
		[MLINK_DRAIN]  = STAY,
		[MLINK_LOST]   = { MLINK_WAITING,  MLINK_PAUSE },
		[MLINK_KICK]   = STAY,
	},
	[MLINK_UP] = {
		[MLINK_WANT]   = STAY,
		[MLINK_UNWANT] = { MLINK_IDLE,     MLINK_END },
		[MLINK_DUE]    = STAY,
		[MLINK_HELLO]  = STAY,
		[MLINK_DRAIN]  = { MLINK_DRAINING, MLINK_FINISH },
		[MLINK_LOST]   = { MLINK_WAITING,  MLINK_PAUSE },
		[MLINK_KICK]   = STAY,
	},
	[MLINK_DRAINING] = {
		[MLINK_WANT]   = STAY,
		[MLINK_UNWANT] = { MLINK_IDLE,     MLINK_END },
		[MLINK_DUE]    = STAY,
		[MLINK_HELLO]  = STAY,
		[MLINK_DRAIN]  = { MLINK_DRAINING, MLINK_FINISH },
		[MLINK_LOST]   = { MLINK_WAITING,  MLINK_PAUSE },
		[MLINK_KICK]   = STAY,
	},
};
/* clang-format on */


struct mlink_step mlink_next(enum mlink_state s, enum mlink_event e)
{
	struct mlink_step step = table[s][e];

	if (step.state == MLINK_STATES)
		step.state = s;

	return step;
}


bool mlink_stands(enum mlink_state s)
{
	return s == MLINK_UP || s == MLINK_DRAINING;
}


const char *mlink_state_name(enum mlink_state s)
{
	switch (s) {

	case MLINK_IDLE:
		return "spare";
	case MLINK_WAITING:
		return "waiting";
	case MLINK_TRYING:
		return "connecting";
	case MLINK_UP:
		return "up";
	case MLINK_DRAINING:
		return "draining";
	case MLINK_STATES:
		break;
	}

	return "?";
}


void mlink_pace_lost(struct mlink_pace *p, uint64_t now, uint32_t rnd)
{
	p->ended_at = now;
	p->retry_at = now + backoff_ms(p->min_ms, p->max_ms, p->fails, rnd);
	if (p->fails < FAILS_MAX)
		++p->fails;
}


bool mlink_pace_kick(struct mlink_pace *p, uint64_t now)
{
	uint64_t at = p->ended_at + p->kick_ms;

	if (at < now)
		at = now;
	if (at >= p->retry_at)
		return false;

	p->retry_at = at;
	return true;
}
