/**
 * @file step.c  The log of the demo phone: one JSON line per step
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "phone.h"

struct steps {
	FILE *f;
	bool ours;
};


static void steps_destructor(void *arg)
{
	struct steps *s = arg;

	if (s->f && s->ours)
		(void)fclose(s->f);
}


int steps_alloc(struct steps **sp, const char *path)
{
	struct steps *s = mem_zalloc(sizeof(*s), steps_destructor);

	if (!s)
		return ENOMEM;
	s->ours = path != NULL;
	s->f = path ? fopen(path, "ae") : stdout;
	if (!s->f) {
		const int err = errno;

		mem_deref(s);
		return err;
	}
	*sp = s;

	return 0;
}


void steps_put(struct steps *s, const char *step, const char *call,
	       json_t *more)
{
	struct timespec ts;
	json_t *o;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	o = json_pack("{sIss}", "at_us",
		      (json_int_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000,
		      "step", step);
	if (call && *call)
		json_object_set_new(o, "call", json_string(call));
	if (more)
		json_object_update(o, more);
	json_decref(more);

	(void)json_dumpf(o, s->f, JSON_COMPACT);
	(void)fputc('\n', s->f);
	(void)fflush(s->f);
	json_decref(o);
}
