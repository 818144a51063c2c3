/**
 * @file drv/guard.c  Many dead tokens at once are one mistake of ours
 */

#include "mediator/drv/guard.h"


void guard_add(struct guard *g, bool token_error, bool accepted)
{
	g->bits = g->bits << 1 | token_error;
	if (g->n < GUARD_WINDOW)
		g->n++;
	if (accepted)
		g->passed = true;
}


bool guard_trusts(const struct guard *g)
{
	unsigned bad = (unsigned)__builtin_popcountll(g->bits);

	return bad < GUARD_MIN || bad * 100 <= g->n * GUARD_SHARE;
}
