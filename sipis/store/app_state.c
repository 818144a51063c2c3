/**
 * @file app_state.c  The state of an app: a table, no I/O
 */

#include <errno.h>
#include <string.h>
#include "sipis/store/app_state.h"

#define A INST_ACTIVE
#define I INST_INACTIVE
#define X INST_EXITED
#define E INST_EXPIRED
#define G INST_GONE

/* rows: what happens; columns: ACTIVE INACTIVE EXITED EXPIRED GONE */
static const uint8_t next[APP_EVENTS][INST_STATES] = {
	[APP_SAYS_ACTIVE] = { A, A, A, A, A },
	[APP_SAYS_INACTIVE] = { I, I, I, I, I },
	[APP_SAYS_EXITED] = { X, X, X, X, X },
	[APP_LEASE_OVER] = { I, I, X, E, G },
	[APP_IDLE_OVER] = { A, E, E, E, G },
	[APP_TOKENS_DEAD] = { A, G, G, G, G },
	[APP_TOKENS_NEW] = { A, I, X, I, I },
};

#undef A
#undef I
#undef X
#undef E
#undef G


static bool asleep(enum inst_state state)
{
	return state == INST_INACTIVE || state == INST_EXITED;
}


enum inst_state app_next(enum inst_state state, enum app_event event,
			 bool live)
{
	enum inst_state to = next[event][state];

	return asleep(to) && !live ? INST_GONE : to;
}


int app_says(enum app_event *event, enum inst_state state)
{
	switch (state) {
	case INST_ACTIVE:
		*event = APP_SAYS_ACTIVE;
		return 0;
	case INST_INACTIVE:
		*event = APP_SAYS_INACTIVE;
		return 0;
	case INST_EXITED:
		*event = APP_SAYS_EXITED;
		return 0;
	case INST_EXPIRED:
	case INST_GONE:
		break;
	}
	return EINVAL;
}


bool app_wants(enum inst_state state, bool push_after_exit, bool push_enabled,
	       bool live)
{
	if (!live || !push_enabled)
		return false;

	return state == INST_INACTIVE ||
	       (state == INST_EXITED && push_after_exit);
}


int64_t app_due(enum inst_state state, int64_t lease_until_ms, int64_t seen_ms,
		uint32_t idle_s)
{
	if (state == INST_ACTIVE)
		return lease_until_ms;
	if (asleep(state) && idle_s)
		return seen_ms + (int64_t)idle_s * 1000;
	return 0;
}


static const char *const names[INST_STATES] = {
	[INST_ACTIVE] = "active", [INST_INACTIVE] = "inactive",
	[INST_EXITED] = "exited", [INST_EXPIRED] = "expired",
	[INST_GONE] = "gone",
};


const char *inst_state_name(enum inst_state s)
{
	return (unsigned)s < INST_STATES ? names[s] : "?";
}


int inst_state_decode(enum inst_state *state, const char *name)
{
	for (unsigned i = 0; i < INST_STATES; i++)
		if (!strcmp(name, names[i])) {
			*state = (enum inst_state)i;
			return 0;
		}
	return EINVAL;
}
