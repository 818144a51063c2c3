/**
 * @file test_store_calls.c  Waiting calls, tombstones, timelines, and the end
 * of what is old
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/clock.h"
#include "common/ident.h"
#include <sqlite3.h>
#include "tests/unit/store/fixture.h"

enum { DEADLINE_MS = 20000 };

#define CALL_A "7d3a1f00-0000-8000-8000-00000000000a"
#define CALL_B "7d3a1f00-0000-8000-8000-00000000000b"

static const char invite[] =
	"INVITE sip:x@127.0.0.1 SIP/2.0\r\n"
	"Via: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKi: 1\r\n"
	"CALL-ID :  some/call%id@host \r\n"
	"Content-Length: 14\r\n\r\n"
	"Call-ID: other";


static struct call_row row(const char *id)
{
	struct call_row c = {
		.id = id,
		.acct = 7,
		.from = "sip:200@example.org",
		.display_name = "Bob",
		.received_ms = clock_wall_ms(),
		.deadline_ms = clock_wall_ms() + 15000,
		.invite = (const uint8_t *)invite,
		.invite_len = sizeof(invite) - 1,
		.src = "127.0.0.1:5060",
		.handover = "fork",
		.to_tag = "ours",
	};

	return c;
}


static void put(struct fix *f, const char *id)
{
	const struct call_row c = row(id);

	assert_int_equal(store_call_put(f->st, &c, fix_done, f), 0);
	fix_wait(f, 1);
}


static void call_handler(int err, const struct call_row *c, void *arg)
{
	struct fix *f = arg;

	f->err = err;
	*f->text = 0;
	if (!err) {
		(void)snprintf(f->text, sizeof(f->text), "%s %s %zu", c->from,
			       c->ended ? c->ended : "-", c->invite_len);
		assert_int_equal(c->acct, 7);
	}
	fix_called(f);
}


static int load_handler(const struct call_row *c, void *arg)
{
	struct fix *f = arg;

	++f->push_count;
	assert_int_equal(c->invite_len, sizeof(invite) - 1);
	assert_memory_equal(c->invite, invite, sizeof(invite) - 1);
	assert_string_equal(c->id, CALL_A);
	assert_string_equal(c->to_tag, "ours");
	return 0;
}


static void life(void **state)
{
	struct fix *f = *state;

	fix_open(f);
	put(f, CALL_A);
	assert_int_equal(f->err, 0);
	put(f, CALL_A); /* the INVITE came again */
	assert_int_equal(f->err, 0);
	put(f, CALL_B);
	assert_int_equal(
		store_call_end(f->st, CALL_B, "cancelled", 5, fix_done, f), 0);
	fix_wait(f, 1);
	assert_int_equal(f->err, 0);
	put(f, CALL_B); /* and it is over: it does not come back to life */
	assert_int_equal(f->err, EEXIST);

	fix_close(f);
	fix_open(f);
	f->push_count = 0;
	assert_int_equal(store_load_calls(f->st, load_handler, f), 0);
	assert_int_equal(f->push_count, 1);

	assert_int_equal(store_call_get(f->st, CALL_B, call_handler, f), 0);
	fix_wait(f, 1);
	assert_string_equal(f->text, "sip:200@example.org cancelled 0");
	assert_int_equal(store_call_get(f->st, "no id", call_handler, f), 0);
	fix_wait(f, 1);
	assert_int_equal(f->err, ENOENT);
}


static void handed_over_and_declined(void **state)
{
	struct fix *f = *state;

	fix_open(f);
	put(f, CALL_A);
	assert_int_equal(
		store_call_end(f->st, CALL_A, "handed", 5, NULL, NULL), 0);
	assert_int_equal(
		store_call_end(f->st, CALL_A, "declined", 6, NULL, NULL), 0);
	assert_int_equal(
		store_call_end(f->st, CALL_A, "answered", 7, NULL, NULL), 0);
	assert_int_equal(
		store_call_end(f->st, CALL_A, "missed", 8, fix_done, f), 0);
	fix_wait(f, 1);
	assert_int_equal(f->err, ENOENT);
	assert_int_equal(store_call_get(f->st, CALL_A, call_handler, f), 0);
	fix_wait(f, 1);
	assert_string_equal(f->text, "sip:200@example.org declined 0");
}


