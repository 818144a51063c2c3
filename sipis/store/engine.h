/**
 * @file engine.h  What the store needs of a database
 *
 * SQLite is the embedded engine; one for PostgreSQL fills in the same table.
 * A connection is used by one thread at a time.  Errors are errno values:
 * ENOENT, EEXIST, ENOSPC, EBUSY, EBADMSG (corrupt), EIO, ENOMEM.
 */

#ifndef SIPIS_STORE_ENGINE_H
#define SIPIS_STORE_ENGINE_H

#include "sipis/store/req.h"

#define ENGINE_FILES 2

enum engine_role {
	ENGINE_WRITER, /**< first: creates, checks and migrates */
	ENGINE_READER,
	ENGINE_KEEPER /**< moves the log, asks and changes nothing */
};

struct store_engine {
	int (*open)(void **dbp, const struct store_prm *prm,
		    enum engine_role role, char *reason, size_t reason_sz);
	void (*close)(void *db);

	/** wait_ms: how long to wait for another process's lock */
	int (*begin)(void *db, bool write, unsigned wait_ms);
	/** When it returns 0, accounts and phones survive the machine's
	    crash, calls and timelines that of the process */
	int (*commit)(void *db);
	void (*rollback)(void *db);
	/** false: a failure has undone the transaction already */
	bool (*in_transaction)(void *db);

	unsigned files; /**< each with a log, ENGINE_FILES at most */
	/** Pages in the log that commits go to first; 0: there is none */
	unsigned (*log_pages)(void *db, unsigned file);
	/** Moves what is in the log to where it belongs, beside other writers:
	 *done of its pages; the rest came in meanwhile */
	int (*log_move)(void *db, unsigned file, unsigned *done);

	/** One request, all of it or nothing, inside a transaction */
	int (*run)(void *db, struct store_req *r);
	/** Removes some of what is older than before_ms, and tombstones over
	    calls_max; *more: there is more to remove */
	int (*prune)(void *db, int64_t before_ms, unsigned calls_max,
		     bool *more);

	/** There is little to do: what was kept for speed goes back to the
	    system, if it is much */
	void (*rest)(void *db);

	int (*load_accts)(void *db, store_load_acct_h *h, void *arg);
	int (*load_calls)(void *db, store_load_call_h *h, void *arg);
	int (*meta_get)(void *db, const char *key, int64_t *value);
};

const struct store_engine *store_sqlite(void);

#endif
