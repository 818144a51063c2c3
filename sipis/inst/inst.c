/**
 * @file inst.c  The service: life, time, dead tokens
 */

#include <errno.h>
#include <string.h>
#include "common/clock.h"
#include "common/log.h"
#include "sipis/inst/priv.h"
#include "sipis/store/app_state.h"

#define LOOK_MS     2000
#define LOOK_MAX    500   /**< instances per look */
#define JUMP_MS     60000 /**< of the wall clock: it was set */
#define STEADY_MS   300000
#define KEYS_MAX    20000 /**< addresses and instances remembered */
#define RENEW_PARTS 4     /**< a lease is renewed when a quarter is gone */

static void look_handler(void *arg);


static void destructor(void *arg)
{
	struct inst *in = arg;

	inst_close(in);
	list_flush(&in->asked);
	mem_deref(in->creates);
	mem_deref(in->changes);
}


static int metrics_init(struct inst *in)
{
	static const struct {
		const char *name, *help;
	} d[IM_N] = {
		[IM_CREATED] = { "sipis_instances_created_total",
				 "Instances created or replaced" },
		[IM_REFUSED] = { "sipis_instances_refused_total",
				 "Credentials that no PBX confirmed" },
		[IM_STATES] = { "sipis_app_states_total",
				"States that apps told" },
		[IM_LAPSED] = { "sipis_leases_lapsed_total",
				"Active apps that fell silent" },
		[IM_EXPIRED] = { "sipis_instances_expired_total",
				 "Instances past their inactivity time" },
		[IM_TOKENS_GONE] = { "sipis_tokens_gone_total",
				     "Push tokens that died" },
	};

	for (unsigned i = 0; i < IM_N; i++) {
		in->metrics[i].name = d[i].name;
		in->metrics[i].help = d[i].help;
		in->metrics[i].type = METRIC_COUNTER;
	}
	return in->prm.metrics
		       ? metrics_add(in->prm.metrics, in->metrics, IM_N)
		       : 0;
}


int inst_alloc(struct inst **inp, const struct inst_prm *prm)
{
	struct inst *in;
	double rate;
	int err;

	if (!inp || !prm || !prm->store || !prm->reg || !prm->calls ||
	    !prm->med || !prm->key || !prm->cfg || !prm->pbxc)
		return EINVAL;

	in = mem_zalloc(sizeof(*in), destructor);
	if (!in)
		return ENOMEM;

	in->prm = *prm;
	tmr_init(&in->tmr);
	rate = prm->cfg->creates_per_hour ? prm->cfg->creates_per_hour : 1;
	err = limit_alloc(&in->creates, rate / 3600, rate, KEYS_MAX);
	if (!err)
		err = limit_alloc(&in->changes, rate / 3600, rate, KEYS_MAX);
	if (!err)
		err = metrics_init(in);
	if (err) {
		mem_deref(in);
		return err;
	}

	tmr_start(&in->tmr, LOOK_MS, look_handler, in);
	*inp = in;
	return 0;
}


void inst_close(struct inst *in)
{
	struct le *le;

	if (!in || in->closed)
		return;

	in->closed = true;
	tmr_cancel(&in->tmr);
	while ((le = list_head(&in->jobs))) {
		struct job *j = mem_ref(le->data);

		job_end(j, INST_R_STOPPING, "The server is stopping.");
		j->in = NULL;
		mem_deref(j);
	}
	inst_adopts_close(in);
}


struct pbx *inst_pbx(const struct inst *in, const char *name)
{
	for (uint32_t i = 0; i < in->prm.pbxc; i++)
		if (!strcmp(pbx_cfg(in->prm.pbxv[i])->name, name))
			return in->prm.pbxv[i];
	return NULL;
}


struct pbx *inst_pbx_of(const struct inst *in, const char *domain)
{
	for (uint32_t i = 0; i < in->prm.pbxc; i++)
		if (pbx_has_domain(in->prm.pbxv[i], domain))
			return in->prm.pbxv[i];
	return NULL;
}


