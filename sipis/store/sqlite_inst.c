/**
 * @file sqlite_inst.c  Phones in SQLite
 *
 * The public id of a phone is 16 bytes: the first 8 are its row id, the
 * others stand in the row.  Columns "want", "live" and "due_ms" follow from
 * the rest by app_state.h and are kept so that they can be indexed.
 */

#include <errno.h>
#include <string.h>
#include "common/ident.h"
#include "common/secret.h"
#include "sipis/store/app_state.h"
#include "sipis/store/sqlite.h"

#define REST     8
#define ID_TRIES 16

/** What the table says beyond the public row */
struct inst_db {
	int64_t id;
	uint8_t rest[REST];
	bool live;
	struct inst_row row;
	char text[STORE_ID_LEN + 1];
};


static int id_split(int64_t *id, uint8_t rest[REST], const char *text)
{
	uint8_t raw[STORE_ID_LEN / 2];
	uint64_t front = 0;

	if (!text || strlen(text) != STORE_ID_LEN ||
	    ident_unhex(raw, sizeof(raw), text) || (raw[0] & 0x80))
		return ENOENT;

	for (unsigned i = 0; i < 8; i++)
		front = front << 8 | raw[i];
	*id = (int64_t)front;
	memcpy(rest, raw + 8, REST);
	return 0;
}


static void id_join(char *text, int64_t id, const uint8_t rest[REST])
{
	uint8_t raw[STORE_ID_LEN / 2];

	for (unsigned i = 0; i < 8; i++)
		raw[i] = (uint8_t)((uint64_t)id >> (56 - 8 * i));
	memcpy(raw + 8, rest, REST);
	ident_hex(text, raw, sizeof(raw));
}


/** Points into the statement */
static void from_stmt(struct inst_db *d, sqlite3_stmt *st)
{
	struct inst_row *row = &d->row;
	const uint8_t *p;
	int state;
	size_t len;

	memset(d, 0, sizeof(*d));
	d->id = sqlite3_column_int64(st, 0);
	p = sqlite_blob(st, 1, &len);
	if (p && len == REST)
		memcpy(d->rest, p, len);
	id_join(d->text, d->id, d->rest);

	row->id = d->text;
	row->acct = (uint64_t)sqlite3_column_int64(st, 2);
	state = sqlite3_column_int(st, 3);
	/* a bent row wakes nobody */
	row->state = state >= 0 && state < INST_STATES ? (enum inst_state)state
						       : INST_GONE;
	row->want = sqlite3_column_int(st, 4) != 0;
	row->lease_until_ms = sqlite3_column_int64(st, 5);
	row->seen_ms = sqlite3_column_int64(st, 6);
	row->created_ms = sqlite3_column_int64(st, 7);
	row->idle_s = (uint32_t)sqlite3_column_int64(st, 8);
	row->push_after_exit = sqlite3_column_int(st, 9) != 0;
	row->push_enabled = sqlite3_column_int(st, 10) != 0;
	d->live = sqlite3_column_int(st, 11) != 0;
	p = sqlite_blob(st, 12, &len);
	if (p && len == sizeof(row->secret_sha256))
		memcpy(row->secret_sha256, p, len);
	row->app = sqlite_text(st, 13);
	row->installation = sqlite_text(st, 14);
	row->label = sqlite_text(st, 15);
	row->platform = sqlite_text(st, 16);
	row->options = sqlite_text(st, 17);
	row->lease_s = (uint32_t)sqlite3_column_int64(st, 18);
}


/** The row with this id or, so that a miss costs what a hit does, another
    one; ENOENT only if there is none at all */
static int near(struct sqlite *s, struct store_req *r, int64_t id,
		struct inst_db *d)
{
	sqlite3_stmt *st = sqlite_stmt(s, Q_INST_NEAR);
	const struct inst_row *copy;
	int err;

	if (!st)
		return ENOMEM;

	(void)sqlite3_bind_int64(st, 1, id);
	err = sqlite_row(s, st);
	if (err == ENOENT) {
		(void)sqlite3_bind_int64(st, 1, 0);
		err = sqlite_row(s, st);
	}
	if (err)
		return err;

	from_stmt(d, st);
	copy = store_req_inst(r, &d->row);
	(void)sqlite3_reset(st);
	if (!copy)
		return ENOMEM;

	d->row = *copy;
	return 0;
}


