/**
 * @file fixture.h  A store in a directory of its own, and rows to put in
 */

#ifndef TESTS_STORE_FIXTURE_H
#define TESTS_STORE_FIXTURE_H

#include <re/re.h>
#include "sipis/store/store.h"
#include "tests/unit/common/unit.h"

struct fix {
	char dir[64], path[96], reason[512];
	struct store_prm prm;
	struct store *st;

	/* what the last handler got; rows are checked inside handlers */
	unsigned calls, waiting;
	int err;
	uint64_t acct_id;
	bool want, proven, auth_failed, has_acct, has_inst;
	enum inst_state state;
	unsigned push_count, push_gone;
	unsigned marks; /**< how often another hand changed a row */
	char inst_id[STORE_ID_LEN + 1];
	char label[128], text[256];
	uint8_t contact[STORE_CONTACT];
	int64_t due_ms;
};

int fix_setup(void **state);
int fix_teardown(void **state);
void fix_open(struct fix *f);
void fix_close(struct fix *f);

/** Runs the loop until n handlers were called; fails as loop_run() does */
void fix_wait(struct fix *f, unsigned n);
/** For handlers of a test's own */
void fix_called(struct fix *f);

/* handlers that note what they got */
void fix_done(int err, void *arg);
void fix_acct(int err, const struct acct_row *acct, void *arg);
void fix_inst(int err, const struct inst_row *inst,
	      const struct acct_row *acct, void *arg);

/** An account user@example.org with one phone "phone" asleep */
struct acct_row fix_acct_row(const char *user);
struct inst_row fix_inst_row(const char *installation);
/** Writes both and waits: the id is in f->inst_id */
void fix_put(struct fix *f, const char *user, const char *installation);

#endif
