/**
 * @file priv.h  What the files of this folder share
 *
 *     reg.c      the service: accounts, goals, the tick
 *     acctmem.c  memory for their strings
 *     table.c    where the accounts stand
 *     restart.c  what survives
 *     acct.c     one account, asleep
 *     line.c     one PBX: lanes, pacing, health
 *     load.c     whether register_rate is enough
 *     op.c       what was asked by hand
 *     leave.c    a binding is taken away
 *     watch.c    one PBX: canary, binding queries, sweeps
 *     tx*.c      one request in flight
 *     probe.c    credentials of no account yet
 *     msg.c      the bytes of a REGISTER
 *     nonce.c    nonces that are kept
 *     gruu.c     the GRUU of our binding
 */

#ifndef SIPIS_REG_PRIV_H
#define SIPIS_REG_PRIV_H

#include "common/bucket.h"
#include "common/wheel.h"
#include "sipis/reg/acctmem.h"
#include "sipis/reg/grant.h"
#include "sipis/reg/index.h"
#include "sipis/reg/reg.h"
#include "sipis/reg/reg_fsm.h"
#include "sipis/sip/digest.h"
#include "sipis/sip/request.h"

enum {
	SECRET_MAX = 256, /**< password or HA1 */
	TICK_MS = 80,     /**< while there is work */
	BURSTS = 12,      /**< of a second; a burst lasts one tick */
};

/* --- acct.c --- */

enum place { PLACE_NONE, PLACE_WHEEL, PLACE_FRESH, PLACE_REFRESH };

/** Strings and sealed secret of an account, one allocation */
struct tail {
	uint16_t sealed_len, sealed_cap;
	uint8_t data[]; /**< sealed | user 0 auth_user 0 proxy 0 */
};

/** 80 bytes: there are a million of them */
struct acct {
	struct wheel_link link; /**< of the wheel or of a lane */
	struct line *line;      /**< NULL: the slot is free, then link.due is
				     the next free one */
	struct tail *tail;
	uint64_t id;
	uint8_t contact[STORE_CONTACT];
	uint32_t cseq;
	uint32_t grant_s : 13; /**< last one; 0 unknown */
	uint32_t scode : 10;   /**< last answer that was not 200 */
	uint32_t state : 3;
	uint32_t place : 2;
	uint32_t transport : 3; /**< enum cfg_transport + 1; 0: profile's */
	uint32_t alg : 1;
	uint32_t realm : 14;  /**< number in line->realmv + 1; 0: not pinned */
	uint32_t domain : 10; /**< number in the profile */
	uint32_t peer : 8;    /**< of the last 200; PEER_MANY: of the rest */
	uint16_t last;        /**< second of the last 200; see acct_since() */
	uint8_t fails : 4;    /**< in a row; stays at FAILS_MAX */
	uint8_t is_ha1 : 1;
	uint8_t want : 1;
	uint8_t proven : 1;
	uint8_t auth_failed : 1; /**< as the store has it */
	uint8_t busy : 1;        /**< a request of it is in flight */
	uint8_t bound : 1;       /**< a binding may stand at the PBX */
	uint8_t told : 1;        /**< waits because the PBX named a time */
	uint8_t unsettled : 1;   /**< the store has grant 0 */
	uint8_t known : 1;       /**< registered by this process */
	uint8_t doubted : 1;     /**< refused, though it was once good */
	uint8_t leaving : 1;     /**< for good: freed once it is idle */
	uint8_t gruu : 1;        /**< the PBX has given gruu_of() */
};

_Static_assert(sizeof(void *) != 8 || sizeof(struct acct) == 80, "size");
_Static_assert(CFG_DOMAINS_MAX <= 1 << 10, "acct.domain");

enum {
	PEER_MANY = UINT8_MAX,
	REALMS_MAX = 0x3fff,
	FAILS_MAX = 15,
};

