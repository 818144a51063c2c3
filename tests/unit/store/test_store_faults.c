/**
 * @file test_store_faults.c  kill -9, a full disk, a lock, bent files
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sqlite3.h>
#include "common/ident.h"
#include "common/metrics.h"
#include "common/secret.h"
#include "sipis/sip/cred.h"
#include "tests/unit/store/fixture.h"
#include "tests/unit/store/smalldisk.h"
#include "tests/unit/tmpdir.h"

#define KILLS         25
#define ROWS          50
#define BENDS         300
#define OTHER_WAIT_MS 10000
#define FULLS         8
#define SMALL_DISK    (1 << 19)
#define BIG_DISK      (8 << 20)
#define EXIT_OK       0
#define EXIT_BAD      9


/* a second hand on the file */

static sqlite3 *other_open(const struct fix *f)
{
	sqlite3 *db;

	assert_int_equal(
		sqlite3_open_v2(f->path, &db, SQLITE_OPEN_READWRITE, NULL),
		SQLITE_OK);
	/* the store itself may be at a checkpoint just then */
	(void)sqlite3_busy_timeout(db, OTHER_WAIT_MS);
	return db;
}


static void other_sql(sqlite3 *db, const char *sql)
{
	char *why = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &why))
		fail_msg("%s: %s", sql, why);
}


static int text_handler(void *arg, int n, char **v, char **names)
{
	char *dst = arg;
	(void)n;
	(void)names;

	(void)snprintf(dst, 64, "%s", v[0]);
	return 0;
}


static void healthy(const struct fix *f)
{
	sqlite3 *db = other_open(f);
	char text[64] = "";

	assert_int_equal(sqlite3_exec(db, "PRAGMA integrity_check",
				      text_handler, text, NULL),
			 SQLITE_OK);
	assert_string_equal(text, "ok");
	(void)sqlite3_close(db);
}


/* kill -9 */

struct writer {
	struct fix *f;
	int fd;
	unsigned next;
};

static void writer_put(struct writer *w);


static void writer_ack(int err, const struct inst_row *inst,
		       const struct acct_row *acct, void *arg)
{
	struct writer *w = arg;
	char line[64];
	int n;
	(void)inst;

	if (err)
		_exit(EXIT_BAD);

	/* as an answer 2xx would: it is out, come what may */
	n = snprintf(line, sizeof(line), "%s\n", acct->user);
	if (write(w->fd, line, (size_t)n) != n)
		_exit(EXIT_BAD);
	writer_put(w);
}


static void writer_put(struct writer *w)
{
	char user[32] = "";
	struct acct_row a = fix_acct_row(user);
	struct inst_row i = fix_inst_row("phone");

	(void)snprintf(user, sizeof(user), "%u-%u", (unsigned)getpid(),
		       w->next++);
	if (store_inst_put(w->f->st, &a, &i, writer_ack, w))
		_exit(EXIT_BAD);
}


static void writer_run(struct fix *f, int fd)
{
	struct writer w = { .f = f, .fd = fd };

	if (libre_init() ||
	    store_alloc(&f->st, &f->prm, f->reason, sizeof(f->reason)))
		_exit(EXIT_BAD);
	for (unsigned i = 0; i < 8; i++)
		writer_put(&w);
	(void)re_main(NULL);
	_exit(EXIT_BAD);
}


/** Kills a child that writes as soon as it has acknowledged n rows; the users
    acknowledged go to list */
static void kill_one(struct fix *f, unsigned n, FILE *list)
{
	char line[64];
	int fds[2], status;
	FILE *acks;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		(void)close(fds[0]);
		writer_run(f, fds[1]);
	}

	(void)close(fds[1]);
	acks = fdopen(fds[0], "r");
	while (n-- && fgets(line, sizeof(line), acks))
		(void)fputs(line, list);
	(void)kill(pid, SIGKILL);
	while (fgets(line, sizeof(line), acks))
		(void)fputs(line, list);
	(void)fclose(acks);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
}


static void all_there(const struct fix *f, FILE *list)
{
	sqlite3 *db = other_open(f);
	sqlite3_stmt *st;
	char user[64];
	unsigned n = 0;

	assert_int_equal(
		sqlite3_prepare_v2(db,
				   "SELECT 1 FROM acct JOIN inst ON "
				   "inst.acct = acct.id JOIN push ON "
				   "push.inst = inst.id WHERE user = ?1",
				   -1, &st, NULL),
		SQLITE_OK);
	rewind(list);
	while (fgets(user, sizeof(user), list)) {
		user[strcspn(user, "\n")] = 0;
		(void)sqlite3_bind_text(st, 1, user, -1, SQLITE_STATIC);
		if (sqlite3_step(st) != SQLITE_ROW)
			fail_msg("%s was acknowledged and is lost", user);
		(void)sqlite3_reset(st);
		++n;
	}
	assert_true(n >= KILLS);
	(void)sqlite3_finalize(st);
	(void)sqlite3_close(db);
}


