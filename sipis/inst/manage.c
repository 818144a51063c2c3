/**
 * @file manage.c  Reading and removing a phone
 */

#include <errno.h>
#include "common/secret.h"
#include "sipis/inst/priv.h"

static int known(struct job *j, int err, const struct inst_row *inst)
{
	const char *detail;
	enum inst_res res;

	if (!err && !secret_equal(inst->secret_sha256, j->secret_sha256, 32))
		err = ENOENT;
	if (err) {
		res = job_store_res(err, &detail);
		job_end(j, res, detail);
	}
	return err;
}


static void read_handler(int err, const struct inst_row *inst,
			 const struct acct_row *acct, void *arg)
{
	struct job *j = arg;

	if (!job_over(j) && !known(j, err, inst)) {
		inst_renew(j->in, inst);
		job_rows(j, INST_R_OK, inst, acct, NULL);
	}
	mem_deref(j);
}


int inst_read(struct inst *in, const struct inst_who *who, inst_answer_h *h,
	      void *arg)
{
	struct job *j;
	int err = job_alloc(&j, in, who, h, arg);

	if (err)
		return err;

	err = store_inst_get(in->prm.store, j->id, read_handler, mem_ref(j));
	if (err) {
		mem_deref(j);
		mem_deref(j);
	}
	return err;
}


static void deleted_handler(int err, const struct inst_row *inst,
			    const struct acct_row *acct, void *arg)
{
	struct job *j = arg;
	struct inst *in = j->in;

	if (!err && in) {
		inst_left(in, j->id);
		if (inst)
			inst_apply(in, acct);
		else
			reg_leave(reg_find(in->prm.reg, acct->id));
	}

	if (job_over(j))
		goto out;
	if (err) {
		const char *detail;
		const enum inst_res res = job_store_res(err, &detail);

		job_end(j, res, detail);
	}
	else {
		job_end(j, INST_R_OK, "");
	}
out:
	mem_deref(j);
}


static void delete_known(int err, const struct inst_row *inst,
			 const struct acct_row *acct, void *arg)
{
	struct job *j = arg;
	(void)acct;

	if (job_over(j) || known(j, err, inst))
		goto out;

	err = store_inst_delete(j->in->prm.store, j->id, deleted_handler,
				mem_ref(j));
	if (err) {
		mem_deref(j);
		(void)known(j, err, inst);
	}
out:
	mem_deref(j);
}


int inst_delete(struct inst *in, const struct inst_who *who, inst_answer_h *h,
		void *arg)
{
	struct job *j;
	int err = job_alloc(&j, in, who, h, arg);

	if (err)
		return err;

	err = store_inst_get(in->prm.store, j->id, delete_known, mem_ref(j));
	if (err) {
		mem_deref(j);
		mem_deref(j);
	}
	return err;
}
