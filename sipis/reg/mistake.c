/**
 * @file mistake.c  Who was wrong of late, and who may still be
 *
 * Fail2ban at the PBX counts wrong credentials by address, and all of ours
 * come from one.  Probes for strangers share auth_failures in 10 minutes; one
 * source gets at most half of it, so that two are needed to block all others.
 * An account that the PBX knows asks from a reserve of half as much: whoever
 * mistypes at the door does not keep its owner from a new password.
 */

#include <string.h>
#include "sipis/reg/priv.h"

enum { WINDOW_S = 600 };

struct mistake {
	struct le le;
	uint64_t at;
	char source[]; /**< with its end */
};


static void destructor(void *data)
{
	struct mistake *m = data;

	list_unlink(&m->le);
}


static uint32_t share(const struct line *ln)
{
	return (ln->cfg->auth_failures + 1) / 2;
}


void mistakes_init(struct line *ln, uint64_t now)
{
	const double most = ln->cfg->auth_failures, half = share(ln);

	bucket_init(&ln->fails, most / WINDOW_S, most, now);
	bucket_init(&ln->known_fails, half / WINDOW_S, half, now);
}


/* Few: the budgets bound them */
static uint32_t made(struct line *ln, const char *source, uint64_t now)
{
	struct le *le = ln->mistakel.head;
	uint32_t n = 0;

	while (le) {
		struct mistake *m = le->data;

		le = le->next;
		if (m->at + WINDOW_S * 1000 <= now)
			mem_deref(m);
		else if (!strcmp(m->source, source))
			n++;
	}

	return n;
}


/* Of this source, and in flight */
static uint32_t flying(const struct line *ln, const char *source)
{
	uint32_t n = 0;

	for (struct le *le = ln->txl.head; le; le = le->next) {
		const struct tx *tx = le->data;
		const struct probe *p = tx->op ? tx->op->probe : NULL;

		n += p && p->source && !strcmp(p->source, source);
	}

	return n;
}


static enum budget source_budget(struct line *ln, const char *source,
				 uint64_t now)
{
	const uint32_t n = made(ln, source, now);

	if (n >= share(ln))
		return BUDGET_SPENT;

	return n + flying(ln, source) < share(ln) ? BUDGET_THERE
						  : BUDGET_SOURCE_OUT;
}


static enum budget shared_budget(const struct bucket *b, uint32_t reserved,
				 uint64_t now)
{
	if (!bucket_wait(b, 1 + reserved, now))
		return BUDGET_THERE;

	/* Those in flight will most likely give it back */
	return reserved ? BUDGET_OUT : BUDGET_SPENT;
}


enum budget line_budget(const struct line *ln, uint64_t now)
{
	return shared_budget(&ln->fails, ln->reserved, now);
}


enum budget probe_budget(struct line *ln, const struct probe *p, uint64_t now)
{
	const enum budget own =
		p->source ? source_budget(ln, p->source, now) : BUDGET_THERE;

	if (own != BUDGET_THERE)
		return own;
	if (!p->known)
		return line_budget(ln, now);

	/* The others' turn is not its business */
	switch (shared_budget(&ln->known_fails, ln->known_reserved, now)) {
	case BUDGET_OUT:
		return BUDGET_SOURCE_OUT;
	case BUDGET_SPENT:
		return BUDGET_SPENT;
	default:
		return BUDGET_THERE;
	}
}


void mistake_reserve(struct line *ln, const struct probe *p)
{
	++*(p && p->known ? &ln->known_reserved : &ln->reserved);
}


static void note(struct line *ln, const char *source, uint64_t now)
{
	const size_t size = strlen(source) + 1;
	struct mistake *m = mem_zalloc(sizeof(*m) + size, destructor);

	if (!m)
		return; /* the shared budget still holds */

	m->at = now;
	memcpy(m->source, source, size);
	list_append(&ln->mistakel, &m->le, m);
}


void mistake_settle(struct line *ln, const struct probe *p, bool wrong)
{
	const uint64_t now = reg_now_ms();
	const bool known = p && p->known;

	--*(known ? &ln->known_reserved : &ln->reserved);
	if (!wrong)
		return;

	(void)bucket_take(known ? &ln->known_fails : &ln->fails, 1, now);
	if (p && p->source)
		note(ln, p->source, now);
}