static inline void acct_set_grant(struct acct *a, uint32_t s)
{
	a->grant_s = (s < REG_GRANT_MAX ? s : REG_GRANT_MAX) & 0x1fff;
}
static inline void acct_set_scode(struct acct *a, uint32_t scode)
{
	a->scode = scode & 0x3ff;
}
static inline uint8_t acct_peer(uint16_t number)
{
	return number < PEER_MANY ? (uint8_t)number : PEER_MANY;
}

/** enum cfg_transport, -1: the profile's */
static inline int acct_transport(const struct acct *a)
{
	return (int)a->transport - 1;
}
const char *acct_auth_user(const struct acct *a);
const char *acct_proxy(const struct acct *a); /**< "" if none */
/** Seconds since its last 200, UINT32_MAX if this process saw none.  Good
    for what registers every few hours at the least */
uint32_t acct_since(const struct acct *a);
void acct_failed(struct acct *a);
size_t tail_size(const struct tail *t);
int acct_set_strings(struct acct *a, struct reg *reg,
		     const struct acct_row *row);
int acct_set_sealed(struct acct *a, const uint8_t *sealed, size_t len);
static inline void acct_set_domain(struct acct *a, uint32_t number)
{
	a->domain = number & 0x3ff;
}
static inline void acct_set_realm(struct acct *a, uint32_t number)
{
	a->realm = number & 0x3fff;
}
/** Asks the table, does what it says.  wait_s counts for REG_EV_LATER and
    REG_EV_REFUSED */
void acct_event(struct acct *a, enum reg_event ev, uint32_t wait_s,
		const char *reason);
void acct_unplace(struct acct *a);
void acct_sleep(struct acct *a, uint32_t wait_s);
/** What the PBX taught us goes to the store */
void acct_learn(struct acct *a);

/* --- reg.c --- */

struct chunk;

struct reg {
	struct store *store;
	const struct cred_key *key;
	struct cred_opener *opener;
	struct metrics *metrics;
	struct bucket rate;
	reg_change_h *changeh;
	void *arg;

	struct list linel; /**< struct line */
	struct line *recent;
	struct wheel *wheel;
	struct tmr tmr;
	uint64_t tick_at; /**< clock_mono_ms() of the next tick */
	bool closed;

	struct chunk **chunkv; /**< slots of accounts */
	uint32_t chunkc, slots, free_slot, accounts;
	struct acctmem mem; /**< struct tail */
	struct index_table by_id, by_contact;
	uint32_t counts[REG_STATES];

	uint32_t grid_off;  /**< grid time = reg_now_s() + grid_off */
	uint32_t grid_from; /**< at start: last second served before */
	bool grid_known;
	uint64_t beat_at;

	uint64_t load_at;
	bool load_told;

	uint32_t cseq_base, cseq_max, cseq_ceiling, cseq_asked;

	struct metric *m;
};

enum {
	M_SENT,
	M_OK,
	M_FAILED,
	M_TIMEOUT,
	M_CHALLENGED,
	M_NONCE_KEPT,
	M_STATE, /**< REG_STATES of them */
	M_COUNT = M_STATE + REG_STATES
};

uint64_t reg_now_ms(void); /**< CLOCK_BOOTTIME: goes on in a suspend */
uint32_t reg_now_s(void);
uint32_t reg_grid(const struct reg *reg);
/** The next tick comes within ms */
void reg_kick(struct reg *reg, uint32_t ms);
void reg_state_changed(struct acct *a, enum reg_state old, const char *reason);

/* --- table.c --- */

struct acct *reg_slot(const struct reg *reg, uint32_t slot);
int table_new(struct reg *reg, uint32_t *slot);
void table_free(struct reg *reg, uint32_t slot);
int table_add(struct reg *reg, uint32_t slot);
/** And frees its slot */
void table_remove(struct reg *reg, const struct acct *a);
void table_close(struct reg *reg);

/* --- restart.c --- */

void restart_begin(struct reg *reg);
void restart_beat(struct reg *reg, uint64_t now);
/** Where the bindings of the last run lead; at start */
void restart_line(struct line *ln);
/** Our address towards the PBX is known.  false: it was another one, so that
    bindings of before lead nowhere.  They are in doubt in the store as well
    until restart_path_done() says that all of them are made anew */
