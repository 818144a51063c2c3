/**
 * @file call.h  The record of one waiting call
 *
 * What is known of the call, of its phones and of the bindings at the PBX,
 * and what follows from it.  No I/O and no clock: every fact comes with its
 * time (monotonic ms), and what has to be done is asked of struct call_acts.
 * So the whole life of a call can be swept in virtual time.
 */

#ifndef SIPIS_CALL_CALL_H
#define SIPIS_CALL_CALL_H

#include "sipis/call/call_fsm.h"
#include "sipis/call/handover.h"
#include "sipis/store/store.h"

#define CALL_NEVER    UINT64_MAX
#define CALL_URI_SIZE 256
#define CALL_BINDINGS 16 /**< that are told apart, as in struct reg_answer */

enum phone_push {
	PHONE_SELF, /**< it came without a push of ours */
	PHONE_OUT,
	PHONE_ACCEPTED, /**< by the provider */
	PHONE_FAILED,   /**< refused */
	PHONE_UNTAKEN,  /**< no mediator could be had */
	PHONE_UNKNOWN,  /**< it left, and nothing came back in time */
};

enum phone_flow {
	PHONE_FLOW_NONE,
	PHONE_FLOW_OPEN,   /**< it is connected to us */
	PHONE_FLOW_ADRIFT, /**< it has our INVITE, and its way is gone */
	PHONE_FLOW_BACK,   /**< the same, and it is connected again */
	PHONE_FLOW_SENT,   /**< it has our INVITE */
	PHONE_FLOW_RINGS,
};

struct call_phone {
	char inst[STORE_ID_LEN + 1];
	enum phone_push push;
	enum phone_flow flow;
	bool awake, declined;
	bool refused; /**< by the device: declined as well */
	bool pushable;
	/** A CANCEL may not reach it: its flow seems dead, or it rings by an
	    INVITE of before a restart */
	bool blind;
	bool loose;     /**< it rings, and who knows over which flow */
	bool had_rung;  /**< before a restart */
	unsigned again; /**< pushes because its way was gone */
	uint64_t registered_at, ringing_at; /**< 0: it has not said so */
	/** Its push waits for its flow, CALL_NEVER: for the disk, 0: it does
	    not */
	uint64_t push_at;
};

/** None of them may call back into the record before it returns */
struct call_acts {
	void (*push)(const char *inst, void *arg);
	/** No more of that push; true: it has left already */
	bool (*drop)(const char *inst, void *arg);
	/** An ENDED push to a phone */
	void (*tell)(const char *inst, const char *why, void *arg);
	/** The bindings at the PBX; call_looked() follows.  False: it cannot
	    be asked, or the lane is full and it can wait; one that cannot is
	    urgent */
	bool (*look)(bool urgent, void *arg);
	/** un-REGISTER */
	void (*release)(void *arg);
	void (*reply)(uint16_t scode, const char *why, void *arg);
	/** Our INVITE to a phone with a flow, the same one to a phone that is
	    back; false: it is gone */
	bool (*relay)(const char *inst, void *arg);
	/** CANCEL to it */
	void (*unrelay)(const char *inst, const char *why, void *arg);
	/** The best refusal of the phones goes up, and which it was; 0: there
	    is none */
	uint16_t (*refuse)(void *arg);
	/** Our INVITE is answered, the call is the PBX's again */
	void (*handed)(void *arg);
	/** A tombstone; the last that is asked.  "handed": nobody knows how
	    it went on at the PBX */
	void (*ended)(const char *how, void *arg);
	/** A line of the timeline */
	void (*note)(const char *who, const char *what, const char *detail,
		     void *arg);
};

struct call_prm {
	const char *id; /**< for the log; lives as long as the record */
	const struct handover *owner;
	enum cfg_auto_180 auto_180;
	enum cfg_decline decline;
	bool store_first; /**< who sent the INVITE does not send it again */
	uint32_t gather_ms;
	uint64_t received, wake_by, ring_by;
	uint64_t read_by; /**< the phones have to be known by then */
	const struct call_acts *acts;
	void *arg;
};

/** What a look at the bindings showed */
struct call_bindings {
	bool ours;
	unsigned others;
	const char *other; /**< the newest, "" none */
	/** Of the others, in any order; all of them if hashc is others */
	const uint32_t *hashes;
	unsigned hashc;
	uint64_t as_of; /**< when the question left */
};

