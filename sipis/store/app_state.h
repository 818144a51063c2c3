/**
 * @file app_state.h  The state of an app: a table, no I/O
 *
 *                 says active
 *        +------------------------------+
 *        v          says inactive,      |
 *     ACTIVE ---- lease over --------> INACTIVE --- idle over --> EXPIRED
 *        |                              |   ^                        |
 *        | says exited                  |   +---- new tokens --------+
 *        +-----------> EXITED <---------+   |                        |
 *                        |                  |                        |
 *                        +--- tokens dead --+--> GONE <--------------+
 *
 * A phone that sleeps without a token that lives cannot be woken: it is GONE,
 * whatever else it would be.  The store applies the table inside its
 * transaction, where state and tokens are seen together.
 */

#ifndef SIPIS_APP_STATE_H
#define SIPIS_APP_STATE_H

#include "sipis/store/store.h"

#define INST_STATES (INST_GONE + 1)

enum app_event {
	APP_SAYS_ACTIVE,
	APP_SAYS_INACTIVE,
	APP_SAYS_EXITED,
	APP_LEASE_OVER,
	APP_IDLE_OVER,
	APP_TOKENS_DEAD, /**< the last call token died */
	APP_TOKENS_NEW,
	APP_EVENTS
};

/** live: it has a call token that works */
enum inst_state app_next(enum inst_state state, enum app_event event,
			 bool live);

/** The event of a state that an app may claim; EINVAL for the others */
int app_says(enum app_event *event, enum inst_state state);

/** May we keep the account registered for this phone? */
bool app_wants(enum inst_state state, bool push_after_exit, bool push_enabled,
	       bool live);

/** When time changes the state, wall ms; 0 never */
int64_t app_due(enum inst_state state, int64_t lease_until_ms, int64_t seen_ms,
		uint32_t idle_s);

int inst_state_decode(enum inst_state *state, const char *name);

#endif
