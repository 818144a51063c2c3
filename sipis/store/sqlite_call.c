/**
 * @file sqlite_call.c  Waiting calls and tombstones in SQLite
 */

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include "common/ident.h"
#include "sipis/store/merge.h"
#include "sipis/store/sqlite.h"

#define RAW         16   /**< bytes of a UUID */
#define PRUNE_CALLS 200  /**< in one turn */
#define TURN        4000 /**< rows that are looked at in one go */


/** The Call-ID of a raw request, RFC 3261 20.8; "" if it has none */
static void callid_of(char *dst, size_t size, const uint8_t *raw, size_t len)
{
	const char *p = (const char *)raw, *end = p + len;

	*dst = 0;
	while (p && p < end) {
		const char *eol = memchr(p, '\n', (size_t)(end - p));
		const size_t n = (size_t)((eol ? eol : end) - p);
		size_t name = 0, from, to = n;

		if (n >= 7 && !strncasecmp(p, "Call-ID", 7))
			name = 7;
		else if (n >= 1 && (*p == 'i' || *p == 'I'))
			name = 1;

		for (from = name;
		     from < n && (p[from] == ' ' || p[from] == '\t');)
			++from;
		if (name && from < n && p[from] == ':') {
			for (++from; from < n && isspace((uint8_t)p[from]);)
				++from;
			while (to > from && isspace((uint8_t)p[to - 1]))
				--to;
			if (to - from < size) {
				memcpy(dst, p + from, to - from);
				dst[to - from] = 0;
			}
			return;
		}
		if (n <= 1)
			return; /* the body follows */
		p = eol ? eol + 1 : NULL;
	}
}


static const char *text_or(const char *s)
{
	return s ? s : "";
}


/** ended and ended_ms: the tombstone, or NULL while it waits */
static int row_put(struct sqlite *s, enum query q, const struct call_row *c,
		   const char *ended, int64_t ended_ms, int *changes)
{
	sqlite3_stmt *st = sqlite_stmt(s, q);
	uint8_t id[RAW];
	char callid[256];
	int err;

	if (!st)
		return ENOMEM;
	if (ident_uuid_decode(id, c->id))
		return EINVAL;

	callid_of(callid, sizeof(callid), c->invite, c->invite_len);
	sqlite_bind_blob(st, 1, id, sizeof(id));
	(void)sqlite3_bind_int64(st, 2, (int64_t)c->acct);
	sqlite_bind_text(st, 3, text_or(c->from));
	sqlite_bind_text(st, 4, text_or(c->display_name));
	(void)sqlite3_bind_int(st, 5, c->video);
	(void)sqlite3_bind_int64(st, 6, c->received_ms);
	(void)sqlite3_bind_int64(st, 7, c->deadline_ms);
	if (ended)
		(void)sqlite3_bind_null(st, 8);
	else
		sqlite_bind_blob(st, 8, c->invite, c->invite_len);
	sqlite_bind_text(st, 9, text_or(c->src));
	(void)sqlite3_bind_int(st, 10, c->transport);
	sqlite_bind_text(st, 11, text_or(c->handover));
	sqlite_bind_text(st, 12, text_or(c->to_tag));
	sqlite_bind_text(st, 13, ended);
	(void)sqlite3_bind_int64(st, 14, ended_ms);
	sqlite_bind_text(st, 15, callid);

	sqlite3_set_last_insert_rowid(s->db, 0);
	err = sqlite_run(s, st, changes);
	if (!err && *changes)
		sqlite_call_known(s, id, sqlite3_last_insert_rowid(s->db));
	return err;
}


static int end_write(struct sqlite *s, struct store_req *r)
{
	sqlite3_stmt *st = sqlite_stmt(s, Q_CALL_END);
	uint8_t id[RAW];
	int changes = 0, err;
	int64_t n;

	if (!st)
		return ENOMEM;
	if (ident_uuid_decode(id, r->id))
		return ENOENT;

	err = sqlite_call_number(s, id, &n);
	if (err)
		return err;

	(void)sqlite3_bind_int64(st, 1, n);
	sqlite_bind_text(st, 2, r->text);
	(void)sqlite3_bind_int64(st, 3, r->n1);
	err = sqlite_run(s, st, &changes);
	return err ? err : changes ? 0 : ENOENT;
}