/** Reads the row of id; ENOENT also when the secret is another one.  Both
    halves of the id and the secret are compared in constant time */
static int inst_find(struct sqlite *s, struct store_req *r, const char *text,
		     const uint8_t *sha256, struct inst_db *d)
{
	uint8_t rest[REST];
	bool same;
	int64_t id;
	int err;

	err = id_split(&id, rest, text);
	if (!err)
		err = near(s, r, id, d);
	if (err)
		return err;

	same = d->id == id;
	same &= secret_equal(rest, d->rest, REST);
	if (sha256)
		same &= secret_equal(sha256, d->row.secret_sha256,
				     sizeof(d->row.secret_sha256));
	return same ? 0 : ENOENT;
}


/** What follows from the rest of the row */
static void derive(struct inst_db *d)
{
	struct inst_row *row = &d->row;

	row->want = app_wants(row->state, row->push_after_exit,
			      row->push_enabled, d->live);
	row->lease_until_ms = app_due(row->state, row->lease_until_ms,
				      row->seen_ms, row->idle_s);
}


static void bind_due(sqlite3_stmt *st, int n, int64_t due_ms)
{
	if (due_ms)
		(void)sqlite3_bind_int64(st, n, due_ms);
	else
		(void)sqlite3_bind_null(st, n);
}


static int state_write(struct sqlite *s, const struct inst_db *d)
{
	sqlite3_stmt *st = sqlite_stmt(s, Q_INST_STATE);
	const struct inst_row *row = &d->row;

	if (!st)
		return ENOMEM;

	(void)sqlite3_bind_int64(st, 1, d->id);
	(void)sqlite3_bind_int(st, 2, (int)row->state);
	(void)sqlite3_bind_int(st, 3, row->want);
	bind_due(st, 4, row->lease_until_ms);
	(void)sqlite3_bind_int64(st, 5, row->seen_ms);
	return sqlite_run(s, st, NULL);
}


static int set_write(struct sqlite *s, const struct inst_db *d)
{
	sqlite3_stmt *st = sqlite_stmt(s, Q_INST_SET);
	const struct inst_row *row = &d->row;

	if (!st)
		return ENOMEM;

	(void)sqlite3_bind_int64(st, 1, d->id);
	(void)sqlite3_bind_int(st, 2, (int)row->state);
	(void)sqlite3_bind_int(st, 3, row->want);
	bind_due(st, 4, row->lease_until_ms);
	(void)sqlite3_bind_int64(st, 5, row->seen_ms);
	(void)sqlite3_bind_int64(st, 6, row->idle_s);
	(void)sqlite3_bind_int(st, 7, row->push_after_exit);
	(void)sqlite3_bind_int(st, 8, row->push_enabled);
	(void)sqlite3_bind_int(st, 9, d->live);
	sqlite_bind_blob(st, 10, row->secret_sha256,
			 sizeof(row->secret_sha256));
	sqlite_bind_text(st, 11, row->label);
	sqlite_bind_text(st, 12, row->options);
	return sqlite_run(s, st, NULL);
}


static int whole_write(struct sqlite *s, enum query q, const struct inst_db *d)
{
	sqlite3_stmt *st = sqlite_stmt(s, q);
	const struct inst_row *row = &d->row;

	if (!st)
		return ENOMEM;

	(void)sqlite3_bind_int64(st, 1, d->id);
	sqlite_bind_blob(st, 2, d->rest, REST);
	(void)sqlite3_bind_int64(st, 3, (int64_t)row->acct);
	(void)sqlite3_bind_int(st, 4, (int)row->state);
	(void)sqlite3_bind_int(st, 5, row->want);
	bind_due(st, 6, row->lease_until_ms);
	(void)sqlite3_bind_int64(st, 7, row->seen_ms);
	(void)sqlite3_bind_int64(st, 8, row->created_ms);
	(void)sqlite3_bind_int64(st, 9, row->idle_s);
	(void)sqlite3_bind_int(st, 10, row->push_after_exit);
	(void)sqlite3_bind_int(st, 11, row->push_enabled);
	(void)sqlite3_bind_int(st, 12, d->live);
	sqlite_bind_blob(st, 13, row->secret_sha256,
			 sizeof(row->secret_sha256));
	sqlite_bind_text(st, 14, row->app);
	sqlite_bind_text(st, 15, row->installation);
	sqlite_bind_text(st, 16, row->label ? row->label : "");
	sqlite_bind_text(st, 17, row->platform);
	sqlite_bind_text(st, 18, row->options ? row->options : "{}");
	(void)sqlite3_bind_int64(st, 19, row->lease_s);
	return sqlite_run(s, st, NULL);
}


