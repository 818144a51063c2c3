/**
 * @file test_store_phones.c  Phones that calls ask for again: what is kept of
 * them is never older than a write that was answered
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sqlite3.h>
#include "common/clock.h"
#include "sipis/store/phones.h"
#include "tests/unit/common/loop.h"
#include "tests/unit/store/fixture.h"

enum {
	OTHER_WAIT_MS = 10000,
	IDLE_MS = 20,
	ACCTS = 3,
	WRITES = 600,
	UNDER_WAY = 7,
	BIG = 1000, /**< bytes of a token */
};

/* what was read */

static void insts_handler(int err, const struct inst_row *instv,
			  unsigned instc, void *arg)
{
	struct fix *f = arg;

	f->err = err;
	*f->label = *f->text = 0;
	f->push_count = instc;
	if (instc) {
		f->state = instv->state;
		f->push_gone = instv->push[0].gone;
		(void)snprintf(f->label, sizeof(f->label), "%s", instv->label);
		(void)snprintf(f->text, sizeof(f->text), "%.*s",
			       (int)instv->push[0].handle_len,
			       (const char *)instv->push[0].handle);
	}
	fix_called(f);
}


static void ask(struct fix *f)
{
	assert_int_equal(store_insts_of(f->st, f->acct_id, insts_handler, f),
			 0);
	assert_int_equal(f->calls, 0); /* never before it returns */
	fix_wait(f, 1);
	assert_int_equal(f->err, 0);
}


/** Another hand changes the label: who reads it has read the file */
static void mark(struct fix *f)
{
	char sql[128], *why = NULL;
	sqlite3 *db;

	assert_int_equal(
		sqlite3_open_v2(f->path, &db, SQLITE_OPEN_READWRITE, NULL),
		SQLITE_OK);
	(void)sqlite3_busy_timeout(db, OTHER_WAIT_MS);
	(void)snprintf(sql, sizeof(sql), "UPDATE inst SET label = '%u'",
		       ++f->marks);
	if (sqlite3_exec(db, sql, NULL, NULL, &why))
		fail_msg("%s: %s", sql, why);
	(void)sqlite3_close(db);
}


/** The rows are kept: that the file has another label goes unseen */
static void kept(struct fix *f)
{
	char label[sizeof(f->label)];

	ask(f);
	(void)snprintf(label, sizeof(label), "%s", f->label);
	mark(f);
	ask(f);
	assert_string_equal(f->label, label);
}


/** The last write has let go of them */
static void fresh(struct fix *f)
{
	fix_wait(f, 1);
	assert_int_equal(f->err, 0);
	ask(f);
	if (f->push_count)
		assert_int_equal(strtoul(f->label, NULL, 10), f->marks);
}


static void each_write_shows(void **state)
{
	const uint8_t *h1 = (const uint8_t *)"phone",
		      *h2 = (const uint8_t *)"other";
	struct acct_row a = fix_acct_row("ann");
	struct inst_row i = fix_inst_row("phone");
	struct inst_row to = { .seen_ms = 5 };
	struct fix *f = *state;
	char id[STORE_ID_LEN + 1];

	fix_open(f);
	fix_put(f, "ann", "phone");
	(void)snprintf(id, sizeof(id), "%s", f->inst_id);
	kept(f);

	assert_int_equal(store_inst_state(f->st, id, NULL, INST_ACTIVE, 7, 6,
					  fix_inst, f),
			 0);
	fresh(f);
	assert_int_equal(f->state, INST_ACTIVE);

	kept(f);
	assert_int_equal(store_inst_overdue(f->st, 8, 1, fix_inst, f), 0);
	fix_wait(f, 2);
	assert_int_equal(f->err, ENOENT);
	ask(f);
	assert_int_equal(f->state, INST_INACTIVE);
	kept(f);

	to.id = id;
	assert_int_equal(store_inst_patch(f->st, NULL, &to, fix_inst, f), 0);
	fresh(f);

	assert_int_equal(store_push_renew(f->st, h1, 5, h2, 5, fix_done, f),
			 0);
	fresh(f);
	assert_string_equal(f->text, "other");

	kept(f);
	assert_int_equal(store_push_gone(f->st, NULL, h2, 5, "x", fix_inst, f),
			 0);
	fresh(f);
	assert_int_equal(f->push_gone, 1);

	kept(f);
	i.push[0].via_sip = true;
	assert_int_equal(store_inst_put(f->st, &a, &i, fix_inst, f), 0);
	fix_wait(f, 1);
	ask(f);
	assert_string_equal(f->text, "phone");
	assert_int_equal(f->push_gone, 0);
	kept(f);
	assert_int_equal(store_push_end(f->st, id, "x", fix_inst, f), 0);
	fresh(f);
	assert_int_equal(f->push_gone, 1);

	kept(f);
	assert_int_equal(store_inst_delete(f->st, id, fix_inst, f), 0);
	fresh(f);
	assert_int_equal(f->push_count, 0);

	/* that there is none is known as well, and changes as well */
	fix_put(f, "ann", "phone");
	ask(f);
	assert_int_equal(f->push_count, 1);
}


