/**
 * @file store_sqlite.c  SQLite as the engine: opening, checking, transactions
 *
 * A new store is made under another name and renamed when it is whole, so an
 * empty or foreign file in its place is never taken for one.
 *
 * Checking at start: quick_check reads every page and every row.  That takes
 * 1.6 s for a million accounts whose 640 MB are in the page cache, and what
 * the disk needs to read them when they are not.  Nothing is served before
 * it is through.
 */

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <re/re.h>
#include "sipis/store/sqlite.h"

#define APPLICATION_ID 0x53495053 /**< "SIPS" */
#define CACHE_WRITER   8192       /**< KiB */
#define CACHE_READER   4096
#define LENGTH_MAX     (1 << 20) /**< bytes of any value */

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
	[OP_OVERDUE] = { sqlite_overdue, true },
	[OP_CALL_PUT] = { sqlite_call_put, false },
	[OP_CALL_END] = { sqlite_call_end, false },
	[OP_CALL_GET] = { sqlite_call_get, false },
	[OP_CALLS] = { sqlite_calls, false },
	[OP_EVENT] = { sqlite_event, false },
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
	(void)name;

	s->log_pages = (unsigned)pages;
	return SQLITE_OK;
}


static unsigned db_log_pages(void *db)
{
	const struct sqlite *s = db;

	return s->log_pages;
}


static int db_log_move(void *db, unsigned *done)
{
	struct sqlite *s = db;
	int moved = 0;
	int rc = sqlite3_wal_checkpoint_v2(
		s->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, &moved);

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


/* opening */

static void db_close(void *db)
{
	struct sqlite *s = db;

	if (!s)
		return;

	for (unsigned i = 0; i < QUERIES; i++)
		(void)sqlite3_finalize(s->stmt[i]);
	(void)sqlite3_close(s->db);
	free(s);
}


static int why(char *reason, size_t size, int err, const char *path,
	       const char *text)
{
	(void)snprintf(reason, size, "store %s: %s", path, text);
	return err;
}


static int configure(struct sqlite *s, enum engine_role role)
{
	char sql[512];
	int rc;

	(void)sqlite3_extended_result_codes(s->db, 1);
	(void)sqlite3_limit(s->db, SQLITE_LIMIT_LENGTH, LENGTH_MAX);
	rc = sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA,
				       0, NULL);
	if (rc != SQLITE_OK)
		return sqlite_errno(s->db, rc);

	(void)snprintf(sql, sizeof(sql),
		       "PRAGMA cell_size_check = ON;"
		       "PRAGMA secure_delete = ON;"
		       "PRAGMA foreign_keys = ON;"
		       "PRAGMA synchronous = FULL;"
		       "PRAGMA temp_store = MEMORY;"
		       "PRAGMA cache_size = -%d;"
		       "PRAGMA query_only = %s;",
		       role == ENGINE_WRITER ? CACHE_WRITER : CACHE_READER,
		       role == ENGINE_READER ? "ON" : "OFF");
	return sqlite_errno(s->db, sqlite3_exec(s->db, sql, NULL, NULL, NULL));
}


static int open_file(struct sqlite **sp, const char *path,
		     enum engine_role role)
{
	struct sqlite *s = calloc(1, sizeof(*s));
	int rc, err;

	if (!s)
		return ENOMEM;

	rc = sqlite3_open_v2(path, &s->db,
			     SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
				     SQLITE_OPEN_PRIVATECACHE,
			     NULL);
	err = sqlite_errno(s->db, rc);
	if (!err)
		err = configure(s, role);
	if (err)
		db_close(s);
	else
		*sp = s;
	return err;
}


/** Pragmas answer with one value; *value has room for size bytes */
static int pragma(struct sqlite *s, const char *sql, char *value, size_t size)
{
	sqlite3_stmt *st;
	int rc = sqlite3_prepare_v2(s->db, sql, -1, &st, NULL);

	*value = 0;
	if (rc == SQLITE_OK) {
		rc = sqlite3_step(st);
		if (rc == SQLITE_ROW && sqlite_text(st, 0))
			(void)snprintf(value, size, "%s", sqlite_text(st, 0));
		(void)sqlite3_finalize(st);
	}
	return sqlite_errno(s->db, rc);
}


