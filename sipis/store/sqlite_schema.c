/**
 * @file sqlite_schema.c  Tables and queries of the SQLite engine
 *
 * acct    one AOR at one PBX
 * inst    one phone; the row id is the front half of its public id, so that
 *         an id leads to its row without an index.  Ids grow with time, which
 *         keeps new rows together
 * push    the tokens of a phone, as handles the mediator sealed; hkey is a
 *         hash to find a handle by
 * meta    small numbers
 *
 * and in the file of calls
 *
 * call    a waiting INVITE, or the tombstone of one; rows are in the order
 *         of arrival, so that the oldest are found without an index, and a
 *         start reads all of them for those that wait.  By
 *         Call-ID or account they are looked for row by row, in turns
 *         (sqlite_call_turn()): nobody who calls waits for such a question
 * line    the lines of timelines, several in a row (sqlite_line.c), in the
 *         order of their calls: what is written stands side by side
 * event   the same of older versions, one line in a row
 */

#include <errno.h>
#include <stddef.h>
#include "common/clock.h"
#include "sipis/store/sqlite.h"

#define ACCT_COLS                                                     \
	"acct.id, acct.pbx, acct.user, acct.domain, acct.auth_user, " \
	"acct.display_name, acct.outbound_proxy, acct.transport, "    \
	"acct.sealed, acct.sealed_is_ha1, acct.realm, acct.alg, "     \
	"acct.contact, acct.grant_s, acct.proven, acct.auth_failed"

#define INST_COLS                                                            \
	"id, rest, acct, state, want, due_ms, seen_ms, created_ms, idle_s, " \
	"push_after_exit, push_enabled, live, secret, app, installation, "   \
	"label, platform, options, lease_s"

#define INST_VALUES                                                           \
	"(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, " \
	"?16, ?17, ?18, ?19)"

#define CALL_COLS                                                          \
	"call.id, call.acct, call.caller, call.display_name, call.video, " \
	"call.received_ms, call.deadline_ms, call.invite, call.src, "      \
	"call.transport, call.handover, call.to_tag, call.ended, "         \
	"call.ended_ms"

#define CALL_PUT_COLS                                                    \
	"id, acct, caller, display_name, video, received_ms, "           \
	"deadline_ms, invite, src, transport, handover, to_tag, ended, " \
	"ended_ms, callid"

#define CALL_VALUES                                                      \
	"(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, " \
	"?15)"

#define PUSH_COLS                                                            \
	"uses, provider, topic, environment, handle, gone, gone_reason, n, " \
	"via_sip"