void inst_apply(struct inst *in, const struct acct_row *row)
{
	struct acct *acct = reg_find(in->prm.reg, row->id);
	struct pbx *pbx;
	int err = 0;

	if (!acct) {
		pbx = inst_pbx(in, row->pbx);
		err = pbx ? reg_add(&acct, in->prm.reg, pbx, row, true)
			  : ENOENT;
	}
	if (err) {
		log_error("inst", NULL,
			  "cannot look after %s@%s: %s; it stays "
			  "unregistered until the next start",
			  row->user, row->domain, strerror(err));
		return;
	}

	reg_want(acct, reg_wanted(acct_pbx(acct), row));
}


/* --- the edge --- */

static void seen_handler(int err, const struct inst_row *inst,
			 const struct acct_row *acct, void *arg)
{
	struct inst *in = arg;
	(void)inst;

	if (!err && !in->closed)
		inst_apply(in, acct);
	mem_deref(in);
}


/* It sleeps for all we know: it has a flow now, and a push for when it has
   none */
void inst_seen(struct inst *in, const char *id, bool there)
{
	if (!in || in->closed || !id)
		return;

	if (!store_inst_state(in->prm.store, id, NULL,
			      there ? INST_INACTIVE : INST_EXITED, 0,
			      clock_wall_ms(), seen_handler, in))
		mem_ref(in);
}


static void end_handler(int err, const struct inst_row *inst,
			const struct acct_row *acct, void *arg)
{
	struct inst *in = arg;

	if (!err && !in->closed) {
		log_info("inst", NULL,
			 "no more pushes to %s (%s@%s) over what its REGISTER "
			 "brought: %s",
			 inst->id, acct->user, acct->domain,
			 inst_state_name(inst->state));
		inst_apply(in, acct);
	}
	mem_deref(in);
}


void inst_pushes_end(struct inst *in, const char *id)
{
	if (!in || in->closed || !id)
		return;

	if (!store_push_end(in->prm.store, id, "REGISTER without pn-prid",
			    end_handler, in))
		mem_ref(in);
}


void inst_deleted_handler(struct inst *in, inst_deleted_h *h, void *arg)
{
	if (!in)
		return;

	in->deletedh = h;
	in->deleted_arg = arg;
}


void inst_here_handler(struct inst *in, inst_here_h *h, void *arg)
{
	if (!in)
		return;

	in->hereh = h;
	in->here_arg = arg;
}


/* what time does */

static void overdue_handler(int err, const struct inst_row *inst,
			    const struct acct_row *acct, void *arg)
{
	struct inst *in = arg;

	if (err) {
		in->looking = false;
		if (in->found == LOOK_MAX && !in->closed)
			tmr_start(&in->tmr, 0, look_handler, in);
		mem_deref(in);
		return;
	}
	if (in->closed)
		return;

	++in->found;
	if (inst->state == INST_EXPIRED)
		metric_inc(&in->metrics[IM_EXPIRED]);
	else
		metric_inc(&in->metrics[IM_LAPSED]);
	log_info("inst", NULL, "%s of %s@%s is silent: %s", inst->id,
		 acct->user, acct->domain, inst_state_name(inst->state));
	inst_apply(in, acct);
}


/* Leases are wall time, so that they outlive a restart.  While that clock
   jumps, nobody is judged by it: a phone that expires is not woken again. */
static bool clock_steady(struct inst *in, int64_t wall, uint64_t mono)
{
	const int64_t offset = wall - (int64_t)mono;
	const int64_t jump = offset - in->clock_offset;

	if (in->clock_offset && (jump > JUMP_MS || jump < -JUMP_MS)) {
		log_error("inst", NULL,
			  "ALERT the clock jumped by %lld s; leases and "
			  "inactivity are not judged for %d s; check NTP",
			  (long long)(jump / 1000), STEADY_MS / 1000);
		in->steady_at = mono + STEADY_MS;
	}
	in->clock_offset = offset;

	return mono >= in->steady_at;
}


static void look_handler(void *arg)
{
	struct inst *in = arg;
	const int64_t wall = clock_wall_ms();

	tmr_start(&in->tmr, LOOK_MS, look_handler, in);
	if (in->looking || !clock_steady(in, wall, clock_mono_ms()))
		return;

	in->found = 0;
	if (!store_inst_overdue(in->prm.store, wall, LOOK_MAX, overdue_handler,
				in)) {
		in->looking = true;
		mem_ref(in);
	}
}


