/**
 * @file server/ses_fsm.h  The life of one connection from a sipis
 *
 *           SECURE         HELLO           DRAIN
 *     TLS ---------> HELLO -----> READY ---------> DRAINING
 *      |               |            |                 |
 *      |               |   FAULT    |                 |
 *      +---------------+------------+-----------------+---> CLOSING
 *      |               |            |                 |        |
 *      |  GONE, TIMEOUT or SILENT   |                 |        | GONE, TIMEOUT
 *      +---------------+------------+-----------------+--------+--> CLOSED
 *
 * CLOSING: Refused was said, and the peer gets a moment to read it.
 */

#ifndef MEDIATOR_SERVER_SES_FSM_H
#define MEDIATOR_SERVER_SES_FSM_H

enum ses_state {
	SES_TLS,   /**< handshake under way */
	SES_HELLO, /**< the tenant is known, its Hello is not there yet */
	SES_READY,
	SES_DRAINING, /**< as READY; the peer was asked to go elsewhere */
	SES_CLOSING,
	SES_CLOSED,
	SES_STATES
};

enum ses_event {
	SES_EV_SECURE, /**< handshake done, certificate of a tenant */
	SES_EV_HELLO,  /**< Hello of a version that we speak */
	SES_EV_WORK,   /**< Push, Enrol */
	SES_EV_PING,
	SES_EV_PONG,
	SES_EV_REFUSED, /**< the peer does not want us */
	SES_EV_FAULT,   /**< bad frame, stranger, over a limit */
	SES_EV_DRAIN,   /**< we are about to stop */
	SES_EV_TIMEOUT, /**< the time of TLS, HELLO or CLOSING is over */
	SES_EV_SILENT,  /**< nothing heard for three pings */
	SES_EV_GONE,    /**< the connection is closed */
	SES_EVENTS
};

enum ses_act {
	SES_ACT_NONE,
	SES_ACT_GREET, /**< our Hello */
	SES_ACT_WORK,  /**< hand it on */
	SES_ACT_PONG,
	SES_ACT_DRAIN,  /**< say Drain */
	SES_ACT_REFUSE, /**< say Refused */
	SES_ACT_DROP,   /**< close the connection */
};

struct ses_step {
	enum ses_state next;
	enum ses_act act;
};

/** Pure */
struct ses_step ses_next(enum ses_state s, enum ses_event e);

const char *ses_state_name(enum ses_state s);
const char *ses_event_name(enum ses_event e);

#endif