static void other_sql(struct fix *f, const char *sql, int *number)
{
	char path[128], *why = NULL;
	sqlite3_stmt *st;
	sqlite3 *db;

	(void)snprintf(path, sizeof(path), "%s/store-calls.db", f->dir);
	assert_int_equal(
		sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL),
		SQLITE_OK);
	(void)sqlite3_busy_timeout(db, 10000);
	if (!number && sqlite3_exec(db, sql, NULL, NULL, &why))
		fail_msg("%s: %s", sql, why);
	if (number) {
		assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL),
				 SQLITE_OK);
		assert_int_equal(sqlite3_step(st), SQLITE_ROW);
		*number = sqlite3_column_int(st, 0);
		(void)sqlite3_finalize(st);
	}
	(void)sqlite3_close(db);
}


static void word(struct fix *f, const char *id, const char *ended)
{
	assert_int_equal(store_call_end(f->st, id, ended, 5, fix_done, f), 0);
}


/** Begun and over in one breath: one row, which nobody has to change.  Each
    word on its end is answered as if it had been alone */
static void over_at_once(void **state)
{
	struct fix *f = *state;
	struct call_row c = row(CALL_A);

	fix_open(f);
	other_sql(f,
		  "CREATE TRIGGER twice BEFORE UPDATE ON call BEGIN "
		  "SELECT RAISE (ABORT, 'twice'); END",
		  NULL);
	assert_int_equal(store_call_put(f->st, &c, fix_done, f), 0);
	word(f, CALL_A, "handed");
	word(f, CALL_A, "answered");
	fix_wait(f, 3);
	assert_int_equal(f->err, 0);
	assert_int_equal(store_call_get(f->st, CALL_A, call_handler, f), 0);
	fix_wait(f, 1);
	assert_string_equal(f->text, "sip:200@example.org answered 0");

	c = row(CALL_B);
	assert_int_equal(store_call_put(f->st, &c, NULL, NULL), 0);
	assert_int_equal(
		store_call_end(f->st, CALL_B, "cancelled", 5, NULL, NULL), 0);
	word(f, CALL_B, "answered");
	fix_wait(f, 1);
	assert_int_equal(f->err, ENOENT);
	assert_int_equal(store_call_get(f->st, CALL_B, call_handler, f), 0);
	fix_wait(f, 1);
	assert_string_equal(f->text, "sip:200@example.org cancelled 0");

	f->push_count = 0;
	assert_int_equal(store_load_calls(f->st, load_handler, f), 0);
	assert_int_equal(f->push_count, 0);
}


/** The same where the row is there already */
static void over_again(void **state)
{
	struct fix *f = *state;
	struct call_row c = row(CALL_A), tomb = row(CALL_B);

	fix_open(f);
	put(f, CALL_A);
	assert_int_equal(store_call_put(f->st, &c, fix_done, f), 0);
	word(f, CALL_A, "handed");
	word(f, CALL_A, "declined");
	fix_wait(f, 3);
	assert_int_equal(f->err, 0);
	assert_int_equal(store_call_get(f->st, CALL_A, call_handler, f), 0);
	fix_wait(f, 1);
	assert_string_equal(f->text, "sip:200@example.org declined 0");

	/* it is over: neither a new beginning nor a new end */
	assert_int_equal(store_call_put(f->st, &c, fix_done, f), 0);
	assert_int_equal(
		store_call_end(f->st, CALL_A, "missed", 5, NULL, NULL), 0);
	fix_wait(f, 1);
	assert_int_equal(f->err, EEXIST);
	assert_int_equal(store_call_put(f->st, &c, NULL, NULL), 0);
	word(f, CALL_A, "missed");
	fix_wait(f, 1);
	assert_int_equal(f->err, ENOENT);

	/* one that came as a tombstone has had its end */
	tomb.ended = "refused: full";
	assert_int_equal(store_call_put(f->st, &tomb, NULL, NULL), 0);
	word(f, CALL_B, "missed");
	fix_wait(f, 1);
	assert_int_equal(f->err, ENOENT);
	assert_int_equal(store_call_get(f->st, CALL_B, call_handler, f), 0);
	fix_wait(f, 1);
	assert_string_equal(f->text, "sip:200@example.org refused: full 0");
}


