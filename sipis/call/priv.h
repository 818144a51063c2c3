/**
 * @file sipis/call/priv.h  What the files of this folder share
 *
 *     calls.c     the set: the app's word, questions of the API
 *     incoming.c  what the PBX says: INVITE, CANCEL, BYE
 *     leg.c       one call: its answers, its end, timeline, timer
 *     leg_birth.c how it comes into being
 *     leg_answer.c the 2xx of a phone on its way up
 *     branch.c    one INVITE transaction of a call
 *     fanout.c    the pushes of one call; alert.c: to one phone of it
 *     recall.c    what a timeline says of phones
 *     dial.c      the echoes that a restart has to expect
 *     fact.c      the lines of a timeline that a restart reads again
 *     callee.c    one account that is being called: limit, echo, re-register
 *     query.c     what the registration engine is asked
 *     refused.c   INVITEs that never became a call
 *     tries.c     the phones that have our INVITE
 *     late.c      2xx of theirs that no transaction waits for
 *     swap.c      INVITEs that are to replace a call that is up
 *     callwait.c  those who wait for the end of a call
 *     call.c      the record: what follows from what is known (no I/O)
 *                 and the other call_*.c, see call_impl.h
 */

#ifndef SIPIS_CALL_PRIV_H
#define SIPIS_CALL_PRIV_H

#include <re/re.h>
#include "common/bucket.h"
#include "common/metrics.h"
#include "sipis/call/call.h"
#include "sipis/call/calls.h"
#include "sipis/call/relay.h"

enum {
	CALLS_HASH = 8192,
	CALLS_MAX = 20000, /**< that wait at a time; then 480 */
	READ_MS = 2000,    /**< for the store to name the phones */
	TOMB_MS = 120000,  /**< a tombstone in memory; then the store's */
	SETTLE_MS = 10000, /**< no result of a push comes after that */
	ECHO_MS = 2000,    /**< the PBX dials us too after a 302 */
	BRANCHES_MAX = 16, /**< of one call that wait */
	NAME_SIZE = 128,
	REBUFFS = 6, /**< lines of refused phones in one timeline */
};

enum {
	CALLS_M_WAITING,
	CALLS_M_INVITES,
	CALLS_M_HANDED,
	CALLS_M_CANCELLED,
	CALLS_M_DECLINED,
	CALLS_M_MISSED,
	CALLS_M_BY_PHONE,
	CALLS_M_LIMITED,
	CALLS_M_FULL,
	CALLS_M_ECHO,
	CALLS_M_REFUSED,
	CALLS_M_UNLISTED,
	CALLS_M_COUNT
};

struct calls {
	struct calls_prm prm;
	struct relay relay; /**< empty without an edge */
	struct hash *by_id;
	struct hash *by_callid;
	struct hash *callees;
	struct list queries;
	struct list lanes;    /**< of struct lane */
	struct list dials;    /**< of before a restart, see dial.c */
	struct list swaps;    /**< of struct swap */
	struct list refusals; /**< one per profile, see refused.c */
	unsigned waiting;
	bool closed;
	struct metric metricv[CALLS_M_COUNT];
	struct histogram invite_to_push;
};

/** How many questions are under way at one PBX; its engine asks no more than
    look_rate in a second, so what is over would only grow old */
struct lane {
	struct le le;
	const struct pbx_cfg *cfg;
	unsigned pending;
};

/* --- callee.c --- */

struct leg;

struct callee {
	struct le he;
	struct calls *cs; /**< NULL once it is closed */
	uint64_t acct;
	char *user, *domain;
	const struct pbx_cfg *cfg;
	struct lane *lane;
	struct list legs;    /**< of struct leg, also tombstones */
	uint64_t echo_until; /**< the last one of theirs */
	struct bucket limit;
	struct tmr tmr; /**< while our binding is away because of a call */
	unsigned tries;
	bool watching;
	bool crowded;         /**< the PBX keeps several bindings */
	bool by_word;         /**< an app said that it is active */
	unsigned base_others; /**< bindings before the app came */
	bool looking;         /**< never more than one question is out */
	bool watch_looks;     /**< the watch waits for its answer */
	uint64_t look_at;     /**< when it left */
	struct list lookers;  /**< legs that wait for the answer */
};

/** The one of that account; made if acct is given */
int callee_get(struct callee **cep, struct calls *cs, struct acct *acct);
struct callee *callee_find(const struct calls *cs, uint64_t acct);
/** One more call push in this minute? */
bool callee_may_ring(struct callee *ce, uint64_t now);
/** Is the message what a PBX that lists us makes of our own 302? */
bool callee_echo(const struct callee *ce, const struct acct *acct,
		 const struct sip_msg *msg, const char *from, uint64_t now);
/** The bindings; a look that is out is shared.  leg_looked() follows; to
    give up: list_unlink() leg->look_le */
int callee_look(struct callee *ce, bool urgent, struct leg *leg);
/** Our binding went for this call; brings it back when the app's is gone */
void callee_watch(struct callee *ce, const struct call *c);
/** A call of it has gone; may free it */
void callee_left(struct callee *ce);