static int kill_setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;

	/* no libre here: children start with their own */
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/sipis-store-XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;

	(void)snprintf(f->path, sizeof(f->path), "%s/store.db", f->dir);
	f->prm.path = f->path;
	*state = f;
	return 0;
}


static int kill_teardown(void **state)
{
	struct fix *f = *state;
	const int rc = tmpdir_remove(f->dir);

	free(f);
	return rc;
}


static void kill_9(void **state)
{
	struct fix *f = *state;
	FILE *list = tmpfile();

	assert_non_null(list);
	srandom(4711);
	for (unsigned i = 0; i < KILLS; i++) {
		kill_one(f, 1 + (unsigned)random() % 60, list);
		healthy(f);
	}
	all_there(f, list);
	(void)fclose(list);
}


/* a full disk; in a child, for what SQLite writes with is the process's */

static void full_run(struct fix *f)
{
	char user[16] = "";
	unsigned n = 0;

	fix_open(f);
	for (f->err = 0; !f->err && n < 20000; n++) {
		struct acct_row a = fix_acct_row(user);
		struct inst_row i = fix_inst_row("phone");

		(void)snprintf(user, sizeof(user), "%u", n);
		assert_int_equal(store_inst_put(f->st, &a, &i, fix_inst, f),
				 0);
		fix_wait(f, 1);
	}
	assert_int_equal(f->err, ENOSPC);

	/* reads go on, and what was acknowledged stays */
	assert_int_equal(store_acct_find(f->st, "office", "0", "example.org",
					 fix_acct, f),
			 0);
	fix_wait(f, 1);
	assert_int_equal(f->err, 0);

	/* room again: writes work without a restart */
	smalldisk_grow(BIG_DISK);
	fix_put(f, "later", "phone");
	fix_close(f);
	healthy(f);
}


static void full_child(struct fix *f, size_t room)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		if (smalldisk_make(f->dir, room) || libre_init())
			_exit(EXIT_BAD);
		full_run(f);
		_exit(EXIT_OK);
	}

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), EXIT_OK);
}


/* At one write or another */
static void disk_full(void **state)
{
	struct fix *f = *state;

	for (size_t i = 0; i < FULLS; i++) {
		full_child(f, SMALL_DISK + 1111 * i);
		(void)tmpdir_remove(f->dir);
		assert_int_equal(mkdir(f->dir, 0700), 0);
	}
}


/* a lock */

static void locked(void **state)
{
	struct fix *f = *state;
	struct acct_row a = fix_acct_row("bob");
	struct inst_row i = fix_inst_row("phone");
	sqlite3 *db;

	f->prm.busy_timeout_ms = 200;
	fix_open(f);
	fix_put(f, "ann", "phone");
	db = other_open(f);
	other_sql(db, "BEGIN IMMEDIATE");

	assert_int_equal(store_inst_put(f->st, &a, &i, fix_inst, f), 0);
	fix_wait(f, 1);
	assert_int_equal(f->err, EBUSY);

	/* reads do not mind */
	assert_int_equal(store_acct_find(f->st, "office", "ann", "example.org",
					 fix_acct, f),
			 0);
	fix_wait(f, 1);
	assert_int_equal(f->err, 0);

	other_sql(db, "ROLLBACK");
	(void)sqlite3_close(db);
	fix_put(f, "bob", "phone");
}


/* many at once */

static long figure(const struct metrics *ms, const char *name)
{
	char *text, *at;
	size_t len;
	long n;

	assert_int_equal(metrics_print(ms, &text, &len), 0);
	at = strstr(text, name);
	assert_non_null(at);
	while (at[-1] != '\n')
		at = strstr(at + 1, name);
	n = strtol(at + strlen(name), NULL, 10);
	free(text);
	return n;
}