/** An INVITE that comes again is not the row that was written last */
static void again_after_another(void **state)
{
	struct fix *f = *state;

	fix_open(f);
	put(f, CALL_A);
	put(f, CALL_B);
	put(f, CALL_A);
	word(f, CALL_A, "missed");
	fix_wait(f, 1);
	assert_int_equal(f->err, 0);
	assert_int_equal(store_call_get(f->st, CALL_A, call_handler, f), 0);
	fix_wait(f, 1);
	assert_string_equal(f->text, "sip:200@example.org missed 0");
	assert_int_equal(store_call_get(f->st, CALL_B, call_handler, f), 0);
	fix_wait(f, 1);
	assert_memory_equal(f->text, "sip:200@example.org - ", 22);
	assert_int_equal(strtoul(f->text + 22, NULL, 10), sizeof(invite) - 1);
}


/** The disk says no: that is the answer to each of them */
static void over_in_vain(void **state)
{
	struct fix *f = *state;
	struct call_row c = row(CALL_A);

	fix_open(f);
	other_sql(f,
		  "CREATE TRIGGER never BEFORE INSERT ON call BEGIN "
		  "SELECT RAISE (ABORT, 'never'); END",
		  NULL);
	assert_int_equal(store_call_put(f->st, &c, NULL, NULL), 0);
	word(f, CALL_A, "answered");
	fix_wait(f, 1);
	assert_int_not_equal(f->err, 0);
	assert_int_equal(store_call_put(f->st, &c, fix_done, f), 0);
	assert_int_equal(
		store_call_end(f->st, CALL_A, "answered", 5, NULL, NULL), 0);
	fix_wait(f, 1);
	assert_int_not_equal(f->err, 0);
}


static void event(struct fix *f, const char *call, int64_t at_us,
		  const char *what)
{
	const struct event_row ev = { .call = call,
				      .at_us = at_us,
				      .who = "sipis",
				      .what = what,
				      .detail = "" };

	store_event(f->st, &ev);
}


static void events_handler(int err, const struct event_row *ev, unsigned evc,
			   void *arg)
{
	struct fix *f = arg;

	f->err = err;
	*f->text = 0;
	for (unsigned i = 0; i < evc; i++) {
		const size_t n = strlen(f->text);

		(void)snprintf(f->text + n, sizeof(f->text) - n, "%s ",
			       ev[i].what);
		(void)snprintf(f->label, sizeof(f->label), "%s", ev[i].call);
	}
	fix_called(f);
}


static void count_handler(int err, const struct event_row *ev, unsigned evc,
			  void *arg)
{
	struct fix *f = arg;

	f->err = err;
	f->push_count = evc;
	f->push_gone = 0;
	*f->text = 0;
	for (unsigned i = 0; i < evc; i++)
		f->push_gone += *ev[i].what == 'A';
	if (evc)
		(void)snprintf(f->text, sizeof(f->text), "%s|%s|%s",
			       ev[evc - 1].who, ev[evc - 1].what,
			       ev[evc - 1].detail);
	fix_called(f);
}


static void asked(struct fix *f, const char *how, int err, const char *text)
{
	assert_int_equal(store_events(f->st, how, events_handler, f), 0);
	fix_wait(f, 1);
	assert_int_equal(f->err, err);
	assert_string_equal(f->text, text);
}


