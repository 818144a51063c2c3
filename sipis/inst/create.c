/**
 * @file create.c  Creating and changing a phone
 *
 *   checks -> PBX (reg_probe) -> mediator (med_enrol) -> seal -> store
 *          -> registration -> answer
 *
 * A change enters after its asker is known, and takes only the steps it
 * needs.  Each step is asked once and answers once; nothing is written before
 * the last of them, so a request that fails anywhere has changed nothing.
 */

#include <errno.h>
#include <string.h>
#include "common/clock.h"
#include "common/ident.h"
#include "common/log.h"
#include "common/secret.h"
#include "sipis/inst/draft.h"

#define TRIES       3  /**< when the account comes into being meanwhile */
#define RETRY_PBX_S 60 /**< the budget for failing credentials is spent */
#define RETRY_MED_S 5

static void enrol_or_go_on(struct job *j);


static void fail_store(struct job *j, int err)
{
	const char *detail;
	const enum inst_res res = job_store_res(err, &detail);

	job_end(j, res, detail);
}


/* the store, last of all */

static void put_handler(int err, const struct inst_row *inst,
			const struct acct_row *acct, void *arg);


static int write_rows(struct job *j)
{
	struct store *store = j->in->prm.store;
	struct draft *d = j->work;
	int err;

	if (d->creds) {
		err = draft_seal(d, j->in->prm.key);
		if (err)
			return err;
		d->acct.proven = true;
		d->acct.auth_failed = false;
	}

	err = d->create ? store_inst_put(store, &d->acct, &d->inst,
					 put_handler, mem_ref(j))
			: store_inst_patch(store, d->creds ? &d->acct : NULL,
					   &d->inst, put_handler, mem_ref(j));
	if (err)
		mem_deref(j);
	return err;
}


static void found_handler(int err, const struct acct_row *acct, void *arg)
{
	struct job *j = arg;
	struct draft *d = j->work;

	if (job_over(j))
		goto out;

	if (!err || err == ENOENT) {
		d->acct.id = err ? store_id_new() : acct->id;
		err = write_rows(j);
	}
	if (err)
		fail_store(j, err);
out:
	mem_deref(j);
}


/** The secret is sealed to the account's id, so that is asked for first */
static void find_account(struct job *j)
{
	struct draft *d = j->work;
	int err;

	if (d->create)
		err = store_acct_find(j->in->prm.store, d->acct.pbx,
				      d->acct.user, d->acct.domain,
				      found_handler, mem_ref(j));
	else
		err = write_rows(j);

	if (err && d->create)
		mem_deref(j);
	if (err)
		fail_store(j, err);
}


static void pressed_handler(int err, void *arg)
{
	struct job *j = arg;

	if (job_over(j))
		goto out;

	err = err ? err : write_rows(j);
	if (err)
		fail_store(j, err);
out:
	mem_deref(j);
}


static void registration_follows(struct job *j, const struct acct_row *acct)
{
	const struct draft *d = j->work;
	struct acct *ac = reg_find(j->in->prm.reg, acct->id);

	if (ac && d->creds && reg_update(ac, acct))
		log_error("inst", j->trace,
			  "no memory to update %s@%s; its new password is "
			  "used from the next start on",
			  acct->user, acct->domain);
	inst_apply(j->in, acct);
}


static void put_handler(int err, const struct inst_row *inst,
			const struct acct_row *acct, void *arg)
{
	struct job *j = arg;
	struct draft *d = j->work;
	struct inst *in = j->in;

	/* the rows are in force even if nobody waits any more */
	if (!err && in) {
		registration_follows(j, acct);
		if (d->new_secret)
			inst_revoke(in, inst->id);
	}
	if (job_over(j))
		goto out;

	if (err == EAGAIN && ++d->tries < TRIES) {
		find_account(j);
		goto out;
	}
	if (err == ENFILE && !d->pressed) {
		d->pressed = true;
		err = inst_press(in, d->acct.id, pressed_handler, mem_ref(j));
		if (!err)
			goto out;
		mem_deref(j);
	}
	if (err) {
		fail_store(j, err);
		goto out;
	}

	if (d->create)
		metric_inc(&in->metrics[IM_CREATED]);
	log_info("inst", j->trace, "%s %s of %s@%s (%s)",
		 d->create ? "created" : "changed", inst->id, acct->user,
		 acct->domain, inst->platform);
	job_rows(j, d->create ? INST_R_CREATED : INST_R_OK, inst, acct,
		 d->new_secret ? d->secret : NULL);
out:
	mem_deref(j);
}


