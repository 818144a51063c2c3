/**
 * @file sqlite_acct.c  Accounts in SQLite
 */

#include <errno.h>
#include <string.h>
#include "sipis/store/sqlite.h"

#define ID_TRIES   16
#define LIST_SLICE 2000 /**< accounts looked at in one turn */


/** Points into the statement; want is not part of the row */
static void from_stmt(struct acct_row *a, sqlite3_stmt *st)
{
	const uint8_t *contact;
	size_t len;

	memset(a, 0, sizeof(*a));
	a->id = (uint64_t)sqlite3_column_int64(st, 0);
	a->pbx = sqlite_text(st, 1);
	a->user = sqlite_text(st, 2);
	a->domain = sqlite_text(st, 3);
	a->auth_user = sqlite_text(st, 4);
	a->display_name = sqlite_text(st, 5);
	a->outbound_proxy = sqlite_text(st, 6);
	a->transport = sqlite3_column_int(st, 7);
	a->sealed = sqlite_blob(st, 8, &a->sealed_len);
	a->sealed_is_ha1 = sqlite3_column_int(st, 9) != 0;
	a->realm = sqlite_text(st, 10);
	a->alg = sqlite3_column_int(st, 11) == DIGEST_SHA256 ? DIGEST_SHA256
							     : DIGEST_MD5;
	contact = sqlite_blob(st, 12, &len);
	if (contact && len == STORE_CONTACT)
		memcpy(a->contact, contact, len);
	a->grant_s = (uint32_t)sqlite3_column_int64(st, 13);
	a->proven = sqlite3_column_int(st, 14) != 0;
	a->auth_failed = sqlite3_column_int(st, 15) != 0;
}


static int want_get(struct sqlite *s, uint64_t id, bool *want)
{
	sqlite3_stmt *st = sqlite_stmt(s, Q_ACCT_WANT);
	int err;

	if (!st)
		return ENOMEM;

	(void)sqlite3_bind_int64(st, 1, (int64_t)id);
	err = sqlite_row(s, st);
	if (err)
		return err;

	*want = sqlite3_column_int(st, 0) != 0;
	(void)sqlite3_reset(st);
	return 0;
}


int sqlite_acct_read(struct sqlite *s, struct store_req *r, uint64_t id,
		     bool wanted, struct acct_row *acct)
{
	sqlite3_stmt *st = sqlite_stmt(s, Q_ACCT_GET);
	struct acct_row row;
	const struct acct_row *copy;
	int err;

	if (!st)
		return ENOMEM;

	(void)sqlite3_bind_int64(st, 1, (int64_t)id);
	err = sqlite_row(s, st);
	if (err)
		return err;

	from_stmt(&row, st);
	copy = store_req_acct(r, &row);
	(void)sqlite3_reset(st);
	if (!copy || r->arena.failed)
		return ENOMEM;

	*acct = *copy;
	acct->want = wanted;
	return wanted ? 0 : want_get(s, id, &acct->want);
}


static int answer_acct(struct sqlite *s, struct store_req *r, uint64_t id)
{
	r->racct = arena_get(&r->arena, sizeof(*r->racct));
	if (!r->racct)
		return ENOMEM;

	return sqlite_acct_read(s, r, id, false, r->racct);
}


int sqlite_acct_id(struct sqlite *s, const struct acct_row *key, uint64_t *id)
{
	sqlite3_stmt *st = sqlite_stmt(s, Q_ACCT_FIND);
	int err;

	if (!st)
		return ENOMEM;

	sqlite_bind_text(st, 1, key->user);
	sqlite_bind_text(st, 2, key->domain);
	sqlite_bind_text(st, 3, key->pbx);
	err = sqlite_row(s, st);
	if (err)
		return err;

	*id = (uint64_t)sqlite3_column_int64(st, 0);
	(void)sqlite3_reset(st);
	return 0;
}


int sqlite_acct_find(struct sqlite *s, struct store_req *r)
{
	uint64_t id;
	int err = sqlite_acct_id(s, r->acct, &id);

	return err ? err : answer_acct(s, r, id);
}


int sqlite_acct_get(struct sqlite *s, struct store_req *r)
{
	return answer_acct(s, r, r->acct_id);
}


int sqlite_acct_learn(struct sqlite *s, struct store_req *r)
{
	const struct acct_row *a = r->acct;
	sqlite3_stmt *st = sqlite_stmt(s, Q_ACCT_LEARN);
	int changes = 0, err;

	if (!st)
		return ENOMEM;

	(void)sqlite3_bind_int64(st, 1, (int64_t)a->id);
	sqlite_bind_text(st, 2, a->realm);
	(void)sqlite3_bind_int(st, 3, (int)a->alg);
	(void)sqlite3_bind_int64(st, 4, a->grant_s);
	(void)sqlite3_bind_int(st, 5, a->proven);
	(void)sqlite3_bind_int(st, 6, a->auth_failed);
	if (a->sealed)
		sqlite_bind_blob(st, 7, a->sealed, a->sealed_len);
	else
		(void)sqlite3_bind_null(st, 7);
	(void)sqlite3_bind_int(st, 8, a->sealed_is_ha1);

	err = sqlite_run(s, st, &changes);
	return err ? err : changes ? 0 : ENOENT;
}


