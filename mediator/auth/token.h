/**
 * @file auth/token.h  A bearer token that is fetched, used and renewed
 *
 * Single flight: however many pushes ask, one fetch is under way.  The old
 * value serves while the new one is fetched.  Pure: the time (monotonic
 * milliseconds) is an argument.
 */

#ifndef MEDIATOR_AUTH_TOKEN_H
#define MEDIATOR_AUTH_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

struct token {
	char *value;  /**< mem_deref(); NULL = none */
	uint32_t gen; /**< counts values */
	int64_t born; /**< when the provider's clock for it started */
	uint64_t renew_at;
	uint64_t dies_at;
	uint64_t retry_at; /**< no fetch before */
	unsigned fails;
	bool fetching;
};

enum token_need {
	TOKEN_NONE = 0,
	TOKEN_USE = 1,   /**< value is good now */
	TOKEN_FETCH = 2, /**< the caller starts a fetch; fetching is set */
};

/** A set of token_need */
unsigned token_need(struct token *t, uint64_t now);

/** When token_need() will want a fetch, unless one is under way */
uint64_t token_due(const struct token *t);

/** Takes over value, which is age_ms old */
void token_got(struct token *t, char *value, uint64_t now, uint64_t age_ms,
	       uint64_t renew_ms, uint64_t life_ms);

/** The fetch failed; rnd is any number */
void token_failed(struct token *t, uint64_t now, uint32_t rnd);

enum token_refused {
	TOKEN_RENEW, /**< a new one is or will be fetched: try again */
	TOKEN_YOUNG, /**< a new one would not help */
};

/** The provider calls value number gen stale.  Younger than min_age_ms it
    cannot be: then the value stays */
enum token_refused token_refuse(struct token *t, uint32_t gen, uint64_t now,
				uint64_t min_age_ms);

#endif
