/**
 * @file reg.h  Keeping very many accounts registered
 *
 * A sleeping account is a compact struct acct on a wheel of seconds; libre
 * sees it only while one of its requests is in flight.  The rules (grants,
 * 401, 403, 423, 3xx, 5xx, Retry-After, time-outs, pacing per PBX) are a pure
 * table in reg_fsm.c.  Refreshes stand on a grid: each account has a fixed
 * phase in a period of 80 % of its grant, so that herds dissolve, and a
 * restart knows when each one is due without a write per refresh.
 */

#ifndef SIPIS_REG_H
#define SIPIS_REG_H

#include <re/re.h>
#include "common/metrics.h"
#include "sipis/sip/cred.h"
#include "sipis/sip/pbx.h"
#include "sipis/store/store.h"

struct acct;
struct reg;

enum reg_state {
	REG_IDLE,        /**< no binding wanted, none there */
	REG_REGISTERING, /**< wanted, not there yet; includes pacing */
	REG_REGISTERED,
	REG_UNREGISTERING,
	REG_WAITING,     /**< failed, will try again */
	REG_AUTH_FAILED, /**< wrong password: waits for a new one */
	REG_REJECTED,    /**< the PBX will not have it (403, 404, ...) */
};

const char *reg_state_name(enum reg_state s);

/** What the PBX said, for API and status */
struct reg_answer {
	int err;        /**< errno of transport, 0 if the PBX answered */
	uint16_t scode; /**< 0 without an answer */
	char reason[64];
	uint32_t retry_after_s;
	uint32_t grant_s;
	bool ours;       /**< look: our contact is among the bindings */
	bool stale;      /**< look: only with an address of before */
	unsigned others; /**< look: number of other bindings */
	char other[256]; /**< look: URI of the newest other one, "" none */
	/** look: of the URI of each other one, the first 16 of them; the same
	    URI has the same hash */
	uint32_t hashes[16];
	unsigned hashc;  /**< of hashes; others, unless these are more */
	char realm[128]; /**< probe: the realm that asked */
	enum digest_alg alg;
};

typedef void(reg_answer_h)(const struct reg_answer *ans, void *arg);
/** An account changed its state (rare in steady state) */
typedef void(reg_change_h)(struct acct *acct, enum reg_state state,
			   uint16_t scode, const char *reason, void *arg);

struct reg_prm {
	struct store *store; /**< may be NULL in tests */
	const struct cred_key *key;
	struct metrics *metrics;
	uint32_t rate;         /**< REGISTERs per second over all PBXs */
	reg_change_h *changeh; /**< may be NULL */
	void *arg;
};

int reg_alloc(struct reg **regp, const struct reg_prm *prm);
/** No un-REGISTER; refreshes stop */
void reg_close(struct reg *reg);

/** Its figures join the metrics; at start, before anybody reads these */
int reg_pbx(struct reg *reg, struct pbx *pbx);
/** Into memory; no SIP yet.  fresh = false at start-up: the binding is taken
    to stand at the PBX as it was before the restart.  EEXIST */
int reg_add(struct acct **acctp, struct reg *reg, struct pbx *pbx,
	    const struct acct_row *row, bool fresh);
/** New credentials, proxy, transport, or a changed want */
int reg_update(struct acct *acct, const struct acct_row *row);
/** Out of memory; whoever wants an un-REGISTER asks for it before */
void reg_remove(struct acct *acct);

/** What the states of its phones mean for a registration; in continuous mode
    nothing: it stands as long as the account */
static inline bool reg_wanted(const struct pbx *pbx,
			      const struct acct_row *row)
{
	return row->want || pbx_cfg(pbx)->mode == CFG_MODE_CONTINUOUS;
}

/** The goal; the engine gets there by itself.  Idempotent and free when it
    is the goal already */
void reg_want(struct acct *acct, bool registered);
/** un-REGISTER now, ahead of the queue and without a look, and tell when it
    is done; reg_want becomes false */
int reg_unregister(struct acct *acct, reg_answer_h *h, void *arg);
/** For good: un-REGISTER, and again until the PBX has taken it or its grant
    is over; then the account is freed.  It may be at once */
void reg_leave(struct acct *acct);
/** REGISTER without Contact (RFC 3261 10.2.3), in a lane of its own */
int reg_look(struct acct *acct, reg_answer_h *h, void *arg);
/** The same before there is an account: are these credentials good?
    password is plain, or ha1 is given.  Leaves no binding */
struct reg_probe_prm {
	const char *user, *domain, *auth_user, *outbound_proxy;
	int transport;
	const char *password;
	const uint8_t *ha1;
	const char *realm; /**< with ha1 */
	enum digest_alg alg;
	const char *source; /**< who bears a mistake; NULL: nobody */
	bool known;         /**< of an account that is proven: has a reserve */
};
/** EAGAIN: the budget for failing credentials of this PBX is spent */
int reg_probe(struct reg *reg, struct pbx *pbx,
	      const struct reg_probe_prm *prm, reg_answer_h *h, void *arg);

struct acct *reg_find(const struct reg *reg, uint64_t id);
struct acct *reg_find_contact(const struct reg *reg, struct pbx *pbx,
			      const uint8_t contact[STORE_CONTACT]);
/** How many in a state; REG_IDLE.. as index */
void reg_counts(const struct reg *reg, uint32_t counts[7]);

/** As the store has it, but for the display name; points into the account */
void acct_row_fill(struct acct_row *row, const struct acct *acct);
uint64_t acct_id(const struct acct *acct);
struct pbx *acct_pbx(const struct acct *acct);
struct reg *acct_reg(const struct acct *acct);
const char *acct_user(const struct acct *acct);
const char *acct_domain(const struct acct *acct);
enum reg_state acct_state(const struct acct *acct);
/** Last answer that was not 200, 0 if all is well */
uint16_t acct_scode(const struct acct *acct);
/** The public GRUU that the PBX has given to our binding, a URI; ENOENT: none,
    or none since our start */
int acct_gruu(char *buf, size_t size, const struct acct *acct);
/** Seconds until the next refresh or try; 0 = none */
uint32_t acct_due_in(const struct acct *acct);

#endif
