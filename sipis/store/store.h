/**
 * @file store.h  What must survive: accounts, instances, calls, timelines
 *
 * The one door to the database; no SQL outside this folder.  SQLite is the
 * embedded engine behind it (store_sqlite.c).  All calls are asynchronous and
 * made from the loop thread: a writer thread gathers them into one
 * transaction (group commit, WAL, synchronous=FULL) and calls back on the
 * loop after COMMIT; a reader thread serves the reads.  A handler gets err
 * as an errno value: ENOENT no such row, EEXIST, ENOSPC disk full, EBUSY
 * locked for too long, EIO.  Rows given to a handler are valid until it
 * returns; rows given to a call are copied.  Handlers may be NULL for writes
 * whose loss would only cost work.  Ids are global: nothing here assumes that
 * one process owns all accounts.
 */

#ifndef SIPIS_STORE_H
#define SIPIS_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_ID_LEN     32 /**< hex digits of instance ids */
#define STORE_SECRET_LEN 43 /**< base64url of 256 bits, without the 0 */
#define STORE_CONTACT    16 /**< bytes of an account's contact user */
#define STORE_INST_MAX   16 /**< phones of one account */
#define STORE_PUSH_MAX   4  /**< tokens of one instance */
#define STORE_HANDLE_MAX 1024
#define STORE_USE_CALL   (1u << 1) /**< of push_row.uses: 1u << Wire__Use */

enum inst_state {
	INST_ACTIVE,
	INST_INACTIVE,
	INST_EXITED,
	INST_EXPIRED,
	INST_GONE,
};

const char *inst_state_name(enum inst_state s);

enum digest_alg { DIGEST_MD5, DIGEST_SHA256 };

/** One AOR at one PBX */
struct acct_row {
	uint64_t id;      /**< 0: the store draws one */
	const char *pbx;  /**< name of the profile */
	const char *user; /**< of the AOR, unescaped */
	const char *domain;
	const char *auth_user;
	const char *display_name;   /**< NULL or "" */
	const char *outbound_proxy; /**< NULL: the profile's */
	int transport;              /**< enum cfg_transport, -1: profile's */
	/** Sealed: HA1, or the password while the realm is unknown.  The
	    associated data binds it to this account (sipis/sip/cred.h) */
	const uint8_t *sealed;
	size_t sealed_len;
	bool sealed_is_ha1;
	const char *realm; /**< pinned at the first success; NULL before */
	enum digest_alg alg;
	uint8_t contact[STORE_CONTACT]; /**< unguessable contact user */
	uint32_t grant_s;               /**< last granted expiry, 0 unknown */
	bool proven;                    /**< the PBX said 200 at least once */
	bool auth_failed; /**< until the app sends a new password */
	bool want;        /**< at least one phone may be rung by us; derived,
			       never written */
};

/** A push token as the mediator sealed it */
struct push_row {
	uint32_t uses;                   /**< bit mask, 1u << Wire__Use */
	const char *provider;            /**< apns, fcm, webpush */
	const char *topic, *environment; /**< "" if none */
	const uint8_t *handle;
	size_t handle_len;
	bool via_sip; /**< a REGISTER brought it, and may take it away */
	bool gone;
	const char *gone_reason;
};

/** One app installation for one account */
struct inst_row {
	const char *id; /**< STORE_ID_LEN hex digits */
	uint64_t acct;
	const char *app, *installation, *label, *platform;
	uint8_t secret_sha256[32];
	enum inst_state state;
	/** Wall; when time itself changes the state: the lease of an active
	    app ends, a silent one expires; 0 never */
	int64_t lease_until_ms;
	int64_t seen_ms; /**< wall; last word of the app */
	int64_t created_ms;
	uint32_t lease_s; /**< of "active", unless the app asks for another */
	uint32_t idle_s;  /**< silence after which it expires, 0 never */
	const char *options; /**< JSON object, "{}" */
	bool push_after_exit, push_enabled;
	bool want; /**< may be rung by us; derived, never written */
	struct push_row push[STORE_PUSH_MAX];
	unsigned push_count;
};

