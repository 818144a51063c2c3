/**
 * @file sqlite_line.c  Timelines in SQLite
 *
 * What came together of one call is one row: its lines, each of four fields
 * as text,
 *
 *     microseconds US who US what US detail RS
 *
 * with the separators that ASCII has for it.  Table "event" has those of
 * older versions, one row each, until their calls are over a day.
 */

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/ident.h"
#include "sipis/store/sqlite.h"

#define RAW        16   /**< bytes of a UUID */
#define PREFIX_MIN 6    /**< hex digits of a shortened call id */
#define EVENTS_MAX 1000 /**< lines shown of one call */
#define TIME_MAX   21   /**< characters of a number, without the 0 */
#define SLOTS      256
#define BUNCH_MAX  65536 /**< bytes from which on there is another row */
#define US         '\x1f'
#define RS         '\x1e'

/** The lines of one call that become one row */
struct bunch {
	struct bunch *in_slot, *next;
	struct store_line *lines, **tail;
	size_t size; /**< at most, as text */
};

struct bunches {
	struct bunch *first, **tail;
	struct bunch *slots[SLOTS];
};


/* which call */

void sqlite_forget_calls(struct sqlite *s)
{
	memset(s->event_calls, 0, sizeof(s->event_calls));
}


/* Ids are hashes: their first bytes spread well */
static struct sqlite_event_call *slot_of(struct sqlite *s,
					 const uint8_t id[RAW])
{
	return &s->event_calls[(id[0] | id[1] << 8) % SQLITE_EVENT_CALLS];
}


void sqlite_call_known(struct sqlite *s, const uint8_t id[RAW], int64_t n)
{
	struct sqlite_event_call *known = slot_of(s, id);

	if (!n) /* an old row was changed */
		return;

	memcpy(known->id, id, RAW);
	known->n = n;
}


int sqlite_call_number(struct sqlite *s, const uint8_t id[RAW], int64_t *n)
{
	struct sqlite_event_call *known = slot_of(s, id);
	sqlite3_stmt *st;
	int err;

	if (!known->n || memcmp(known->id, id, RAW) != 0) {
		st = sqlite_stmt(s, Q_CALL_N);
		if (!st)
			return ENOMEM;

		sqlite_bind_blob(st, 1, id, RAW);
		err = sqlite_row(s, st);
		if (err)
			return err;

		known->n = sqlite3_column_int64(st, 0);
		memcpy(known->id, id, RAW);
		(void)sqlite3_reset(st);
	}

	*n = known->n;
	return 0;
}


/* writing */

static size_t size_of(const struct event_row *ev)
{
	return TIME_MAX + strlen(ev->who) + strlen(ev->what) +
	       strlen(ev->detail) + 4;
}


/* Ids are hashes in hex digits: the first ones spread well enough */
static struct bunch **bunch_slot(struct bunches *bs, const char *call)
{
	unsigned slot = 0;

	for (unsigned i = 0; i < 4 && call[i]; i++)
		slot = slot * 37 + (unsigned char)call[i];
	return &bs->slots[slot % SLOTS];
}


static struct bunch *bunch_of(struct bunches *bs, struct arena *a,
			      const char *call)
{
	struct bunch **slot = bunch_slot(bs, call), *b;

	for (b = *slot; b; b = b->in_slot)
		if (!strcmp(b->lines->row.call, call))
			break;
	if (b && b->size < BUNCH_MAX)
		return b;

	b = arena_zero(a, sizeof(*b));
	if (!b)
		return NULL;

	b->tail = &b->lines;
	b->in_slot = *slot;
	*slot = b;
	*bs->tail = b;
	bs->tail = &b->next;
	return b;
}


static void sort_out(struct bunches *bs, struct store_req *r)
{
	struct store_line *l, *next;

	memset(bs, 0, sizeof(*bs));
	bs->tail = &bs->first;
	for (l = r->lines; l; l = next) {
		struct bunch *b = bunch_of(bs, &r->arena, l->row.call);

		next = l->next;
		if (!b)
			continue;

		l->next = NULL;
		*b->tail = l;
		b->tail = &l->next;
		b->size += size_of(&l->row);
	}
	r->lines = NULL;
}


