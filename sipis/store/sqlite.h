/**
 * @file sqlite.h  What the files of the SQLite engine share
 */

#ifndef SIPIS_STORE_SQLITE_H
#define SIPIS_STORE_SQLITE_H

#include <sqlite3.h>
#include "sipis/store/engine.h"

enum query {
	Q_BEGIN,
	Q_BEGIN_WRITE,
	Q_COMMIT,
	Q_ROLLBACK,
	Q_SAVE,
	Q_RELEASE,
	Q_UNDO,

	Q_ACCT_FIND,
	Q_ACCT_GET,
	Q_ACCT_WANT,
	Q_ACCT_NEW,
	Q_ACCT_SET,
	Q_ACCT_LEARN,
	Q_ACCT_DELETE,
	Q_ACCT_ALL,
	Q_ACCT_PAGE,
	Q_WANT_ALL,

	Q_INST_NEAR,
	Q_INST_OF,
	Q_INST_NEW,
	Q_INST_PUT,
	Q_INST_STATE,
	Q_INST_SET,
	Q_INST_DELETE,
	Q_INST_DUE,

	Q_PUSH_OF,
	Q_PUSH_PUT,
	Q_PUSH_CLEAR,
	Q_PUSH_BY_HANDLE,
	Q_PUSH_GONE,
	Q_PUSH_END,
	Q_PUSH_RENEW,

	Q_CALL_PUT,
	Q_CALL_WHOLE,
	Q_CALL_END,
	Q_CALL_GET,
	Q_CALL_WAITING,
	Q_CALL_LATE,
	Q_CALL_LATE_OF,
	Q_CALL_BY_CALLID,
	Q_CALL_SPAN,
	Q_CALL_RANGE,
	Q_CALL_N,
	Q_CALL_PRUNE,
	Q_LINES_PUT,
	Q_LINES_OF,
	Q_LINES_PRUNE,
	Q_EVENT_PRUNE,

	Q_META_GET,
	Q_META_PUT,
	QUERIES
};

enum { SQLITE_EVENT_CALLS = 1024 };

enum sqlite_file { SQLITE_STORE, SQLITE_CALLS, SQLITE_FILES };

struct sqlite {
	sqlite3 *db;
	sqlite3_stmt *stmt[QUERIES];
	unsigned log_pages[SQLITE_FILES]; /**< after the last commit */
	/** Numbers of calls that were written lately; 0: none.  A rollback
	    or the end of old calls empties it */
	struct sqlite_event_call {
		uint8_t id[16];
		int64_t n;
	} event_calls[SQLITE_EVENT_CALLS];
	int64_t event_seq; /**< begins with the clock, grows by one */
};

/** Makes the files where they are not there, checks and migrates them;
    reason gets a sentence for the operator */
int sqlite_files_ready(const char *path, char *reason, size_t size);
/** A connection to both */
int sqlite_open(struct sqlite **sp, const char *path, enum engine_role role,
		char *reason, size_t size);
void sqlite_close(struct sqlite *s);

/** errno value of an SQLite result */
int sqlite_errno(sqlite3 *db, int rc);

/** A statement ready to bind; NULL without memory */
sqlite3_stmt *sqlite_stmt(struct sqlite *s, enum query q);
/** Steps to a row: 0, ENOENT at the end, else the error; then reset */
int sqlite_row(struct sqlite *s, sqlite3_stmt *st);
/** Runs to the end, resets; *changes (optional) gets the number of rows */
int sqlite_run(struct sqlite *s, sqlite3_stmt *st, int *changes);

void sqlite_bind_text(sqlite3_stmt *st, int n, const char *s);
void sqlite_bind_blob(sqlite3_stmt *st, int n, const void *p, size_t len);

/** Columns; they live until the statement moves on */
const char *sqlite_text(sqlite3_stmt *st, int col);
const uint8_t *sqlite_blob(sqlite3_stmt *st, int col, size_t *len);

