/**
 * @file calls.h  The calls that wait for a phone
 *
 * One call record per INVITE, driven by the table in call_fsm.c; exactly one
 * owner at a time decides how the waiting INVITE ends (holding, fork,
 * redirect, relay; bridge would be a further owner, not another record).
 */

#ifndef SIPIS_CALLS_H
#define SIPIS_CALLS_H

#include <re/re.h>
#include "common/ident.h"
#include "sipis/med/med.h"
#include "sipis/reg/reg.h"
#include "sipis/sip/pbx.h"
#include "sipis/store/store.h"

struct calls;

struct calls_prm {
	struct store *store;
	struct med *med;
	struct reg *reg;
	struct metrics *metrics;
};

int calls_alloc(struct calls **csp, const struct calls_prm *prm);
/** Before all others hear no more of us: what a restart forgets ends */
void calls_give_up(struct calls *cs);
/** Waiting calls stay in the store and with their callers: the next start
    takes them up again.  Close reg before the set is freed */
void calls_close(struct calls *cs);

/** At start, for each stored call that still waits */
int calls_restore(struct calls *cs, struct acct *acct,
		  const struct call_row *row);

/* from the PBX; fit pbx_prm */
bool calls_invite(struct calls *cs, struct acct *acct,
		  const struct sip_msg *msg);
/** An INVITE to a contact that is nobody's, answered 404: kept with the calls
    of the account that its To names */
void calls_unknown(struct calls *cs, struct pbx *pbx,
		   const struct sip_msg *msg);
void calls_cancel(struct calls *cs, const struct pl *callid,
		  const struct pl *branch, const struct pl *reason);

/** Is that in the early dialog of a call that waits (Call-ID and our To tag)?
    What there is to do with it is done: a BYE ends the call as a CANCEL
    would.  It gets its answer from who asked */
bool calls_dialog(struct calls *cs, const struct acct *acct,
		  const struct sip_msg *msg);

/* the app's word; call ids are UUIDs, inst the instance that speaks */

/** The app of inst is awake; registered: it says that it has registered at
    the PBX itself, contact (may be "") is where */
void calls_awake(struct calls *cs, uint64_t acct, const char *inst,
		 bool registered, const char *contact);
/** ENOENT no such call for this account; EALREADY it is over.  Idempotent */
int calls_ringing(struct calls *cs, uint64_t acct, const char *call,
		  const char *inst);
int calls_decline(struct calls *cs, uint64_t acct, const char *call,
		  const char *inst);

/** What the API shows of a call; strings live as long as the record, at
    least until the handler returns */
struct call_info {
	const char *id, *from, *display_name;
	bool video;
	int64_t received_ms, expires_ms;
	const char *handover; /**< fork, redirect, relay */
	const char *ended;    /**< NULL while it waits */
};

typedef void(call_info_h)(const struct call_info *info, void *arg);

/** Calls h for each call of the account that waits for a phone; not those that
    were handed over */
void calls_each(const struct calls *cs, uint64_t acct, call_info_h *h,
		void *arg);
/** The call, or its tombstone.  wait_ms > 0: h is called when it ends, or
    after wait_ms; 0: at once, but never before calls_get() returns.  info
    NULL: no such call.  *wp (optional): mem_deref() to stop waiting; NULL
    again once h is called */
struct calls_wait;
int calls_get(struct calls_wait **wp, struct calls *cs, uint64_t acct,
	      const char *call, uint32_t wait_ms, call_info_h *h, void *arg);

/** The phones that are connected to us; NULL: none any more.  Copied */
struct relay;
void calls_relay(struct calls *cs, const struct relay *relay);
/** A phone has connected: what waits for it may go there */
void calls_flow(struct calls *cs, uint64_t acct, const char *inst);
/** One has come to register, and was refused: a line for each call that waits
    for a phone of that account.  Of a few kinds only, and of each kind one:
    whoever knows a user name can be refused as often as he likes */
void calls_rebuffed(struct calls *cs, uint64_t acct, uint32_t kind,
		    const char *detail);

/** A 2xx of a phone outside of every transaction that we remember: it comes
    again, or it answers an INVITE of before a restart */
enum calls_late {
	CALLS_LATE_FOREIGN, /**< to no INVITE that waits or waited here */
	CALLS_LATE_SOON,    /**< it has to come once more: we just started */
	CALLS_LATE_WAITED,  /**< the answer that its call waits for */
	CALLS_LATE_WON,     /**< again, of the phone that has the call */
	CALLS_LATE_LOST,    /**< another one has it, or it is over */
};

/** branch: of the PBX's Via.  What is over is known for 120 s */
enum calls_late calls_late(const struct calls *cs, uint64_t acct,
			   const struct sip_msg *resp,
			   const struct pl *branch);
/** CALLS_LATE_WAITED: it goes up, and ends the call.  inst: who says it */
int calls_late_take(struct calls *cs, uint64_t acct, const char *inst,
		    const struct sip_msg *resp, const struct pl *branch);

/** CALLS_LATE_WAITED: the INVITE as its PBX has sent it; NULL: none waits */
const struct sip_msg *calls_late_invite(const struct calls *cs, uint64_t acct,
					const struct sip_msg *resp,
					const struct pl *branch);
/** It must not go up: refusal is what counts of that phone */
void calls_late_failed(struct calls *cs, uint64_t acct, const char *inst,
		       const struct sip_msg *refusal, const struct pl *branch);
/** The same for an 18x, of a phone that was silent for so long that nobody
    waited for it: up, and it rings */
void calls_late_rings(struct calls *cs, uint64_t acct, const char *inst,
		      const struct sip_msg *resp, const struct pl *branch);
/** CALLS_LATE_LOST: it rings all the same, and has CANCEL.  Its Reason, which
    may be ""; NULL: no such call is known any more */
const char *calls_late_told(struct calls *cs, uint64_t acct, const char *inst,
			    const struct sip_msg *resp,
			    const struct pl *branch);

unsigned calls_count(const struct calls *cs);

#endif
