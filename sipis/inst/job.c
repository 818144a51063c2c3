/**
 * @file job.c  One request of an app, from question to answer
 */

#include <errno.h>
#include <string.h>
#include "sipis/inst/priv.h"

/** What the asker holds to give up */
struct inst_job {
	struct job *job;
};


static void destructor(void *arg)
{
	struct job *j = arg;

	tmr_cancel(&j->tmr);
	list_unlink(&j->le);
	mem_deref(j->wait);
	mem_deref(j->work);
	explicit_bzero(j->secret_sha256, sizeof(j->secret_sha256));
}


int job_alloc(struct job **jp, struct inst *in, const struct inst_who *who,
	      inst_answer_h *h, void *arg)
{
	struct job *j;

	if (!in || !who || !h)
		return EINVAL;
	if (in->closed)
		return ESHUTDOWN;

	j = mem_zalloc(sizeof(*j), destructor);
	if (!j)
		return ENOMEM;

	tmr_init(&j->tmr);
	j->in = in;
	j->h = h;
	j->arg = arg;
	if (who->id)
		(void)str_ncpy(j->id, who->id, sizeof(j->id));
	memcpy(j->secret_sha256, who->secret_sha256, sizeof(j->secret_sha256));
	(void)str_ncpy(j->addr, who->addr ? who->addr : "", sizeof(j->addr));
	(void)str_ncpy(j->trace, who->trace ? who->trace : "",
		       sizeof(j->trace));
	list_append(&in->jobs, &j->le, j);
	*jp = j;
	return 0;
}


void job_answer(struct job *j, const struct inst_answer *ans)
{
	inst_answer_h *h = j->h;

	if (!h)
		return;

	j->h = NULL;
	tmr_cancel(&j->tmr);
	list_unlink(&j->le);
	if (j->handle) {
		j->handle->job = NULL;
		j->handle = NULL;
	}
	h(ans, j->arg);
	mem_deref(j);
}


void job_end(struct job *j, enum inst_res res, const char *detail)
{
	const struct inst_answer ans = {
		.res = res,
		.detail = detail,
		.pbx_reason = "",
		.reg_why = "",
		.retry_after_s = j->retry_after_s,
	};

	job_answer(j, &ans);
}


static void later_handler(void *arg)
{
	struct job *j = arg;

	job_end(j, j->res, j->detail);
}


void job_end_later(struct job *j, enum inst_res res, const char *detail,
		   uint32_t retry_after_s)
{
	j->res = res;
	j->detail = detail;
	j->retry_after_s = retry_after_s;
	tmr_start(&j->tmr, 0, later_handler, j);
}


void job_rows(struct job *j, enum inst_res res, const struct inst_row *inst,
	      const struct acct_row *acct, const char *secret)
{
	const struct acct *ac = reg_find(j->in->prm.reg, acct->id);
	const enum reg_state state = ac ? acct_state(ac) : REG_IDLE;
	const struct inst_answer ans = {
		.res = res,
		.detail = "",
		.pbx_reason = "",
		.inst = inst,
		.acct = acct,
		.secret = secret,
		.reg = state,
		.reg_why = inst_reg_why(state, ac ? acct_scode(ac) : 0),
	};

	job_answer(j, &ans);
}


enum inst_res job_store_res(int err, const char **detail)
{
	switch (err) {
	case ENOENT:
		*detail = "There is no such instance, or the secret is not "
			  "the one that belongs to it.";
		return INST_R_UNAUTHORIZED;
	case ENFILE:
		*detail = "This account has as many phones as it may have; "
			  "delete one first.";
		return INST_R_TOO_MANY;
	case ENOSPC:
		*detail = "The disk of the server is full; nothing was "
			  "changed.";
		return INST_R_FULL;
	case EBUSY:
		*detail = "The store is locked by another process; nothing "
			  "was changed.";
		return INST_R_BUSY;
	case ESHUTDOWN:
		*detail = "The server is stopping.";
		return INST_R_STOPPING;
	default:
		*detail = "The store has failed; the log of the server says "
			  "why.";
		return INST_R_FAILED;
	}
}


static void handle_destructor(void *arg)
{
	struct inst_job *handle = arg;
	struct job *j = handle->job;

	if (!j)
		return;

	/* nobody wants the answer: leave the list, let go */
	j->h = NULL;
	j->handle = NULL;
	j->wait = mem_deref(j->wait);
	list_unlink(&j->le);
	mem_deref(j);
}


int job_handle(struct inst_job **hp, struct job *j)
{
	struct inst_job *handle;

	if (!hp)
		return 0;

	handle = mem_zalloc(sizeof(*handle), handle_destructor);
	if (!handle)
		return ENOMEM;

	handle->job = j;
	j->handle = handle;
	*hp = handle;
	return 0;
}


static void asked_destructor(void *arg)
{
	struct asked *q = arg;

	list_unlink(&q->le);
	mem_deref(q->j);
}


struct asked *asked_alloc(struct inst *in, struct job *j, uint64_t acct)
{
	struct asked *q = mem_zalloc(sizeof(*q), asked_destructor);

	if (!q)
		return NULL;

	q->in = in;
	q->j = mem_ref(j);
	q->acct = acct;
	list_append(&in->asked, &q->le, q);
	return q;
}
