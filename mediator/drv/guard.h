/**
 * @file drv/guard.h  Many dead tokens at once are one mistake of ours
 *
 * A wrong environment, topic or project answers like a dead token.  The guard
 * looks at the last answers of one tenant's app at one destination: while the
 * share of token errors among them is unusual, no token is declared gone.
 * Pure.
 */

#ifndef MEDIATOR_DRV_GUARD_H
#define MEDIATOR_DRV_GUARD_H

#include <stdbool.h>
#include <stdint.h>

enum {
	GUARD_WINDOW = 64, /**< answers looked at */
	GUARD_MIN = 8,     /**< token errors that are never unusual: fewer */
	GUARD_SHARE = 25,  /**< per cent of the window */
};

struct guard {
	uint64_t bits; /**< last answers, 1 = token error, newest lowest */
	unsigned n;    /**< how many of them */
	bool passed;   /**< at least one push was accepted */
	bool refused;  /**< our key, before any was; and told */
	bool shut;     /**< and told */
};

/** One answer that was judged: accepted, or a token error, or another */
void guard_add(struct guard *g, bool token_error, bool accepted);

/** May a token be declared gone now? */
bool guard_trusts(const struct guard *g);

#endif