const char *const sqlite_queries[QUERIES] = {
	[Q_BEGIN] = "BEGIN",
	[Q_BEGIN_WRITE] = "BEGIN IMMEDIATE",
	[Q_COMMIT] = "COMMIT",
	[Q_ROLLBACK] = "ROLLBACK",
	[Q_SAVE] = "SAVEPOINT req",
	[Q_RELEASE] = "RELEASE req",
	[Q_UNDO] = "ROLLBACK TO req",

	[Q_ACCT_FIND] = "SELECT id FROM acct WHERE user = ?1 AND domain = ?2 "
			"AND pbx = ?3",
	[Q_ACCT_GET] = "SELECT " ACCT_COLS " FROM acct WHERE id = ?1",
	[Q_ACCT_WANT] = "SELECT EXISTS (SELECT 1 FROM inst WHERE acct = ?1 "
			"AND want = 1)",
	[Q_ACCT_NEW] =
		"INSERT INTO acct (id, pbx, user, domain, auth_user, "
		"display_name, outbound_proxy, transport, sealed, "
		"sealed_is_ha1, realm, alg, contact, grant_s, proven, "
		"auth_failed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, "
		"?10, ?11, ?12, ?13, ?14, ?15, ?16)",
	[Q_ACCT_SET] =
		"UPDATE acct SET auth_user = ?5, display_name = ?6, "
		"outbound_proxy = ?7, transport = ?8, sealed = ?9, "
		"sealed_is_ha1 = ?10, realm = ?11, alg = ?12, "
		"proven = max(proven, ?15), auth_failed = ?16 WHERE id = ?1",
	/* a password under which the app has meanwhile put another, or an
	   HA1, stays */
	[Q_ACCT_LEARN] =
		"UPDATE acct SET realm = coalesce(?2, realm), alg = ?3, "
		"grant_s = ?4, proven = ?5, auth_failed = ?6, "
		"sealed = CASE WHEN ?7 IS NULL OR sealed_is_ha1 THEN sealed "
		"ELSE ?7 END, sealed_is_ha1 = CASE WHEN ?7 IS NULL OR "
		"sealed_is_ha1 THEN sealed_is_ha1 ELSE ?8 END WHERE id = ?1",
	[Q_ACCT_DELETE] = "DELETE FROM acct WHERE id = ?1",
	[Q_ACCT_ALL] = "SELECT " ACCT_COLS " FROM acct ORDER BY id",
	[Q_ACCT_PAGE] = "SELECT " ACCT_COLS " FROM acct WHERE id > ?1 "
			"ORDER BY id LIMIT ?2",
	[Q_WANT_ALL] = "SELECT DISTINCT acct FROM inst WHERE want = 1 "
		       "ORDER BY acct",

	/* the nearest row, so that an unknown id costs what a known one does
	 */
	[Q_INST_NEAR] = "SELECT " INST_COLS " FROM inst WHERE id >= ?1 "
			"ORDER BY id LIMIT 1",
	[Q_INST_OF] = "SELECT " INST_COLS " FROM inst WHERE acct = ?1 "
		      "ORDER BY id LIMIT ?2",
	[Q_INST_NEW] = "INSERT INTO inst (" INST_COLS ") VALUES " INST_VALUES,
	/* over the row of the same installation, whose id it keeps */
	[Q_INST_PUT] = "REPLACE INTO inst (" INST_COLS ") VALUES " INST_VALUES,
	[Q_INST_STATE] = "UPDATE inst SET state = ?2, want = ?3, due_ms = ?4, "
			 "seen_ms = ?5 WHERE id = ?1",
	[Q_INST_SET] =
		"UPDATE inst SET state = ?2, want = ?3, due_ms = ?4, "
		"seen_ms = ?5, idle_s = ?6, push_after_exit = ?7, "
		"push_enabled = ?8, live = ?9, secret = ?10, label = ?11, "
		"options = ?12 WHERE id = ?1",
	[Q_INST_DELETE] = "DELETE FROM inst WHERE id = ?1",
	[Q_INST_DUE] = "SELECT " INST_COLS " FROM inst WHERE due_ms <= ?1 "
		       "ORDER BY due_ms LIMIT ?2",

	[Q_PUSH_OF] = "SELECT " PUSH_COLS " FROM push WHERE inst = ?1 "
		      "ORDER BY n",
	[Q_PUSH_PUT] = "INSERT INTO push (" PUSH_COLS ", inst, hkey) VALUES "
		       "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
	[Q_PUSH_CLEAR] = "DELETE FROM push WHERE inst = ?1",
	[Q_PUSH_BY_HANDLE] = "SELECT inst, n FROM push WHERE hkey = ?1 AND "
			     "handle = ?2 AND (?3 IS NULL OR inst = ?3)",
	[Q_PUSH_GONE] = "UPDATE push SET gone = 1, gone_reason = ?3 WHERE "
			"inst = ?1 AND n = ?2",
	[Q_PUSH_END] = "UPDATE push SET gone = 1, gone_reason = ?2 WHERE "
		       "inst = ?1 AND via_sip = 1 AND gone = 0",
	[Q_PUSH_RENEW] = "UPDATE push SET handle = ?3, hkey = ?4 WHERE "
			 "hkey = ?1 AND handle = ?2",

	[Q_CALL_PUT] = "INSERT INTO calls.call (" CALL_PUT_COLS
		       ") VALUES " CALL_VALUES " ON CONFLICT "
		       "(id) DO UPDATE SET deadline_ms = "
		       "excluded.deadline_ms, handover = excluded.handover, "
		       "to_tag = excluded.to_tag WHERE ended IS NULL",
	[Q_CALL_WHOLE] = "INSERT INTO calls.call (" CALL_PUT_COLS
			 ") VALUES " CALL_VALUES " ON CONFLICT (id) "
			 "DO NOTHING",
	/* What was handed over may still become known */
	[Q_CALL_END] = "UPDATE calls.call SET ended = ?2, ended_ms = ?3, "
		       "invite = NULL WHERE n = ?1 AND (ended IS NULL OR "
		       "(ended = 'handed' AND ?2 IN ('answered', "
		       "'declined')))",
	[Q_CALL_GET] = "SELECT " CALL_COLS " FROM calls.call WHERE id = ?1",
	[Q_CALL_WAITING] =
		"SELECT " CALL_COLS " FROM calls.call WHERE ended IS NULL "
		"ORDER BY n",
	[Q_CALL_LATE] = "SELECT " CALL_COLS " FROM calls.call ORDER BY n DESC "
			"LIMIT ?1",
	[Q_CALL_LATE_OF] =
		"SELECT " CALL_COLS " FROM calls.call WHERE "
		"call.n >= ?4 AND call.n < ?5 AND call.acct IN (SELECT "
		"acct.id FROM acct WHERE user = ?2 AND (?3 = '' OR "
		"domain = ?3 COLLATE NOCASE)) ORDER BY call.n DESC LIMIT ?1",
	[Q_CALL_BY_CALLID] =
		"SELECT id FROM calls.call WHERE n >= ?2 AND n < ?3 AND "
		"callid = ?1 ORDER BY n DESC LIMIT 1",
	[Q_CALL_SPAN] = "SELECT (SELECT min(n) FROM calls.call), "
			"(SELECT max(n) FROM calls.call)",
	[Q_CALL_RANGE] =
		"SELECT id FROM calls.call WHERE id BETWEEN ?1 AND ?2 "
		"LIMIT 2",
	[Q_CALL_N] = "SELECT n FROM calls.call WHERE id = ?1",
	/* the oldest rows are those with the lowest n: look no further */
	[Q_CALL_PRUNE] =
		"DELETE FROM calls.call WHERE n < (SELECT min(n) FROM "
		"calls.call) + ?3 AND (received_ms < ?1 OR (ended IS NOT NULL "
		"AND n <= (SELECT max(n) FROM calls.call) - ?2))",
	[Q_LINES_PUT] = "INSERT INTO calls.line (call, n, text) VALUES (?1, "
			"?2, ?3)",
	[Q_LINES_OF] =
		"SELECT text, n FROM calls.line WHERE call = (SELECT n FROM "
		"calls.call WHERE id = ?1) UNION ALL SELECT at_us || "
		"char(31) || who || char(31) || what || char(31) || detail || "
		"char(30), n FROM calls.event WHERE call = (SELECT n FROM "
		"calls.call WHERE id = ?1) ORDER BY 2",
	/* lines go after their call */
	[Q_LINES_PRUNE] = "DELETE FROM calls.line WHERE call < coalesce("
			  "(SELECT min(n) FROM calls.call), ?1)",
	[Q_EVENT_PRUNE] = "DELETE FROM calls.event WHERE call < coalesce("
			  "(SELECT min(n) FROM calls.call), ?1)",

	[Q_META_GET] = "SELECT value FROM meta WHERE key = ?1",
	[Q_META_PUT] = "INSERT INTO meta (key, value) VALUES (?1, ?2) "
		       "ON CONFLICT (key) DO UPDATE SET value = "
		       "excluded.value",
};