/** Who has written without a word of it to be told later */
static void silent_writes(void **state)
{
	struct fix *f = *state;

	fix_open(f);
	fix_put(f, "ann", "phone");
	kept(f);
	assert_int_equal(store_inst_state(f->st, f->inst_id, NULL, INST_ACTIVE,
					  7, 6, NULL, NULL),
			 0);
	assert_int_equal(store_meta_put(f->st, "after", 1, fix_done, f), 0);
	fix_wait(f, 1);
	ask(f);
	assert_int_equal(f->state, INST_ACTIVE);
}


static bool written(const struct fix *f, int64_t seen_ms)
{
	int64_t seen = 0;
	sqlite3_stmt *st;
	sqlite3 *db;

	assert_int_equal(
		sqlite3_open_v2(f->path, &db, SQLITE_OPEN_READONLY, NULL),
		SQLITE_OK);
	(void)sqlite3_busy_timeout(db, OTHER_WAIT_MS);
	assert_int_equal(sqlite3_prepare_v2(db, "SELECT seen_ms FROM inst", -1,
					    &st, NULL),
			 SQLITE_OK);
	if (sqlite3_step(st) == SQLITE_ROW)
		seen = sqlite3_column_int64(st, 0);
	(void)sqlite3_finalize(st);
	(void)sqlite3_close(db);
	return seen == seen_ms;
}


/** Also when the end of the store comes between a write's answer and theirs */
static void last_answers(void **state)
{
	struct fix *f = *state;
	uint64_t end;

	fix_open(f);
	fix_put(f, "ann", "phone");
	ask(f);
	assert_int_equal(store_inst_state(f->st, f->inst_id, NULL, INST_ACTIVE,
					  7, 6, NULL, NULL),
			 0);
	for (end = clock_mono_ms() + OTHER_WAIT_MS;
	     !written(f, 6) && clock_mono_ms() < end;)
		;
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(
			store_insts_of(f->st, f->acct_id, insts_handler, f),
			0);
	fix_close(f);
	assert_int_equal(f->calls, 3);
	assert_int_equal(f->push_count, 1);
	f->calls = 0;
}


/* writes and reads under way at once: each answered write is seen by each
   read that is asked from then on */

struct race {
	struct fix *f;
	unsigned written, open;
	struct acct_state {
		uint64_t id;
		char inst[STORE_ID_LEN + 1];
		int64_t answered; /**< highest seen_ms the loop was told of */
	} acctv[ACCTS];
};

struct look {
	struct race *race;
	struct acct_state *acct;
	int64_t least;
};

static void race_go(struct race *race);


static void look_handler(int err, const struct inst_row *instv, unsigned instc,
			 void *arg)
{
	struct look *look = arg;
	struct race *race = look->race;

	assert_int_equal(err, 0);
	assert_int_equal(instc, 1);
	assert_string_equal(instv->id, look->acct->inst);
	if (instv->seen_ms < look->least)
		fail_msg("seen %lld, but %lld was answered",
			 (long long)instv->seen_ms, (long long)look->least);
	free(look);
	--race->open;
	race_go(race);
}


static void look(struct race *race, struct acct_state *acct)
{
	struct look *l = malloc(sizeof(*l));

	assert_non_null(l);
	l->race = race;
	l->acct = acct;
	l->least = acct->answered;
	++race->open;
	assert_int_equal(
		store_insts_of(race->f->st, acct->id, look_handler, l), 0);
}


static void wrote_handler(int err, const struct inst_row *inst,
			  const struct acct_row *acct, void *arg)
{
	struct race *race = arg;
	(void)acct;

	assert_int_equal(err, 0);
	for (unsigned i = 0; i < ACCTS; i++) {
		struct acct_state *a = &race->acctv[i];

		if (a->id != inst->acct)
			continue;
		if (inst->seen_ms > a->answered)
			a->answered = inst->seen_ms;
		look(race, a);
	}
	--race->open;
	race_go(race);
}