/** The phone of this account with this installation: 0 and d filled, ENOENT,
    or ENFILE if there is no room for one more */
static int same_installation(struct sqlite *s, uint64_t acct,
			     const char *installation, int64_t *id,
			     uint8_t rest[REST])
{
	sqlite3_stmt *st = sqlite_stmt(s, Q_INST_OF);
	struct inst_db d;
	unsigned n = 0;
	int err;

	if (!st)
		return ENOMEM;

	(void)sqlite3_bind_int64(st, 1, (int64_t)acct);
	(void)sqlite3_bind_int(st, 2, STORE_INST_MAX);
	while (!(err = sqlite_row(s, st))) {
		from_stmt(&d, st);
		++n;
		if (d.row.installation &&
		    !strcmp(d.row.installation, installation)) {
			*id = d.id;
			memcpy(rest, d.rest, REST);
			break;
		}
	}

	(void)sqlite3_reset(st);
	return err == ENOENT && n >= STORE_INST_MAX ? ENFILE : err;
}


/** A new row under the id that was asked for or, when there is none, under
    one that nobody has */
static int add(struct sqlite *s, struct inst_db *d, const char *id)
{
	char fresh[STORE_ID_LEN + 1];
	int err;

	if (id) {
		err = id_split(&d->id, d->rest, id);
		return err ? EINVAL : whole_write(s, Q_INST_NEW, d);
	}

	for (unsigned i = 0; i < ID_TRIES; i++) {
		err = store_inst_id_new(fresh);
		if (!err)
			err = id_split(&d->id, d->rest, fresh);
		if (!err)
			err = whole_write(s, Q_INST_NEW, d);
		if (err != EEXIST)
			break;
	}
	return err;
}


int sqlite_inst_write(struct sqlite *s, uint64_t acct,
		      const struct inst_row *inst, char *id)
{
	struct inst_db d = { .row = *inst };
	int err;

	d.row.acct = acct;
	d.live = sqlite_push_live(inst);
	if (!d.live && d.row.state != INST_ACTIVE)
		d.row.state = app_next(d.row.state, APP_TOKENS_DEAD, false);
	derive(&d);

	err = same_installation(s, acct, inst->installation, &d.id, d.rest);
	if (!err)
		err = sqlite_push_clear(s, d.id);
	if (!err)
		err = whole_write(s, Q_INST_PUT, &d);
	else if (err == ENOENT)
		err = add(s, &d, inst->id);
	if (!err)
		err = sqlite_push_write(s, d.id, inst);

	id_join(id, d.id, d.rest);
	return err;
}


/** The answer of most requests: the phone with its account.  The texts of the
    row are in the arena already */
static int answer(struct sqlite *s, struct store_req *r, struct inst_db *d)
{
	r->rinst = arena_get(&r->arena, sizeof(*r->rinst));
	r->racct = arena_get(&r->arena, sizeof(*r->racct));
	if (!r->rinst || !r->racct)
		return ENOMEM;

	*r->rinst = d->row;
	return sqlite_acct_read(s, r, d->row.acct, d->row.want, r->racct);
}


static int answer_id(struct sqlite *s, struct store_req *r, const char *id)
{
	struct inst_db d;
	int err = inst_find(s, r, id, NULL, &d);

	if (!err)
		err = sqlite_push_read(s, r, d.id, &d.row);
	return err ? err : answer(s, r, &d);
}


int sqlite_inst_put(struct sqlite *s, struct store_req *r)
{
	char id[STORE_ID_LEN + 1];
	uint64_t acct = r->inst->acct;
	int err = r->acct ? sqlite_acct_write(s, r->acct, &acct) : 0;

	if (!err)
		err = sqlite_inst_write(s, acct, r->inst, id);
	return err ? err : answer_id(s, r, id);
}


int sqlite_inst_get(struct sqlite *s, struct store_req *r)
{
	return answer_id(s, r, r->id);
}