static const char schema_1[] =
	"CREATE TABLE acct ("
	" id INTEGER PRIMARY KEY,"
	" pbx TEXT NOT NULL,"
	" user TEXT NOT NULL,"
	" domain TEXT NOT NULL,"
	" auth_user TEXT NOT NULL,"
	" display_name TEXT NOT NULL,"
	" outbound_proxy TEXT,"
	" transport INTEGER NOT NULL,"
	" sealed BLOB NOT NULL,"
	" sealed_is_ha1 INTEGER NOT NULL,"
	" realm TEXT,"
	" alg INTEGER NOT NULL,"
	" contact BLOB NOT NULL,"
	" grant_s INTEGER NOT NULL,"
	" proven INTEGER NOT NULL,"
	" auth_failed INTEGER NOT NULL"
	") STRICT;"
	"CREATE UNIQUE INDEX acct_aor ON acct (user, domain, pbx);"

	"CREATE TABLE inst ("
	" id INTEGER PRIMARY KEY,"
	" rest BLOB NOT NULL,"
	" acct INTEGER NOT NULL REFERENCES acct (id),"
	" state INTEGER NOT NULL,"
	" want INTEGER NOT NULL,"
	" due_ms INTEGER,"
	" seen_ms INTEGER NOT NULL,"
	" created_ms INTEGER NOT NULL,"
	" idle_s INTEGER NOT NULL,"
	" push_after_exit INTEGER NOT NULL,"
	" push_enabled INTEGER NOT NULL,"
	" live INTEGER NOT NULL,"
	" secret BLOB NOT NULL,"
	" app TEXT NOT NULL,"
	" installation TEXT NOT NULL,"
	" label TEXT NOT NULL,"
	" platform TEXT NOT NULL,"
	" options TEXT NOT NULL,"
	" lease_s INTEGER NOT NULL"
	") STRICT;"
	"CREATE INDEX inst_acct ON inst (acct);"
	"CREATE INDEX inst_due ON inst (due_ms) WHERE due_ms IS NOT NULL;"

	"CREATE TABLE push ("
	" inst INTEGER NOT NULL REFERENCES inst (id) ON DELETE CASCADE,"
	" n INTEGER NOT NULL,"
	" uses INTEGER NOT NULL,"
	" provider TEXT NOT NULL,"
	" topic TEXT NOT NULL,"
	" environment TEXT NOT NULL,"
	" handle BLOB NOT NULL,"
	" hkey INTEGER NOT NULL,"
	" gone INTEGER NOT NULL,"
	" gone_reason TEXT NOT NULL,"
	" PRIMARY KEY (inst, n)"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX push_handle ON push (hkey);"

	"CREATE TABLE meta ("
	" key TEXT PRIMARY KEY,"
	" value INTEGER NOT NULL"
	") STRICT, WITHOUT ROWID;";

