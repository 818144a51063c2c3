/**
 * @file net/conn_fsm.h  The life of one connection to a provider
 *
 *                 SEND            PROVED
 *      +--> COLD -----> PRIMING ---------> WARM
 *      |      ^           |  ^               |
 *      |      |   LOST    |  | OPENED, IDLE  |
 *      |      +-----------+--|---------------+ LOST
 *      |                  |  +---------------+
 * REST |           FAILED |
 *      +------ DOWN <-----+
 *
 * A provider allows one stream until it has accepted a credential, and a
 * burst on a new connection makes curl open one connection per request: so
 * one request goes first, and the others follow when it was answered.
 */

#ifndef MEDIATOR_NET_CONN_FSM_H
#define MEDIATOR_NET_CONN_FSM_H

enum conn_state {
	CONN_COLD,    /**< not connected */
	CONN_PRIMING, /**< one request finds out */
	CONN_WARM,    /**< takes as many as allowed */
	CONN_DOWN,    /**< could not connect; rests */
	CONN_STATES
};

enum conn_event {
	CONN_SEND,   /**< a request is handed to curl */
	CONN_OPENED, /**< curl opens a socket, perhaps on its own account */
	CONN_PROVED, /**< an answer shows that the credential is accepted */
	CONN_LOST,   /**< the connection broke */
	CONN_FAILED, /**< no connection came about */
	CONN_REST,   /**< the pause is over */
	CONN_IDLE,   /**< unused for so long that it may be gone unnoticed */
	CONN_EVENTS
};

/** The next state.  Pure */
enum conn_state conn_next(enum conn_state s, enum conn_event e);

const char *conn_state_name(enum conn_state s);

#endif