/* --- branch.c --- */

struct branch {
	struct le le;
	struct leg *leg; /**< not a reference: it owns us */
	char *id;        /**< of the Via */
	struct sip_strans *st;
	struct sip_msg *msg; /**< NULL once it has its final answer */
};

/** Joins the branches of the leg */
int branch_alloc(struct branch **bp, struct leg *leg,
		 const struct sip_msg *msg);
/** Is there such an answer for it? */
bool branch_takes(const struct branch *b, uint16_t scode);
int branch_reply(struct branch *b, uint16_t scode);
/** What a phone says, to the PBX; scode: in its place, 0 as it is */
int branch_pass(struct branch *b, const struct sip_msg *resp, uint16_t scode);
/** It has no final answer yet */
bool branch_waits(const struct branch *b);
/** Is that the To tag of its early dialog? */
bool branch_has_tag(const struct branch *b, const struct pl *tag);
/** Without a word to the PBX */
void branch_forget(struct branch *b);

/* --- leg.c --- */

struct leg {
	struct le he_id, he_callid, le, look_le;
	struct calls *cs; /**< NULL once it is closed */
	struct callee *callee;
	struct call call;
	char id[UUID_LEN + 1];
	char key[UUID_LEN + 1]; /**< the same for each branch of the INVITE */
	char *callid;
	char *from, *display_name;
	bool video;
	uint16_t scode; /**< of the final answer */
	int64_t received_ms;
	uint64_t received; /**< the same, monotonic */
	int64_t received_us;
	uint64_t echo_until; /**< the PBX may dial us too, 0 it does not */
	bool unbound;        /**< we were not registered at the 302 */
	const char *cancel_why;
	char cancel_text[NAME_SIZE];
	const char *ended;
	struct sip *sip;
	struct pbx *pbx;
	struct list branches; /**< of struct branch, the first one first */
	struct list tries;    /**< of struct try */
	struct sip_msg *best; /**< refusal of a phone, NULL none */
	char *winner;         /**< To tag of the 2xx that goes up, or NULL */
	struct sip_msg
		*answer; /**< that 2xx, while the store writes its end */
	struct branch *answers; /**< where it goes up */
	bool writes;            /**< the store has the end */
	struct tmr tmr_answer;
	bool restored;             /**< phones may have its INVITE */
	uint32_t rebuffs[REBUFFS]; /**< kinds of those that have come */
	uint8_t rebuffc;
	uint8_t told; /**< lines about phones that ring late */
	struct fanout *fanout;
	struct list waits;
	struct tmr tmr;
};

