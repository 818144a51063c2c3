/**
 * @file ask.c  A request with its answer, on the way between the threads
 */

#include <stdlib.h>
#include <string.h>
#include "sipis/api/priv.h"


struct ask *ask_alloc(void)
{
	struct ask *a = calloc(1, sizeof(*a));

	if (a)
		text_init(&a->out, API_HEAD);
	return a;
}


void ask_free(struct ask *a)
{
	if (!a)
		return;

	if (a->has_body)
		body_free(&a->body);
	text_free(&a->out);
	explicit_bzero(a->secret_sha256, sizeof(a->secret_sha256));
	free(a);
}


void ask_problem(struct ask *a, enum problem p, const char *detail)
{
	const struct problem_info *info = problem_info(p);

	a->problem = p;
	a->status = info->status;
	if (!a->retry_after_s)
		a->retry_after_s = info->retry_after_s;
	problem_write(&a->out, p, detail, 0, NULL, a->trace);
}
