/**
 * @file mlink_fsm.h  When a link to a mediator is tried, and what ends it
 *
 * Pure; times are monotonic ms, and given.
 *
 *      +------+  WANT   +--------+  HELLO   +----+  DRAIN   +----------+
 *      | IDLE |-------->| TRYING |--------->| UP |--------->| DRAINING |
 *      +------+         +--------+          +----+          +----------+
 *          ^             |      ^              |                  |
 *   UNWANT |        LOST |      | DUE          | LOST             | LOST
 *  (of any)|             v      |              v                  v
 *          |           +----------------------------------------------+
 *          +-----------| WAITING                                      |
 *                      +----------------------------------------------+
 *                              ^ KICK: the pause becomes shorter
 */

#ifndef SIPIS_MED_MLINK_FSM_H
#define SIPIS_MED_MLINK_FSM_H

#include <stdbool.h>
#include <stdint.h>

enum mlink_state {
	MLINK_IDLE,
	MLINK_WAITING,
	MLINK_TRYING,
	MLINK_UP,
	MLINK_DRAINING,
	MLINK_STATES
};

enum mlink_event {
	MLINK_WANT,   /**< it is one of those to be used */
	MLINK_UNWANT, /**< and is not any more */
	MLINK_DUE,    /**< the pause is over */
	MLINK_HELLO,  /**< the mediator's */
	MLINK_DRAIN,  /**< it takes no new work */
	MLINK_LOST,   /**< no connection, or none any more */
	MLINK_KICK,   /**< somebody waits, and no link is up */
	MLINK_EVENTS
};

/** What follows */
enum mlink_act {
	MLINK_NOTHING,
	MLINK_TRY,    /**< look up, connect, greet */
	MLINK_SERVE,  /**< ping; work may come */
	MLINK_FINISH, /**< what is in flight, for as long as it was given */
	MLINK_PAUSE,  /**< mlink_pace_lost() says until when */
	MLINK_SOONER, /**< mlink_pace_kick() says when */
	MLINK_END,    /**< no connection, no timer */
};

struct mlink_step {
	enum mlink_state state;
	enum mlink_act act;
};

/** Every pair has an answer; MLINK_NOTHING: it changes nothing */
struct mlink_step mlink_next(enum mlink_state s, enum mlink_event e);

/** A connection that has been greeted */
bool mlink_stands(enum mlink_state s);

/** For the operator: idle is "spare" */
const char *mlink_state_name(enum mlink_state s);

struct mlink_pace {
	uint32_t min_ms, max_ms; /**< of pauses, which double */
	uint32_t kick_ms;        /**< the longest one while somebody waits */
	unsigned fails;          /**< in a row */
	uint64_t ended_at;       /**< last try or connection */
	uint64_t retry_at;       /**< 0: under way, UINT64_MAX: none */
};

/** 50 to 100 % of the pause, by rnd (any 32 bits) */
void mlink_pace_lost(struct mlink_pace *p, uint64_t now, uint32_t rnd);
/** True if that brings the next try forward */
bool mlink_pace_kick(struct mlink_pace *p, uint64_t now);

#endif
