/**
 * @file test_import.c  JSON lines into a store, and lines that are refused
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/ident.h"
#include <re/re.h>
#include "sipis/inst/import.h"
#include "sipis/store/store.h"
#include "tests/unit/store/fixture.h"
#include "tests/unit/tmpdir.h"

#define ACCT "\"pbx\":\"office\",\"user\":\"%u\",\"domain\":\"example.org\""
#define TOK                                                    \
	"\"push\":[{\"use\":[\"call\"],\"provider\":\"apns\"," \
	"\"handle\":\"AAECAw\"}]"
#define INST                                                    \
	"\"instances\":[{\"app\":\"a\",\"installation\":\"i\"," \
	"\"platform\":\"ios\"," TOK "}]"

struct imp {
	char dir[64], store[96], file[96], reason[512];
	char *domains[1];
	struct pbx_cfg pbx;
	struct sipis_cfg cfg;
	struct cred_key key;
	struct import_result res;
	unsigned accts, want, ha1;
	uint64_t ids[2][3];
};


static int setup(void **state)
{
	struct imp *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;

	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/sipis-import-XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;

	(void)snprintf(f->store, sizeof(f->store), "%s/s.db", f->dir);
	(void)snprintf(f->file, sizeof(f->file), "%s/lines", f->dir);
	f->domains[0] = (char *)"example.org";
	f->pbx = (struct pbx_cfg){ .name = (char *)"office",
				   .domains = f->domains,
				   .domains_count = 1,
				   .lease_s = 600,
				   .inactivity_days = 10 };
	f->cfg.pbx = &f->pbx;
	f->cfg.pbx_count = 1;
	*state = f;
	return 0;
}


static int teardown(void **state)
{
	struct imp *f = *state;
	const int rc = tmpdir_remove(f->dir);

	free(f);
	return rc;
}


static int import(struct imp *f, const char *lines)
{
	FILE *file = fopen(f->file, "w");

	assert_non_null(file);
	(void)fputs(lines, file);
	(void)fclose(file);
	return import_file(&f->res, &f->cfg, &f->key, f->store, f->file,
			   f->reason, sizeof(f->reason));
}


static int load_handler(const struct acct_row *acct, void *arg)
{
	struct imp *f = arg;
	char secret[256];
	size_t len = sizeof(secret);

	if (f->accts < 3)
		f->ids[0][f->accts] = acct->id;
	++f->accts;
	f->want += acct->want;
	f->ha1 += acct->sealed_is_ha1;
	assert_true(acct->proven);
	assert_int_equal(cred_open(&f->key, acct, acct->sealed,
				   acct->sealed_len, secret, &len),
			 0);
	return 0;
}


static void load(struct imp *f)
{
	const struct store_prm prm = { .path = f->store };
	struct store *st;

	f->accts = f->want = f->ha1 = 0;
	assert_int_equal(libre_init(), 0);
	assert_int_equal(store_alloc(&st, &prm, f->reason, sizeof(f->reason)),
			 0);
	assert_int_equal(store_load_accts(st, load_handler, f), 0);
	mem_deref(st);
	libre_close();
}


static void good_lines(void **state)
{
	struct imp *f = *state;
	char lines[2048];

	(void)snprintf(lines, sizeof(lines),
		       "{" ACCT ",\"password\":\"p\"," INST "}\n"
		       "\n"
		       "{" ACCT ",\"password\":\"p\",\"realm\":\"r\"}\r\n"
		       "{" ACCT
		       ",\"ha1\":\"00112233445566778899aabbccddeeff\","
		       "\"realm\":\"r\",\"transport\":\"tls\"," INST "}",
		       1, 2, 3);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(import(f, lines), 0);
		assert_int_equal(f->res.accounts, 3);
		assert_int_equal(f->res.instances, 2);
		load(f);
		assert_int_equal(f->accts, 3);
		assert_int_equal(f->want, 2);
		assert_int_equal(f->ha1, 2);
		if (!i)
			memcpy(f->ids[1], f->ids[0], sizeof(f->ids[0]));
	}
	/* a second time they keep who they are */
	assert_memory_equal(f->ids[0], f->ids[1], sizeof(f->ids[0]));
}