void inst_renew(struct inst *in, const struct inst_row *inst)
{
	const int64_t now = clock_wall_ms();
	/* as long as the app asked for the last time it named one */
	const int64_t lease = inst->lease_until_ms - inst->seen_ms;

	if (inst->state != INST_ACTIVE || lease <= 0 ||
	    now - inst->seen_ms < lease / RENEW_PARTS)
		return;

	/* a renewal that is lost costs nothing but an early REGISTER */
	(void)store_inst_state(in->prm.store, inst->id, NULL, INST_ACTIVE,
			       now + lease, now, NULL, NULL);
}


/* dead tokens */

static void gone_handler(int err, const struct inst_row *inst,
			 const struct acct_row *acct, void *arg)
{
	struct inst *in = arg;

	if (!err && !in->closed) {
		metric_inc(&in->metrics[IM_TOKENS_GONE]);
		log_info("inst", NULL, "a token of %s (%s@%s) is dead: %s",
			 inst->id, acct->user, acct->domain,
			 inst_state_name(inst->state));
		inst_apply(in, acct);
	}
	mem_deref(in);
}


void inst_token_gone(struct inst *in, const uint8_t *handle, size_t len,
		     const char *reason)
{
	if (!in || in->closed || !handle)
		return;

	if (!store_push_gone(in->prm.store, NULL, handle, len, reason,
			     gone_handler, in))
		mem_ref(in);
}


static void renewed_handler(int err, void *arg)
{
	struct inst *in = arg;

	/* ENOENT: the app has brought a new token meanwhile */
	if (err && err != ENOENT && !in->closed)
		log_warning("inst", NULL, "cannot keep a new handle: %s",
			    strerror(err));
	mem_deref(in);
}


void inst_handle_renewed(struct inst *in, const uint8_t *handle, size_t len,
			 const uint8_t *renewed, size_t renewed_len)
{
	if (!in || in->closed)
		return;

	if (!store_push_renew(in->prm.store, handle, len, renewed, renewed_len,
			      renewed_handler, in))
		mem_ref(in);
}


void inst_revoke(struct inst *in, const char *id)
{
	struct le *le = list_head(&in->jobs);

	while (le) {
		struct job *j = le->data;

		le = le->next;
		if (j->waiting && !strcmp(j->id, id))
			job_end(j, INST_R_UNAUTHORIZED,
				"The secret has been withdrawn.");
	}
}


void inst_left(struct inst *in, const char *id)
{
	inst_revoke(in, id);
	if (in->deletedh)
		in->deletedh(id, in->deleted_arg);
}


const char *inst_reg_why(enum reg_state state, uint16_t scode)
{
	switch (state) {
	case REG_IDLE:
	case REG_REGISTERED:
	case REG_UNREGISTERING:
		return "";
	case REG_REGISTERING:
		return scode ? "registering again" : "on its way";
	case REG_WAITING:
		return scode ? "the PBX refused; trying again later"
			     : "no answer from the PBX; trying again later";
	case REG_AUTH_FAILED:
		return "the PBX refuses the password; waiting for a new one";
	case REG_REJECTED:
		return "the PBX will not have this account";
	}
	return "";
}


enum inst_res inst_probe_res(const struct reg_answer *ans, const char **detail)
{
	if (ans->err == ETIMEDOUT || ans->scode == 408 || ans->scode == 504) {
		*detail = "The PBX did not answer in time.";
		return INST_R_PBX_TIMEOUT;
	}
	if (ans->err) {
		*detail = "The PBX cannot be reached.";
		return INST_R_PBX_ERROR;
	}
	if (ans->scode >= 200 && ans->scode < 300) {
		*detail = "";
		return INST_R_OK;
	}
	if (ans->scode == 401 || ans->scode == 403 || ans->scode == 407) {
		*detail = "The PBX refuses these credentials.";
		return INST_R_PBX_REFUSED;
	}
	if (ans->scode >= 400 && ans->scode < 500) {
		*detail = "The PBX will not have this account.";
		return INST_R_PBX_REFUSED;
	}
	*detail = "The PBX cannot confirm the account at present.";
	return INST_R_PBX_ERROR;
}
