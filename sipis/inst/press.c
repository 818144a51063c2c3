/**
 * @file press.c  One phone of a full account gives way to another
 *
 *     its phones -> one of them (room.c) -> deleted, and everybody is told
 */

#include <errno.h>
#include "common/log.h"
#include "sipis/inst/priv.h"
#include "sipis/inst/room.h"

struct press {
	struct inst *in;
	inst_press_h *h;
	void *arg;
	char id[STORE_ID_LEN + 1]; /**< who gives way */
};


static void destructor(void *data)
{
	struct press *p = data;

	mem_deref(p->in);
}


static void done(struct press *p, int err)
{
	p->h(p->in->closed ? ESHUTDOWN : err, p->arg);
	mem_deref(p);
}


static void left_handler(int err, const struct inst_row *inst,
			 const struct acct_row *acct, void *arg)
{
	struct press *p = arg;
	(void)inst;

	if (!err && !p->in->closed) {
		log_info("inst", NULL,
			 "%s of %s@%s gives way to another one: the account "
			 "is full",
			 p->id, acct->user, acct->domain);
		inst_left(p->in, p->id);
	}

	/* somebody else was quicker, which is as good */
	done(p, err == ENOENT ? 0 : err);
}


static void insts_handler(int err, const struct inst_row *instv,
			  unsigned instc, void *arg)
{
	struct press *p = arg;
	struct inst *in = p->in;
	const struct inst_row *inst;

	if (err || in->closed) {
		done(p, err);
		return;
	}

	inst = room_choose(instv, instc, in->hereh, in->here_arg);
	if (!inst) {
		done(p, ENFILE);
		return;
	}

	(void)str_ncpy(p->id, inst->id, sizeof(p->id));
	err = store_inst_delete(in->prm.store, p->id, left_handler, p);
	if (err)
		done(p, err);
}


int inst_press(struct inst *in, uint64_t acct, inst_press_h *h, void *arg)
{
	struct press *p = mem_zalloc(sizeof(*p), destructor);
	int err;

	if (!p)
		return ENOMEM;

	p->in = mem_ref(in);
	p->h = h;
	p->arg = arg;
	err = store_insts_of(in->prm.store, acct, insts_handler, p);
	if (err)
		mem_deref(p);

	return err;
}
