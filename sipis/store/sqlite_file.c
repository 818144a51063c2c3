/**
 * @file sqlite_file.c  The files of the SQLite engine: made, checked, joined
 *
 * The store is two files.  What the app was promised, accounts and phones,
 * stands in one: each COMMIT waits for the disk.  Calls and their timelines
 * stand in the other, whose COMMIT survives a crash of the daemon but not of
 * the machine: after that no caller waits any more.  Calls change all the
 * time; apart, they leave alone what readers have cached of the accounts.
 *
 * A new file is made under another name and renamed when it is whole, so an
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
#include "common/log.h"
#include "sipis/store/sqlite.h"

#define PATH_SIZE  1200
#define LENGTH_MAX (1 << 20) /**< bytes of any value */

/** Page caches in KiB; what readers look for is rarely what was last seen */
static const struct {
	unsigned store, calls;
} caches[] = {
	[ENGINE_WRITER] = { 8192, 2048 },
	[ENGINE_READER] = { 4096, 512 },
	[ENGINE_KEEPER] = { 64, 64 },
};

static const int application_ids[SQLITE_FILES] = {
	[SQLITE_STORE] = 0x53495053, /* "SIPS" */
	[SQLITE_CALLS] = 0x53495043, /* "SIPC" */
};


void sqlite_close(struct sqlite *s)
{
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


static int execute(struct sqlite *s, const char *sql)
{
	return sqlite_errno(s->db, sqlite3_exec(s->db, sql, NULL, NULL, NULL));
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
		       "PRAGMA cache_size = -%u;",
		       caches[role].store);
	return execute(s, sql);
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
		sqlite_close(s);
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


/* making */

static int make_file(enum sqlite_file file, const char *path,
		     const char *fresh)
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
		       application_ids[file]);
	err = execute(s, sql);
	if (!err)
		err = pragma(s, "PRAGMA journal_mode = WAL", mode,
			     sizeof(mode));
	if (!err)
		err = sqlite_migrate(s, file, &none);
	sqlite_close(s);
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
static int create(enum sqlite_file file, const char *path, char *reason,
		  size_t size)
{
	char fresh[PATH_SIZE], wal[PATH_SIZE], dir[PATH_SIZE], text[256];
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
		err = make_file(file, path, fresh);
	if (!err)
		err = sync_dir(dir);
	if (err) {
		(void)snprintf(text, sizeof(text), "cannot create it: %s",
			       strerror(err));
		return why(reason, size, err, path, text);
	}

	return 0;
}


/* checking */

static int file_guard(enum sqlite_file file, const char *path, char *reason,
		      size_t size)
{
	struct stat sb;

	if (stat(path, &sb)) {
		if (errno == ENOENT)
			return create(file, path, reason, size);
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


static int check(struct sqlite *s, enum sqlite_file file, const char *path,
		 char *reason, size_t size)
{
	char answer[256], text[512];
	int err;

	err = pragma(s, "PRAGMA application_id", answer, sizeof(answer));
	if (!err && atoi(answer) != application_ids[file])
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


/** Makes the file if it is not there; checks and migrates it */
static int ready(enum sqlite_file file, const char *path, char *reason,
		 size_t size)
{
	const char *obstacle = NULL;
	struct sqlite *s = NULL;
	char mode[16], text[256];
	int err;

	err = file_guard(file, path, reason, size);
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

	err = check(s, file, path, reason, size);
	if (err)
		goto out;

	err = sqlite_migrate(s, file, &obstacle);
	if (err && obstacle)
		(void)why(reason, size, err, path, obstacle);
out:
	if (err && !*reason) {
		(void)snprintf(text, sizeof(text), "cannot open it: %s",
			       s ? sqlite3_errmsg(s->db) : strerror(err));
		(void)why(reason, size, err, path, text);
	}
	sqlite_close(s);
	return err;
}


/* both together */

/** DIR/NAME.db has its calls in DIR/NAME-calls.db */
static int calls_path(char *dst, size_t size, const char *path)
{
	const size_t len = strlen(path);
	const bool db = len > 3 && !strcmp(path + len - 3, ".db");
	const int n = snprintf(dst, size, "%.*s-calls.db",
			       (int)(db ? len - 3 : len), path);

	return n < 0 || (size_t)n >= size ? ENAMETOOLONG : 0;
}


static void move_aside(const char *path)
{
	static const char *const ends[] = { "", "-wal", "-shm" };
	char from[PATH_SIZE + 16], to[PATH_SIZE + 16];

	for (unsigned i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		(void)snprintf(from, sizeof(from), "%s%s", path, ends[i]);
		(void)snprintf(to, sizeof(to), "%s.damaged%s", path, ends[i]);
		(void)rename(from, to);
	}
}


int sqlite_files_ready(const char *path, char *reason, size_t size)
{
	char calls[PATH_SIZE];
	int err = calls_path(calls, sizeof(calls), path);

	if (err)
		return why(reason, size, err, path, "name too long");

	err = ready(SQLITE_STORE, path, reason, size);
	if (err)
		return err;

	err = ready(SQLITE_CALLS, calls, reason, size);
	if (err != EBADMSG)
		return err;

	/* timelines of calls that are over are no reason to miss the next */
	log_error("store", NULL,
		  "%s; moved to %s.damaged, timelines begin anew", reason,
		  calls);
	move_aside(calls);
	*reason = 0;
	return ready(SQLITE_CALLS, calls, reason, size);
}


static int attach(struct sqlite *s, const char *calls, enum engine_role role)
{
	sqlite3_stmt *st;
	char sql[256];
	int rc =
		sqlite3_prepare_v2(s->db, "ATTACH ?1 AS calls", -1, &st, NULL);

	if (rc != SQLITE_OK)
		return sqlite_errno(s->db, rc);

	sqlite_bind_text(st, 1, calls);
	rc = sqlite3_step(st);
	(void)sqlite3_finalize(st);
	if (rc != SQLITE_DONE)
		return sqlite_errno(s->db, rc);

	(void)snprintf(sql, sizeof(sql),
		       "PRAGMA calls.synchronous = NORMAL;"
		       "PRAGMA calls.secure_delete = FAST;"
		       "PRAGMA calls.cache_size = -%u;"
		       "PRAGMA query_only = %s;",
		       caches[role].calls,
		       role == ENGINE_READER ? "ON" : "OFF");
	return execute(s, sql);
}


int sqlite_open(struct sqlite **sp, const char *path, enum engine_role role,
		char *reason, size_t size)
{
	struct sqlite *s = NULL;
	char calls[PATH_SIZE];
	int err = calls_path(calls, sizeof(calls), path);

	if (!err)
		err = open_file(&s, path, role);
	if (!err)
		err = attach(s, calls, role);
	if (err) {
		(void)why(reason, size, err, path, strerror(err));
		sqlite_close(s);
		return err;
	}

	*sp = s;
	return 0;
}
