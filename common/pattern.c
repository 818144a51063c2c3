/**
 * @file pattern.c  libre's re_regex(), each pattern read once
 *
 * A pattern is a row of literal bytes and classes.  It matches at the first
 * byte from which all of them fit one after the other, each class as long as
 * it can; there is no way back into a class.
 *
 *     [0-9a-f]   class; after it * + or a digit, how many times
 *     [^...]     any byte but these
 *     [~...]     the same, and anything goes between double quotes, which do
 *                not count as part of what was found if they enclose it
 *     \x         x itself
 *
 * Case makes no difference.  What does not fit our table, or is no whole
 * pattern, is left to libre's own function.
 */

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <re/re.h>
#include "common/pattern.h"


enum {
	KEPT = 128, /* patterns; SIP has about 40 */
	PROBES = 4, /* places where one may stand */
	TEXT_MAX = 255,
	CLASSES = 16,
	RANGES = 64,   /* in one class; libre's limit */
	CLASS = 0x100, /* a piece that is no literal byte */
};

struct set {
	uint32_t bits[8];
	uint8_t min, max; /**< times; max 0: no end */
	bool quotes;
};

/** One block of memory */
struct pattern {
	unsigned piecec, setc;
	char *text;
	uint16_t *piecev; /**< a byte, or CLASS: the next of setv */
	struct set setv[];
};

/** A class on its way from text to bits */
struct reading {
	struct {
		uint8_t min, max;
	} rangev[RANGES];
	unsigned n;
	bool range, not, quotes;
};

typedef int(regex_h)(const char *ptr, size_t len, const char *expr, ...);

/* libre's function names no place to keep things: they go by thread, and stay
   as long as it does.  Most patterns are constants: their address tells where
   to look first */
static _Thread_local struct pattern *kept[KEPT];
static _Thread_local const struct pattern *lately[KEPT];


#pragma GCC visibility push(default)
int re_regex(const char *ptr, size_t len, const char *expr, ...);
#pragma GCC visibility pop


static uint8_t lower(char c)
{
	const uint8_t b = (uint8_t)c;

	return b >= 'A' && b <= 'Z' ? b | 0x20 : b;
}


/* --- reading --- */

static void bit_set(struct set *set, unsigned b)
{
	set->bits[b / 32] |= 1u << b % 32;
}


static bool has(const struct set *set, char c)
{
	const uint8_t b = (uint8_t)c;

	return set->bits[b / 32] >> b % 32 & 1;
}


static void set_make(struct set *set, const struct reading *r)
{
	*set = (struct set){ .quotes = r->quotes };

	for (unsigned i = 0; i < r->n; i++)
		for (unsigned b = r->rangev[i].min; b <= r->rangev[i].max; b++)
			bit_set(set, b);

	/* a capital is what its small letter is */
	for (unsigned c = 'A'; c <= 'Z'; c++) {
		set->bits[c / 32] &= ~(1u << c % 32);
		if (has(set, (char)(c | 0x20)))
			bit_set(set, c);
	}

	for (size_t i = 0; r->not &&i < ARRAY_SIZE(set->bits); i++)
		set->bits[i] = ~set->bits[i];
}


static bool range_add(struct reading *r, char c)
{
	if (r->n >= RANGES)
		return false;

	r->rangev[r->n].max = lower(c);
	if (!r->range)
		r->rangev[r->n].min = lower(c);
	r->range = false;
	++r->n;

	return true;
}


/* Behind the opening bracket; returns what follows the closing one */
static const char *class_read(struct set *set, const char *p)
{
	struct reading r = { .n = 0 };

	for (; *p && *p != ']'; p++) {
		if (*p == '\\' && p[1])
			++p;
		else if (*p == '\\')
			return NULL;
		else if ((*p == '^' || *p == '~') && !r.n) {
			r.not = true;
			r.quotes |= *p == '~';
			continue;
		}
		else if (*p == '-' && r.n && !r.range) {
			r.range = true;
			--r.n;
			continue;
		}

		if (!range_add(&r, *p))
			return NULL;
	}
	if (!*p)
		return NULL;

	set_make(set, &r);
	return p + 1;
}


static bool times_read(struct set *set, char c)
{
	if (c == '+')
		set->min = 1;
	else if (c >= '1' && c <= '9')
		set->min = set->max = (uint8_t)(c - '0');
	else
		return c == '*';

	return true;
}


static unsigned brackets(const char *text)
{
	unsigned n = 0;

	for (; *text; text++)
		n += *text == '[';

	return n;
}


static bool pattern_read(struct pattern *pat)
{
	const char *p = pat->text;

	for (; *p; p++) {
		uint16_t piece = CLASS;

		if (*p == '[') {
			struct set *set = &pat->setv[pat->setc++];

			p = class_read(set, p + 1);
			if (!p || !times_read(set, *p))
				return false;
		}
		else {
			if (*p == '\\' && !*++p)
				return false;
			piece = lower(*p);
		}

		pat->piecev[pat->piecec++] = piece;
	}

	return true;
}


