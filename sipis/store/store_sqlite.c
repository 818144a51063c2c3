/**
 * @file store_sqlite.c  SQLite as the engine: requests and transactions
 */

#include <errno.h>
#include <malloc.h>
#include "common/clock.h"
#include "sipis/store/sqlite.h"

#define REST_MIN (1 << 20) /**< bytes of page cache that are worth it */

struct op {
	int (*run)(struct sqlite *s, struct store_req *r);
	bool save; /**< several statements: all of them or none */
};

static const struct op ops[OPS] = {
	[OP_ACCT_FIND] = { sqlite_acct_find, false },
	[OP_ACCT_GET] = { sqlite_acct_get, false },
	[OP_ACCT_LEARN] = { sqlite_acct_learn, false },
	[OP_INST_PUT] = { sqlite_inst_put, true },
	[OP_INST_GET] = { sqlite_inst_get, false },
	[OP_INSTS_OF] = { sqlite_insts_of, false },
	[OP_INST_STATE] = { sqlite_inst_state, false },
	[OP_INST_PATCH] = { sqlite_inst_patch, true },
	[OP_INST_DELETE] = { sqlite_inst_delete, true },
	[OP_PUSH_GONE] = { sqlite_push_gone, true },
	[OP_PUSH_END] = { sqlite_push_end, true },
	[OP_PUSH_RENEW] = { sqlite_push_renew, false },
	[OP_OVERDUE] = { sqlite_overdue, true },
	[OP_CALL_PUT] = { sqlite_call_put, false },
	[OP_CALL_END] = { sqlite_call_end, false },
	[OP_CALL_GET] = { sqlite_call_get, false },
	[OP_CALLS] = { sqlite_calls, false },
	[OP_LINES] = { sqlite_lines, false },
	[OP_EVENTS] = { sqlite_events, false },
	[OP_LIST] = { sqlite_list, false },
	[OP_META_PUT] = { sqlite_meta_put, false },
};


int sqlite_errno(sqlite3 *db, int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_FULL:
		return ENOSPC;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return EBUSY;
	case SQLITE_NOMEM:
		return ENOMEM;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return EBADMSG;
	case SQLITE_READONLY:
		return EROFS;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return EACCES;
	case SQLITE_TOOBIG:
		return EMSGSIZE;
	case SQLITE_CONSTRAINT:
		if (rc == SQLITE_CONSTRAINT_FOREIGNKEY)
			return ENOENT;
		return rc == SQLITE_CONSTRAINT_UNIQUE ||
				       rc == SQLITE_CONSTRAINT_PRIMARYKEY
			       ? EEXIST
			       : EINVAL;
	case SQLITE_IOERR:
	case SQLITE_CANTOPEN:
		/* the shared-memory file has no room either */
		if (db && sqlite3_system_errno(db) == ENOSPC)
			return ENOSPC;
		return EIO;
	default:
		return EIO;
	}
}


sqlite3_stmt *sqlite_stmt(struct sqlite *s, enum query q)
{
	if (!s->stmt[q] &&
	    sqlite3_prepare_v3(s->db, sqlite_queries[q], -1,
			       SQLITE_PREPARE_PERSISTENT, &s->stmt[q], NULL))
		return NULL;

	return s->stmt[q];
}


int sqlite_row(struct sqlite *s, sqlite3_stmt *st)
{
	int rc = sqlite3_step(st);

	if (rc == SQLITE_ROW)
		return 0;

	(void)sqlite3_reset(st);
	return rc == SQLITE_DONE ? ENOENT : sqlite_errno(s->db, rc);
}


int sqlite_run(struct sqlite *s, sqlite3_stmt *st, int *changes)
{
	int rc;

	if (!st)
		return sqlite_errno(s->db, sqlite3_extended_errcode(s->db));

	rc = sqlite3_step(st);
	if (rc == SQLITE_DONE || rc == SQLITE_ROW) {
		if (changes)
			*changes = sqlite3_changes(s->db);
		rc = SQLITE_OK;
	}
	(void)sqlite3_reset(st);
	return sqlite_errno(s->db, rc);
}


void sqlite_bind_text(sqlite3_stmt *st, int n, const char *s)
{
	(void)sqlite3_bind_text(st, n, s, -1, SQLITE_STATIC);
}


void sqlite_bind_blob(sqlite3_stmt *st, int n, const void *p, size_t len)
{
	/* an empty blob must not become NULL */
	(void)sqlite3_bind_blob64(st, n, p ? p : "", len, SQLITE_STATIC);
}


const char *sqlite_text(sqlite3_stmt *st, int col)
{
	return (const char *)sqlite3_column_text(st, col);
}


const uint8_t *sqlite_blob(sqlite3_stmt *st, int col, size_t *len)
{
	const uint8_t *p = sqlite3_column_blob(st, col);

	*len = (size_t)sqlite3_column_bytes(st, col);
	return p;
}