/* the mediator */

static void enrol_handler(enum inst_res res, const char *detail,
			  const struct push_row *pushv, unsigned pushc,
			  void *arg)
{
	struct job *j = arg;
	struct draft *d = j->work;

	if (res != INST_R_OK) {
		if (res == INST_R_NO_MEDIATOR)
			j->retry_after_s = RETRY_MED_S;
		job_end(j, res, detail);
		return;
	}

	memcpy(d->inst.push, pushv, pushc * sizeof(*pushv));
	d->inst.push_count = pushc;
	find_account(j);
}


static void enrol_or_go_on(struct job *j)
{
	struct draft *d = j->work;
	int err;

	if (!d->tokenc) {
		find_account(j);
		return;
	}

	err = enrol_alloc(&d->enrol, j->in->prm.med, d->app, j->trace,
			  d->tokenv, d->tokenc, enrol_handler, j);
	if (err) {
		j->retry_after_s = RETRY_MED_S;
		job_end(j, INST_R_NO_MEDIATOR,
			"No mediator can be reached; push tokens cannot be "
			"enrolled at present.");
	}
}


/* the PBX */

static void refused(struct job *j, const struct reg_answer *ans,
		    enum inst_res res, const char *detail)
{
	const struct inst_answer answer = {
		.res = res,
		.detail = detail,
		.pbx_status = ans->scode,
		.pbx_reason = ans->reason,
		.retry_after_s = ans->retry_after_s,
		.reg_why = "",
	};

	metric_inc(&j->in->metrics[IM_REFUSED]);
	job_answer(j, &answer);
}


static void probe_handler(const struct reg_answer *ans, void *arg)
{
	struct asked *q = arg;
	struct job *j = q->j;
	struct draft *d = j->work;
	const char *detail;
	enum inst_res res;

	if (job_over(j))
		goto out;

	res = inst_probe_res(ans, &detail);
	log_info("inst", j->trace, "%s@%s: the PBX says %u %s%s", d->acct.user,
		 d->acct.domain, ans->scode, ans->reason,
		 ans->err ? " (no answer)" : "");
	if (res != INST_R_OK) {
		refused(j, ans, res, detail);
		goto out;
	}

	(void)str_ncpy(d->realm, ans->realm, sizeof(d->realm));
	d->acct.alg = ans->alg;
	enrol_or_go_on(j);
out:
	mem_deref(q);
}


/* A stranger is known by his address, the owner of an account by that */
static void source_of(char *buf, size_t size, const struct job *j)
{
	const struct draft *d = j->work;

	if (d->create)
		(void)str_ncpy(buf, j->addr, size);
	else
		(void)snprintf(buf, size, "account %llu",
			       (unsigned long long)d->acct.id);
}


static int probe(struct job *j)
{
	const struct draft *d = j->work;
	const struct inst_creds *c = d->creds;
	char source[LIMIT_KEY_MAX];
	const struct reg_probe_prm prm = {
		.user = d->acct.user,
		.domain = d->acct.domain,
		.auth_user = d->acct.auth_user,
		.outbound_proxy = d->acct.outbound_proxy,
		.transport = d->acct.transport,
		.password = c->ha1_len ? NULL : c->password,
		.ha1 = c->ha1_len ? c->ha1 : NULL,
		.realm = c->realm,
		.alg = c->alg,
		.source = source,
		.known = !d->create && d->acct.proven,
	};
	struct asked *q = asked_alloc(j->in, j, 0);
	int err;

	if (!q)
		return ENOMEM;

	source_of(source, sizeof(source), j);
	err = reg_probe(j->in->prm.reg, d->pbx, &prm, probe_handler, q);
	if (err)
		mem_deref(q);
	return err;
}