static void group_commit(void **state)
{
	struct fix *f = *state;
	struct metrics *ms;
	char user[16] = "";
	sqlite3 *db;

	assert_int_equal(metrics_alloc(&ms), 0);
	f->prm.metrics = ms;
	f->prm.busy_timeout_ms = 60000;
	fix_open(f);
	/* the writer is slower than we are, whoever the machine runs first */
	db = other_open(f);
	other_sql(db, "BEGIN IMMEDIATE");
	for (unsigned n = 0; n < 3000; n++) {
		struct acct_row a = fix_acct_row(user);
		struct inst_row i = fix_inst_row("phone");

		(void)snprintf(user, sizeof(user), "%u", n);
		assert_int_equal(store_inst_put(f->st, &a, &i, fix_inst, f),
				 0);
	}
	other_sql(db, "ROLLBACK");
	(void)sqlite3_close(db);
	fix_wait(f, 3000);
	assert_int_equal(f->err, 0);
	assert_int_equal(figure(ms, "sipis_store_requests_total "), 3000);
	assert_true(figure(ms, "sipis_store_commits_total ") < 300);
	mem_deref(ms);
	f->prm.metrics = NULL;
}


/* bent files */

static void refused(struct fix *f, const char *word)
{
	assert_int_equal(
		store_alloc(&f->st, &f->prm, f->reason, sizeof(f->reason)),
		EBADMSG);
	assert_null(f->st);
	if (!strstr(f->reason, word) || !strstr(f->reason, f->path))
		fail_msg("\"%s\" does not say \"%s\"", f->reason, word);
}


static void filled(struct fix *f)
{
	char user[16] = "";

	fix_open(f);
	for (unsigned n = 0; n < ROWS; n++) {
		(void)snprintf(user, sizeof(user), "%u", n);
		fix_put(f, user, "phone");
	}
	fix_close(f);
	f->prm.path = f->path;
}


static void bent_files(void **state)
{
	struct fix *f = *state;
	char wal[128];
	sqlite3 *db;
	int fd;

	filled(f);

	/* cut */
	assert_int_equal(truncate(f->path, 4096 * 3 + 100), 0);
	refused(f, "damaged");
	assert_int_equal(truncate(f->path, 0), 0);
	refused(f, "empty");

	/* not a database */
	fd = open(f->path, O_WRONLY);
	assert_int_equal(write(fd, "this is a letter to my aunt, not ...", 36),
			 36);
	(void)close(fd);
	refused(f, "damaged");

	/* somebody else's */
	(void)unlink(f->path);
	assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
	other_sql(db, "CREATE TABLE t (x)");
	(void)sqlite3_close(db);
	refused(f, "not a store of sipis");

	/* gone, but not its log */
	(void)unlink(f->path);
	(void)snprintf(wal, sizeof(wal), "%s-wal", f->path);
	fd = open(wal, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, "log", 3), 3);
	(void)close(fd);
	refused(f, "log");
	(void)unlink(wal);
}


/** Timelines are no reason to miss calls: accounts are served all the same */
static void bent_calls(void **state)
{
	static const char letter[] = "this is a letter to my aunt, not ...";
	struct fix *f = *state;
	char calls[128], aside[128], text[sizeof(letter)];
	int fd;

	filled(f);
	(void)snprintf(calls, sizeof(calls), "%s/store-calls.db", f->dir);
	(void)snprintf(aside, sizeof(aside), "%s/store-calls.db.damaged",
		       f->dir);
	fd = open(calls, O_WRONLY);
	assert_int_equal(write(fd, letter, sizeof(letter)), sizeof(letter));
	(void)close(fd);

	fix_open(f);
	fix_put(f, "ann", "phone");
	fix_close(f);

	fd = open(aside, O_RDONLY);
	assert_int_equal(read(fd, text, sizeof(text)), sizeof(text));
	assert_string_equal(text, letter);
	(void)close(fd);
	fix_open(f);
}


static void newer_schema(void **state)
{
	struct fix *f = *state;
	sqlite3 *db;

	filled(f);
	db = other_open(f);
	other_sql(db, "INSERT INTO migration VALUES (999, 0, 'from later')");
	(void)sqlite3_close(db);
	assert_int_equal(
		store_alloc(&f->st, &f->prm, f->reason, sizeof(f->reason)),
		ENOTSUP);
	assert_non_null(strstr(f->reason, "newer"));
}


/* As a sipis left it that did not know by which door tokens came: they are
   there, and no REGISTER takes them away */
static void older_schema(void **state)
{
	struct fix *f = *state;
	sqlite3 *db;

	fix_open(f);
	fix_put(f, "ann", "phone");
	fix_close(f);
	db = other_open(f);
	other_sql(db, "ALTER TABLE push DROP COLUMN via_sip");
	other_sql(db, "DELETE FROM migration WHERE version > 1");
	(void)sqlite3_close(db);

	fix_open(f);
	assert_int_equal(store_push_end(f->st, f->inst_id, "x", fix_inst, f),
			 0);
	fix_wait(f, 1);
	assert_int_equal(f->err, ENOENT);
	assert_int_equal(store_inst_get(f->st, f->inst_id, fix_inst, f), 0);
	fix_wait(f, 1);
	assert_int_equal(f->push_count, 2);
	assert_int_equal(f->push_gone, 0);
	assert_true(f->want);
}