int sqlite_inst_state(struct sqlite *s, struct store_req *r)
{
	enum app_event event;
	struct inst_db d;
	int err;

	err = inst_find(s, r, r->id, r->blob, &d);
	if (err)
		return err;

	err = app_says(&event, r->state);
	if (err)
		return err;

	d.row.state = app_next(d.row.state, event, d.live);
	d.row.lease_until_ms =
		r->n1 ? r->n1 : r->n2 + (int64_t)d.row.lease_s * 1000;
	d.row.seen_ms = r->n2;
	derive(&d);
	err = state_write(s, &d);
	return err ? err : answer(s, r, &d);
}


static bool any_byte(const uint8_t *p, size_t len)
{
	while (len--)
		if (p[len])
			return true;
	return false;
}


static void patch_apply(struct inst_db *d, const struct inst_row *to)
{
	struct inst_row *row = &d->row;

	if (to->label)
		row->label = to->label;
	if (to->options) {
		row->options = to->options;
		row->push_after_exit = to->push_after_exit;
		row->push_enabled = to->push_enabled;
		row->idle_s = to->idle_s;
	}
	if (any_byte(to->secret_sha256, sizeof(to->secret_sha256)))
		memcpy(row->secret_sha256, to->secret_sha256,
		       sizeof(row->secret_sha256));
	if (to->seen_ms)
		row->seen_ms = to->seen_ms;
	if (to->push_count) {
		d->live = sqlite_push_live(to);
		row->state = app_next(
			row->state, d->live ? APP_TOKENS_NEW : APP_TOKENS_DEAD,
			d->live);
	}
	derive(d);
}


int sqlite_inst_patch(struct sqlite *s, struct store_req *r)
{
	struct inst_db d;
	uint64_t acct;
	int err;

	err = inst_find(s, r, r->id, NULL, &d);
	if (err)
		return err;

	if (r->acct) {
		err = sqlite_acct_write(s, r->acct, &acct);
		if (!err && acct != d.row.acct)
			err = EINVAL;
		if (err)
			return err;
	}

	patch_apply(&d, r->inst);
	err = set_write(s, &d);
	if (!err && r->inst->push_count)
		err = sqlite_push_clear(s, d.id);
	if (!err && r->inst->push_count)
		err = sqlite_push_write(s, d.id, r->inst);
	return err ? err : answer_id(s, r, r->id);
}


/** ENOENT: the account has no phone left */
static int has_inst(struct sqlite *s, uint64_t acct)
{
	sqlite3_stmt *st = sqlite_stmt(s, Q_INST_OF);
	int err;

	if (!st)
		return ENOMEM;

	(void)sqlite3_bind_int64(st, 1, (int64_t)acct);
	(void)sqlite3_bind_int(st, 2, 1);
	err = sqlite_row(s, st);
	(void)sqlite3_reset(st);
	return err;
}


int sqlite_inst_delete(struct sqlite *s, struct store_req *r)
{
	sqlite3_stmt *st = sqlite_stmt(s, Q_INST_DELETE);
	struct inst_db d;
	int err;

	if (!st)
		return ENOMEM;

	err = inst_find(s, r, r->id, NULL, &d);
	if (err)
		return err;

	(void)sqlite3_bind_int64(st, 1, d.id);
	err = sqlite_run(s, st, NULL);
	if (err)
		return err;

	d.row.want = false;
	err = answer(s, r, &d);
	if (err || r->racct->want)
		return err;

	/* the last one takes the account with it */
	err = has_inst(s, d.row.acct);
	if (err != ENOENT)
		return err;

	r->rinst = NULL;
	st = sqlite_stmt(s, Q_ACCT_DELETE);
	if (!st)
		return ENOMEM;

	(void)sqlite3_bind_int64(st, 1, (int64_t)d.row.acct);
	return sqlite_run(s, st, NULL);
}


/** Some of its tokens are dead now */
static int died(struct sqlite *s, struct store_req *r, struct inst_db *d)
{
	int err = sqlite_push_read(s, r, d->id, &d->row);

	if (err)
		return err;

	d->live = sqlite_push_live(&d->row);
	if (!d->live)
		d->row.state = app_next(d->row.state, APP_TOKENS_DEAD, false);
	derive(d);
	err = set_write(s, d);
	return err ? err : answer(s, r, d);
}


int sqlite_push_gone(struct sqlite *s, struct store_req *r)
{
	uint8_t rest[REST];
	struct inst_db d;
	int64_t of = 0, id;
	int n, err = r->id ? id_split(&of, rest, r->id) : 0;

	if (!err)
		err = sqlite_push_find(s, r->blob, r->blob_len,
				       r->id ? &of : NULL, &id, &n);
	if (!err)
		err = sqlite_push_mark(s, id, n, r->text);
	if (!err)
		err = near(s, r, id, &d);
	return err ? err : died(s, r, &d);
}


