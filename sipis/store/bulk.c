/**
 * @file bulk.c  Very many accounts into a store that nobody uses
 *
 * It goes around the threads, not around the engine's row functions.
 */

#include <errno.h>
#include <string.h>
#include <re/re.h>
#include "sipis/store/bulk.h"
#include "sipis/store/sqlite.h"

#define BUSY_MS 2000

struct store_bulk {
	const struct store_engine *eng;
	struct sqlite *s;
	uint64_t last; /**< id drawn last */
};


static void destructor(void *arg)
{
	struct store_bulk *b = arg;

	if (!b->s)
		return;

	if (b->eng->in_transaction(b->s))
		b->eng->rollback(b->s);
	b->eng->close(b->s);
}


int store_bulk_alloc(struct store_bulk **bp, const char *path, char *reason,
		     size_t reason_sz)
{
	const struct store_prm prm = { .path = path };
	struct store_bulk *b;
	void *db = NULL;
	int err;

	if (!bp || !path || !reason || !reason_sz)
		return EINVAL;

	*reason = 0;
	b = mem_zalloc(sizeof(*b), destructor);
	if (!b)
		return ENOMEM;

	b->eng = store_sqlite();
	err = b->eng->open(&db, &prm, ENGINE_WRITER, reason, reason_sz);
	b->s = db;
	if (!err)
		err = sqlite_errno(b->s->db,
				   sqlite3_exec(b->s->db,
						"PRAGMA synchronous = NORMAL;"
						"PRAGMA cache_size = -262144",
						NULL, NULL, NULL));
	if (err)
		mem_deref(b);
	else
		*bp = b;
	return err;
}


static int begin(struct store_bulk *b)
{
	return b->eng->in_transaction(b->s)
		       ? 0
		       : b->eng->begin(b->s, true, BUSY_MS);
}


int store_bulk_acct_id(struct store_bulk *b, const char *pbx, const char *user,
		       const char *domain, uint64_t *id)
{
	const struct acct_row key = { .pbx = pbx,
				      .user = user,
				      .domain = domain };
	int err;

	if (!b || !pbx || !user || !domain || !id)
		return EINVAL;

	err = begin(b);
	if (!err)
		err = sqlite_acct_id(b->s, &key, id);
	if (err != ENOENT)
		return err;

	/* many within a millisecond: in step, so that none meets another */
	*id = store_id_new();
	if (!*id)
		return EIO;
	if (*id <= b->last)
		*id = b->last + 1;
	b->last = *id;
	return 0;
}


int store_bulk_put(struct store_bulk *b, const struct acct_row *acct,
		   const struct inst_row *instv, unsigned instc)
{
	char id[STORE_ID_LEN + 1];
	uint64_t acct_id;
	int err;

	if (!b || !acct || (instc && !instv))
		return EINVAL;

	err = begin(b);
	if (!err)
		err = sqlite_acct_write(b->s, acct, &acct_id);
	for (unsigned i = 0; !err && i < instc; i++)
		err = sqlite_inst_write(b->s, acct_id, &instv[i], id);
	return err;
}


int store_bulk_commit(struct store_bulk *b)
{
	int err;

	if (!b)
		return EINVAL;
	if (!b->eng->in_transaction(b->s))
		return 0;

	err = b->eng->commit(b->s);
	if (!err)
		err = sqlite_errno(b->s->db, sqlite3_wal_checkpoint_v2(
						     b->s->db, NULL,
						     SQLITE_CHECKPOINT_PASSIVE,
						     NULL, NULL));
	return err;
}