static void bad_lines(void **state)
{
	static const struct {
		const char *line, *why;
	} rows[] = {
		{ "nonsense", "not JSON" },
		{ "[]", "not an object" },
		{ "{}", "\"pbx\" is missing" },
		{ "{\"pbx\":7}", "must be a string" },
		{ "{" ACCT "}", "\"password\" or \"ha1\"" },
		{ "{" ACCT ",\"password\":\"p\",\"x\":1}",
		  "unknown member \"x\"" },
		{ "{" ACCT ",\"password\":\"p\",\"password\":\"q\"}",
		  "duplicate" },
		{ "{" ACCT ",\"ha1\":\"00\",\"realm\":\"r\"}",
		  "32 hex digits" },
		{ "{" ACCT ",\"ha1\":\"00112233445566778899aabbccddeeff\"}",
		  "needs \"realm\"" },
		{ "{" ACCT ",\"password\":\"p\",\"transport\":\"sctp\"}",
		  "cannot be \"sctp\"" },
		{ "{\"pbx\":\"home\",\"user\":\"%u\",\"domain\":\"e\","
		  "\"password\":\"p\"}",
		  "no PBX \"home\"" },
		{ "{\"pbx\":\"office\",\"user\":\"%u\",\"domain\":\"e\","
		  "\"password\":\"p\"}",
		  "not one of PBX" },
		{ "{" ACCT ",\"password\":\"p\",\"instances\":[{\"app\":"
		  "\"a\",\"installation\":\"i\",\"platform\":\"ios\"}]}",
		  "\"push\" must be a list" },
		{ "{" ACCT ",\"password\":\"p\",\"instances\":[{\"app\":"
		  "\"a\",\"installation\":\"i\",\"platform\":\"ios\","
		  "\"secret\":\"short\"," TOK "}]}",
		  "must have 43 characters" },
		{ "{" ACCT ",\"password\":\"p\",\"instances\":[{\"app\":"
		  "\"a\",\"installation\":\"i\",\"platform\":\"ios\","
		  "\"push\":[{\"use\":[\"call\"],\"provider\":\"apns\","
		  "\"handle\":\"A\"}]}]}",
		  "base64url" },
	};
	struct imp *f = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char lines[1024];
		int n = snprintf(lines, sizeof(lines),
				 "{" ACCT ",\"password\":\"p\"}\n", 100);

		(void)snprintf(lines + n, sizeof(lines) - (size_t)n,
			       rows[i].line, 200);
		assert_int_equal(import(f, lines), EBADMSG);
		if (!strstr(f->reason, rows[i].why) ||
		    !strstr(f->reason, "lines:2: "))
			fail_msg("\"%s\" does not say \"%s\"", f->reason,
				 rows[i].why);
	}

	(void)unlink(f->file);
	assert_int_equal(import_file(&f->res, &f->cfg, &f->key, f->store,
				     f->file, f->reason, sizeof(f->reason)),
			 ENOENT);
}


/** Far more in a millisecond than there are random bits for */
static void many(void **state)
{
	struct imp *f = *state;
	FILE *file = fopen(f->file, "w");

	assert_non_null(file);
	for (unsigned n = 0; n < 20000; n++)
		(void)fprintf(file,
			      "{" ACCT
			      ",\"password\":\"p\",\"realm\":\"r\"," INST
			      "}\n",
			      n);
	(void)fclose(file);
	assert_int_equal(import_file(&f->res, &f->cfg, &f->key, f->store,
				     f->file, f->reason, sizeof(f->reason)),
			 0);
	load(f);
	assert_int_equal(f->accts, 20000);
	assert_int_equal(f->want, 20000);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(good_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(many, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
