/**
 * @file inst.h  Phones on accounts: create, read, change, states, leases
 *
 * Everything an app may ask of us, decided on the loop's thread.  The PBX is
 * the judge of credentials (reg_probe), the mediator of push tokens
 * (med_enrol), the store of secrets; this module asks them in that order and
 * changes nothing before all have agreed.  Each request ends in exactly one
 * answer of a closed set; the api folder turns it into HTTP.
 */

#ifndef SIPIS_INST_H
#define SIPIS_INST_H

#include <re/re.h>
#include "sipis/call/calls.h"
#include "sipis/cfg.h"
#include "sipis/inst/types.h"
#include "sipis/med/med.h"
#include "sipis/reg/reg.h"
#include "sipis/sip/cred.h"
#include "sipis/store/store.h"

struct inst;

struct inst_prm {
	struct store *store;
	struct reg *reg;
	struct calls *calls;
	struct med *med;
	const struct cred_key *key;
	const struct api_cfg *cfg;
	struct pbx *const *pbxv; /**< every profile; outlives the service */
	uint32_t pbxc;
	struct metrics *metrics;
};

/** Starts looking for leases that ran out as well */
int inst_alloc(struct inst **inp, const struct inst_prm *prm);
/** Requests under way end with INST_R_STOPPING; nothing goes out on the
    wire.  mem_deref() the service after reg_close() */
void inst_close(struct inst *in);

/** The mediator says that this handle is dead, outside of a result */
void inst_token_gone(struct inst *in, const uint8_t *handle, size_t len,
		     const char *reason);

/** A phone has registered at the edge, or signed off there */
void inst_seen(struct inst *in, const char *id, bool there);

/** It registers without pn-prid, or no more: no pushes over what came that
    way (RFC 8599 4.1.2, 5.5).  What came over HTTPS stays */
void inst_pushes_end(struct inst *in, const char *id);

/** A phone has been deleted; its account may live.  h NULL: nobody wants to
    know any more */
typedef void(inst_deleted_h)(const char *id, void *arg);
void inst_deleted_handler(struct inst *in, inst_deleted_h *h, void *arg);

/** Is that phone here?  Such a one gives way to nobody.  h NULL: none is */
typedef bool(inst_here_h)(const char *id, void *arg);
void inst_here_handler(struct inst *in, inst_here_h *h, void *arg);

/** How a request ended */
enum inst_res {
	INST_R_OK,
	INST_R_CREATED,
	INST_R_UNAUTHORIZED, /**< unknown id or wrong secret: one and the same
			      */
	INST_R_NO_CALL,      /**< no such call for this account */
	INST_R_CALL_OVER,    /**< it has ended already */
	INST_R_INVALID,      /**< detail says what */
	INST_R_NOT_ALLOWED,  /**< no profile serves it, or the mediator will
				  not push to this app */
	INST_R_PBX_REFUSED,  /**< the PBX said no: pbx_status */
	INST_R_PBX_ERROR,    /**< the PBX cannot: pbx_status, 0 unreachable */
	INST_R_PBX_TIMEOUT,  /**< the PBX was silent */
	INST_R_THROTTLED,    /**< a budget is spent: retry_after_s */
	INST_R_NO_MEDIATOR,  /**< none reachable, or it cannot now */
	INST_R_TOO_MANY,     /**< phones on this account */
	INST_R_FULL,         /**< disk full */
	INST_R_BUSY,         /**< the store is locked */
	INST_R_STOPPING,
	INST_R_FAILED, /**< our own fault; the log has more */
};

/** Everything in it is valid until the handler returns */
struct inst_answer {
	enum inst_res res;
	const char *detail;          /**< a sentence; never NULL */
	uint16_t pbx_status;         /**< what the PBX answered, 0 none */
	const char *pbx_reason;      /**< "" if none */
	uint32_t retry_after_s;      /**< 0: no advice */
	const struct inst_row *inst; /**< NULL unless OK */
	const struct acct_row *acct;
	const char *secret;            /**< created: shown this once */
	enum reg_state reg;            /**< of the account, with OK */
	const char *reg_why;           /**< "" if all is well */
	const struct call_info *callv; /**< state: waiting; call: the one */
	unsigned callc;
};

typedef void(inst_answer_h)(const struct inst_answer *ans, void *arg);

/** A phone that has proven at the edge whose it is, and brings push tokens */
struct inst_adopt {
	uint64_t acct;
	const char *id;    /**< the instance that it is, NULL: a new one */
	const char *fresh; /**< the id that a new one gets; NULL: any */
	const char *app;   /**< as the mediator calls it */
	const char *installation, *platform, *label;
	const struct inst_token *tokenv;
	unsigned tokenc;
};

/** id NULL unless OK or CREATED */
typedef void(inst_adopt_h)(enum inst_res res, const char *detail,
			   const char *id, void *arg);

/** The mediator gave a new handle in place of this one */
void inst_handle_renewed(struct inst *in, const uint8_t *handle, size_t len,
			 const uint8_t *renewed, size_t renewed_len);

/** what is copied; h is called once unless the service is closed before, and
    never from in here */
int inst_adopt(struct inst *in, const struct inst_adopt *what, inst_adopt_h *h,
	       void *arg);

/** Who asks; addr is the peer's address without port */
struct inst_who {
	const char *id; /**< STORE_ID_LEN hex digits */
	uint8_t secret_sha256[32];
	const char *addr;
	const char *trace; /**< of this request, for the log */
};

/* Arguments are copied.  h is called once, never before the function
   returns; a request whose asker went away is still carried out */
int inst_create(struct inst *in, const struct inst_who *who,
		const struct inst_new *nw, inst_answer_h *h, void *arg);
int inst_read(struct inst *in, const struct inst_who *who, inst_answer_h *h,
	      void *arg);
int inst_patch(struct inst *in, const struct inst_who *who,
	       const struct inst_change *ch, inst_answer_h *h, void *arg);
int inst_delete(struct inst *in, const struct inst_who *who, inst_answer_h *h,
		void *arg);
int inst_word(struct inst *in, const struct inst_who *who,
	      const struct inst_word *word, inst_answer_h *h, void *arg);
/** *jobp (optional): mem_deref() it to stop waiting, then h is not called */
struct inst_job;
int inst_call_get(struct inst_job **jobp, struct inst *in,
		  const struct inst_who *who, const char *call,
		  uint32_t wait_ms, inst_answer_h *h, void *arg);
enum inst_call_word { INST_CALL_RINGING, INST_CALL_DECLINE };
int inst_call_word(struct inst *in, const struct inst_who *who,
		   const char *call, enum inst_call_word word,
		   inst_answer_h *h, void *arg);

/** Why an account is not registered, "" if it is or need not be */
const char *inst_reg_why(enum reg_state state, uint16_t scode);

#endif