static void timelines(void **state)
{
	struct fix *f = *state;
	const int64_t now = clock_wall_us();

	fix_open(f);
	put(f, CALL_A);
	event(f, CALL_A, now + 2, "180");
	event(f, CALL_A, now + 1, "INVITE");
	event(f, "not a call", now, "lost");

	/* read after write, in the order of time, by id, front of it, and
	   SIP Call-ID */
	asked(f, CALL_A, 0, "INVITE 180 ");
	asked(f, "7D3A1F", 0, "INVITE 180 ");
	asked(f, "7d3a1f00-0", 0, "INVITE 180 ");
	asked(f, "some/call%id@host", 0, "INVITE 180 ");
	asked(f, "7d3a1", ENOENT, "");
	asked(f, "8d3a1f00", ENOENT, "");
	asked(f, "other", ENOENT, "");

	/* of two with one Call-ID the newer; never a guess among ids */
	put(f, CALL_B);
	event(f, CALL_B, now + 3, "newer");
	asked(f, "some/call%id@host", 0, "newer ");
	assert_string_equal(f->label, CALL_B);
	asked(f, "7d3a1f00", ENOTUNIQ, "");
	asked(f, CALL_B, 0, "newer ");

	/* lazy lines are not lost by an orderly end */
	event(f, CALL_A, now + 4, "BYE");
	fix_close(f);
	fix_open(f);
	asked(f, CALL_A, 0, "INVITE 180 BYE ");
}


/** What comes together of a call is one row, however the calls mix; what is
    in a line comes out as it went in */
static void bunches(void **state)
{
	const struct event_row odd = { .call = CALL_A,
				       .at_us = clock_wall_us() + 500,
				       .who = "a\tb",
				       .what = "odd\x1e\x1f\n",
				       .detail = NULL };
	struct fix *f = *state;
	const int64_t now = clock_wall_us();
	int rows;

	fix_open(f);
	put(f, CALL_A);
	put(f, CALL_B);
	for (unsigned i = 0; i < 150; i++) { /* more than one request takes */
		event(f, CALL_A, now + i, i % 50 ? "" : "A");
		event(f, CALL_B, now + i, i % 75 ? "" : "B");
		event(f, i % 2 ? "7d3a1f00-0000-8000-8000-00000000000c" : "?",
		      now, "of no call");
	}
	store_event(f->st, &odd);
	assert_int_equal(store_events(f->st, CALL_B, events_handler, f), 0);
	fix_wait(f, 1);
	other_sql(f, "SELECT count(*) FROM line", &rows);
	assert_int_equal(rows, 2);

	assert_int_equal(store_events(f->st, CALL_A, count_handler, f), 0);
	fix_wait(f, 1);
	assert_int_equal(f->push_count, 151);
	assert_int_equal(f->push_gone, 3);
	assert_string_equal(f->text, "a\tb|odd  \n|");

	/* a row that is bent ends itself, not the timeline */
	event(f, CALL_A, now + 1000, "later");
	assert_int_equal(store_events(f->st, CALL_A, count_handler, f), 0);
	fix_wait(f, 1);
	assert_int_equal(f->push_count, 152);
	other_sql(f,
		  "UPDATE line SET text = substr(text, 1, 30) WHERE n = "
		  "(SELECT min(n) FROM line WHERE call = (SELECT n FROM call "
		  "WHERE hex(id) LIKE '%0A'))",
		  NULL);
	assert_int_equal(store_events(f->st, CALL_A, count_handler, f), 0);
	fix_wait(f, 1);
	assert_int_equal(f->push_count, 2);
	assert_string_equal(f->text, "sipis|later|");
}


/** More at once than one group takes: the lines of a call that is in the last
    of them are not written before it */