/* one function per request, see engine.h */
int sqlite_acct_find(struct sqlite *s, struct store_req *r);
int sqlite_acct_get(struct sqlite *s, struct store_req *r);
int sqlite_acct_learn(struct sqlite *s, struct store_req *r);
int sqlite_inst_put(struct sqlite *s, struct store_req *r);
int sqlite_inst_get(struct sqlite *s, struct store_req *r);
int sqlite_insts_of(struct sqlite *s, struct store_req *r);
int sqlite_inst_state(struct sqlite *s, struct store_req *r);
int sqlite_inst_patch(struct sqlite *s, struct store_req *r);
int sqlite_inst_delete(struct sqlite *s, struct store_req *r);
int sqlite_push_gone(struct sqlite *s, struct store_req *r);
int sqlite_push_end(struct sqlite *s, struct store_req *r);
int sqlite_push_renew(struct sqlite *s, struct store_req *r);
int sqlite_overdue(struct sqlite *s, struct store_req *r);
int sqlite_list(struct sqlite *s, struct store_req *r);
int sqlite_call_put(struct sqlite *s, struct store_req *r);
int sqlite_call_end(struct sqlite *s, struct store_req *r);
int sqlite_call_get(struct sqlite *s, struct store_req *r);
int sqlite_calls(struct sqlite *s, struct store_req *r);
int sqlite_lines(struct sqlite *s, struct store_req *r);
/** Row number of a call; ENOENT */
int sqlite_call_number(struct sqlite *s, const uint8_t id[16], int64_t *n);
/** The next turn of a look through all calls, newest first: rows from lo up
    to hi without it.  r->more until it has been the last one */
int sqlite_call_turn(struct sqlite *s, struct store_req *r, int64_t *lo,
		     int64_t *hi);
/** It was just written; 0: nobody knows */
void sqlite_call_known(struct sqlite *s, const uint8_t id[16], int64_t n);
/** The numbers that are kept in mind are no longer true */
void sqlite_forget_calls(struct sqlite *s);
int sqlite_events(struct sqlite *s, struct store_req *r);
int sqlite_meta_put(struct sqlite *s, struct store_req *r);

/** The account as it stands, with want, in the arena of r.  wanted: one of
    its phones is known to want it */
int sqlite_acct_read(struct sqlite *s, struct store_req *r, uint64_t id,
		     bool wanted, struct acct_row *acct);
/** By pbx, user and domain */
int sqlite_acct_id(struct sqlite *s, const struct acct_row *key, uint64_t *id);
/** Updates the credentials of an account that is there, or makes it */
int sqlite_acct_write(struct sqlite *s, const struct acct_row *acct,
		      uint64_t *id);
/** Makes an instance, or replaces the one with the same installation and
    keeps its id; id has STORE_ID_LEN + 1 bytes */
int sqlite_inst_write(struct sqlite *s, uint64_t acct,
		      const struct inst_row *inst, char *id);
/** All of an account, with tokens, in the arena of r */
int sqlite_insts_read(struct sqlite *s, struct store_req *r, uint64_t acct,
		      struct inst_row **instv, unsigned *instc);

/* tokens; inst is a row id */
/** Into the row, in the arena of r */
int sqlite_push_read(struct sqlite *s, struct store_req *r, int64_t inst,
		     struct inst_row *row);
int sqlite_push_write(struct sqlite *s, int64_t inst,
		      const struct inst_row *row);
int sqlite_push_clear(struct sqlite *s, int64_t inst);
/** Is there one that a call may be pushed with? */
bool sqlite_push_live(const struct inst_row *row);
/** Who has this handle, and which of his tokens it is; of: only that phone,
    NULL: anybody */
int sqlite_push_find(struct sqlite *s, const void *handle, size_t len,
		     const int64_t *of, int64_t *inst, int *n);
int sqlite_push_mark(struct sqlite *s, int64_t inst, int n,
		     const char *reason);

void sqlite_rest(void *db);
int sqlite_load_accts(void *db, store_load_acct_h *h, void *arg);
int sqlite_load_calls(void *db, store_load_call_h *h, void *arg);
int sqlite_lines_prune(struct sqlite *s);
int sqlite_prune(void *db, int64_t before_ms, unsigned calls_max, bool *more);

/** Migrates to the newest schema: *why gets what stands in the way */
int sqlite_migrate(struct sqlite *s, enum sqlite_file file, const char **why);
extern const char *const sqlite_queries[QUERIES];

#endif