/* NULL if it is for libre's own function */
static struct pattern *pattern_new(const char *text, size_t len)
{
	const unsigned sets = brackets(text);
	struct pattern *pat;

	if (!len || len > TEXT_MAX || sets > CLASSES)
		return NULL;

	pat = malloc(sizeof(*pat) + sets * sizeof(*pat->setv) +
		     len * sizeof(*pat->piecev) + len + 1);
	if (!pat)
		return NULL;

	*pat = (struct pattern){ .piecec = 0 };
	pat->piecev = (uint16_t *)(void *)&pat->setv[sets];
	pat->text = (char *)&pat->piecev[len];
	memcpy(pat->text, text, len + 1);
	if (pattern_read(pat))
		return pat;

	free(pat);
	return NULL;
}


static const struct pattern *pattern_by_text(const char *text)
{
	struct pattern **place = NULL, *pat;
	uint32_t hash = 0;
	size_t len = 0;

	for (; text[len]; len++)
		hash = hash * 31 + (uint8_t)text[len];
	hash ^= hash >> 16;

	for (unsigned i = 0; i < PROBES; i++) {
		struct pattern **at = &kept[(hash + i) % KEPT];

		if (*at && !strcmp((*at)->text, text))
			return *at;
		if (!place || (*place && !*at))
			place = at;
	}

	pat = pattern_new(text, len);
	if (pat) {
		if (*place)
			memset(lately, 0, sizeof(lately));
		free(*place);
		*place = pat;
	}

	return pat;
}


static const struct pattern *pattern_of(const char *text)
{
	const uintptr_t at = (uintptr_t)text;
	const struct pattern **pat = &lately[(at >> 3 ^ at >> 10) % KEPT];

	if (!*pat || strcmp((*pat)->text, text) != 0)
		*pat = pattern_by_text(text);

	return *pat;
}


/* --- matching --- */

static size_t span(const struct set *set, const char *p, size_t len)
{
	size_t n = 0;

	while (n < len && has(set, p[n]))
		++n;

	return n;
}


static size_t span_quoted(const struct set *set, const char *p, size_t len)
{
	bool quoted = false, escaped = false;
	size_t n;

	for (n = 0; n < len; n++) {
		if (escaped)
			escaped = false;
#ifndef PLANT_BUG /* for tests/fuzz/run.sh planted, never for use */
		else if (p[n] == '\\')
			escaped = true;
#endif
		else if (p[n] == '"')
			quoted = !quoted;
		else if (!quoted && !has(set, p[n]))
			break;
	}

	return n;
}


/* 0, EAGAIN: not from here, ENOENT: nor from anywhere behind */
static int match_at(const struct pattern *pat, const char *p, size_t l,
		    struct pl *const *found)
{
	const struct set *set = pat->setv;

	for (unsigned i = 0; i < pat->piecec; i++) {
		struct pl pl = { .p = p };
		size_t max, n;

		if (pat->piecev[i] < CLASS) {
			if (!l)
				return ENOENT;
			if (lower(*p) != pat->piecev[i])
				return EAGAIN;
			++p;
			--l;
			continue;
		}

		max = set->max && set->max < l ? set->max : l;
		n = set->quotes ? span_quoted(set, p, max) : span(set, p, max);
		p += n;
		l -= n;
		pl.l = n;
		if (set->quotes && n > 1 && *pl.p == '"' && p[-1] == '"') {
			++pl.p;
			pl.l = n -= 2;
		}
		if (n < set->min)
			return EAGAIN;
		if (*found)
			**found = pl;
		++found;
		++set;
	}

	return 0;
}


static int match(const struct pattern *pat, const char *p, size_t len,
		 struct pl *const *found)
{
	int err = EAGAIN;

	for (; len && err == EAGAIN; p++, len--)
		err = match_at(pat, p, len, found);

	return err == EAGAIN ? ENOENT : err;
}


static int by_libre(const char *ptr, size_t len, const char *expr,
		    struct pl *const *v)
{
	regex_h *h = (regex_h *)dlsym(RTLD_NEXT, "re_regex");

	return h ? h(ptr, len, expr, v[0], v[1], v[2], v[3], v[4], v[5], v[6],
		     v[7], v[8], v[9], v[10], v[11], v[12], v[13], v[14],
		     v[15])
		 : ENOSYS;
}


int re_regex(const char *ptr, size_t len, const char *expr, ...)
{
	struct pl *v[CLASSES] = { NULL };
	const struct pattern *pat;
	unsigned n;
	va_list ap;

	if (!ptr || !expr)
		return EINVAL;

	pat = pattern_of(expr);
	n = pat ? pat->setc : brackets(expr);
	if (n > ARRAY_SIZE(v))
		return EINVAL;

	va_start(ap, expr);
	for (unsigned i = 0; i < n; i++)
		v[i] = va_arg(ap, struct pl *);
	va_end(ap);

	return pat ? match(pat, ptr, len, v) : by_libre(ptr, len, expr, v);
}


int pattern_check(void)
{
	return dlsym(RTLD_DEFAULT, "re_regex") == (void *)re_regex ? 0
								   : ENOSYS;
}