static void burst(void **state)
{
	struct fix *f = *state;
	const struct call_row first = row(CALL_A), last = row(CALL_B),
			      other = row("7d3a1f00-0000-8000-8000-"
					  "00000000000c");

	f->prm.group_max = 1;
	fix_open(f);
	assert_int_equal(store_call_put(f->st, &first, NULL, NULL), 0);
	event(f, CALL_B, clock_wall_us(), "INVITE in");
	for (unsigned i = 0; i < 1000; i++) /* they are due by themselves */
		event(f, CALL_A, clock_wall_us(), "");
	assert_int_equal(store_call_put(f->st, &other, NULL, NULL), 0);
	assert_int_equal(store_call_put(f->st, &last, fix_done, f), 0);
	fix_wait(f, 1);

	assert_int_equal(store_events(f->st, CALL_B, count_handler, f), 0);
	fix_wait(f, 1);
	assert_int_equal(f->push_count, 1);
	assert_string_equal(f->text, "sipis|INVITE in|");
}


/** As a sipis left it that wrote each line into a row of its own */
static void older_lines(void **state)
{
	struct fix *f = *state;
	int rows;

	fix_open(f);
	put(f, CALL_A);
	fix_close(f);
	other_sql(f, "DROP TABLE line", NULL);
	other_sql(f, "CREATE INDEX call_callid ON call (callid)", NULL);
	other_sql(f, "CREATE INDEX call_acct ON call (acct)", NULL);
	other_sql(f,
		  "CREATE INDEX call_waiting ON call (n) WHERE ended IS NULL",
		  NULL);
	other_sql(f, "DELETE FROM migration WHERE version > 2", NULL);
	other_sql(f,
		  "INSERT INTO event SELECT n, 1, 20, 'app', '180', 'x' FROM "
		  "call UNION ALL SELECT n, 2, 10, 'pbx', 'INVITE', '' FROM "
		  "call",
		  NULL);

	fix_open(f);
	other_sql(f,
		  "SELECT count(*) FROM sqlite_master WHERE type = 'index' "
		  "AND tbl_name = 'call' AND name != 'call_id'",
		  &rows);
	assert_int_equal(rows, 0);
	event(f, CALL_A, 15, "push sent");
	asked(f, CALL_A, 0, "INVITE push sent 180 ");
	fix_close(f);

	other_sql(f, "UPDATE call SET received_ms = 5", NULL);
	fix_open(f);
	for (uint64_t end = clock_mono_ms() + DEADLINE_MS;
	     clock_mono_ms() < end;) {
		other_sql(f,
			  "SELECT (SELECT count(*) FROM event) + "
			  "(SELECT count(*) FROM line)",
			  &rows);
		if (!rows)
			break;
	}
	assert_int_equal(rows, 0);
}


static void calls_handler(int err, const struct call_row *c,
			  const struct acct_row *acct, void *arg)
{
	struct fix *f = arg;
	const size_t n = strlen(f->text);

	f->err = err;
	assert_null(acct);
	if (!err)
		(void)snprintf(f->text + n, sizeof(f->text) - n, "%c",
			       c->id[UUID_LEN - 1]);
	fix_called(f);
}


static void fits_handler(int err, const struct call_row *c,
			 const struct acct_row *acct, void *arg)
{
	(void)acct;
	calls_handler(err, c, NULL, arg);
}


static void newest_first(void **state)
{
	struct fix *f = *state;

	fix_open(f);
	put(f, CALL_A);
	put(f, CALL_B);
	*f->text = 0;
	assert_int_equal(store_calls(f->st, "", 10, calls_handler, f), 0);
	fix_wait(f, 3);
	assert_int_equal(f->err, ENOENT);
	assert_string_equal(f->text, "ba");
}


static void of_account(struct fix *f, const char *account, const char *which)
{
	*f->text = 0;
	assert_int_equal(store_calls(f->st, account, 10, fits_handler, f), 0);
	fix_wait(f, (unsigned)strlen(which) + 1);
	assert_int_equal(f->err, ENOENT);
	assert_string_equal(f->text, which);
}