int sqlite_push_end(struct sqlite *s, struct store_req *r)
{
	sqlite3_stmt *st = sqlite_stmt(s, Q_PUSH_END);
	struct inst_db d;
	int n = 0, err;

	if (!st)
		return ENOMEM;

	err = inst_find(s, r, r->id, NULL, &d);
	if (err)
		return err;

	(void)sqlite3_bind_int64(st, 1, d.id);
	sqlite_bind_text(st, 2, r->text);
	err = sqlite_run(s, st, &n);
	if (err)
		return err;

	return n ? died(s, r, &d) : ENOENT;
}


/* what time does */

static int due_collect(struct sqlite *s, struct store_req *r,
		       struct inst_db *v, unsigned *n)
{
	sqlite3_stmt *st = sqlite_stmt(s, Q_INST_DUE);
	int err = 0;

	if (!st)
		return ENOMEM;

	(void)sqlite3_bind_int64(st, 1, r->n1);
	(void)sqlite3_bind_int(st, 2, (int)r->max);
	for (*n = 0; *n < r->max && !(err = sqlite_row(s, st)); ++*n) {
		const struct inst_row *copy;

		from_stmt(&v[*n], st);
		copy = store_req_inst(r, &v[*n].row);
		if (!copy) {
			err = ENOMEM;
			break;
		}
		v[*n].row = *copy;
	}

	(void)sqlite3_reset(st);
	return err == ENOENT ? 0 : err;
}


static int due_apply(struct sqlite *s, struct store_req *r, struct inst_db *d)
{
	struct store_item *it = &r->items[r->count];
	int err;

	d->row.state = app_next(d->row.state,
				d->row.state == INST_ACTIVE ? APP_LEASE_OVER
							    : APP_IDLE_OVER,
				d->live);
	derive(d);
	err = state_write(s, d);
	if (!err)
		err = sqlite_acct_read(s, r, d->row.acct, d->row.want,
				       &it->acct);
	if (err)
		return err;

	it->instv = &d->row;
	it->instc = 1;
	r->count++;
	return 0;
}


int sqlite_overdue(struct sqlite *s, struct store_req *r)
{
	struct inst_db *v = arena_get(&r->arena, r->max * sizeof(*v));
	unsigned n;
	int err;

	r->items = arena_zero(&r->arena, r->max * sizeof(*r->items));
	if (!v || !r->items)
		return ENOMEM;

	err = due_collect(s, r, v, &n);
	for (unsigned i = 0; !err && i < n; i++)
		err = due_apply(s, r, &v[i]);
	if (err)
		r->count = 0;
	return err;
}


int sqlite_insts_read(struct sqlite *s, struct store_req *r, uint64_t acct,
		      struct inst_row **instv, unsigned *instc)
{
	sqlite3_stmt *st = sqlite_stmt(s, Q_INST_OF);
	struct inst_row *v = NULL;
	struct inst_db d;
	unsigned n = 0;
	int err;

	if (!st)
		return ENOMEM;

	(void)sqlite3_bind_int64(st, 1, (int64_t)acct);
	(void)sqlite3_bind_int(st, 2, STORE_INST_MAX);
	while (!(err = sqlite_row(s, st))) {
		const struct inst_row *copy;

		/* one phone is the rule: room for all only if there are two */
		if (n < 2) {
			struct inst_row *more =
				arena_get(&r->arena, (n ? STORE_INST_MAX : 1) *
							     sizeof(*v));

			if (!more) {
				err = ENOMEM;
				break;
			}
			if (n)
				more[0] = v[0];
			v = more;
		}

		from_stmt(&d, st);
		copy = store_req_inst(r, &d.row);
		if (!copy) {
			err = ENOMEM;
			break;
		}
		v[n] = *copy;
		err = sqlite_push_read(s, r, d.id, &v[n]);
		if (err)
			break;
		++n;
	}

	(void)sqlite3_reset(st);
	*instv = v;
	*instc = n;
	return err == ENOENT ? 0 : err;
}


int sqlite_insts_of(struct sqlite *s, struct store_req *r)
{
	return sqlite_insts_read(s, r, r->acct_id, &r->rinst, &r->count);
}