/* transactions */

static int simple(struct sqlite *s, enum query q)
{
	return sqlite_run(s, sqlite_stmt(s, q), NULL);
}


static int db_begin(void *db, bool write, unsigned wait_ms)
{
	struct sqlite *s = db;

	(void)sqlite3_busy_timeout(s->db, (int)wait_ms);
	return simple(s, write ? Q_BEGIN_WRITE : Q_BEGIN);
}


static int db_commit(void *db)
{
	return simple(db, Q_COMMIT);
}


static void db_rollback(void *db)
{
	(void)simple(db, Q_ROLLBACK);
}


static bool db_in_transaction(void *db)
{
	const struct sqlite *s = db;

	return !sqlite3_get_autocommit(s->db);
}


static int wal_hook(void *arg, sqlite3 *db, const char *name, int pages)
{
	struct sqlite *s = arg;
	(void)db;

	s->log_pages[*name == 'c' ? SQLITE_CALLS : SQLITE_STORE] =
		(unsigned)pages;
	return SQLITE_OK;
}


/* SQLite's own rollbacks count as well */
static void rollback_hook(void *arg)
{
	sqlite_forget_calls(arg);
}


static unsigned db_log_pages(void *db, unsigned file)
{
	const struct sqlite *s = db;

	return s->log_pages[file];
}


static int db_log_move(void *db, unsigned file, unsigned *done)
{
	static const char *const names[SQLITE_FILES] = { "main", "calls" };
	struct sqlite *s = db;
	int moved = 0;
	int rc = sqlite3_wal_checkpoint_v2(
		s->db, names[file], SQLITE_CHECKPOINT_PASSIVE, NULL, &moved);

	*done = moved > 0 ? (unsigned)moved : 0;
	return sqlite_errno(s->db, rc);
}


static int db_run(void *db, struct store_req *r)
{
	const struct op *op = &ops[r->op];
	struct sqlite *s = db;
	int err = 0;

	if (op->save)
		err = simple(s, Q_SAVE);
	if (err)
		return err;

	err = op->run(s, r);
	if (!err && r->arena.failed)
		err = ENOMEM;

	if (op->save && db_in_transaction(db)) {
		if (err)
			(void)simple(s, Q_UNDO);
		(void)simple(s, Q_RELEASE);
	}
	return err;
}


/* A million sleeping accounts need no page of the store: what their start, or
   an hour of calls, has left in the cache is many times what they take */
void sqlite_rest(void *db)
{
	struct sqlite *s = db;
	int used = 0, most = 0;

	(void)sqlite3_db_status(s->db, SQLITE_DBSTATUS_CACHE_USED, &used,
				&most, 0);
	if (used < REST_MIN)
		return;

	(void)sqlite3_db_release_memory(s->db);
	(void)malloc_trim(0); /* free() keeps what lies between other blocks */
}


/* life */

static int db_open(void **dbp, const struct store_prm *prm,
		   enum engine_role role, char *reason, size_t reason_sz)
{
	struct sqlite *s;
	int err;

	if (role == ENGINE_WRITER) {
		/* before the first connection: nobody reads these counters,
		   and each of SQLite's allocations would lock them */
		(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);

		err = sqlite_files_ready(prm->path, reason, reason_sz);
		if (err)
			return err;
	}

	err = sqlite_open(&s, prm->path, role, reason, reason_sz);
	if (err)
		return err;

	/* in place of SQLite's own, which would make commits wait for it */
	(void)sqlite3_wal_hook(s->db, wal_hook, s);
	if (role == ENGINE_WRITER)
		(void)sqlite3_rollback_hook(s->db, rollback_hook, s);
	s->event_seq = clock_wall_us();
	*dbp = s;
	return 0;
}


static void db_close(void *db)
{
	sqlite_close(db);
}


static int meta_get(void *db, const char *key, int64_t *value)
{
	struct sqlite *s = db;
	sqlite3_stmt *st = sqlite_stmt(s, Q_META_GET);
	int err;

	if (!st)
		return ENOMEM;

	sqlite_bind_text(st, 1, key);
	err = sqlite_row(s, st);
	if (err)
		return err;

	*value = sqlite3_column_int64(st, 0);
	(void)sqlite3_reset(st);
	return 0;
}


const struct store_engine *store_sqlite(void)
{
	static const struct store_engine engine = {
		.open = db_open,
		.files = SQLITE_FILES,
		.close = db_close,
		.begin = db_begin,
		.commit = db_commit,
		.rollback = db_rollback,
		.in_transaction = db_in_transaction,
		.log_pages = db_log_pages,
		.log_move = db_log_move,
		.run = db_run,
		.prune = sqlite_prune,
		.rest = sqlite_rest,
		.load_accts = sqlite_load_accts,
		.load_calls = sqlite_load_calls,
		.meta_get = meta_get,
	};

	return &engine;
}
