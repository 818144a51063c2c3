/**
 * @file callwait.c  Those who ask how a call is, or wait for its end
 */

#include <errno.h>
#include <string.h>
#include "sipis/call/priv.h"


/** A question that only the store can answer; outlives who asked */
struct asked {
	struct calls_wait *w; /**< NULL once nobody wants to know */
	uint64_t acct;
};

struct calls_wait {
	struct le le;
	struct tmr tmr;
	struct leg *leg; /**< NULL: there is no such call in memory */
	struct asked *asked;
	struct calls_wait **wp;
	call_info_h *h;
	void *arg;
};


static void destructor(void *data)
{
	struct calls_wait *w = data;

	tmr_cancel(&w->tmr);
	list_unlink(&w->le);
	if (w->asked)
		w->asked->w = NULL;
	mem_deref(w->leg);
}


static void answer(struct calls_wait *w, const struct call_info *info)
{
	list_unlink(&w->le);
	tmr_cancel(&w->tmr);
	if (w->wp)
		*w->wp = NULL;

	w->h(info, w->arg);
	mem_deref(w);
}


static void answer_handler(void *arg)
{
	struct calls_wait *w = arg;
	struct call_info info;

	if (!w->leg) {
		answer(w, NULL);
		return;
	}

	leg_info(w->leg, &info);
	answer(w, &info);
}


static struct calls_wait *wait_new(struct calls_wait **wp, call_info_h *h,
				   void *arg)
{
	struct calls_wait *w = mem_zalloc(sizeof(*w), destructor);

	if (!w)
		return NULL;

	w->wp = wp;
	w->h = h;
	w->arg = arg;
	if (wp)
		*wp = w;
	return w;
}


int callwait_alloc(struct calls_wait **wp, struct leg *leg, uint32_t wait_ms,
		   call_info_h *h, void *arg)
{
	struct calls_wait *w = wait_new(wp, h, arg);

	if (!w)
		return ENOMEM;

	w->leg = mem_ref(leg);
	if (leg)
		list_append(&leg->waits, &w->le, w);
	tmr_start(&w->tmr, wait_ms, answer_handler, w);

	return 0;
}


static void row_handler(int err, const struct call_row *row, void *arg)
{
	struct asked *asked = arg;
	struct calls_wait *w = asked->w;
	struct call_info info;

	if (!w)
		goto out;

	w->asked = NULL;
	if (err || row->acct != asked->acct) {
		answer(w, NULL);
		goto out;
	}

	memset(&info, 0, sizeof(info));
	info.id = row->id;
	info.from = row->from;
	info.display_name = row->display_name;
	info.video = row->video;
	info.received_ms = row->received_ms;
	info.expires_ms = row->deadline_ms;
	info.handover = row->handover;
	/* not in memory: whatever it was, nobody waits any more */
	info.ended = row->ended ? leg_ended_word(row->ended) : "missed";
	answer(w, &info);

out:
	mem_deref(asked);
}


int callwait_ask(struct calls_wait **wp, struct store *st, uint64_t acct,
		 const char *call, call_info_h *h, void *arg)
{
	struct asked *asked = mem_zalloc(sizeof(*asked), NULL);
	struct calls_wait *w;
	int err;

	if (!asked)
		return ENOMEM;

	asked->acct = acct;
	err = store_call_get(st, call, row_handler, asked);
	if (err) {
		mem_deref(asked);
		return err;
	}

	w = wait_new(wp, h, arg);
	if (!w)
		return ENOMEM;

	w->asked = asked;
	asked->w = w;
	return 0;
}


void callwait_wake(struct list *waits)
{
	for (struct le *le = waits->head; le; le = le->next) {
		struct calls_wait *w = le->data;

		tmr_start(&w->tmr, 0, answer_handler, w);
	}
}
