/**
 * @file op.c  What was asked by hand: remove, look, probe
 *
 * Goes out ahead of the lanes.  An account does one thing at a time: while a
 * request of it is in flight, its next one waits in the list.  So does one
 * whose PBX has no address yet, for a while: somebody waits for its answer.
 */

#include <errno.h>
#include "sipis/reg/priv.h"


enum { ADDRESS_MS = 5000 };


static void destructor(void *data)
{
	struct op *op = data;

	/* However it ends: the next one may start */
	if (op->kind == OP_QUERY)
		op->line->query_out = false;
	if (op->kind == OP_TRY)
		op->line->try_out = false;

	list_unlink(&op->le);
	mem_deref(op->probe);
}


int line_op(struct line *ln, enum op_kind kind, struct acct *a,
	    struct probe *probe, reg_answer_h *h, void *arg)
{
	struct list *l = kind == OP_REMOVE || kind == OP_LEAVE ? &ln->removel
			 : kind == OP_PROBE                    ? &ln->probel
							       : &ln->lookl;
	struct op *op = mem_zalloc(sizeof(*op), destructor);

	if (!op)
		return ENOMEM;

	op->line = ln;
	op->kind = kind;
	op->acct = a;
	op->probe = mem_ref(probe);
	op->since = reg_now_ms();
	op->h = h;
	op->arg = arg;
	list_append(l, &op->le, op);
	reg_kick(ln->reg, 0);

	return 0;
}


bool op_removes(const struct op *op)
{
	return op->kind == OP_REMOVE || op->kind == OP_LEAVE;
}


void op_answer(struct op *op, const struct reg_answer *ans)
{
	reg_answer_h *h = op->h;
	void *arg = op->arg;

	mem_deref(op);
	if (h)
		h(ans, arg);
}


void op_fail(struct op *op, int err, uint16_t scode)
{
	const struct reg_answer ans = { .err = err, .scode = scode };

	op_answer(op, &ans);
}


static struct op *op_of(const struct list *l, const struct acct *a)
{
	for (struct le *le = l->head; le; le = le->next) {
		struct op *op = le->data;

		if (op->acct == a)
			return op;
	}

	return NULL;
}


void line_forget(struct line *ln, struct acct *a)
{
	struct list gone = LIST_INIT, *lists[] = { &ln->removel, &ln->lookl };
	struct op *op;

	acct_unplace(a);

	for (struct le *le = a->busy ? ln->txl.head : NULL; le;
	     le = le->next) {
		struct tx *tx = le->data;

		if (tx->acct != a)
			continue;
		tx->acct = NULL;
		if (tx->op) {
			list_append(&gone, &tx->op->le, tx->op);
			tx->op = NULL;
		}
	}
	for (int i = 0; i < 2; i++) {
		while ((op = op_of(lists[i], a))) {
			list_unlink(&op->le);
			list_append(&gone, &op->le, op);
		}
	}

	while ((op = list_ledata(gone.head))) {
		list_unlink(&op->le);
		op_fail(op, ECANCELED, 0);
	}
}


static enum tx_kind tx_kind_of(const struct op *op)
{
	switch (op->kind) {
	case OP_REMOVE:
		return TX_REMOVE;
	case OP_PROBE:
		return TX_PROBE;
	default:
		return TX_LOOK;
	}
}


/* Nothing to take away: the goal is reached */
static bool is_done(struct op *op)
{
	struct acct *a = op->acct;

	if (!op_removes(op) || a->bound)
		return false;

	leave_nothing(a);
	op_fail(op, 0, 200);

	return true;
}


/* A handler may put new work into any list: always from the head */
bool op_pump(struct line *ln, struct list *l, bool look, uint64_t now)
{
	uint32_t n = list_count(l);

	while (n-- && l->head) {
		struct op *op = list_ledata(l->head);
		enum budget budget = BUDGET_THERE;
		int err;

		if (op->kind == OP_PROBE)
			budget = probe_budget(ln, op->probe, now);

		if ((op->acct && op->acct->busy) ||
		    budget == BUDGET_SOURCE_OUT) {
			list_unlink(&op->le);
			list_append(l, &op->le, op);
			continue;
		}
		if (!line_has_token(ln, now) ||
		    (look && bucket_wait(&ln->looks, 1, now)))
			return true;

		if (budget == BUDGET_OUT)
			return false;

		list_unlink(&op->le);
		if (is_done(op))
			continue;
		if (budget == BUDGET_SPENT) {
			op_fail(op, EAGAIN, 0);
			continue;
		}

		line_take_token(ln, now);
		if (look)
			(void)bucket_take(&ln->looks, 1, now);
		err = tx_start(ln, tx_kind_of(op), op->acct, op);
		if (err == EAGAIN && now < op->since + ADDRESS_MS) {
			list_append(l, &op->le, op);
		}
		else if (err) {
			const struct reg_answer ans = { .err = err };

			if (op_removes(op))
				leave_answered(op->acct, REG_EV_LATER, &ans);
			op_answer(op, &ans);
		}
	}

	return false;
}
