/**
 * @file leave.c  Taking a binding away
 *
 *     asked --> look --not there--------------------> gone
 *        \       |                                     ^
 *         \      | ours is listed                      | 200, 4xx, 6xx,
 *          \     v                                     | grant over
 *           +--> un-REGISTER --------------------------+
 *                ^     |
 *                +-----+ 5xx, no answer: an account that goes for good
 *
 * The look comes first where handover is "redirect": some of these PBXs keep
 * one binding and take an un-REGISTER of any contact as one of that
 * (Asterisk's chan_sip), and by now it may be the app's.  Who has looked
 * himself asks with reg_unregister().
 */

#include <errno.h>
#include "common/log.h"
#include "sipis/reg/priv.h"


static bool under_way(const struct line *ln, const struct acct *a)
{
	const struct le *le;

	for (le = ln->removel.head; le; le = le->next) {
		const struct op *op = le->data;

		if (op->acct == a)
			return true;
	}
	for (le = a->busy ? ln->txl.head : NULL; le; le = le->next) {
		const struct tx *tx = le->data;

		if (tx->acct == a && tx->op && op_removes(tx->op))
			return true;
	}

	return false;
}


bool leave_is_done(const struct acct *a)
{
	return !a->bound && !a->busy && !under_way(a->line, a);
}


int leave_begin(struct acct *a)
{
	struct line *ln = a->line;
	const enum op_kind kind = ln->cfg->handover == CFG_HANDOVER_REDIRECT
					  ? OP_LEAVE
					  : OP_REMOVE;

	return under_way(ln, a) ? 0 : line_op(ln, kind, a, NULL, NULL, NULL);
}


/* Worth another try, and there is time for one? */
static bool again(struct acct *a, enum reg_event ev, uint32_t retry_after_s)
{
	const uint32_t since = acct_since(a);
	uint32_t wait;

	if (!a->leaving || ev != REG_EV_LATER)
		return false;

	wait = reg_wait_s(retry_after_s, a->fails, rand_u32());
	if (since >= a->grant_s || wait >= a->grant_s - since)
		return false;

	acct_failed(a);
	a->told = retry_after_s != 0;
	acct_sleep(a, wait);

	return true;
}


static void gone(struct acct *a, const char *reason)
{
	acct_event(a, REG_EV_GONE, 0, reason);
	if (!a->leaving || a->state != REG_IDLE)
		return;

	log_info("reg", "-", "account=%llu pbx=%s is ours no longer%s%s",
		 (unsigned long long)a->id, a->line->cfg->name,
		 a->bound ? ", its binding runs out: " : "",
		 a->bound ? reason : "");
	reg_remove(a);
}


void leave_nothing(struct acct *a)
{
	gone(a, "");
}


void leave_answered(struct acct *a, enum reg_event ev,
		    const struct reg_answer *ans)
{
	if (!ans->err && ans->scode < 300)
		a->bound = false;
	else if (again(a, ev, ans->retry_after_s))
		return;

	gone(a, ans->reason);
}


bool leave_looked(struct op *op, enum reg_event ev,
		  const struct reg_answer *ans)
{
	struct acct *a = op->acct;
	struct line *ln = op->line;

	if (ans->err || ans->scode != 200 || !ans->ours) {
		leave_answered(a, ev, ans);
		return false;
	}

	op->kind = OP_REMOVE;
	list_prepend(&ln->removel, &op->le, op);
	reg_kick(ln->reg, 0);

	return true;
}


/* A second goodbye waits for the first one's answer */
int reg_unregister(struct acct *acct, reg_answer_h *h, void *arg)
{
	int err;

	if (!acct || acct->line->reg->closed)
		return EINVAL;

	err = line_op(acct->line, OP_REMOVE, acct, NULL, h, arg);
	if (err)
		return err;

	reg_want(acct, false);

	return 0;
}


void reg_leave(struct acct *acct)
{
	if (!acct || acct->leaving || acct->line->reg->closed)
		return;

	acct->leaving = true;
	acct->told = false;
	acct->fails = 0;
	/* What is bound now ends one grant from now, at the latest */
	acct->known = true;
	acct->last = (uint16_t)reg_now_s();
	if (!acct->grant_s)
		acct_set_grant(acct, acct->line->expires_s);

	reg_want(acct, false);
	if (acct->state == REG_IDLE)
		reg_remove(acct);
}