struct call_look {
	bool pending; /**< never more than one */
	uint64_t next_at;
	bool known, ours; /**< of the last answer */
	unsigned others;
	uint64_t as_of; /**< when the last answer's question left */
	bool based;     /**< what stood there before the app came is known */
	unsigned base_others;
	uint32_t base_other; /**< hash of the newest one */
	uint32_t base[CALL_BINDINGS];
	unsigned basec; /**< of base */
};

enum redirect_step { REDIRECT_GATHER, REDIRECT_LOOK, REDIRECT_RELEASE };

struct call {
	struct call_prm prm;
	enum call_state state;
	uint64_t state_by; /**< deadline of the state */
	uint64_t wake_ms;  /**< that a phone has to wake up */

	struct call_phone *phonev; /**< STORE_INST_MAX of them */
	unsigned phonec;
	uint64_t seen_at; /**< a registration seen in the bindings */
	struct call_look look;

	/** A crash cannot lose it: 100 may go, with store_first pushes, and
	    with relay the INVITE to phones */
	bool stored;
	bool answered;    /**< the final answer has gone */
	bool ring_wanted; /**< 180 once it is stored */
	uint64_t rung_at;
	const char *cancel_why;
	bool brief; /**< no push is out, only phones that are awake anyway */

	uint64_t owner_at; /**< the owner wants to be asked again */
	enum redirect_step redirect_step;
	uint64_t redirect_by;
	bool released; /**< the un-REGISTER has its answer */
	bool gone;     /**< it was 200: our contact is not listed any more */
	bool echo;     /**< the PBX may dial us as well after the 302 */

	bool quiet; /**< the timeline has it already */
};

int call_init(struct call *c, const struct call_prm *prm);
void call_reset(struct call *c);

/* facts */
/** The phones that sleep and can be pushed; n may be 0 */
void call_phones(struct call *c, const char *const *instv, unsigned n,
		 uint64_t now);
void call_stored(struct call *c, uint64_t now);
/** how: ACCEPTED, FAILED, UNTAKEN or UNKNOWN */
void call_pushed(struct call *c, const char *inst, enum phone_push how,
		 uint64_t now);
void call_came(struct call *c, const char *inst, bool registered,
	       const char *contact, uint64_t now);
void call_rings(struct call *c, const char *inst, uint64_t now);
void call_declines(struct call *c, const char *inst, uint64_t now);
/** It cannot take it: no word of a person */
void call_refuses(struct call *c, const char *inst, uint64_t now);
/** It is connected to us, anew perhaps */
void call_flow(struct call *c, const char *inst, uint64_t now);
/** What became of the INVITE at a phone: 18x, 2xx (it has gone up), a
    refusal; scode 0: it came to nothing */
void call_relay_rings(struct call *c, const char *inst, uint64_t now);
void call_relay_taken(struct call *c, const char *inst, uint64_t now);
void call_relay_failed(struct call *c, const char *inst, uint16_t scode,
		       uint64_t now);
/** Its flow is gone, but it may ring, and its answer counts; call_flow() when
    it is back.  push: it may be pushed for that */
void call_relay_lost(struct call *c, const char *inst, bool push,
		     uint64_t now);
/** It was taken for lost, and rings.  blind: no CANCEL can reach it */
void call_relay_heard(struct call *c, const char *inst, bool blind,
		      uint64_t now);
/** It has the INVITE from before a restart, and rings */
void call_relay_has(struct call *c, const char *inst, uint64_t now);
/** After a restart: it had the INVITE, and perhaps rang */
void call_relay_had(struct call *c, const char *inst, bool rang, uint64_t now);
/** It rang then, and may ring on */
bool call_had_rung(const struct call *c, const char *inst);
/** b NULL: it could not be had */
void call_looked(struct call *c, const struct call_bindings *b, uint64_t now);
/** gone: the PBX has taken our contact out; else it may still be listed */
void call_released(struct call *c, bool gone, uint64_t now);
/** why: of reason.h; static text */
void call_cancelled(struct call *c, const char *why, uint64_t now);

/** When call_tick() is due */
uint64_t call_next(const struct call *c);
void call_tick(struct call *c, uint64_t now);

/** It is not over: words and late phones still come */
bool call_waits(const struct call *c);
/** Is it one of those that an app should be shown? */
bool call_wants_phone(const struct call *c);

/* for owners */
void call_event(struct call *c, enum call_event ev, uint64_t now);
/** Nothing if a look is out already: its answer may be of before now */
void call_look_now(struct call *c, bool urgent, uint64_t now);
void call_release(struct call *c);
void call_relay(struct call *c, struct call_phone *p);
bool call_rings_at(const struct call *c, const char *inst);
/** It may still take the call */
bool call_in_play(const struct call_phone *p);

#endif
