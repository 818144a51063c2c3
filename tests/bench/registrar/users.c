/**
 * @file users.c  The users of the registrar and their bindings
 */

#include <errno.h>
#include <stdlib.h>
#include "users.h"


int users_alloc(struct users *us, uint32_t n)
{
	us->v = calloc(n, sizeof(*us->v));
	us->n = us->v ? n : 0;
	return us->v ? 0 : ENOMEM;
}


void users_free(struct users *us)
{
	for (uint32_t i = 0; i < us->n; i++)
		free(us->v[i].contact);
	free(us->v);
}


struct user *users_find(const struct users *us, struct sv name,
			uint32_t *index)
{
	uint64_t n = 0;

	if (name.l < 2 || name.l > 12 || name.p[0] != 'u')
		return NULL;
	for (size_t i = 1; i < name.l; i++) {
		if (name.p[i] < '0' || name.p[i] > '9')
			return NULL;
		n = n * 10 + (uint64_t)(name.p[i] - '0');
	}
	if (n >= us->n)
		return NULL;

	*index = (uint32_t)n;
	return &us->v[n];
}


void users_count(const struct users *us, uint64_t now_ms, uint32_t *bound,
		 uint32_t *expired)
{
	*bound = *expired = 0;
	for (uint32_t i = 0; i < us->n; i++) {
		if (us->v[i].expires_ms > now_ms)
			++*bound;
		else if (us->v[i].expires_ms)
			++*expired;
	}
}
