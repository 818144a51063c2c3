/**
 * @file call_fsm.c  The states of a waiting call; pure
 *
 *      INVITE
 *        |
 *        v      no phone sleeps, CANCEL, too slow
 *   +---------+-----------------------------------------+
 *   | READING |                                         |
 *   +---------+                                         |
 *        | phones                                       |
 *        v      unreached, declined, taken,             |
 *   +---------+  CANCEL, late                           |
 *   | WAKING  |---------------------------------------->|
 *   +---------+                                         |
 *        | came                                         |
 *        v      declined, CANCEL, late                  v
 *   +---------+------------------------------------>+-------+
 *   |  AWAKE  |<--+ came: the owner decides again   | ENDED |
 *   +---------+---+ lost: its deadline begins anew  +-------+
 *        |         | rings  ^ quiet, lost               ^
 *        |         v        |                           |
 *        |    +---------+---+  taken, declined, CANCEL, |
 *        |    | RINGING |       late                    |
 *        |    +---------+------------------------------>+
 *        |                                              |
 *        | arrived (480), dial (302)                    |
 *        v                       declined, late         |
 *   +---------+-----------------------------------------+
 *   | HANDED  |
 *   +---------+
 *
 * Every final answer to the INVITE is an action of this table, so there is
 * exactly one per call: into ENDED from the four upper states, or into
 * HANDED.  The owner in AWAKE is a handover (handover.h).
 */

#include "sipis/call/call_fsm.h"

#define STAY(s)                        \
	{                              \
		CALL_##s, CALL_AC_NONE \
	}
#define GO(s, a)                      \
	{                             \
		CALL_##s, CALL_AC_##a \
	}


static const struct call_step table[CALL_STATES][CALL_EVENTS] = {
	[CALL_READING] = {
		[CALL_EV_PHONES]    = GO(WAKING, WAKE),
		[CALL_EV_NOBODY]    = GO(ENDED, FAIL),
		[CALL_EV_ACCEPTED]  = STAY(READING),
		[CALL_EV_UNREACHED] = STAY(READING),
		/* the record remembers it until the phones are known */
		[CALL_EV_CAME]	    = STAY(READING),
		[CALL_EV_ARRIVED]   = STAY(READING),
		[CALL_EV_DIAL]	    = STAY(READING),
		[CALL_EV_RINGS]	    = STAY(READING),
		[CALL_EV_QUIET]	    = STAY(READING),
		[CALL_EV_LOST]	    = STAY(READING),
		[CALL_EV_TAKEN]	    = STAY(READING),
		[CALL_EV_DECLINED]  = STAY(READING),
		[CALL_EV_CANCEL]    = GO(ENDED, CANCEL),
		[CALL_EV_LATE]	    = GO(ENDED, FAIL),
	},
	[CALL_WAKING] = {
		[CALL_EV_PHONES]    = STAY(WAKING),
		[CALL_EV_NOBODY]    = STAY(WAKING),
		[CALL_EV_ACCEPTED]  = GO(WAKING, RING),
		[CALL_EV_UNREACHED] = GO(ENDED, FAIL),
		[CALL_EV_CAME]	    = GO(AWAKE, OWNER),
		/* no owner is at work yet */
		[CALL_EV_ARRIVED]   = STAY(WAKING),
		[CALL_EV_DIAL]	    = STAY(WAKING),
		[CALL_EV_RINGS]	    = STAY(WAKING),
		[CALL_EV_QUIET]	    = STAY(WAKING),
		[CALL_EV_LOST]	    = STAY(WAKING),
		/* a phone that has the INVITE from before a restart */
		[CALL_EV_TAKEN]	    = GO(ENDED, TAKEN),
		[CALL_EV_DECLINED]  = GO(ENDED, DECLINE),
		[CALL_EV_CANCEL]    = GO(ENDED, CANCEL),
		[CALL_EV_LATE]	    = GO(ENDED, MISS),
	},
	[CALL_AWAKE] = {
		[CALL_EV_PHONES]    = STAY(AWAKE),
		[CALL_EV_NOBODY]    = STAY(AWAKE),
		[CALL_EV_ACCEPTED]  = GO(AWAKE, RING),
		/* a phone is here, so the pushes no longer matter */
		[CALL_EV_UNREACHED] = STAY(AWAKE),
		[CALL_EV_CAME]	    = GO(AWAKE, OWNER),
		[CALL_EV_ARRIVED]   = GO(HANDED, LEAVE),
		[CALL_EV_DIAL]	    = GO(HANDED, DIAL),
		[CALL_EV_RINGS]	    = GO(RINGING, NONE),
		[CALL_EV_QUIET]	    = STAY(AWAKE),
		[CALL_EV_LOST]	    = GO(AWAKE, AGAIN),
		[CALL_EV_TAKEN]	    = GO(ENDED, TAKEN),
		[CALL_EV_DECLINED]  = GO(ENDED, DECLINE),
		[CALL_EV_CANCEL]    = GO(ENDED, CANCEL),
		[CALL_EV_LATE]	    = GO(ENDED, MISS),
	},
	[CALL_RINGING] = {
		[CALL_EV_PHONES]    = STAY(RINGING),
		[CALL_EV_NOBODY]    = STAY(RINGING),
		/* the phone's own 180 has gone up */
		[CALL_EV_ACCEPTED]  = STAY(RINGING),
		[CALL_EV_UNREACHED] = STAY(RINGING),
		[CALL_EV_CAME]	    = GO(RINGING, OWNER),
		[CALL_EV_ARRIVED]   = STAY(RINGING),
		[CALL_EV_DIAL]	    = STAY(RINGING),
		[CALL_EV_RINGS]	    = STAY(RINGING),
		/* others may still come, but not as long */
		[CALL_EV_QUIET]	    = GO(AWAKE, OWNER),
		[CALL_EV_LOST]	    = GO(AWAKE, AGAIN),
		[CALL_EV_TAKEN]	    = GO(ENDED, TAKEN),
		[CALL_EV_DECLINED]  = GO(ENDED, DECLINE),
		[CALL_EV_CANCEL]    = GO(ENDED, CANCEL),
		[CALL_EV_LATE]	    = GO(ENDED, MISS),
	},
	[CALL_HANDED] = {
		[CALL_EV_PHONES]    = STAY(HANDED),
		[CALL_EV_NOBODY]    = STAY(HANDED),
		[CALL_EV_ACCEPTED]  = STAY(HANDED),
		[CALL_EV_UNREACHED] = STAY(HANDED),
		[CALL_EV_CAME]	    = STAY(HANDED),
		[CALL_EV_ARRIVED]   = STAY(HANDED),
		[CALL_EV_DIAL]	    = STAY(HANDED),
		[CALL_EV_RINGS]	    = STAY(HANDED),
		[CALL_EV_QUIET]	    = STAY(HANDED),
		[CALL_EV_LOST]	    = STAY(HANDED),
		[CALL_EV_TAKEN]	    = STAY(HANDED),
		[CALL_EV_DECLINED]  = GO(ENDED, CLOSE),
		/* crossed our final answer */
		[CALL_EV_CANCEL]    = STAY(HANDED),
		[CALL_EV_LATE]	    = GO(ENDED, CLOSE),
	},
	[CALL_ENDED] = {
		[CALL_EV_PHONES]    = STAY(ENDED),
		[CALL_EV_NOBODY]    = STAY(ENDED),
		[CALL_EV_ACCEPTED]  = STAY(ENDED),
		[CALL_EV_UNREACHED] = STAY(ENDED),
		[CALL_EV_CAME]	    = STAY(ENDED),
		[CALL_EV_ARRIVED]   = STAY(ENDED),
		[CALL_EV_DIAL]	    = STAY(ENDED),
		[CALL_EV_RINGS]	    = STAY(ENDED),
		[CALL_EV_QUIET]	    = STAY(ENDED),
		[CALL_EV_LOST]	    = STAY(ENDED),
		[CALL_EV_TAKEN]	    = STAY(ENDED),
		[CALL_EV_DECLINED]  = STAY(ENDED),
		[CALL_EV_CANCEL]    = STAY(ENDED),
		[CALL_EV_LATE]	    = STAY(ENDED),
	},
};