static void race_go(struct race *race)
{
	while (race->open < UNDER_WAY && race->written < WRITES) {
		struct acct_state *a = &race->acctv[random() % ACCTS];

		for (long n = random() % 3; n--;)
			look(race, &race->acctv[random() % ACCTS]);
		++race->open;
		assert_int_equal(store_inst_state(race->f->st, a->inst, NULL,
						  INST_INACTIVE, 0,
						  1000000 + ++race->written,
						  wrote_handler, race),
				 0);
	}
	if (!race->open)
		re_cancel();
}


static void never_stale(void **state)
{
	struct race race = { .f = *state };
	struct fix *f = *state;

	srandom(7);
	fix_open(f);
	for (unsigned i = 0; i < ACCTS; i++) {
		char user[16];

		(void)snprintf(user, sizeof(user), "u%u", i);
		fix_put(f, user, "phone");
		race.acctv[i].id = f->acct_id;
		(void)snprintf(race.acctv[i].inst, sizeof(race.acctv[i].inst),
			       "%s", f->inst_id);
	}
	race_go(&race);
	loop_run();
	assert_int_equal(race.written, WRITES);
}


/* its bounds */

static void read_and_keep(struct phones *p, uint64_t acct,
			  const struct inst_row *inst)
{
	struct store_req *r = store_req_new(OP_INSTS_OF, NULL);

	assert_non_null(r);
	r->acct_id = acct;
	r->ticket = phones_expect(p, acct);
	r->rinst = (struct inst_row *)store_req_inst(r, inst);
	r->count = inst ? 1 : 0;
	phones_keep(p, r);
	store_req_free(r);
}


/** Read before a write, answered after it: another read, asked for since then,
    is none of its business */
static void late_rows(void **state)
{
	struct store_req *late = store_req_new(OP_INSTS_OF, NULL);
	struct store_req *wrote = store_req_new(OP_INST_STATE, NULL);
	struct acct_row acct = { .id = 1 };
	struct phones *p;
	(void)state;

	assert_non_null(late);
	assert_non_null(wrote);
	assert_int_equal(phones_alloc(&p, IDLE_MS), 0);
	late->acct_id = 1;
	late->ticket = phones_expect(p, 1);
	assert_int_equal(phones_expect(p, 1), 0);
	wrote->racct = &acct;
	phones_changed(p, wrote);
	assert_int_not_equal(phones_expect(p, 1), 0);
	phones_keep(p, late);
	assert_null(phones_get(p, 1));

	/* what failed may have got anywhere */
	read_and_keep(p, 2, NULL);
	mem_deref(phones_get(p, 2));
	wrote->racct = NULL;
	wrote->err = EIO;
	phones_changed(p, wrote);
	assert_int_equal(phones_count(p), 0);

	store_req_free(late);
	store_req_free(wrote);
	mem_deref(p);
}


static void bounds(void **state)
{
	struct inst_row big = fix_inst_row("phone");
	uint8_t token[BIG] = { 0 };
	struct phones *p;
	(void)state;

	assert_int_equal(phones_alloc(&p, IDLE_MS), 0);
	for (uint64_t acct = 1; acct <= 2 * PHONES_MAX; acct++)
		read_and_keep(p, acct, NULL);
	assert_int_equal(phones_count(p), PHONES_MAX);
	assert_null(phones_get(p, PHONES_MAX));
	mem_deref(phones_get(p, PHONES_MAX + 1));

	/* those of late push out those that were not asked for */
	big.push[0].handle = big.push[1].handle = token;
	big.push[0].handle_len = big.push[1].handle_len = sizeof(token);
	for (uint64_t acct = 1; acct <= PHONES_MAX; acct++)
		read_and_keep(p, acct, &big);
	assert_true(phones_count(p) > 50);
	assert_true(phones_count(p) < 500);
	mem_deref(p);
}


struct watch {
	struct phones *p;
	struct tmr tmr;
};


static void watch_handler(void *arg)
{
	struct watch *w = arg;

	if (phones_count(w->p))
		tmr_start(&w->tmr, 1, watch_handler, w);
	else
		re_cancel();
}


static void idle_ones_go(void **state)
{
	struct watch w = { 0 };
	struct phones_entry *held;
	(void)state;

	assert_int_equal(phones_alloc(&w.p, IDLE_MS), 0);
	read_and_keep(w.p, 1, NULL);
	(void)phones_expect(w.p, 2); /* its answer never comes */
	held = phones_get(w.p, 1);
	assert_true(phones_current(held));

	watch_handler(&w);
	loop_run();
	assert_false(phones_current(held));
	mem_deref(held);
	mem_deref(w.p);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(t) cmocka_unit_test_setup_teardown(t, fix_setup, fix_teardown)
		T(each_write_shows), T(silent_writes), T(last_answers),
		T(never_stale),      T(bounds),        T(late_rows),
		T(idle_ones_go),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