/** Later, because this may still be inside of the asker's call */
static void probe_or_fail(struct job *j)
{
	int err = probe(j);

	if (err == EAGAIN)
		job_end_later(j, INST_R_THROTTLED,
			      "Too many wrong credentials for this PBX of "
			      "late, from this address or in all; it would "
			      "lock us out.",
			      RETRY_PBX_S);
	else if (err)
		job_end_later(j, INST_R_FAILED,
			      "The PBX cannot be asked; the log of the "
			      "server says why.",
			      0);
}


/* what can be said without asking anybody */

static bool account_allowed(struct job *j, struct draft *d)
{
	const char *why = NULL;

	d->pbx = inst_pbx_of(j->in, d->acct.domain);
	if (!d->pbx)
		why = "This server registers at no PBX for this domain.";
	else if (str_isset(d->acct.outbound_proxy) &&
		 !pbx_allows_proxy(d->pbx, d->acct.outbound_proxy))
		why = "This outbound proxy is not one of the PBX.";
	else if (d->acct.transport >= 0 &&
		 pbx_cfg(d->pbx)->transport != CFG_TP_AUTO &&
		 d->acct.transport != (int)pbx_cfg(d->pbx)->transport)
		why = "This transport is not the one of the PBX.";

	if (why)
		job_end_later(j, INST_R_NOT_ALLOWED, why, 0);
	return !why;
}


static bool budget(struct job *j, struct limit *l, const char *key)
{
	const uint64_t now = clock_mono_ms();

	if (limit_take(l, key, 1, now))
		return true;

	job_end_later(j, INST_R_THROTTLED,
		      "Too many accounts created or changed of late.",
		      limit_wait_s(l, key, 1, now));
	return false;
}


static int draft_new(struct job *j, const struct inst_new *nw)
{
	const int64_t now = clock_wall_ms();
	struct draft *d;
	struct arena *a;
	int err = draft_alloc(&d);

	if (err)
		return err;

	j->work = d;
	a = &d->arena;
	d->create = d->new_secret = true;
	d->app = arena_str(a, nw->app);
	d->creds = draft_creds(d, &nw->creds);
	d->options = draft_options(d, &nw->options);
	d->tokenv = draft_tokens(d, nw->push, nw->push_count);
	d->tokenc = nw->push_count;

	d->acct.user = arena_str(a, nw->aor_user);
	d->acct.domain = arena_str(a, nw->aor_domain);
	d->acct.auth_user = arena_str(
		a, nw->creds.auth_user ? nw->creds.auth_user : nw->aor_user);
	d->acct.display_name = arena_str(a, nw->display_name);
	d->acct.outbound_proxy = arena_str(a, nw->outbound_proxy);
	d->acct.transport = nw->transport;

	d->inst.app = d->app;
	d->inst.installation = arena_str(a, nw->installation);
	d->inst.label = arena_str(a, nw->label ? nw->label : "");
	d->inst.platform = arena_str(a, nw->platform);
	d->inst.state = INST_ACTIVE;
	d->inst.seen_ms = d->inst.created_ms = now;
	if (a->failed)
		return ENOMEM;

	err = ident_random(d->acct.contact, sizeof(d->acct.contact));
	return err ? err : draft_secret(d);
}