static int put(struct sqlite *s, enum query q, const struct acct_row *a,
	       uint64_t id)
{
	sqlite3_stmt *st = sqlite_stmt(s, q);

	if (!st)
		return ENOMEM;

	(void)sqlite3_bind_int64(st, 1, (int64_t)id);
	if (q == Q_ACCT_NEW) {
		sqlite_bind_text(st, 2, a->pbx);
		sqlite_bind_text(st, 3, a->user);
		sqlite_bind_text(st, 4, a->domain);
		sqlite_bind_blob(st, 13, a->contact, sizeof(a->contact));
		(void)sqlite3_bind_int64(st, 14, a->grant_s);
	}
	sqlite_bind_text(st, 5, a->auth_user);
	sqlite_bind_text(st, 6, a->display_name ? a->display_name : "");
	sqlite_bind_text(st, 7, a->outbound_proxy);
	(void)sqlite3_bind_int(st, 8, a->transport);
	sqlite_bind_blob(st, 9, a->sealed, a->sealed_len);
	(void)sqlite3_bind_int(st, 10, a->sealed_is_ha1);
	sqlite_bind_text(st, 11, a->realm);
	(void)sqlite3_bind_int(st, 12, (int)a->alg);
	(void)sqlite3_bind_int(st, 15, a->proven);
	(void)sqlite3_bind_int(st, 16, a->auth_failed);
	return sqlite_run(s, st, NULL);
}


/** A new row; the id drawn may by a rare chance be somebody's already */
static int add(struct sqlite *s, const struct acct_row *acct, uint64_t *id)
{
	int err;

	if (acct->id) {
		*id = acct->id;
		err = put(s, Q_ACCT_NEW, acct, *id);
		return err == EEXIST ? EAGAIN : err;
	}

	for (unsigned i = 0; i < ID_TRIES; i++) {
		*id = store_id_new();
		err = *id ? put(s, Q_ACCT_NEW, acct, *id) : EIO;
		if (err != EEXIST)
			break;
	}
	return err;
}


int sqlite_acct_write(struct sqlite *s, const struct acct_row *acct,
		      uint64_t *id)
{
	int err = sqlite_acct_id(s, acct, id);

	if (err == ENOENT)
		return add(s, acct, id);
	if (err)
		return err;

	/* the secret is sealed to an id */
	if (acct->id && acct->id != *id)
		return EAGAIN;
	return put(s, Q_ACCT_SET, acct, *id);
}


/* status pages */

static bool fits(const struct acct_row *a, const char *filter)
{
	char aor[512];

	if (!*filter)
		return true;
	if (!strchr(filter, '@'))
		return strcasestr(a->user, filter) ||
		       strcasestr(a->domain, filter);

	(void)sqlite3_snprintf(sizeof(aor), aor, "%s@%s", a->user, a->domain);
	return strcasestr(aor, filter);
}


static int list_add(struct sqlite *s, struct store_req *r,
		    const struct acct_row *row)
{
	struct store_item *it = &r->items[r->count];
	const struct acct_row *copy = store_req_acct(r, row);
	int err;

	if (!copy)
		return ENOMEM;

	it->acct = *copy;
	err = sqlite_insts_read(s, r, row->id, &it->instv, &it->instc);
	for (unsigned i = 0; i < it->instc; i++)
		it->acct.want |= it->instv[i].want;
	if (!err)
		r->count++;
	return err;
}


/** A slice of the table at a time, so that calls need not wait behind the
    page of an operator */
int sqlite_list(struct sqlite *s, struct store_req *r)
{
	sqlite3_stmt *st = sqlite_stmt(s, Q_ACCT_PAGE);
	unsigned seen = 0;
	int err = 0;

	if (!r->items)
		r->items = arena_zero(&r->arena, r->max * sizeof(*r->items));
	if (!st || !r->items)
		return ENOMEM;

	(void)sqlite3_bind_int64(st, 1, (int64_t)r->cursor);
	(void)sqlite3_bind_int(st, 2, LIST_SLICE);

	while (r->count < r->max && !(err = sqlite_row(s, st))) {
		struct acct_row row;

		from_stmt(&row, st);
		r->cursor = row.id;
		++seen;
		if (!fits(&row, r->id))
			continue;
		if (r->offset) {
			r->offset--;
			continue;
		}
		err = list_add(s, r, &row);
		if (err)
			break;
	}

	(void)sqlite3_reset(st);
	if (err && err != ENOENT)
		return err;

	r->more = err == ENOENT && seen == LIST_SLICE;
	return 0;
}


/* loading at start */

/** The accounts that some phone wants, in the order of their ids */
struct wanted {
	struct sqlite *s;
	sqlite3_stmt *st;
	uint64_t id; /**< 0 past the end */
};


static int wanted_next(struct wanted *w)
{
	int err = sqlite_row(w->s, w->st);

	w->id = err ? 0 : (uint64_t)sqlite3_column_int64(w->st, 0);
	return err == ENOENT ? 0 : err;
}


static int load(struct sqlite *s, sqlite3_stmt *st, struct wanted *w,
		store_load_acct_h *h, void *arg)
{
	int err;

	while (!(err = sqlite_row(s, st))) {
		struct acct_row row;

		from_stmt(&row, st);
		while (!err && w->id && w->id < row.id)
			err = wanted_next(w);
		row.want = w->id == row.id;
		if (!err)
			err = h(&row, arg);
		if (err)
			return err;
	}

	return err == ENOENT ? 0 : err;
}


/** Two scans side by side, each in the order of the file, rows handed out
    where SQLite has them: about 1 us per account */
int sqlite_load_accts(void *db, store_load_acct_h *h, void *arg)
{
	struct sqlite *s = db;
	struct wanted w = { .s = s, .st = sqlite_stmt(s, Q_WANT_ALL) };
	sqlite3_stmt *st = sqlite_stmt(s, Q_ACCT_ALL);
	int err;

	if (!st || !w.st)
		return ENOMEM;

	err = wanted_next(&w);
	if (!err)
		err = load(s, st, &w, h, arg);

	(void)sqlite3_reset(st);
	(void)sqlite3_reset(w.st);
	sqlite_rest(s);
	return err;
}
