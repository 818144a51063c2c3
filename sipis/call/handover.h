/**
 * @file handover.h  How a waiting call gets to the app that woke up
 *
 * The owner of a call record in the state AWAKE.  It looks at the facts in
 * the record and says ARRIVED or DIAL when it is time; all else (deadlines,
 * CANCEL, declines, answers) is the record's.  Owners have no I/O; what they
 * want done goes through the record.
 */

#ifndef SIPIS_CALL_HANDOVER_H
#define SIPIS_CALL_HANDOVER_H

#include <stdbool.h>
#include <stdint.h>
#include "sipis/cfg.h"

struct call;

struct handover {
	const char *name;
	/** The PBX sends its INVITE to a phone as soon as that registers, and
	    then tells it itself how the call ends */
	bool forks;
	/** We send our INVITE on to phones, and tell them how it ends */
	bool relays;
	uint16_t decline_scode; /**< when the app declines before it has it */
	/** Called in AWAKE after each new fact and when its time has come;
	    returns when it wants to be asked again, UINT64_MAX never */
	uint64_t (*decide)(struct call *c, uint64_t now);
};

extern const struct handover handover_fork, handover_redirect, handover_relay;

const struct handover *handover_of(enum cfg_handover how);
const struct handover *handover_find(const char *name);

#endif