int inst_create(struct inst *in, const struct inst_who *who,
		const struct inst_new *nw, inst_answer_h *h, void *arg)
{
	struct draft *d;
	struct job *j;
	int err;

	if (!nw || !nw->app || !nw->installation || !nw->platform ||
	    !nw->aor_user || !nw->aor_domain || !nw->push_count ||
	    (!nw->creds.password && !nw->creds.ha1_len))
		return EINVAL;

	err = job_alloc(&j, in, who, h, arg);
	if (err)
		return err;

	err = draft_new(j, nw);
	if (err) {
		mem_deref(j);
		return err;
	}

	d = j->work;
	if (!account_allowed(j, d) || !budget(j, in->creates, j->addr))
		return 0;

	d->acct.pbx = pbx_cfg(d->pbx)->name;
	d->inst.lease_s = pbx_cfg(d->pbx)->lease_s;
	d->inst.lease_until_ms =
		d->inst.seen_ms + (int64_t)d->inst.lease_s * 1000;
	draft_apply_options(d, d->options);
	probe_or_fail(j);
	return 0;
}


/* a change */

static int patch_account(struct job *j, const struct acct_row *acct)
{
	struct draft *d = j->work;
	struct arena *a = &d->arena;

	d->acct = *acct;
	d->acct.pbx = arena_str(a, acct->pbx);
	d->acct.user = arena_str(a, acct->user);
	d->acct.domain = arena_str(a, acct->domain);
	d->acct.display_name = arena_str(a, acct->display_name);
	d->acct.outbound_proxy = arena_str(a, acct->outbound_proxy);
	d->acct.realm = NULL;
	d->acct.sealed = NULL;
	d->acct.auth_user = d->creds && d->creds->auth_user
				    ? d->creds->auth_user
				    : arena_str(a, acct->auth_user);
	return a->failed ? ENOMEM : 0;
}


static void patch_known(struct job *j, const struct inst_row *inst,
			const struct acct_row *acct)
{
	struct draft *d = j->work;

	d->app = arena_str(&d->arena, inst->app);
	d->inst.id = j->id;
	d->inst.seen_ms = clock_wall_ms();
	d->inst.label = d->label;
	d->pbx = inst_pbx(j->in, acct->pbx);
	if (!d->pbx) {
		job_end(j, INST_R_NOT_ALLOWED,
			"The PBX of this account is configured no more.");
		return;
	}
	if (patch_account(j, acct) || (d->new_secret && draft_secret(d))) {
		job_end(j, INST_R_FAILED, "The server is out of memory.");
		return;
	}

	if (d->options)
		draft_apply_options(d, d->options);
	if (!d->creds)
		enrol_or_go_on(j);
	else if (budget(j, j->in->changes, j->id))
		probe_or_fail(j);
}


static void patch_handler(int err, const struct inst_row *inst,
			  const struct acct_row *acct, void *arg)
{
	struct job *j = arg;

	if (job_over(j))
		goto out;
	if (!err && !secret_equal(inst->secret_sha256, j->secret_sha256, 32))
		err = ENOENT;
	if (err)
		fail_store(j, err);
	else
		patch_known(j, inst, acct);
out:
	mem_deref(j);
}


int inst_patch(struct inst *in, const struct inst_who *who,
	       const struct inst_change *ch, inst_answer_h *h, void *arg)
{
	struct draft *d;
	struct job *j;
	int err;

	if (!ch)
		return EINVAL;

	err = job_alloc(&j, in, who, h, arg);
	if (err)
		return err;

	err = draft_alloc(&d);
	if (err)
		goto out;

	j->work = d;
	d->creds = draft_creds(d, ch->creds);
	d->options = ch->options ? draft_options(d, ch->options) : NULL;
	d->tokenv = draft_tokens(d, ch->push, ch->push_count);
	d->tokenc = ch->push_count;
	d->label = arena_str(&d->arena, ch->label);
	d->new_secret = ch->new_secret;
	err = d->arena.failed ? ENOMEM
			      : store_inst_get(in->prm.store, j->id,
					       patch_handler, mem_ref(j));
	if (err && !d->arena.failed)
		mem_deref(j);
out:
	if (err)
		mem_deref(j);
	return err;
}
