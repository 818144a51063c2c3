/**
 * @file net/conn_fsm.c  The life of one connection to a provider
 */

#include "mediator/net/conn_fsm.h"

/* clang-format off */
static const unsigned char next[CONN_STATES][CONN_EVENTS] = {
	/*                SEND          OPENED        PROVED     LOST       FAILED     REST          IDLE */
	[CONN_COLD] =    { CONN_PRIMING, CONN_PRIMING, CONN_COLD, CONN_COLD, CONN_DOWN, CONN_COLD,    CONN_COLD },
	[CONN_PRIMING] = { CONN_PRIMING, CONN_PRIMING, CONN_WARM, CONN_COLD, CONN_DOWN, CONN_PRIMING, CONN_PRIMING },
	[CONN_WARM] =    { CONN_WARM,    CONN_PRIMING, CONN_WARM, CONN_COLD, CONN_DOWN, CONN_WARM,    CONN_PRIMING },
	[CONN_DOWN] =    { CONN_DOWN,    CONN_PRIMING, CONN_WARM, CONN_DOWN, CONN_DOWN, CONN_COLD,    CONN_DOWN },
};
/* clang-format on */


enum conn_state conn_next(enum conn_state s, enum conn_event e)
{
	return (enum conn_state)next[s][e];
}


const char *conn_state_name(enum conn_state s)
{
	switch (s) {

	case CONN_COLD:
		return "cold";
	case CONN_PRIMING:
		return "priming";
	case CONN_WARM:
		return "warm";
	case CONN_DOWN:
		return "down";
	case CONN_STATES:
		break;
	}

	return "?";
}
