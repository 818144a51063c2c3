/**
 * @file call_fsm.h  The states of a waiting call; pure
 */

#ifndef SIPIS_CALL_FSM_H
#define SIPIS_CALL_FSM_H

#include <stdint.h>

enum call_state {
	CALL_READING, /**< the INVITE is here; the phones are looked up */
	CALL_WAKING,  /**< pushes are out, no phone has come */
	CALL_AWAKE,   /**< a phone came; the owner brings the call to it */
	CALL_RINGING, /**< a phone has our INVITE and rings (relay) */
	CALL_HANDED,  /**< our INVITE has its final answer, the call lives on
			   at the PBX; late phones and words still come */
	CALL_ENDED,   /**< a tombstone */
	CALL_STATES
};

enum call_event {
	CALL_EV_PHONES,    /**< there are phones to wake */
	CALL_EV_NOBODY,    /**< there is none */
	CALL_EV_ACCEPTED,  /**< a provider has taken a push */
	CALL_EV_UNREACHED, /**< no push got through, no phone is awake */
	CALL_EV_CAME,      /**< a phone is awake, or has registered */
	CALL_EV_ARRIVED,   /**< owner: the app has its own INVITE */
	CALL_EV_DIAL,      /**< owner: the PBX shall dial again */
	CALL_EV_RINGS,     /**< a phone rings with our INVITE */
	CALL_EV_QUIET,     /**< none does any more */
	CALL_EV_LOST,      /**< the same, for the way to one is gone */
	CALL_EV_TAKEN,     /**< one has answered it */
	CALL_EV_DECLINED,  /**< nobody is left who could take it */
	CALL_EV_CANCEL,    /**< from the PBX */
	CALL_EV_LATE,      /**< the deadline of the state */
	CALL_EVENTS
};

enum call_action {
	CALL_AC_NONE,
	CALL_AC_WAKE,    /**< send the pushes, look at the bindings */
	CALL_AC_RING,    /**< 180, where the profile wants it now */
	CALL_AC_OWNER,   /**< the owner decides */
	CALL_AC_AGAIN,   /**< a phone has its time to come once more */
	CALL_AC_LEAVE,   /**< 480; the PBX rings the app by itself */
	CALL_AC_DIAL,    /**< 302 to the account's own AOR */
	CALL_AC_TAKEN,   /**< its 2xx has gone up; tell the others */
	CALL_AC_DECLINE, /**< the refusal that fits the owner */
	CALL_AC_CANCEL,  /**< 487, tell the phones */
	CALL_AC_MISS,    /**< 480, tell the phones */
	CALL_AC_FAIL,    /**< 480; there is nobody to tell */
	CALL_AC_CLOSE,   /**< what was handed over is over */
	CALL_ACTIONS
};

struct call_step {
	enum call_state next;
	enum call_action action;
};

struct call_step call_fsm_step(enum call_state state, enum call_event event);

const char *call_state_name(enum call_state s);
const char *call_event_name(enum call_event e);
const char *call_action_name(enum call_action a);

#endif