/** The row as its ends leave it; EEXIST: it is there already */
static int whole_put(struct sqlite *s, struct store_req *r)
{
	const struct store_req *last = r->ends;
	int changes = 0, err;

	/* the first word stands */
	r->ends->err = 0;
	for (struct store_req *e = r->ends->next_end; e; e = e->next_end) {
		const bool stands = merge_stands(last->text, e->text);

		e->err = stands ? 0 : ENOENT;
		if (stands)
			last = e;
	}

	err = row_put(s, Q_CALL_WHOLE, r->call, last->text, last->n1,
		      &changes);
	for (struct store_req *e = r->ends; err && e; e = e->next_end)
		e->err = err;
	return err ? err : changes ? 0 : EEXIST;
}


/** One after the other */
static int parts_put(struct sqlite *s, struct store_req *r)
{
	const struct call_row *c = r->call;
	int changes = 0, err;

	err = row_put(s, Q_CALL_PUT, c, c->ended, c->ended_ms, &changes);
	for (struct store_req *e = r->ends; e; e = e->next_end) {
		e->err = err ? err : end_write(s, e);
		if (e->err && sqlite3_get_autocommit(s->db))
			return e->err;
	}
	return err ? err : changes ? 0 : EEXIST;
}


int sqlite_call_put(struct sqlite *s, struct store_req *r)
{
	const int err = r->ends ? whole_put(s, r) : EEXIST;

	return err == EEXIST ? parts_put(s, r) : err;
}


int sqlite_call_end(struct sqlite *s, struct store_req *r)
{
	return end_write(s, r);
}


/** Points into the statement, id into text (UUID_LEN + 1) */
static void from_stmt(struct call_row *c, sqlite3_stmt *st, char *text)
{
	const uint8_t *id;
	size_t len;

	memset(c, 0, sizeof(*c));
	id = sqlite_blob(st, 0, &len);
	if (!id || len != RAW || ident_uuid_encode(text, id))
		*text = 0;
	c->id = text;
	c->acct = (uint64_t)sqlite3_column_int64(st, 1);
	c->from = sqlite_text(st, 2);
	c->display_name = sqlite_text(st, 3);
	c->video = sqlite3_column_int(st, 4) != 0;
	c->received_ms = sqlite3_column_int64(st, 5);
	c->deadline_ms = sqlite3_column_int64(st, 6);
	c->invite = sqlite_blob(st, 7, &c->invite_len);
	c->src = sqlite_text(st, 8);
	c->transport = sqlite3_column_int(st, 9);
	c->handover = sqlite_text(st, 10);
	c->to_tag = sqlite_text(st, 11);
	c->ended = sqlite_text(st, 12);
	c->ended_ms = sqlite3_column_int64(st, 13);
}


int sqlite_call_get(struct sqlite *s, struct store_req *r)
{
	sqlite3_stmt *st = sqlite_stmt(s, Q_CALL_GET);
	char text[UUID_LEN + 1];
	const struct call_row *copy;
	struct call_row row;
	uint8_t id[RAW];
	int err;

	if (!st)
		return ENOMEM;
	if (ident_uuid_decode(id, r->id))
		return ENOENT;

	sqlite_bind_blob(st, 1, id, sizeof(id));
	err = sqlite_row(s, st);
	if (err)
		return err;

	from_stmt(&row, st, text);
	copy = store_req_call(r, &row);
	(void)sqlite3_reset(st);
	r->rcall = arena_get(&r->arena, sizeof(*r->rcall));
	if (!copy || !r->rcall)
		return ENOMEM;

	*r->rcall = *copy;
	return 0;
}


/** "user" or "user@domain", as RFC 3261 has it: the last @ parts them */
static void bind_account(sqlite3_stmt *st, const char *account)
{
	const char *at = strrchr(account, '@');
	const size_t len = at ? (size_t)(at - account) : strlen(account);

	(void)sqlite3_bind_text(st, 2, account, (int)len, SQLITE_STATIC);
	sqlite_bind_text(st, 3, at ? at + 1 : "");
}