bool restart_path(struct line *ln, enum sip_transp tp, const struct sa *laddr);
void restart_path_done(struct line *ln);
/** false: the reservation is not on disk yet */
bool reg_cseq(struct reg *reg, struct acct *a, uint32_t *cseq);

/* --- line.c --- */

struct lane {
	struct wheel_link *head, **tailp;
	uint32_t n;
};

enum op_kind {
	OP_REMOVE,
	OP_LEAVE, /**< the same, if a look finds us there */
	OP_LOOK,
	OP_PROBE,
	OP_QUERY, /**< is the binding there? */
	OP_TRY,   /**< is the PBX there? */
};

struct probe {
	char *user, *domain, *auth_user, *proxy, *password, *realm;
	char *source; /**< who bears a mistake; or NULL */
	bool known;   /**< for an account that the PBX has taken once */
	char callid[33];
	int transport;
	uint8_t ha1[CRED_HA1_MAX];
	bool has_ha1;
	enum digest_alg alg;
};

/** Something that was asked for by hand; owned by its list or request */
struct op {
	struct le le;
	struct line *line;
	enum op_kind kind;
	struct acct *acct;
	struct probe *probe;
	uint64_t since; /**< monotonic ms */
	reg_answer_h *h;
	void *arg;
};

/** A place where REGISTERs go */
struct peer {
	struct sa addr;
	enum sip_transp tp;
	char host[64], params[24];
	struct uri route; /**< into host and params */
	uint16_t number;
};

struct realm {
	char *name;
	struct digest_nonce *nonce[2]; /**< by algorithm */
};

enum health {
	HEALTH_UNKNOWN,
	HEALTH_UP,
	HEALTH_DOWN,
	HEALTH_TRYING, /**< answers OPTIONS again; REGISTER remains to be seen
			*/
};

/** Walks over all accounts of a line, a piece per tick */
enum sweep {
	SWEEP_NONE,
	SWEEP_BACK,     /**< the waiting ones try again */
	SWEEP_RESTORED, /**< those not registered by this process */
	SWEEP_FLOW,     /**< those of one peer */
	SWEEP_LOST,     /**< all */
};

enum load_kind {
	LOAD_FRESH,
	LOAD_REFRESH,
	LOAD_LAG,
	LOAD_NEED,
	LOAD_RATE,
	LOAD_KINDS
};

struct load {
	struct metric v[LOAD_KINDS];
	char name[LOAD_KINDS][96];
	bool told;
};

/** What the PBX makes of the address in our Contact */
enum shown {
	SHOWN_UNKNOWN,
	SHOWN_AS_SENT,
	SHOWN_CHANGED,
};

struct line {
	struct le le;
	struct reg *reg;
	struct pbx *pbx;
	const struct pbx_cfg *cfg;
	struct bucket rate, looks, fails, known_fails;
	struct list mistakel; /**< of the last 10 minutes */
	uint32_t expires_s;   /**< to ask for; raised by 423 */

	struct lane fresh, refresh;
	struct list removel, lookl, probel; /**< struct op */
	struct list txl;                    /**< struct tx */
	uint32_t inflight;
	/** mistakes that those in flight may make */
	uint32_t reserved, known_reserved;
	uint8_t turn;

	struct realm *realmv;
	uint16_t realmc;
	struct peer **peerv;
	uint16_t peerc;

	/* nonces */
	uint32_t kept_uses, kept_stale, kept_strikes;
	uint64_t keep_not_before;

	/* watch.c */
	enum health health;
	uint64_t heard, canary_at, query_at;
	uint32_t cursor;  /**< of binding queries */
	uint64_t suspect; /**< account whose binding was missing */
	uint8_t fails_in_row;
	bool one_lost; /**< and it was a real loss */
	bool canary_out, query_out, try_out, path_known;
	uint8_t canary_hop;
	enum sweep sweep;
	uint16_t sweep_peer;
	uint32_t sweep_slot;
	int64_t path, path_stored; /**< see restart_path() */
	enum shown shown;
	uint32_t accounts;
	uint32_t wanted;  /**< accounts that are to be registered */
	uint32_t grant_s; /**< what the PBX has granted last; 0: nothing yet */
	struct load load;
};