static int count_handler(const struct acct_row *acct, void *arg)
{
	unsigned *n = arg;
	(void)acct;

	++*n;
	return 0;
}


/** Whatever is bent: a refusal, or all rows; never fewer in silence */
static void flips(void **state)
{
	struct fix *f = *state;
	unsigned refusals = 0;
	uint8_t *whole;
	off_t size;
	int fd;

	filled(f);
	fd = open(f->path, O_RDWR);
	size = lseek(fd, 0, SEEK_END);
	whole = malloc((size_t)size);
	assert_int_equal(pread(fd, whole, (size_t)size, 0), size);

	srandom(42);
	for (unsigned i = 0; i < BENDS; i++) {
		const off_t at = random() % size;
		const uint8_t bent =
			(uint8_t)(whole[at] ^ (1 << random() % 8));
		unsigned n = 0;
		int err;

		assert_int_equal(pwrite(fd, whole, (size_t)size, 0), size);
		assert_int_equal(ftruncate(fd, size), 0);
		assert_int_equal(pwrite(fd, &bent, 1, at), 1);
		err = store_alloc(&f->st, &f->prm, f->reason,
				  sizeof(f->reason));
		if (!err)
			err = store_load_accts(f->st, count_handler, &n);
		fix_close(f);
		if (err) {
			++refusals;
			continue;
		}
		assert_int_equal(n, ROWS);
	}

	assert_true(refusals > 0);
	free(whole);
	(void)close(fd);
}


/* rows that were swapped by whoever can write to the file */

static const struct cred_key test_key = { .key = { 1, 2, 3 }, .id = 5 };


static void sealed_put(struct fix *f, const char *user)
{
	struct acct_row a = fix_acct_row(user);
	struct inst_row i = fix_inst_row("phone");
	uint8_t sealed[CRED_SEALED_MAX];

	a.id = store_id_new();
	a.sealed_len = sizeof(sealed);
	assert_int_equal(cred_seal(&test_key, &a, user, strlen(user), sealed,
				   &a.sealed_len),
			 0);
	a.sealed = sealed;
	assert_int_equal(store_inst_put(f->st, &a, &i, fix_inst, f), 0);
	fix_wait(f, 1);
	assert_int_equal(f->err, 0);
}


static void open_handler(int err, const struct acct_row *acct, void *arg)
{
	struct fix *f = arg;
	char secret[256];
	size_t len = sizeof(secret);

	assert_int_equal(err, 0);
	f->err = cred_open(&test_key, acct, acct->sealed, acct->sealed_len,
			   secret, &len);
	fix_called(f);
}


static void opens(struct fix *f, const char *user, int wanted)
{
	assert_int_equal(store_acct_find(f->st, "office", user, "example.org",
					 open_handler, f),
			 0);
	fix_wait(f, 1);
	assert_int_equal(f->err, wanted);
}


static void swap_sealed(sqlite3 *db)
{
	other_sql(db, "CREATE TEMP TABLE old AS SELECT user, sealed FROM acct;"
		      "UPDATE acct SET sealed = (SELECT sealed FROM old "
		      "WHERE old.user <> acct.user);"
		      "DROP TABLE old");
}


static void swapped_rows(void **state)
{
	struct fix *f = *state;
	sqlite3 *db;

	fix_open(f);
	sealed_put(f, "ann");
	sealed_put(f, "bob");
	opens(f, "ann", 0);
	opens(f, "bob", 0);

	db = other_open(f);
	swap_sealed(db);
	opens(f, "ann", EBADMSG);
	opens(f, "bob", EBADMSG);

	/* back again, but pointing at another server */
	swap_sealed(db);
	opens(f, "ann", 0);
	other_sql(db, "UPDATE acct SET outbound_proxy = 'evil.example' "
		      "WHERE user = 'ann'");
	opens(f, "ann", EBADMSG);
	opens(f, "bob", 0);
	(void)sqlite3_close(db);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(t) cmocka_unit_test_setup_teardown(t, fix_setup, fix_teardown)
		cmocka_unit_test_setup_teardown(kill_9, kill_setup,
						kill_teardown),
		cmocka_unit_test_setup_teardown(disk_full, kill_setup,
						kill_teardown),
		T(locked),
		T(group_commit),
		T(bent_files),
		T(bent_calls),
		T(newer_schema),
		T(older_schema),
		T(flips),
		T(swapped_rows),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