static void of_one_account(void **state)
{
	struct fix *f = *state;
	struct call_row c = row(CALL_A);

	fix_open(f);
	fix_put(f, "ann", "phone");
	c.acct = f->acct_id;
	assert_int_equal(store_call_put(f->st, &c, fix_done, f), 0);
	fix_wait(f, 1);
	put(f, CALL_B);

	of_account(f, "", "ba");
	of_account(f, "ann", "a");
	of_account(f, "ann@EXAMPLE.org", "a");
	of_account(f, "ann@example.net", "");
	of_account(f, "an", "");
	of_account(f, "@", "");
}


/** Neither Call-ID nor account has an index: many rows are looked at in
    turns, from the newest to the oldest */
static void among_many(void **state)
{
	struct fix *f = *state;
	struct call_row c = row(CALL_A);

	fix_open(f);
	of_account(f, "ann", "");
	asked(f, "none/there@host", ENOENT, "");

	fix_put(f, "ann", "phone");
	c.acct = f->acct_id;
	assert_int_equal(store_call_put(f->st, &c, fix_done, f), 0);
	fix_wait(f, 1);
	event(f, CALL_A, clock_wall_us(), "oldest");
	other_sql(f,
		  "WITH RECURSIVE k(i) AS (SELECT 1 UNION ALL SELECT i + 1 "
		  "FROM k WHERE i < 13000) INSERT INTO call SELECT NULL, "
		  "randomblob(16), 5, 'c' || i, '', '', 0, received_ms, 0, "
		  "NULL, '', 0, '', '', 'missed', 0 FROM call, k",
		  NULL);
	asked(f, "some/call%id@host", 0, "oldest ");
	asked(f, "c1", 0, "");
	asked(f, "c13001", ENOENT, "");
	of_account(f, "ann", "a");

	c.id = CALL_B;
	assert_int_equal(store_call_put(f->st, &c, fix_done, f), 0);
	fix_wait(f, 1);
	event(f, CALL_B, clock_wall_us(), "newest");
	asked(f, "some/call%id@host", 0, "newest ");
	of_account(f, "ann", "ba");
	*f->text = 0;
	assert_int_equal(store_calls(f->st, "ann", 1, fits_handler, f), 0);
	fix_wait(f, 2);
	assert_string_equal(f->text, "b");
}


static void old_things_go(void **state)
{
	struct fix *f = *state;
	struct call_row c = row(CALL_A);
	bool there = true;

	fix_open(f);
	c.received_ms -= 86400000 + 1000;
	assert_int_equal(store_call_put(f->st, &c, NULL, NULL), 0);
	assert_int_equal(store_call_end(f->st, CALL_A, "missed", c.received_ms,
					NULL, NULL),
			 0);
	event(f, CALL_A, c.received_ms * 1000, "INVITE");
	put(f, CALL_B);
	event(f, CALL_B, clock_wall_us(), "INVITE");
	fix_close(f);

	/* the writer looks for old things first of all */
	fix_open(f);
	for (uint64_t end = clock_mono_ms() + DEADLINE_MS;
	     there && clock_mono_ms() < end;) {
		assert_int_equal(
			store_call_get(f->st, CALL_A, call_handler, f), 0);
		fix_wait(f, 1);
		there = f->err != ENOENT;
	}
	assert_false(there);
	asked(f, CALL_A, ENOENT, "");
	asked(f, CALL_B, 0, "INVITE ");
}


int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(t) cmocka_unit_test_setup_teardown(t, fix_setup, fix_teardown)
		T(life),          T(handed_over_and_declined),
		T(timelines),     T(newest_first),
		T(old_things_go), T(of_one_account),
		T(over_at_once),  T(over_again),
		T(over_in_vain),  T(bunches),
		T(burst),         T(older_lines),
		T(among_many),    T(again_after_another),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
