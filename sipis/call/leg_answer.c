/**
 * @file leg_answer.c  The 2xx of a phone on its way up
 *
 * It waits for the disk, some 15 ms: what has gone up and is not written would
 * ring once more after a crash, at a phone that is in that call.
 *
 *     2xx --> end to the store --+-- written, or cannot be --> up
 *                                +-- ANSWER_MS --------------> up
 */

#include <string.h>
#include "common/clock.h"
#include "common/log.h"
#include "sipis/call/priv.h"


enum { ANSWER_MS = 300 /* a person waits for it, the disk or not */ };


/* Further branches of the same INVITE: the caller has his answer */
static void others_end(struct leg *leg)
{
	for (struct le *le = leg->branches.head; le; le = le->next)
		(void)branch_reply(le->data, 480);
}


void leg_answer_up(struct leg *leg)
{
	struct sip_msg *resp = leg->answer;
	struct branch *b = leg->answers;
	int err;

	if (!resp)
		return;

	leg->answer = NULL;
	leg->answers = NULL;
	tmr_cancel(&leg->tmr_answer);
	err = branch_pass(b, resp, 0);
	if (err)
		log_warning("call", leg->id, "cannot pass the 200 on: %s",
			    strerror(err));
	others_end(leg);
	mem_deref(resp);
	mem_deref(b);
}


static void answer_handler(void *arg)
{
	struct leg *leg = arg;

	log_warning("call", leg->id,
		    "the store is slow: a restart may ring for this call, "
		    "which is answered");
	leg_answer_up(leg);
}


static void written_handler(int err, void *arg)
{
	struct leg *leg = arg;
	(void)err;

	leg_answer_up(leg);
	mem_deref(leg);
}


void leg_answer(struct leg *leg, struct branch *b, const struct sip_msg *resp)
{
	leg->answer = mem_ref((void *)resp);
	leg->answers = mem_ref(b);
}


void leg_answer_due(struct leg *leg)
{
	if (leg->answer && leg->writes)
		tmr_start(&leg->tmr_answer, ANSWER_MS, answer_handler, leg);
	else
		leg_answer_up(leg);
}


void leg_end(struct leg *leg, const char *how)
{
	struct store *st = leg->cs->prm.store;
	const int64_t now = clock_wall_ms();

	if (!leg->answer) {
		(void)store_call_end(st, leg->id, how, now, NULL, NULL);
		return;
	}

	leg->writes = !store_call_end(st, leg->id, how, now, written_handler,
				      mem_ref(leg));
	if (!leg->writes)
		mem_deref(leg);
}