/* of those that are there nobody knows: they stay */
static const char schema_2[] =
	"ALTER TABLE push ADD COLUMN via_sip INTEGER NOT NULL DEFAULT 0;";

static const char calls_1[] =
	"CREATE TABLE call ("
	" n INTEGER PRIMARY KEY,"
	" id BLOB NOT NULL,"
	" acct INTEGER NOT NULL,"
	" callid TEXT NOT NULL,"
	" caller TEXT NOT NULL,"
	" display_name TEXT NOT NULL,"
	" video INTEGER NOT NULL,"
	" received_ms INTEGER NOT NULL,"
	" deadline_ms INTEGER NOT NULL,"
	" invite BLOB,"
	" src TEXT NOT NULL,"
	" transport INTEGER NOT NULL,"
	" handover TEXT NOT NULL,"
	" to_tag TEXT NOT NULL,"
	" ended TEXT,"
	" ended_ms INTEGER NOT NULL"
	") STRICT;"
	"CREATE UNIQUE INDEX call_id ON call (id);"
	"CREATE INDEX call_callid ON call (callid);"
	"CREATE INDEX call_waiting ON call (n) WHERE ended IS NULL;"

	"CREATE TABLE event ("
	" call INTEGER NOT NULL,"
	" n INTEGER NOT NULL,"
	" at_us INTEGER NOT NULL,"
	" who TEXT NOT NULL,"
	" what TEXT NOT NULL,"
	" detail TEXT NOT NULL,"
	" PRIMARY KEY (call, n)"
	") STRICT, WITHOUT ROWID;";