static char *put_number(char *at, int64_t value)
{
	char digits[TIME_MAX];
	unsigned n = 0;

	do
		digits[n++] = (char)('0' + value % 10);
	while (value /= 10);
	while (n)
		*at++ = digits[--n];
	*at++ = US;
	return at;
}


static char *put_text(char *at, const char *s, char end)
{
	for (; *s; s++)
		*at++ = *s == US || *s == RS ? ' ' : *s;
	*at++ = end;
	return at;
}


static int bunch_write(struct sqlite *s, struct arena *a,
		       const struct bunch *b)
{
	sqlite3_stmt *st = sqlite_stmt(s, Q_LINES_PUT);
	char *text = arena_get(a, b->size), *at = text;
	uint8_t id[RAW];
	int64_t n;
	int err;

	if (!st || !text)
		return ENOMEM;
	if (ident_uuid_decode(id, b->lines->row.call))
		return EINVAL;

	err = sqlite_call_number(s, id, &n);
	if (err)
		return err;

	for (const struct store_line *l = b->lines; l; l = l->next) {
		at = put_number(at, l->row.at_us > 0 ? l->row.at_us : 0);
		at = put_text(at, l->row.who, US);
		at = put_text(at, l->row.what, US);
		at = put_text(at, l->row.detail, RS);
	}

	(void)sqlite3_bind_int64(st, 1, n);
	(void)sqlite3_bind_int64(st, 2, ++s->event_seq);
	(void)sqlite3_bind_text(st, 3, text, (int)(at - text), SQLITE_STATIC);
	return sqlite_run(s, st, NULL);
}


int sqlite_lines(struct sqlite *s, struct store_req *r)
{
	struct bunches bs;
	int first = 0;

	sort_out(&bs, r);
	for (const struct bunch *b = bs.first; b; b = b->next) {
		const int err = bunch_write(s, &r->arena, b);

		if (!first)
			first = err;
		if (err && sqlite3_get_autocommit(s->db))
			break;
	}
	return first;
}


/* reading */

/** The range of ids that begin with these hex digits; EINVAL if it is no
    beginning of a UUID */
static int range(uint8_t lo[RAW], uint8_t hi[RAW], const char *prefix)
{
	unsigned n = 0;

	memset(lo, 0x00, RAW);
	memset(hi, 0xff, RAW);
	for (; *prefix; ++prefix) {
		static const char digits[] = "0123456789abcdef";
		const char *d;
		uint8_t v;

		if (*prefix == '-')
			continue;
		d = strchr(digits, tolower((uint8_t)*prefix));
		if (!d || n >= 2 * RAW)
			return EINVAL;

		v = (uint8_t)(d - digits);
		lo[n / 2] |= (uint8_t)(n % 2 ? v : v << 4);
		hi[n / 2] &= (uint8_t)(n % 2 ? 0xf0 | v : v << 4 | 0x0f);
		++n;
	}

	return n < PREFIX_MIN ? EINVAL : 0;
}


/* Of the next row; the caller resets st */
static int next_id(struct sqlite *s, sqlite3_stmt *st, uint8_t id[RAW])
{
	const uint8_t *p;
	size_t len;
	int err = sqlite_row(s, st);

	if (err)
		return err;

	p = sqlite_blob(st, 0, &len);
	if (!p || len != RAW)
		return ENOENT;

	memcpy(id, p, RAW);
	return 0;
}


static int first_id(struct sqlite *s, sqlite3_stmt *st, uint8_t id[RAW])
{
	const int err = next_id(s, st, id);

	(void)sqlite3_reset(st);
	return err;
}


/** ENOTUNIQ if there is another */
static int only_id(struct sqlite *s, sqlite3_stmt *st, uint8_t id[RAW])
{
	int err = next_id(s, st, id);

	if (!err) {
		err = sqlite_row(s, st);
		err = err == ENOENT ? 0 : err ? err : ENOTUNIQ;
	}
	(void)sqlite3_reset(st);
	return err;
}


/** ENOENT: not in this turn; r->more says if there is another */
static int callid_find(struct sqlite *s, struct store_req *r, uint8_t id[RAW])
{
	sqlite3_stmt *st = sqlite_stmt(s, Q_CALL_BY_CALLID);
	int64_t lo, hi;
	int err;

	if (!st)
		return ENOMEM;

	err = sqlite_call_turn(s, r, &lo, &hi);
	if (err)
		return err;

	sqlite_bind_text(st, 1, r->id);
	(void)sqlite3_bind_int64(st, 2, lo);
	(void)sqlite3_bind_int64(st, 3, hi);
	err = first_id(s, st, id);
	if (err != ENOENT)
		r->more = false;
	return err;
}


