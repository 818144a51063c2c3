/**
 * @file inst/priv.h  What the files of this folder share: the job
 *
 * A job is one request of an app on its way through PBX, mediator and store.
 * Whoever is asked on its behalf holds a reference, so an answer that comes
 * after everybody has lost interest still finds it.
 */

#ifndef SIPIS_INST_PRIV_H
#define SIPIS_INST_PRIV_H

#include "sipis/inst/inst.h"
#include "sipis/inst/limit.h"

enum inst_metric {
	IM_CREATED,
	IM_REFUSED,
	IM_STATES,
	IM_LAPSED,
	IM_EXPIRED,
	IM_TOKENS_GONE,
	IM_N
};

/** A question to the registration engine.  A closed engine answers no more,
    so what was asked of it is kept where the service can find and free it */
struct asked {
	struct le le;
	struct inst *in;
	struct job *j; /**< a probe's */
	uint64_t acct; /**< the account that leaves */
};

struct inst {
	struct inst_prm prm;
	struct list jobs;
	struct list asked;
	struct list adopts;
	struct tmr tmr; /**< looks for what is overdue */
	bool looking;
	bool closed;
	unsigned found;       /**< by the look under way */
	int64_t clock_offset; /**< wall less monotonic, ms; 0 not known */
	uint64_t steady_at; /**< monotonic ms: the wall clock is good again */
	struct limit *creates; /**< per address */
	struct limit *changes; /**< of credentials, per instance */
	inst_deleted_h *deletedh;
	void *deleted_arg;
	inst_here_h *hereh;
	void *here_arg;
	struct metric metrics[IM_N];
};

struct job {
	struct le le;
	struct inst *in;  /**< NULL once the service is closed */
	inst_answer_h *h; /**< NULL once answered */
	void *arg;
	struct inst_job *handle;
	struct tmr tmr;
	char id[STORE_ID_LEN + 1];
	uint8_t secret_sha256[32];
	char addr[LIMIT_KEY_MAX];
	char trace[UUID_LEN + 1];
	struct calls_wait *wait;
	bool waiting; /**< for the end of a call */
	void *work;   /**< what this kind of job needs besides */

	/* an answer that must wait until the asker has returned */
	enum inst_res res;
	const char *detail;
	uint32_t retry_after_s;
};

int job_alloc(struct job **jp, struct inst *in, const struct inst_who *who,
	      inst_answer_h *h, void *arg);

/** For an asker who may give up; hp NULL: one who does not */
int job_handle(struct inst_job **hp, struct job *j);

/** Calls the handler, once; drops the reference of the list */
void job_answer(struct job *j, const struct inst_answer *ans);
/** The same with an outcome that has only a sentence */
void job_end(struct job *j, enum inst_res res, const char *detail);
/** The same from the next turn of the loop on; detail must be a literal */
void job_end_later(struct job *j, enum inst_res res, const char *detail,
		   uint32_t retry_after_s);
/** Success, with the rows as they stand */
void job_rows(struct job *j, enum inst_res res, const struct inst_row *inst,
	      const struct acct_row *acct, const char *secret);

/** An error of the store in the words of the API */
enum inst_res job_store_res(int err, const char **detail);

/** Has been answered, or the service is closed */
static inline bool job_over(const struct job *j)
{
	return !j->h;
}


void inst_adopts_close(struct inst *in);

struct asked *asked_alloc(struct inst *in, struct job *j, uint64_t acct);

struct pbx *inst_pbx(const struct inst *in, const char *name);
struct pbx *inst_pbx_of(const struct inst *in, const char *domain);
/** Makes the registration follow the account's row */
void inst_apply(struct inst *in, const struct acct_row *acct);
/** The app has spoken: its lease begins anew, if much of it is gone */
void inst_renew(struct inst *in, const struct inst_row *inst);

/** The answer of reg_probe() in the words of the API */
enum inst_res inst_probe_res(const struct reg_answer *ans,
			     const char **detail);

/** Ends what waits on behalf of this instance: its secret is void */
void inst_revoke(struct inst *in, const char *id);
/** It has been deleted: that, and the edge is told */
void inst_left(struct inst *in, const char *id);

typedef void(inst_press_h)(int err, void *arg);
/** Room for one more phone of a full account.  h is called once, never before
    this returns; ENFILE: nobody gives way */
int inst_press(struct inst *in, uint64_t acct, inst_press_h *h, void *arg);

#endif