struct call_step call_fsm_step(enum call_state state, enum call_event event)
{
	return table[state][event];
}


const char *call_state_name(enum call_state s)
{
	static const char *const names[CALL_STATES] = {
		[CALL_READING] = "reading", [CALL_WAKING] = "waking",
		[CALL_AWAKE] = "awake",     [CALL_RINGING] = "ringing",
		[CALL_HANDED] = "handed",   [CALL_ENDED] = "ended",
	};

	return s < CALL_STATES ? names[s] : "?";
}


const char *call_event_name(enum call_event e)
{
	static const char *const names[CALL_EVENTS] = {
		[CALL_EV_PHONES] = "phones",
		[CALL_EV_NOBODY] = "nobody",
		[CALL_EV_ACCEPTED] = "accepted",
		[CALL_EV_UNREACHED] = "unreached",
		[CALL_EV_CAME] = "came",
		[CALL_EV_ARRIVED] = "arrived",
		[CALL_EV_DIAL] = "dial",
		[CALL_EV_RINGS] = "rings",
		[CALL_EV_QUIET] = "quiet",
		[CALL_EV_LOST] = "lost",
		[CALL_EV_TAKEN] = "taken",
		[CALL_EV_DECLINED] = "declined",
		[CALL_EV_CANCEL] = "cancel",
		[CALL_EV_LATE] = "late",
	};

	return e < CALL_EVENTS ? names[e] : "?";
}


const char *call_action_name(enum call_action a)
{
	static const char *const names[CALL_ACTIONS] = {
		[CALL_AC_NONE] = "-",          [CALL_AC_WAKE] = "wake",
		[CALL_AC_RING] = "ring",       [CALL_AC_OWNER] = "owner",
		[CALL_AC_AGAIN] = "again",     [CALL_AC_LEAVE] = "leave",
		[CALL_AC_DIAL] = "dial",       [CALL_AC_TAKEN] = "taken",
		[CALL_AC_DECLINE] = "decline", [CALL_AC_CANCEL] = "cancel",
		[CALL_AC_MISS] = "miss",       [CALL_AC_FAIL] = "fail",
		[CALL_AC_CLOSE] = "close",
	};

	return a < CALL_ACTIONS ? names[a] : "?";
}