int sqlite_call_turn(struct sqlite *s, struct store_req *r, int64_t *lo,
		     int64_t *hi)
{
	sqlite3_stmt *st = sqlite_stmt(s, Q_CALL_SPAN);
	int64_t first, last;
	int err;

	if (!st)
		return ENOMEM;

	err = sqlite_row(s, st);
	if (err)
		return err;

	first = sqlite3_column_int64(st, 0);
	last = sqlite3_column_int64(st, 1);
	(void)sqlite3_reset(st);

	*hi = r->cursor ? (int64_t)r->cursor : last + 1;
	*lo = *hi - TURN > first ? *hi - TURN : first;
	r->cursor = (uint64_t)*lo;
	r->more = *lo > first;
	return 0;
}


/** A row of the answer; the account may be gone: the call is still worth a
    line */
static int item_add(struct sqlite *s, struct store_req *r, sqlite3_stmt *st)
{
	struct store_item *it = &r->items[r->count];
	const struct call_row *copy;
	char text[UUID_LEN + 1];
	struct call_row row;
	int err;

	from_stmt(&row, st, text);
	row.invite = NULL;
	row.invite_len = 0;
	copy = store_req_call(r, &row);
	if (!copy)
		return ENOMEM;

	++r->count;
	it->call = *copy;
	err = sqlite_acct_read(s, r, row.acct, false, &it->acct);
	if (err == ENOENT)
		memset(&it->acct, 0, sizeof(it->acct));
	return err == ENOENT ? 0 : err;
}


static int calls_read(struct sqlite *s, struct store_req *r, sqlite3_stmt *st)
{
	int err = 0;

	(void)sqlite3_bind_int(st, 1, (int)(r->max - r->count));
	while (r->count < r->max && !(err = sqlite_row(s, st))) {
		err = item_add(s, r, st);
		if (err)
			break;
	}

	(void)sqlite3_reset(st);
	return err == ENOENT ? 0 : err;
}


int sqlite_calls(struct sqlite *s, struct store_req *r)
{
	sqlite3_stmt *st =
		sqlite_stmt(s, *r->id ? Q_CALL_LATE_OF : Q_CALL_LATE);
	int64_t lo, hi;
	int err;

	if (!r->items)
		r->items = arena_zero(&r->arena, r->max * sizeof(*r->items));
	if (!st || !r->items)
		return ENOMEM;
	if (!*r->id)
		return calls_read(s, r, st);

	err = sqlite_call_turn(s, r, &lo, &hi);
	if (err)
		return err;

	bind_account(st, r->id);
	(void)sqlite3_bind_int64(st, 4, lo);
	(void)sqlite3_bind_int64(st, 5, hi);
	err = calls_read(s, r, st);
	if (err || r->count == r->max)
		r->more = false;
	return err;
}


int sqlite_load_calls(void *db, store_load_call_h *h, void *arg)
{
	struct sqlite *s = db;
	sqlite3_stmt *st = sqlite_stmt(s, Q_CALL_WAITING);
	char text[UUID_LEN + 1];
	struct call_row row;
	int err;

	if (!st)
		return ENOMEM;

	while (!(err = sqlite_row(s, st))) {
		from_stmt(&row, st, text);
		err = h(&row, arg);
		if (err)
			break;
	}

	(void)sqlite3_reset(st);
	return err == ENOENT ? 0 : err;
}


/* what is old goes */

int sqlite_prune(void *db, int64_t before_ms, unsigned calls_max, bool *more)
{
	struct sqlite *s = db;
	sqlite3_stmt *st = sqlite_stmt(s, Q_CALL_PRUNE);
	int changes = 0, err;

	*more = false;
	if (!st)
		return ENOMEM;

	(void)sqlite3_bind_int64(st, 1, before_ms);
	(void)sqlite3_bind_int64(st, 2, calls_max);
	(void)sqlite3_bind_int(st, 3, PRUNE_CALLS);
	err = sqlite_run(s, st, &changes);
	if (err || !changes)
		return err;

	sqlite_forget_calls(s);
	*more = changes >= PRUNE_CALLS / 2;
	return sqlite_lines_prune(s);
}


int sqlite_meta_put(struct sqlite *s, struct store_req *r)
{
	sqlite3_stmt *st = sqlite_stmt(s, Q_META_PUT);

	if (!st)
		return ENOMEM;

	sqlite_bind_text(st, 1, r->id);
	(void)sqlite3_bind_int64(st, 2, r->n1);
	return sqlite_run(s, st, NULL);
}