static int make_file(const char *path, const char *fresh)
{
	struct sqlite *s = NULL;
	char sql[128], mode[16];
	const char *none;
	int fd, err;

	(void)unlink(fresh);
	fd = open(fresh, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno;
	(void)close(fd);

	err = open_file(&s, fresh, ENGINE_WRITER);
	if (err)
		return err;

	(void)snprintf(sql, sizeof(sql), "PRAGMA application_id = %d",
		       APPLICATION_ID);
	err = sqlite_errno(s->db, sqlite3_exec(s->db, sql, NULL, NULL, NULL));
	if (!err)
		err = pragma(s, "PRAGMA journal_mode = WAL", mode,
			     sizeof(mode));
	if (!err)
		err = sqlite_migrate(s, &none);
	db_close(s);
	if (!err && rename(fresh, path))
		err = errno;
	return err;
}


static int sync_dir(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int err = 0;

	if (fd < 0)
		return errno;
	if (fsync(fd))
		err = errno;
	(void)close(fd);
	return err;
}


/** The first start; a log without its file means that the file is lost */
static int create(const char *path, char *reason, size_t size)
{
	char fresh[1100], wal[1100], dir[1100], text[256];
	struct stat sb;
	int err;

	if (snprintf(wal, sizeof(wal), "%s-wal", path) >= (int)sizeof(wal) ||
	    snprintf(fresh, sizeof(fresh), "%s.new", path) >=
		    (int)sizeof(fresh))
		return why(reason, size, ENAMETOOLONG, path, "name too long");

	if (!stat(wal, &sb) && sb.st_size)
		return why(reason, size, EBADMSG, path,
			   "the file is gone but its log (-wal) is there; put "
			   "the file back from a backup, or move the log away "
			   "to start with nothing");

	(void)snprintf(dir, sizeof(dir), "%s", path);
	(void)dirname(dir);
	if (mkdir(dir, 0700) && errno != EEXIST)
		err = errno;
	else
		err = make_file(path, fresh);
	if (!err)
		err = sync_dir(dir);
	if (err) {
		(void)snprintf(text, sizeof(text), "cannot create it: %s",
			       strerror(err));
		return why(reason, size, err, path, text);
	}

	return 0;
}


static int file_guard(const char *path, char *reason, size_t size)
{
	struct stat sb;

	if (stat(path, &sb)) {
		if (errno == ENOENT)
			return create(path, reason, size);
		return why(reason, size, errno, path, strerror(errno));
	}

	if (!sb.st_size)
		return why(reason, size, EBADMSG, path,
			   "the file is empty, which a store never is; put "
			   "it back from a backup, or remove it to start "
			   "with nothing");

	if ((sb.st_mode & 077) && chmod(path, 0600))
		return why(reason, size, errno, path,
			   "others can read it, and that cannot be changed");

	return 0;
}


static int check(struct sqlite *s, const char *path, char *reason, size_t size)
{
	char answer[256], text[512];
	int err;

	err = pragma(s, "PRAGMA application_id", answer, sizeof(answer));
	if (!err && atoi(answer) != APPLICATION_ID)
		return why(reason, size, EBADMSG, path,
			   "this is not a store of sipis; name another file");

	if (!err)
		err = pragma(s, "PRAGMA quick_check(1)", answer,
			     sizeof(answer));
	if (!err && !strcmp(answer, "ok"))
		return 0;
	if (err && err != EBADMSG) {
		(void)snprintf(text, sizeof(text), "cannot check it: %s",
			       sqlite3_errmsg(s->db));
		return why(reason, size, err, path, text);
	}

	(void)snprintf(text, sizeof(text),
		       "damaged (%s); put it back from a backup, or try "
		       "\"sqlite3 FILE .recover\"; nothing was changed",
		       err ? sqlite3_errmsg(s->db) : answer);
	return why(reason, size, EBADMSG, path, text);
}


static int open_writer(struct sqlite **sp, const char *path, char *reason,
		       size_t size)
{
	const char *obstacle = NULL;
	struct sqlite *s = NULL;
	char mode[16], text[256];
	int err;

	/* before the first connection: nobody reads these counters, and each
	   of SQLite's allocations would lock them */
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);

	err = file_guard(path, reason, size);
	if (err)
		return err;

	err = open_file(&s, path, ENGINE_WRITER);
	if (!err)
		err = pragma(s, "PRAGMA journal_mode = WAL", mode,
			     sizeof(mode));
	if (err == EBADMSG) {
		err = why(reason, size, err, path,
			  "damaged, or not a store; put it back from a "
			  "backup; nothing was changed");
		goto out;
	}
	if (!err && strcmp(mode, "wal"))
		err = EIO;
	if (err)
		goto out;

	err = check(s, path, reason, size);
	if (err)
		goto out;

	err = sqlite_migrate(s, &obstacle);
	if (err && obstacle)
		(void)why(reason, size, err, path, obstacle);

	/* in place of SQLite's own, which would make commits wait for it */
	(void)sqlite3_wal_hook(s->db, wal_hook, s);
out:
	if (err && !*reason) {
		(void)snprintf(text, sizeof(text), "cannot open it: %s",
			       s ? sqlite3_errmsg(s->db) : strerror(err));
		(void)why(reason, size, err, path, text);
	}
	if (err)
		db_close(s);
	else
		*sp = s;
	return err;
}


static int db_open(void **dbp, const struct store_prm *prm,
		   enum engine_role role, char *reason, size_t reason_sz)
{
	struct sqlite *s = NULL;
	int err;

	if (role == ENGINE_WRITER) {
		err = open_writer(&s, prm->path, reason, reason_sz);
	}
	else {
		err = open_file(&s, prm->path, role);
		if (err)
			(void)why(reason, reason_sz, err, prm->path,
				  strerror(err));
	}

	if (!err)
		*dbp = s;
	return err;
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
		.close = db_close,
		.begin = db_begin,
		.commit = db_commit,
		.rollback = db_rollback,
		.in_transaction = db_in_transaction,
		.log_pages = db_log_pages,
		.log_move = db_log_move,
		.run = db_run,
		.prune = sqlite_prune,
		.load_accts = sqlite_load_accts,
		.load_calls = sqlite_load_calls,
		.meta_get = meta_get,
	};

	return &engine;
}
