/**
 * @file word.c  What an app says of itself and of its calls
 */

#include <errno.h>
#include <string.h>
#include "common/clock.h"
#include "common/log.h"
#include "common/secret.h"
#include "sipis/inst/priv.h"

#define CALLS_SHOWN 16
#define CONTACT_MAX 512

struct word {
	bool registered;
	char contact[CONTACT_MAX];
	char call[UUID_LEN + 1];
};

struct ask {
	char call[UUID_LEN + 1];
	uint32_t wait_ms;
	bool says;
	enum inst_call_word word;
};

struct calls_shown {
	struct call_info v[CALLS_SHOWN];
	unsigned n;
};


/* states */

static void show_handler(const struct call_info *info, void *arg)
{
	struct calls_shown *shown = arg;

	if (shown->n < CALLS_SHOWN)
		shown->v[shown->n++] = *info;
}


static void state_answer(struct job *j, const struct inst_row *inst,
			 const struct acct_row *acct)
{
	const struct acct *ac = reg_find(j->in->prm.reg, acct->id);
	const enum reg_state state = ac ? acct_state(ac) : REG_IDLE;
	struct calls_shown shown = { .n = 0 };
	struct inst_answer ans = {
		.res = INST_R_OK,
		.detail = "",
		.pbx_reason = "",
		.inst = inst,
		.acct = acct,
		.reg = state,
		.reg_why = inst_reg_why(state, ac ? acct_scode(ac) : 0),
	};

	calls_each(j->in->prm.calls, acct->id, show_handler, &shown);
	ans.callv = shown.v;
	ans.callc = shown.n;
	job_answer(j, &ans);
}


static void state_handler(int err, const struct inst_row *inst,
			  const struct acct_row *acct, void *arg)
{
	struct job *j = arg;
	const struct word *w = j->work;
	const char *detail;

	if (job_over(j))
		goto out;
	if (err) {
		const enum inst_res res = job_store_res(err, &detail);

		job_end(j, res, detail);
		goto out;
	}

	metric_inc(&j->in->metrics[IM_STATES]);
	log_debug("inst", *w->call ? w->call : j->trace, "%s of %s@%s is %s",
		  inst->id, acct->user, acct->domain,
		  inst_state_name(inst->state));

	/* first the call that waits, then the registration beside it */
	if (inst->state == INST_ACTIVE)
		calls_awake(j->in->prm.calls, acct->id, inst->id,
			    w->registered, w->contact);
	inst_apply(j->in, acct);
	state_answer(j, inst, acct);
out:
	mem_deref(j);
}


int inst_word(struct inst *in, const struct inst_who *who,
	      const struct inst_word *word, inst_answer_h *h, void *arg)
{
	const int64_t now = clock_wall_ms();
	struct word *w;
	struct job *j;
	int err;

	if (!word || word->state > INST_EXITED)
		return EINVAL;

	err = job_alloc(&j, in, who, h, arg);
	if (err)
		return err;

	w = mem_zalloc(sizeof(*w), NULL);
	j->work = w;
	if (!w) {
		err = ENOMEM;
		goto out;
	}

	w->registered = word->registered;
	(void)str_ncpy(w->contact, word->contact ? word->contact : "",
		       sizeof(w->contact));
	(void)str_ncpy(w->call, word->call ? word->call : "", sizeof(w->call));
	err = store_inst_state(
		in->prm.store, j->id, j->secret_sha256, word->state,
		word->lease_s ? now + word->lease_s * 1000LL : 0, now,
		state_handler, mem_ref(j));
	if (err)
		mem_deref(j);
out:
	if (err)
		mem_deref(j);
	return err;
}


/* one call */

static void call_answer(struct job *j, const struct call_info *info)
{
	const struct inst_answer ans = {
		.res = INST_R_OK,
		.detail = "",
		.pbx_reason = "",
		.reg_why = "",
		.callv = info,
		.callc = 1,
	};

	if (info)
		job_answer(j, &ans);
	else
		job_end(j, INST_R_NO_CALL,
			"This account has no such call, or it ended too long "
			"ago.");
}


static void call_handler(const struct call_info *info, void *arg)
{
	call_answer(arg, info);
}


/** The wait belongs to the job: who drops the job ends the wait, so nobody
    needs to hold the job for it */
static void call_wait(struct job *j, const struct ask *ask, uint64_t acct)
{
	int err;

	j->waiting = true;
	err = calls_get(&j->wait, j->in->prm.calls, acct, ask->call,
			ask->wait_ms, call_handler, j);
	if (err)
		call_answer(j, NULL);
	else if (job_over(j))
		j->wait = mem_deref(j->wait);
}


static void call_say(struct job *j, const struct ask *ask, uint64_t acct)
{
	struct calls *cs = j->in->prm.calls;
	int err;

	err = ask->word == INST_CALL_RINGING
		      ? calls_ringing(cs, acct, ask->call, j->id)
		      : calls_decline(cs, acct, ask->call, j->id);
	if (!err)
		job_end(j, INST_R_OK, "");
	else if (err == EALREADY)
		job_end(j, INST_R_CALL_OVER, "The call has ended.");
	else
		call_answer(j, NULL);
}


/** Who asks is known by now, or not */
static void asker_handler(int err, const struct inst_row *inst,
			  const struct acct_row *acct, void *arg)
{
	struct job *j = arg;
	const struct ask *ask = j->work;

	if (job_over(j))
		goto out;
	if (!err && !secret_equal(inst->secret_sha256, j->secret_sha256, 32))
		err = ENOENT;
	if (err) {
		const char *detail;
		const enum inst_res res = job_store_res(err, &detail);

		job_end(j, res, detail);
		goto out;
	}

	inst_renew(j->in, inst);
	if (ask->says)
		call_say(j, ask, acct->id);
	else
		call_wait(j, ask, acct->id);
out:
	mem_deref(j);
}


static int call_job(struct inst_job **jobp, struct inst *in,
		    const struct inst_who *who, const char *call,
		    const struct ask *ask, inst_answer_h *h, void *arg)
{
	struct ask *work;
	struct job *j;
	int err;

	if (!call)
		return EINVAL;

	err = job_alloc(&j, in, who, h, arg);
	if (err)
		return err;

	work = mem_zalloc(sizeof(*work), NULL);
	j->work = work;
	err = work ? job_handle(jobp, j) : ENOMEM;
	if (err)
		goto out;

	*work = *ask;
	(void)str_ncpy(work->call, call, sizeof(work->call));
	err = store_inst_get(in->prm.store, j->id, asker_handler, mem_ref(j));
	if (err)
		mem_deref(j);
out:
	if (err) {
		if (jobp && j->handle) {
			*jobp = NULL;
			mem_deref(j->handle); /* and the job with it */
		}
		else {
			mem_deref(j);
		}
	}
	return err;
}


int inst_call_get(struct inst_job **jobp, struct inst *in,
		  const struct inst_who *who, const char *call,
		  uint32_t wait_ms, inst_answer_h *h, void *arg)
{
	const struct ask ask = { .wait_ms = wait_ms };

	return call_job(jobp, in, who, call, &ask, h, arg);
}


int inst_call_word(struct inst *in, const struct inst_who *who,
		   const char *call, enum inst_call_word word,
		   inst_answer_h *h, void *arg)
{
	const struct ask ask = { .says = true, .word = word };

	return call_job(NULL, in, who, call, &ask, h, arg);
}