static int call_find(struct sqlite *s, struct store_req *r, uint8_t id[RAW])
{
	uint8_t lo[RAW], hi[RAW];
	sqlite3_stmt *st;
	int err = ENOENT;

	if (!r->cursor && !range(lo, hi, r->id)) {
		st = sqlite_stmt(s, Q_CALL_RANGE);
		if (!st)
			return ENOMEM;
		sqlite_bind_blob(st, 1, lo, RAW);
		sqlite_bind_blob(st, 2, hi, RAW);
		err = only_id(s, st, id);
	}
	return err == ENOENT ? callid_find(s, r, id) : err;
}


/** The text up to end as a field of its own; NULL if there is none */
static const char *take(struct arena *a, const char **at, size_t *left,
			char end)
{
	const char *stop = memchr(*at, end, *left);
	const size_t len = stop ? (size_t)(stop - *at) : 0;
	char *copy = stop ? arena_get(a, len + 1) : NULL;

	if (!copy)
		return NULL;

	memcpy(copy, *at, len);
	copy[len] = 0;
	*at += len + 1;
	*left -= len + 1;
	return copy;
}


/** Lines of one row; what is bent in it ends it */
static void lines_read(struct store_req *r, const char *text, size_t len,
		       const char *call)
{
	struct arena *a = &r->arena;

	while (len && r->count < EVENTS_MAX) {
		struct event_row *ev = &r->revents[r->count];
		const char *at_us = take(a, &text, &len, US);

		ev->call = call;
		ev->who = at_us ? take(a, &text, &len, US) : NULL;
		ev->what = ev->who ? take(a, &text, &len, US) : NULL;
		ev->detail = ev->what ? take(a, &text, &len, RS) : NULL;
		if (!ev->detail)
			return;

		ev->at_us = strtoll(at_us, NULL, 10);
		++r->count;
	}
}


/** By time, else as they were written; few are out of order */
static void sort_by_time(struct event_row *v, unsigned n)
{
	for (unsigned i = 1; i < n; i++) {
		const struct event_row ev = v[i];
		unsigned k = i;

		for (; k && v[k - 1].at_us > ev.at_us; k--)
			v[k] = v[k - 1];
		v[k] = ev;
	}
}


static int events_read(struct sqlite *s, struct store_req *r,
		       const uint8_t id[RAW], const char *call)
{
	sqlite3_stmt *st = sqlite_stmt(s, Q_LINES_OF);
	int err = 0;

	r->revents = arena_zero(&r->arena, EVENTS_MAX * sizeof(*r->revents));
	if (!st || !r->revents)
		return ENOMEM;

	sqlite_bind_blob(st, 1, id, RAW);
	while (r->count < EVENTS_MAX && !(err = sqlite_row(s, st))) {
		size_t len;
		const uint8_t *text = sqlite_blob(st, 0, &len);

		lines_read(r, (const char *)text, text ? len : 0, call);
	}

	(void)sqlite3_reset(st);
	sort_by_time(r->revents, r->count);
	return err == ENOENT ? 0 : err;
}


int sqlite_events(struct sqlite *s, struct store_req *r)
{
	char text[UUID_LEN + 1];
	uint8_t id[RAW];
	const char *call;
	int err;

	err = call_find(s, r, id);
	if (err)
		return err;

	(void)ident_uuid_encode(text, id);
	call = arena_str(&r->arena, text);
	return call ? events_read(s, r, id, call) : ENOMEM;
}


int sqlite_lines_prune(struct sqlite *s)
{
	static const enum query q[] = { Q_LINES_PRUNE, Q_EVENT_PRUNE };
	int err = 0;

	for (unsigned i = 0; !err && i < 2; i++) {
		sqlite3_stmt *st = sqlite_stmt(s, q[i]);

		if (!st)
			return ENOMEM;
		(void)sqlite3_bind_int64(st, 1, INT64_MAX);
		err = sqlite_run(s, st, NULL);
	}
	return err;
}