/** One INVITE that waits; kept so that a restart answers it */
struct call_row {
	const char *id; /**< UUID, also trace */
	uint64_t acct;
	const char *from, *display_name;
	bool video;
	int64_t received_ms, deadline_ms; /**< wall */
	const uint8_t *invite;            /**< raw request as received */
	size_t invite_len;
	const char *src; /**< "address:port" it came from */
	int transport;   /**< enum sip_transp */
	const char *handover;
	const char *to_tag; /**< ours */
	const char *ended;  /**< NULL while it waits, else the tombstone */
	int64_t ended_ms;
	bool hurry; /**< of store_call_put(): not to be held for its like */
};

/** One line of a call's timeline */
struct event_row {
	const char *call;
	int64_t at_us;      /**< wall */
	const char *who;    /**< pbx, sipis, mediator, provider, app */
	const char *what;   /**< INVITE, push sent, 180, ... */
	const char *detail; /**< "" if none */
};

struct store;
struct metrics;

struct store_prm {
	const char *path;
	unsigned group_max;       /**< requests per transaction, 0: 1000 */
	unsigned busy_timeout_ms; /**< then EBUSY; 0: 2000 */
	unsigned keep_s;          /**< tombstones and timelines, 0: a day */
	unsigned calls_max;       /**< tombstones at most, 0: 500,000 */
	struct metrics *metrics;  /**< may be NULL */
};

/** Opens, checks (refuses a corrupt file with EBADMSG and never starts empty
    in its place; store_sqlite.c says how it checks), migrates, starts the
    threads.  reason gets a sentence for the operator.  Call on the libre
    loop's thread */
int store_alloc(struct store **stp, const struct store_prm *prm, char *reason,
		size_t reason_sz);
/** Finishes what was asked, then stops the threads; blocks.  mem_deref does
    the same */
void store_close(struct store *st);

typedef void(store_done_h)(int err, void *arg);
typedef void(store_acct_h)(int err, const struct acct_row *acct, void *arg);
typedef void(store_inst_h)(int err, const struct inst_row *inst,
			   const struct acct_row *acct, void *arg);
typedef void(store_insts_h)(int err, const struct inst_row *instv,
			    unsigned instc, void *arg);
typedef void(store_call_h)(int err, const struct call_row *call, void *arg);
typedef void(store_events_h)(int err, const struct event_row *ev, unsigned evc,
			     void *arg);
typedef void(store_calls_h)(int err, const struct call_row *call,
			    const struct acct_row *acct, void *arg);

/** An id that is new everywhere, for whoever must know it before the row is
    written (sealing does); 0 if the system gives no random bits */
uint64_t store_id_new(void);
/** The same for instances; dst has STORE_ID_LEN + 1 bytes */
int store_inst_id_new(char *dst);

/** At start only, blocking: every account / every call that still waits */
typedef int(store_load_acct_h)(const struct acct_row *acct, void *arg);
typedef int(store_load_call_h)(const struct call_row *call, void *arg);
int store_load_accts(struct store *st, store_load_acct_h *h, void *arg);
int store_load_calls(struct store *st, store_load_call_h *h, void *arg);

/* accounts */
int store_acct_find(struct store *st, const char *pbx, const char *user,
		    const char *domain, store_acct_h *h, void *arg);
int store_acct_get(struct store *st, uint64_t acct, store_acct_h *h,
		   void *arg);
/** What the PBX taught us: realm, algorithm, grant, proven, auth_failed, and
    the sealed HA1 that replaces a sealed password */
int store_acct_learn(struct store *st, const struct acct_row *acct,
		     store_done_h *h, void *arg);

/* instances */
/** Account and instance in one transaction.  An account with the same pbx,
    user and domain is updated (credentials, proxy, transport, display name)
    and keeps id and contact; an instance with the same installation and
    account is replaced and keeps its id.  The handler gets the rows as they
    now stand.  Secrets (sealed) are written by store_acct_learn() or here.
    EAGAIN: the account has come into being under another id than acct->id
    meanwhile, to which the secret is not sealed; nothing was written.
    ENFILE: it has STORE_INST_MAX phones already.  acct NULL: that of
    inst->acct, of which nothing is written; ENOENT: it is gone */
int store_inst_put(struct store *st, const struct acct_row *acct,
		   const struct inst_row *inst, store_inst_h *h, void *arg);
int store_inst_get(struct store *st, const char *id, store_inst_h *h,
		   void *arg);