static const char calls_2[] = "CREATE INDEX call_acct ON call (acct);";

/* the lines that are there stay where they are until they are old */
static const char calls_3[] = "CREATE TABLE line ("
			      " call INTEGER NOT NULL,"
			      " n INTEGER NOT NULL,"
			      " text TEXT NOT NULL,"
			      " PRIMARY KEY (call, n)"
			      ") STRICT, WITHOUT ROWID;";

/* Each call wrote a page of each of these, for what is rarely asked */
static const char calls_4[] = "DROP INDEX call_callid;"
			      "DROP INDEX call_acct;";

/* Each call went in and out again, for what a start asks once; the check of
   the file, which reads every row as well, takes three times as long */
static const char calls_5[] = "DROP INDEX call_waiting;";

struct migration {
	const char *what, *sql;
};

static const struct migration store_migrations[] = {
	{ "the first tables", schema_1 },
	{ "tokens that came by REGISTER", schema_2 },
	{ NULL, NULL },
};

static const struct migration calls_migrations[] = {
	{ "the first tables", calls_1 },
	{ "the calls of an account", calls_2 },
	{ "lines in bunches", calls_3 },
	{ "found by looking: Call-IDs, calls of an account", calls_4 },
	{ "found by looking: calls that wait", calls_5 },
	{ NULL, NULL },
};

static const struct migration *const migrations[SQLITE_FILES] = {
	[SQLITE_STORE] = store_migrations,
	[SQLITE_CALLS] = calls_migrations,
};


static int version_get(struct sqlite *s, int *version)
{
	sqlite3_stmt *st;
	int rc;

	*version = 0;
	rc = sqlite3_prepare_v2(s->db, "SELECT max(version) FROM migration",
				-1, &st, NULL);
	if (rc != SQLITE_OK)
		return sqlite_errno(s->db, rc);

	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*version = sqlite3_column_int(st, 0);
	(void)sqlite3_finalize(st);
	return rc == SQLITE_ROW ? 0 : sqlite_errno(s->db, rc);
}


static int migrate_one(struct sqlite *s, const struct migration *m,
		       int version)
{
	char note[256];
	int rc;

	(void)sqlite3_snprintf(sizeof(note), note,
			       "INSERT INTO migration VALUES (%d, %lld, %Q)",
			       version, (long long)clock_wall_ms(), m->what);

	rc = sqlite3_exec(s->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		return sqlite_errno(s->db, rc);

	rc = sqlite3_exec(s->db, m->sql, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(s->db, note, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL);
	if (rc != SQLITE_OK) {
		int err = sqlite_errno(s->db, rc);

		(void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
		return err;
	}

	return 0;
}


int sqlite_migrate(struct sqlite *s, enum sqlite_file file, const char **why)
{
	const struct migration *m = migrations[file];
	int version, newest = 0, rc, err;

	while (m[newest].sql)
		++newest;

	rc = sqlite3_exec(s->db,
			  "CREATE TABLE IF NOT EXISTS migration ("
			  " version INTEGER PRIMARY KEY,"
			  " at_ms INTEGER NOT NULL,"
			  " what TEXT NOT NULL) STRICT",
			  NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		return sqlite_errno(s->db, rc);

	err = version_get(s, &version);
	if (err)
		return err;

	if (version > newest) {
		*why = "it was written by a newer sipis; run that one";
		return ENOTSUP;
	}

	for (; !err && version < newest; version++)
		err = migrate_one(s, &m[version], version + 1);
	return err;
}
