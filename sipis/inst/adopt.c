/**
 * @file adopt.c  A phone that comes in by the other door, the edge
 *
 *   mediator (med_enrol) -> the account as it stands -> store -> answer
 *                                                       ^  |
 *                     one of its phones gives way <-----+--+ it is full
 *
 * Its account is there and it has proven that it is its own; what it brings
 * is push tokens (RFC 8599).  The same installation is the same phone, by
 * whichever door it came before.
 */

#include <errno.h>
#include <string.h>
#include "common/clock.h"
#include "common/ident.h"
#include "common/log.h"
#include "sipis/inst/draft.h"


enum { PATIENCE_MS = 4000 /* a call may wait for that phone */ };

struct adopt {
	struct le le;
	struct tmr tmr;  /**< while the mediator is asked */
	struct inst *in; /**< NULL once the service is closed */
	struct draft *draft;
	uint64_t acct;
	inst_adopt_h *h;
	void *arg;
	bool storing; /**< the store has it, and will answer */
	bool pressed; /**< somebody has given way to it already */
	char trace[UUID_LEN + 1];
	char id[STORE_ID_LEN + 1]; /**< "": a new one */
	char fresh[STORE_ID_LEN + 1];
};


static int write_row(struct adopt *a);


static void destructor(void *data)
{
	struct adopt *a = data;

	tmr_cancel(&a->tmr);
	list_unlink(&a->le);
	mem_deref(a->draft);
}


static void done(struct adopt *a, enum inst_res res, const char *detail,
		 const char *id)
{
	inst_adopt_h *h = a->h;
	void *arg = a->arg;

	a->h = NULL;
	if (h)
		h(res, detail, id, arg);
	mem_deref(a);
}


static void failed(struct adopt *a, int err)
{
	const char *detail;
	const enum inst_res res = job_store_res(err, &detail);

	done(a, res, detail, NULL);
}


static void pressed_handler(int err, void *arg)
{
	struct adopt *a = arg;

	if (!a->in) {
		mem_deref(a);
		return;
	}

	err = err ? err : write_row(a);
	if (err)
		failed(a, err);
}


static void put_handler(int err, const struct inst_row *inst,
			const struct acct_row *acct, void *arg)
{
	struct adopt *a = arg;

	if (!a->in) {
		mem_deref(a);
		return;
	}
	if (err == ENFILE && !a->pressed) {
		a->pressed = true;
		err = inst_press(a->in, a->acct, pressed_handler, a);
		if (!err)
			return;
	}
	if (err) {
		failed(a, err);
		return;
	}

	if (!*a->id)
		metric_inc(&a->in->metrics[IM_CREATED]);
	log_info("inst", NULL, "%s of %s@%s brings its tokens over SIP (%s)",
		 inst->id, acct->user, acct->domain, inst->platform);
	inst_apply(a->in, acct);
	done(a, *a->id ? INST_R_OK : INST_R_CREATED, "", inst->id);
}


/* Of the account nothing is written, it may be changing at this moment; of a
   phone that is known only the tokens are */
static int write_row(struct adopt *a)
{
	struct store *st = a->in->prm.store;
	struct draft *d = a->draft;

	if (*a->id) {
		d->inst.id = a->id;
		d->inst.label = NULL;
		memset(d->inst.secret_sha256, 0, 32);
		return store_inst_patch(st, NULL, &d->inst, put_handler, a);
	}

	d->inst.id = *a->fresh ? a->fresh : NULL;
	d->inst.acct = a->acct;
	d->inst.lease_s = pbx_cfg(d->pbx)->lease_s;
	draft_apply_options(d, NULL);

	return store_inst_put(st, NULL, &d->inst, put_handler, a);
}


static void acct_handler(int err, const struct acct_row *acct, void *arg)
{
	struct adopt *a = arg;
	struct draft *d = a->draft;

	if (!a->in) {
		mem_deref(a);
		return;
	}

	if (!err) {
		d->pbx = inst_pbx(a->in, acct->pbx);
		err = d->pbx ? 0 : ENOENT;
	}
	if (!err)
		err = write_row(a);
	if (err)
		failed(a, err);
}


static void enrol_handler(enum inst_res res, const char *detail,
			  const struct push_row *pushv, unsigned pushc,
			  void *arg)
{
	struct adopt *a = arg;
	struct draft *d = a->draft;
	int err;

	tmr_cancel(&a->tmr);
	if (res != INST_R_OK) {
		done(a, res, detail, NULL);
		return;
	}

	memcpy(d->inst.push, pushv, pushc * sizeof(*pushv));
	d->inst.push_count = pushc;
	for (unsigned i = 0; i < pushc; i++)
		d->inst.push[i].via_sip = true;
	a->storing = true;
	err = store_acct_get(a->in->prm.store, a->acct, acct_handler, a);
	if (err)
		failed(a, err);
}


static void late_handler(void *arg)
{
	done(arg, INST_R_NO_MEDIATOR,
	     "The mediator is slow; push tokens cannot be enrolled at "
	     "present.",
	     NULL);
}


static int draft_fill(struct draft *d, const struct inst_adopt *what)
{
	struct arena *a = &d->arena;

	d->create = true;
	d->app = arena_str(a, what->app);
	d->tokenv = draft_tokens(d, what->tokenv, what->tokenc);
	d->tokenc = what->tokenc;
	d->inst.app = d->app;
	d->inst.installation = arena_str(a, what->installation);
	d->inst.label = arena_str(a, what->label);
	d->inst.platform = arena_str(a, what->platform);
	d->inst.state = INST_INACTIVE;
	d->inst.seen_ms = d->inst.created_ms = clock_wall_ms();

	/* nobody would be told its secret, so it has none: all zeros are the
	   hash of nothing.  Over HTTPS it comes in anew */
	return a->failed ? ENOMEM : 0;
}


int inst_adopt(struct inst *in, const struct inst_adopt *what, inst_adopt_h *h,
	       void *arg)
{
	struct adopt *a;
	int err;

	if (!in || in->closed || !what || !what->tokenc || !h)
		return EINVAL;

	a = mem_zalloc(sizeof(*a), destructor);
	if (!a)
		return ENOMEM;

	tmr_init(&a->tmr);
	a->in = in;
	a->acct = what->acct;
	a->h = h;
	a->arg = arg;
	(void)str_ncpy(a->id, what->id ? what->id : "", sizeof(a->id));
	(void)str_ncpy(a->fresh, what->fresh ? what->fresh : "",
		       sizeof(a->fresh));
	err = ident_uuid_random(a->trace);
	err = err ? err : draft_alloc(&a->draft);
	err = err ? err : draft_fill(a->draft, what);
	err = err ? err
		  : enrol_alloc(&a->draft->enrol, in->prm.med, a->draft->app,
				a->trace, a->draft->tokenv, a->draft->tokenc,
				enrol_handler, a);
	if (err) {
		mem_deref(a);
		return err;
	}

	list_append(&in->adopts, &a->le, a);
	tmr_start(&a->tmr, PATIENCE_MS, late_handler, a);

	return 0;
}


void inst_adopts_close(struct inst *in)
{
	struct le *le;

	while ((le = list_head(&in->adopts))) {
		struct adopt *a = le->data;

		list_unlink(le);
		tmr_cancel(&a->tmr);
		a->in = NULL;
		a->h = NULL;
		if (!a->storing)
			mem_deref(a);
	}
}
