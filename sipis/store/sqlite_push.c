/**
 * @file sqlite_push.c  The tokens of phones in SQLite
 *
 * A phone is known here by its row id.  What a token's end means for it is
 * the business of sqlite_inst.c.
 */

#include <errno.h>
#include "common/secret.h"
#include "sipis/store/sqlite.h"


int sqlite_push_read(struct sqlite *s, struct store_req *r, int64_t id,
		     struct inst_row *row)
{
	sqlite3_stmt *st = sqlite_stmt(s, Q_PUSH_OF);
	int err = 0;

	if (!st)
		return ENOMEM;

	(void)sqlite3_bind_int64(st, 1, id);
	row->push_count = 0;
	while (row->push_count < STORE_PUSH_MAX &&
	       !(err = sqlite_row(s, st))) {
		struct push_row *p = &row->push[row->push_count++];
		struct arena *a = &r->arena;

		p->uses = (uint32_t)sqlite3_column_int64(st, 0);
		p->provider = arena_str(a, sqlite_text(st, 1));
		p->topic = arena_str(a, sqlite_text(st, 2));
		p->environment = arena_str(a, sqlite_text(st, 3));
		p->handle = sqlite_blob(st, 4, &p->handle_len);
		p->handle = arena_dup(a, p->handle, p->handle_len);
		p->gone = sqlite3_column_int(st, 5) != 0;
		p->gone_reason = arena_str(a, sqlite_text(st, 6));
		p->via_sip = sqlite3_column_int(st, 8) != 0;
	}

	(void)sqlite3_reset(st);
	return err == ENOENT ? 0 : err;
}


static int64_t handle_key(const void *handle, size_t len)
{
	uint8_t md[32];
	uint64_t key = 0;

	if (secret_sha256(md, handle, len))
		return 0;
	for (unsigned i = 0; i < 8; i++)
		key = key << 8 | md[i];
	return (int64_t)key;
}


int sqlite_push_write(struct sqlite *s, int64_t id, const struct inst_row *row)
{
	sqlite3_stmt *st = sqlite_stmt(s, Q_PUSH_PUT);
	int err = 0;

	if (!st)
		return ENOMEM;

	for (unsigned i = 0; !err && i < row->push_count; i++) {
		const struct push_row *p = &row->push[i];

		(void)sqlite3_bind_int64(st, 1, p->uses);
		sqlite_bind_text(st, 2, p->provider);
		sqlite_bind_text(st, 3, p->topic ? p->topic : "");
		sqlite_bind_text(st, 4, p->environment ? p->environment : "");
		sqlite_bind_blob(st, 5, p->handle, p->handle_len);
		(void)sqlite3_bind_int(st, 6, p->gone);
		sqlite_bind_text(st, 7, p->gone_reason ? p->gone_reason : "");
		(void)sqlite3_bind_int(st, 8, (int)i);
		(void)sqlite3_bind_int(st, 9, p->via_sip);
		(void)sqlite3_bind_int64(st, 10, id);
		(void)sqlite3_bind_int64(st, 11,
					 handle_key(p->handle, p->handle_len));
		err = sqlite_run(s, st, NULL);
	}
	return err;
}


int sqlite_push_clear(struct sqlite *s, int64_t id)
{
	sqlite3_stmt *st = sqlite_stmt(s, Q_PUSH_CLEAR);

	if (!st)
		return ENOMEM;

	(void)sqlite3_bind_int64(st, 1, id);
	return sqlite_run(s, st, NULL);
}


bool sqlite_push_live(const struct inst_row *row)
{
	for (unsigned i = 0; i < row->push_count; i++)
		if ((row->push[i].uses & STORE_USE_CALL) && !row->push[i].gone)
			return true;
	return false;
}


int sqlite_push_find(struct sqlite *s, const void *handle, size_t len,
		     const int64_t *of, int64_t *inst, int *n)
{
	sqlite3_stmt *st = sqlite_stmt(s, Q_PUSH_BY_HANDLE);
	int err;

	if (!st)
		return ENOMEM;

	if (of)
		(void)sqlite3_bind_int64(st, 3, *of);
	else
		(void)sqlite3_bind_null(st, 3);
	(void)sqlite3_bind_int64(st, 1, handle_key(handle, len));
	sqlite_bind_blob(st, 2, handle, len);

	err = sqlite_row(s, st);
	if (err)
		return err;

	*inst = sqlite3_column_int64(st, 0);
	*n = sqlite3_column_int(st, 1);
	(void)sqlite3_reset(st);
	return 0;
}


int sqlite_push_mark(struct sqlite *s, int64_t inst, int n, const char *reason)
{
	sqlite3_stmt *st = sqlite_stmt(s, Q_PUSH_GONE);

	if (!st)
		return ENOMEM;

	(void)sqlite3_bind_int64(st, 1, inst);
	(void)sqlite3_bind_int(st, 2, n);
	sqlite_bind_text(st, 3, reason);
	return sqlite_run(s, st, NULL);
}


int sqlite_push_renew(struct sqlite *s, struct store_req *r)
{
	sqlite3_stmt *st = sqlite_stmt(s, Q_PUSH_RENEW);
	int n = 0, err;

	if (!st)
		return ENOMEM;

	(void)sqlite3_bind_int64(st, 1, handle_key(r->blob, r->blob_len));
	sqlite_bind_blob(st, 2, r->blob, r->blob_len);
	sqlite_bind_blob(st, 3, r->renewed, r->renewed_len);
	(void)sqlite3_bind_int64(st, 4,
				 handle_key(r->renewed, r->renewed_len));
	err = sqlite_run(s, st, &n);
	return !err && !n ? ENOENT : err;
}
