/**
 * @file relay.h  How a waiting INVITE gets to a phone that is connected to us
 *
 * The edge fills this in (app.c connects them); without it no phone has a
 * flow.  inst names the phone: an instance, or a client that the API does not
 * know.
 */

#ifndef SIPIS_CALL_RELAY_H
#define SIPIS_CALL_RELAY_H

#include <re/re.h>

struct pbx;
struct relay_try; /**< one INVITE at one phone */

/** Each 1xx but 100, then once a final answer, or err with resp NULL */
typedef void(relay_h)(int err, const struct sip_msg *resp, void *arg);
/** Why a phone seems to be away */
enum relay_lost {
	RELAY_GONE,   /**< its flow */
	RELAY_OFF,    /**< it has signed off, and wants no push */
	RELAY_SILENT, /**< it has not said a word to the INVITE */
};

/** Answers may come all the same, and again() when it is back */
typedef void(relay_lost_h)(enum relay_lost how, void *arg);
/** It rings on by the INVITE that it had before: it has refused the one that
    again() sent beside that, as some do with any second call.  Nobody has
    declined */
typedef void(relay_still_h)(void *arg);
/** A line for the timeline */
typedef void(relay_note_h)(const char *what, const char *detail, void *arg);

struct relay_holder {
	relay_h *h;
	relay_lost_h *losth;
	relay_still_h *stillh;
	relay_note_h *noteh;
	void *arg;
};

typedef void(relay_phone_h)(const char *inst, void *arg);

struct relay {
	/** Calls h for each phone of the account that has a flow */
	void (*phones)(uint64_t acct, relay_phone_h *h, void *h_arg,
		       void *arg);
	/** ENOENT: it has none any more.  msg came from pbx; mem_deref(*tp)
	    only after its final answer */
	int (*invite)(struct relay_try **tp, const char *inst, struct pbx *pbx,
		      const struct sip_msg *msg,
		      const struct relay_holder *holder, void *arg);
	/** The same INVITE to a phone that is back: one that rings already
	    takes it for a repetition.  ENOENT: it is not here */
	int (*again)(struct relay_try *t, void *arg);
	/** It rings, and not by what went over the flow that it has: losth
	    when that is gone.  Also after a final answer that says so, and
	    then again() is not for it.  May be NULL */
	void (*watch)(struct relay_try *t, void *arg);
	/** CANCEL, also if it has to be back for that, and no more word of it;
	 *tp is NULL then.  reason: of its Reason header, may be NULL.
	 False: it has not left yet, for the phone has said nothing, or is
	 away */
	bool (*leave)(struct relay_try **tp, const char *reason, void *arg);
	/** Is that phone known to be in the call with this Call-ID?  May be
	    NULL */
	bool (*has)(const char *inst, const struct pl *callid, void *arg);
	void *arg;
};

#endif