int line_find(struct line **lp, struct reg *reg, struct pbx *pbx);
void line_queue(struct line *ln, struct acct *a, bool refresh);
void line_unqueue(struct line *ln, struct acct *a);
/** true: there is more to do soon */
bool line_pump(struct line *ln, uint64_t now);
bool line_has_token(struct line *ln, uint64_t now);
void line_take_token(struct line *ln, uint64_t now);
/** May somebody be wrong now? */
enum budget {
	BUDGET_THERE,
	BUDGET_OUT, /**< those in flight have it, and may give it back */
	BUDGET_SOURCE_OUT, /**< the same, but others may */
	BUDGET_SPENT,
};
/** ENOENT: not a domain of this PBX */
int line_domain(const struct line *ln, const char *domain, uint16_t *number);
/** EOVERFLOW: there are REALMS_MAX of them */
int line_realm(struct line *ln, const char *name, uint16_t *number);
/** A REGISTER more of one that is under way: it cannot wait, the next can */
void line_charge(struct line *ln);
/** NULL: nothing of ours ever went there */
struct peer *line_peer_find(const struct line *ln, const struct sa *addr,
			    enum sip_transp tp);
int line_peer(struct line *ln, struct peer **pp, const struct sa *addr,
	      enum sip_transp tp);
/** The next hop for an account; "" = the profile's or its domain */
const char *line_proxy(const struct line *ln, const char *proxy,
		       const char *domain);

/* --- load.c --- */

int load_metrics(struct line *ln, struct metrics *ms);
/** How long the refresh that goes out next has been due, and the one that
    has been due longest of those that are not answered yet */
uint32_t load_lag_s(const struct line *ln);
uint32_t load_owed_s(const struct line *ln);
void load_tick(struct reg *reg, uint64_t now);

/* --- op.c --- */

int line_op(struct line *ln, enum op_kind kind, struct acct *a,
	    struct probe *probe, reg_answer_h *h, void *arg);
/** The account goes: whoever waits for it hears ECANCELED */
void line_forget(struct line *ln, struct acct *a);
bool op_removes(const struct op *op);
void op_answer(struct op *op, const struct reg_answer *ans);
void op_fail(struct op *op, int err, uint16_t scode);
/** Sends what may be sent; true: more tokens are needed */
bool op_pump(struct line *ln, struct list *l, bool look, uint64_t now);

/* --- mistake.c --- */

void mistakes_init(struct line *ln, uint64_t now);
/** For an account that is not proven yet */
enum budget line_budget(const struct line *ln, uint64_t now);
enum budget probe_budget(struct line *ln, const struct probe *p, uint64_t now);
/** A request goes out that may be wrong; p NULL: an account's */
void mistake_reserve(struct line *ln, const struct probe *p);
/** Its end.  Only a mistake that was made costs something */
void mistake_settle(struct line *ln, const struct probe *p, bool wrong);

/* --- leave.c --- */

/** No binding, and nothing on its way that could make one */
bool leave_is_done(const struct acct *a);
/** ENOMEM */
int leave_begin(struct acct *a);
/** What follows may free the account */
void leave_nothing(struct acct *a);
void leave_answered(struct acct *a, enum reg_event ev,
		    const struct reg_answer *ans);
/** true: op goes on */
bool leave_looked(struct op *op, enum reg_event ev,
		  const struct reg_answer *ans);

/* --- watch.c --- */

/** An answer; canary: to OPTIONS */
void watch_heard(struct line *ln, bool canary);
void watch_silent(struct line *ln, int err);
void watch_canary_done(struct line *ln);
/** true: a sweep goes on */
bool watch_tick(struct line *ln, uint64_t now);
void watch_query_done(struct line *ln, struct acct *a,
		      const struct reg_answer *ans);
void watch_sweep(struct line *ln, enum sweep kind, uint16_t peer);
void watch_path(struct pbx *pbx, const struct sa *addr, enum sip_transp tp,
		int err, void *arg);

/* --- tx.c --- */