void leg_looked(struct leg *leg, const struct reg_answer *ans, uint64_t as_of);
/** The PBX has given up one branch, by CANCEL or BYE */
void leg_cancelled(struct leg *leg, struct branch *b, const char *by);
struct branch *leg_branch(const struct leg *leg, const struct pl *id);
/** Branches without a final answer */
unsigned leg_open(const struct leg *leg);
/** The first of them, or NULL */
struct branch *leg_waiting(const struct leg *leg);
/** Drops all branches without a word to the PBX */
void leg_forget(struct leg *leg);
/** Out of all lists, without a word to anybody */
void leg_unlink(struct leg *leg);
void leg_note(struct leg *leg, int64_t at_us, const char *who,
	      const char *what, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
/** The one with that branch among those of the Call-ID */
struct leg *leg_of_branch(const struct calls *cs, const struct pl *callid,
			  const struct pl *branch);
/** After anything that changed the record: its next moment */
void leg_schedule(struct leg *leg);
const char *leg_phrase(uint16_t scode);
/** For apps; NULL while it waits */
const char *leg_ended_word(const char *how);
void leg_info(const struct leg *leg, struct call_info *info);
struct leg *leg_by_id(const struct calls *cs, const char *id);

/** Milliseconds of the record's clock as wall time */
int64_t leg_wall(const struct leg *leg, uint64_t mono);
void leg_reply(struct leg *leg, struct branch *b, uint16_t scode);
/** What the record asks of a leg */
extern const struct call_acts leg_acts;

/* --- leg_answer.c --- */

/** That 2xx goes up on b, once no restart could ring for its call again */
void leg_answer(struct leg *leg, struct branch *b, const struct sip_msg *resp);
/** The record has been told; if it has not ended nothing is waited for */
void leg_answer_due(struct leg *leg);
/** At once, if there is one */
void leg_answer_up(struct leg *leg);
/** To the store */
void leg_end(struct leg *leg, const char *how);

/* --- leg_birth.c --- */

/** The same INVITE has the same one, also at a daemon that was restarted */
struct leg_name {
	char id[UUID_LEN + 1];
	char key[UUID_LEN + 1]; /**< whatever its branch */
};

int leg_name(struct leg_name *name, const struct sip_msg *msg);
/** The request as it came in; points into msg */
void leg_raw(struct pl *raw, const struct sip_msg *msg);
/** From an INVITE; it is in the set and in the store's hands then */
int leg_alloc(struct leg **lp, struct callee *ce, struct acct *acct,
	      const struct sip_msg *msg, const struct leg_name *name,
	      const char *from);
/** A further branch of a call that has no final answer */
int leg_join(struct leg *leg, const struct sip_msg *msg);
/** From the store after a restart; row->deadline_ms may be past */
int leg_restore(struct leg **lp, struct callee *ce, struct acct *acct,
		const struct call_row *row);

/* --- fanout.c --- */

struct fanout;

/** Reads the phones of the account, hands them to the record and sends what
    that asks for */
int fanout_start(struct leg *leg);
/** The same after a restart: first what the timeline knows */
int fanout_resume(struct leg *leg);
void fanout_push(struct leg *leg, const char *inst);
bool fanout_drop(struct leg *leg, const char *inst);
void fanout_tell(struct leg *leg, const char *inst, const char *why);

/* --- tries.c --- */

/** Phones that are connected already */
void tries_look(struct leg *leg);
bool tries_start(struct leg *leg, const char *inst);
void tries_stop(struct leg *leg, const char *inst, const char *why);
/** Why its phones hear that it is over: of a Reason header, or "" */
const char *tries_reason(const struct leg *leg);
/** That 18x goes up on b: of a phone that was silent, or had the INVITE before
    a restart */
void tries_late_rings(struct leg *leg, const char *inst, struct branch *b,
		      const struct sip_msg *resp);
/** It has answered, but that must not go up: refusal counts instead */
void tries_late_failed(struct leg *leg, const char *inst,
		       const struct sip_msg *refusal);
/** What went up, 0 nothing */
uint16_t tries_refuse(struct leg *leg);
/** That branch is over alone: what its phones say is another's from now on */
void tries_move(struct leg *leg, const struct branch *from);
void tries_forget(struct leg *leg);
/** That 2xx goes up on b, for all */
void tries_taken(struct leg *leg, const char *inst, struct branch *b,
		 const struct sip_msg *resp);

/* --- swap.c --- */

/** False: no phone that could have that call is connected */
bool swap_begin(struct calls *cs, struct acct *acct,
		const struct sip_msg *msg);
/** A phone is back */
void swap_flow(struct calls *cs, const char *inst);
/** Phones stop ringing: a restart knows nothing of it */
void swap_give_up(struct calls *cs);
/** What a CANCEL says, before its transaction hears of it */
void swap_cancel(struct calls *cs, const struct pl *callid,
		 const struct pl *branch, const struct pl *reason);
/** See calls_late(), calls_late_take() */
enum calls_late swap_late(const struct calls *cs, uint64_t acct,
			  const struct sip_msg *resp, const struct pl *branch);
const struct sip_msg *swap_invite(const struct calls *cs, uint64_t acct,
				  const struct sip_msg *resp,
				  const struct pl *branch);
void swap_rings(struct calls *cs, uint64_t acct, const struct sip_msg *resp,
		const struct pl *branch);
void swap_refused(struct calls *cs, uint64_t acct, const char *inst,
		  const struct sip_msg *resp, const struct pl *branch);
int swap_take(struct calls *cs, uint64_t acct, const struct sip_msg *resp,
	      const struct pl *branch);

/* --- dial.c --- */

/** Asks the store; what it finds is forgotten once it is too old */
int dial_load(struct calls *cs);
/** Is an echo of a 302 of before the restart expected?
    diverted: no matter who called */
bool dial_of(const struct calls *cs, uint64_t acct, const char *from,
	     bool diverted);

/* --- refused.c --- */

/** It gets scode, and why is told: in the log and, unless there are too many,
    where calls are looked for */
void refused(struct calls *cs, struct acct *acct, const struct sip_msg *msg,
	     const char *id, uint16_t scode, const char *fmt, ...)
	__attribute__((format(printf, 6, 7)));

/* --- query.c --- */

/** reg_look, reg_unregister */
typedef int(query_ask_h)(struct acct *acct, reg_answer_h *h, void *arg);
typedef void(query_h)(const struct reg_answer *ans, void *who);

/** who is referenced until h is called or the set is freed */
int query_start(struct callee *ce, query_ask_h *ask, query_h *h, void *who);
/** Would a question be asked within about a second? */
bool query_may(const struct callee *ce);
int query_lane(struct lane **lanep, struct calls *cs,
	       const struct pbx_cfg *cfg);

/* --- callwait.c --- */

/** leg NULL: h hears that there is no such call */
int callwait_alloc(struct calls_wait **wp, struct leg *leg, uint32_t wait_ms,
		   call_info_h *h, void *arg);
/** A call that is not in memory any more */
int callwait_ask(struct calls_wait **wp, struct store *st, uint64_t acct,
		 const char *call, call_info_h *h, void *arg);
/** The end has come: all of them answer in the next loop turn */
void callwait_wake(struct list *waits);

#endif
