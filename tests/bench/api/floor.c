/**
 * @file floor.c  How many durable upserts a second SQLite gives on this disk
 *
 *   bench-api-floor FILE ROWS BATCH SECONDS
 *
 * One table of as many rows as there are phones, WAL, synchronous=FULL, BATCH
 * upserts of random rows in each transaction; nothing else.  Prints one line
 * of JSON.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <sqlite3.h>


static double now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}


static void must(int rc, sqlite3 *db)
{
	if (rc == SQLITE_OK || rc == SQLITE_DONE || rc == SQLITE_ROW)
		return;
	fprintf(stderr, "bench-api-floor: %s\n", sqlite3_errmsg(db));
	exit(1);
}


static void sql(sqlite3 *db, const char *text)
{
	must(sqlite3_exec(db, text, NULL, NULL, NULL), db);
}


static void upsert(sqlite3 *db, sqlite3_stmt *st, int64_t id, int64_t value)
{
	must(sqlite3_bind_int64(st, 1, id), db);
	must(sqlite3_bind_int64(st, 2, value & 1), db);
	must(sqlite3_bind_int64(st, 3, 1700000000000 + value), db);
	must(sqlite3_step(st), db);
	must(sqlite3_reset(st), db);
}


int main(int argc, char **argv)
{
	sqlite3_stmt *st;
	sqlite3 *db;
	int64_t rows, batch, n = 0;
	double begin, seconds;

	if (argc != 5)
		return 64;
	rows = atoll(argv[2]);
	batch = atoll(argv[3]);
	seconds = atof(argv[4]);

	(void)unlink(argv[1]);
	must(sqlite3_open(argv[1], &db), db);
	sql(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
		"CREATE TABLE t (id INTEGER PRIMARY KEY, state INTEGER, "
		"seen INTEGER)");
	must(sqlite3_prepare_v2(db,
				"INSERT INTO t VALUES (?1, ?2, ?3) ON "
				"CONFLICT (id) DO UPDATE SET state = "
				"excluded.state, seen = excluded.seen",
				-1, &st, NULL),
	     db);
	sql(db, "BEGIN");
	for (int64_t i = 1; i <= rows; i++)
		upsert(db, st, i, i);
	sql(db, "COMMIT");

	srandom(1);
	begin = now();
	while (now() - begin < seconds) {
		sql(db, "BEGIN IMMEDIATE");
		for (int64_t i = 0; i < batch; i++)
			upsert(db, st, 1 + random() % rows, n++);
		sql(db, "COMMIT");
	}
	seconds = now() - begin;

	must(sqlite3_finalize(st), db);
	must(sqlite3_close(db), db);
	printf("{\"upserts\": %lld, \"seconds\": %.3f, \"per_s\": %.1f}\n",
	       (long long)n, seconds, (double)n / seconds);
	return 0;
}
