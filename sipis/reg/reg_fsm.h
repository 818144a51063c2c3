/**
 * @file reg_fsm.h  The rules of a registration, without I/O and clock
 */

#ifndef SIPIS_REG_FSM_H
#define SIPIS_REG_FSM_H

#include "sipis/reg/reg.h"

enum { REG_STATES = REG_REJECTED + 1 };

enum reg_event {
	REG_EV_WANT,    /**< the goal is to be registered */
	REG_EV_UNWANT,  /**< the goal is not to be */
	REG_EV_CREDS,   /**< new password, proxy or transport */
	REG_EV_DUE,     /**< its second has come */
	REG_EV_OK,      /**< 200 to a REGISTER */
	REG_EV_GONE,    /**< the un-REGISTER is done, or given up */
	REG_EV_LATER,   /**< failed for now */
	REG_EV_AUTH,    /**< the credentials are wrong */
	REG_EV_REFUSED, /**< the PBX will not have it */
	REG_EV_LOST,    /**< the binding is not there any more */
	REG_EV_BACK,    /**< the PBX answers again */
	REG_EVENTS
};

enum reg_action {
	REG_DO_NOTHING,
	REG_DO_REGISTER, /**< into the lane of those without a binding */
	REG_DO_REFRESH,  /**< into the lane of refreshes */
	REG_DO_REMOVE,   /**< un-REGISTER, ahead of the lanes */
	REG_DO_SLEEP,    /**< until the next point of the grid */
	REG_DO_WAIT,     /**< until the next try */
	REG_DO_STOP,     /**< nothing is due any more */
};

struct reg_step {
	enum reg_state next;
	enum reg_action action;
};

/** Every pair is decided */
struct reg_step reg_fsm(enum reg_state state, enum reg_event event);
const char *reg_event_name(enum reg_event ev);

/** What an answer means for the request that is under way */
enum reg_verdict {
	REG_V_WAIT, /**< 1xx */
	REG_V_OK,
	REG_V_CHALLENGE, /**< 401, 407 */
	REG_V_BRIEF,     /**< 423 */
	REG_V_HOP,       /**< try the next target, else later */
	REG_V_LATER,
	REG_V_AUTH, /**< 403 to credentials */
	REG_V_REFUSED,
};

/** err: errno of the transport, then scode does not count.  sent_creds: the
    request carried credentials */
enum reg_verdict reg_judge(int err, uint16_t scode, bool sent_creds);

/** Seconds until the next try.  retry_after_s 0: none was given; fails: how
    often in a row before this; rnd: any 32 bits */
uint32_t reg_wait_s(uint32_t retry_after_s, unsigned fails, uint32_t rnd);

enum {
	REG_GRANT_MIN = 60,
	REG_GRANT_MAX = 7200,
	REG_REFRESH_MIN = 30, /**< no sooner, whatever the PBX says */
	REG_RETRY_MAX = 3600,
	REG_DOUBT_MIN = 900,
};

/** Credentials that were good are refused: a PBX whose database is away says
    that too, so they are shown once more, but so late that no fail2ban counts
    the two together (its longest usual window is 10 minutes) */
uint32_t reg_doubt_s(uint32_t rnd);

/** RFC 3261 10.2.8: what to ask for after 423; 0: the answer is no help.
    min_expires 0: there was no Min-Expires */
uint32_t reg_brief(uint32_t asked, uint32_t min_expires);

#endif