enum tx_kind { TX_REGISTER, TX_REMOVE, TX_LOOK, TX_PROBE, TX_CANARY };

struct tx {
	struct le le;
	struct line *line;
	struct acct *acct; /**< NULL: probe, canary, or it was removed */
	struct op *op;     /**< owned */
	enum tx_kind kind;
	struct request *req;
	struct peer *peer;
	struct digest_nonce *nonce; /**< in the request that is out */
	uint32_t expires_s;
	uint8_t hop;    /**< number of the target */
	uint8_t resent; /**< with fresh credentials */
	uint8_t use;    /**< enum nonce_use */
	bool staled, briefed, reserved, more;
	bool outdated; /**< its credentials were replaced meanwhile */
};

int tx_start(struct line *ln, enum tx_kind kind, struct acct *a,
	     struct op *op);
/** Once more, in the same turn: the pace counts it */
int tx_send_again(struct tx *tx);

/** What the verdict on an answer ends in */
struct tx_end {
	enum reg_event ev;
	uint32_t retry_after_s;
	bool blame; /**< the credentials were wrong */
};

/** The request is over; tx is gone afterwards */
void tx_finish(struct tx *tx, const struct tx_end *end,
	       struct reg_answer *ans);
void tx_fail(struct tx *tx, enum reg_event ev, struct reg_answer *ans,
	     uint32_t retry_after_s);
/** What is answered to its REGISTER in flight counts no more: another one is
    queued */
void tx_outdate(const struct line *ln, const struct acct *a);
/** The connection died: its requests need not wait for their time-out */
void tx_flow_lost(struct line *ln, uint16_t peer, int err);

/* --- tx_answer.c --- */

void tx_answer(int err, const struct answer *msg, void *arg);

/* --- tx_cred.c --- */

/** The PBX has taken this account before */
bool tx_is_proven(const struct tx *tx);
/** Which challenges may be answered */
void tx_pin(struct digest_pin *pin, const struct tx *tx);
/** HA1 for the nonce of the request; EACCES: the secret does not open */
int tx_ha1(uint8_t ha1[CRED_HA1_MAX], const struct tx *tx);
/** After a success: the hash takes the password's place */
void tx_pin_realm(struct tx *tx);

/* --- msg.c --- */

struct msg_prm {
	const char *user, *domain, *callid;
	const char *contact;  /**< "" = none */
	const char *instance; /**< NULL: no GRUU is wanted */
	uint32_t expires_s, cseq;
	const char *auth_user; /**< with nonce */
	struct digest_nonce *nonce;
	const uint8_t *ha1;
};

/** What libre wants behind its Via; uri: room for "sip:" and the domain */
int msg_register(struct mbuf **mbp, const struct msg_prm *prm);
int msg_options(struct mbuf **mbp, const char *uri);
int msg_contact(char *buf, size_t size, const struct acct *a,
		enum sip_transp tp, const struct sa *laddr);
void msg_callid(char *buf, const struct acct *a); /**< 17 bytes */

/* --- gruu.c --- */

enum { GRUU_INSTANCE = 48, GRUU_MAX = 512 };

bool gruu_wanted(const struct line *ln);
/** Our instance id for an account: a URN */
int gruu_instance(char *buf, size_t size, const struct acct *a);
/** What a PBX makes of that, if it gives any */
int gruu_of(char *buf, size_t size, const struct acct *a);

/* --- nonce.c --- */

/** A nonce that may be used for this account; NULL: wait for a challenge */
struct digest_nonce *nonce_kept(struct line *ln, const struct acct *a);
bool nonce_keeps(const struct line *ln);
enum nonce_use {
	NONCE_OWN,     /**< made for this request */
	NONCE_KEPT,    /**< and not for this account */
	NONCE_DOUBTED, /**< own, after a kept one was refused without stale */
};
/** It was good: others may use it too */
void nonce_good(struct line *ln, struct acct *a, struct digest_nonce *n,
		enum nonce_use use, const struct answer *ans);
/** It was refused */
void nonce_refused(struct line *ln, struct digest_nonce *n, bool stale);

#endif
