/**
 * @file auth/token.c  A bearer token that is fetched, used and renewed
 */

#include <re/re.h>
#include "common/backoff.h"
#include "mediator/auth/token.h"

enum {
	RETRY_BASE_MS = 500,
	RETRY_MAX_MS = 30000,
};


unsigned token_need(struct token *t, uint64_t now)
{
	bool good = t->value && now < t->dies_at;
	unsigned need = good ? TOKEN_USE : TOKEN_NONE;

	if (!t->fetching && now >= t->retry_at &&
	    (!good || now >= t->renew_at)) {
		t->fetching = true;
		need |= TOKEN_FETCH;
	}

	return need;
}


uint64_t token_due(const struct token *t)
{
	uint64_t due = t->value ? t->renew_at : 0;

	if (t->value && t->dies_at < due)
		due = t->dies_at;

	return due > t->retry_at ? due : t->retry_at;
}


void token_got(struct token *t, char *value, uint64_t now, uint64_t age_ms,
	       uint64_t renew_ms, uint64_t life_ms)
{
	mem_deref(t->value);
	t->value = value;
	t->gen++;
	t->fetching = false;
	t->fails = 0;
	t->retry_at = 0;
	t->born = (int64_t)now - (int64_t)age_ms;
	t->renew_at = age_ms < renew_ms ? now + renew_ms - age_ms : now;
	t->dies_at = age_ms < life_ms ? now + life_ms - age_ms : now;
}


void token_failed(struct token *t, uint64_t now, uint32_t rnd)
{
	t->fetching = false;
	t->retry_at =
		now + backoff_ms(RETRY_BASE_MS, RETRY_MAX_MS, t->fails++, rnd);
}


enum token_refused token_refuse(struct token *t, uint32_t gen, uint64_t now,
				uint64_t min_age_ms)
{
	if (gen != t->gen || !t->value)
		return TOKEN_RENEW;
	if ((int64_t)now - t->born < (int64_t)min_age_ms)
		return TOKEN_YOUNG;

	t->value = mem_deref(t->value);
	return TOKEN_RENEW;
}