/** All of an account; for calls.  Not older than any write that was answered
    before; phones.h says what is kept for it */
int store_insts_of(struct store *st, uint64_t acct, store_insts_h *h,
		   void *arg);
/** The app's word (ACTIVE, INACTIVE, EXITED), lease and seen in one go, if
    sha256 is the instance's secret (compared in constant time); ENOENT for
    unknown id and wrong secret alike, at the same cost.  The state in the
    answer follows app_state.h (a sleeping phone without a live token is
    GONE); the account row carries the new want; tokens are not read.
    lease_until_ms 0: seen_ms and the lease of the row.  sha256 NULL: the
    asker is known already */
int store_inst_state(struct store *st, const char *id, const uint8_t *sha256,
		     enum inst_state state, int64_t lease_until_ms,
		     int64_t seen_ms, store_inst_h *h, void *arg);
/** Replaces tokens (if any are given), options with what derives from them
    (unless NULL), label (unless NULL), secret (unless all 0), and with acct
    its credentials, in one transaction; the rows as they now stand come
    back */
int store_inst_patch(struct store *st, const struct acct_row *acct,
		     const struct inst_row *inst, store_inst_h *h, void *arg);
/** Removes it, and the account with its last instance: the handler gets the
    account row with id, and acct->want == false; inst NULL if the account
    went too */
int store_inst_delete(struct store *st, const char *id, store_inst_h *h,
		      void *arg);
/** One token is dead; state GONE once all call tokens are.  Only if the
    handle is still the one that was used.  inst NULL: whoever has it.  The
    account row carries the new want */
int store_push_gone(struct store *st, const char *inst, const uint8_t *handle,
		    size_t handle_len, const char *reason, store_inst_h *h,
		    void *arg);
/** All its tokens that came by REGISTER are dead, as above; ENOENT: it has
    none of these */
int store_push_end(struct store *st, const char *inst, const char *reason,
		   store_inst_h *h, void *arg);
/** The same token under another handle.  ENOENT: nobody has this one any
    more */
int store_push_renew(struct store *st, const uint8_t *handle,
		     size_t handle_len, const uint8_t *renewed,
		     size_t renewed_len, store_done_h *h, void *arg);
/** What time alone does, carried out: leases that ran out before now make
    INACTIVE, too long a silence EXPIRED.  At most max, the most overdue
    first; one handler call each with the rows as they now stand, then once
    with ENOENT */
int store_inst_overdue(struct store *st, int64_t now_ms, unsigned max,
		       store_inst_h *h, void *arg);

/* calls and timelines */
int store_call_put(struct store *st, const struct call_row *call,
		   store_done_h *h, void *arg);
/** The call waits no more.  The first word on its end stands, but for one
    that was handed over ("handed") and is answered or declined */
int store_call_end(struct store *st, const char *id, const char *ended,
		   int64_t ended_ms, store_done_h *h, void *arg);
/** Also after its end; the tombstone is kept for keep_s */
int store_call_get(struct store *st, const char *id, store_call_h *h,
		   void *arg);
/** The calls of late, newest first: one handler call each, then ENOENT.
    account is "user", "user@domain" or "" for all */
int store_calls(struct store *st, const char *account, unsigned max,
		store_calls_h *h, void *arg);
/** Not durable at once: written within a fraction of a second, or before the
    next store_events() reads */
void store_event(struct store *st, const struct event_row *ev);
/** call may be a prefix of at least 6 characters or a SIP Call-ID; the newest
    call that fits.  ENOENT */
int store_events(struct store *st, const char *call, store_events_h *h,
		 void *arg);

/* status pages */
/** filter: "" for all, else part of the AOR; at most max rows from offset */
typedef void(store_list_h)(int err, const struct acct_row *acct,
			   const struct inst_row *instv, unsigned instc,
			   void *arg); /* ENOENT marks the end */
int store_list(struct store *st, const char *filter, unsigned offset,
	       unsigned max, store_list_h *h, void *arg);

/* small things: "cseq_ceiling", "grid", ... */
int store_meta_get(struct store *st, const char *key, int64_t *value);
int store_meta_put(struct store *st, const char *key, int64_t value,
		   store_done_h *h, void *arg);

#endif
