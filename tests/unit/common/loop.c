/**
 * @file loop.c  libre's loop, for tests
 */

#include <re/re.h>
#include "tests/unit/common/unit.h"
#include "tests/unit/common/loop.h"

enum { DEADLINE_MS = 60000, POLL_MS = 1 };

struct wait {
	struct tmr deadline, poll;
	until_h *cond;
	void *arg;
	bool late;
};


int loop_open(void **state)
{
	(void)state;

	return libre_init();
}


int loop_close(void **state)
{
	(void)state;
	libre_close();

	return 0;
}


static void poll_handler(void *arg)
{
	struct wait *w = arg;

	if (w->cond(w->arg))
		re_cancel();
	else
		tmr_start(&w->poll, POLL_MS, poll_handler, w);
}


static void late_handler(void *arg)
{
	struct wait *w = arg;

	w->late = true;
	re_cancel();
}


void until(void *arg, until_h *cond)
{
	struct wait w = { .cond = cond, .arg = arg };

	tmr_start(&w.deadline, DEADLINE_MS, late_handler, &w);
	tmr_start(&w.poll, 0, poll_handler, &w);
	(void)re_main(NULL);
	tmr_cancel(&w.deadline);
	tmr_cancel(&w.poll);
	assert_false(w.late);
}


void loop_run(void)
{
	struct wait w = { .cond = NULL };

	tmr_start(&w.deadline, DEADLINE_MS, late_handler, &w);
	(void)re_main(NULL);
	tmr_cancel(&w.deadline);
	assert_false(w.late);
}


static void over_handler(void *arg)
{
	*(bool *)arg = true;
	re_cancel();
}


void run_for(unsigned ms)
{
	bool over = false;
	struct tmr tmr;

	tmr_init(&tmr);
	tmr_start(&tmr, ms, over_handler, &over);
	while (!over)
		(void)re_main(NULL);
	tmr_cancel(&tmr);
}
