/**
 * @file fixture.c  A store in a directory of its own, and rows to put in
 */

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/secret.h"
#include "tests/unit/tmpdir.h"
#include "tests/unit/common/loop.h"
#include "tests/unit/store/fixture.h"


void fix_called(struct fix *f)
{
	++f->calls;
	if (f->waiting && f->calls >= f->waiting)
		re_cancel();
}


void fix_wait(struct fix *f, unsigned n)
{
	f->waiting = n;
	if (f->calls < n)
		loop_run();
	f->waiting = 0;
	f->calls = 0;
}


void fix_done(int err, void *arg)
{
	struct fix *f = arg;

	f->err = err;
	fix_called(f);
}


static void note_acct(struct fix *f, const struct acct_row *acct)
{
	f->has_acct = acct != NULL;
	if (!acct)
		return;

	f->acct_id = acct->id;
	f->want = acct->want;
	f->proven = acct->proven;
	f->auth_failed = acct->auth_failed;
	memcpy(f->contact, acct->contact, sizeof(f->contact));
}


void fix_acct(int err, const struct acct_row *acct, void *arg)
{
	struct fix *f = arg;

	f->err = err;
	note_acct(f, acct);
	fix_called(f);
}


void fix_inst(int err, const struct inst_row *inst,
	      const struct acct_row *acct, void *arg)
{
	struct fix *f = arg;

	f->err = err;
	note_acct(f, acct);
	f->has_inst = inst != NULL;
	if (inst) {
		f->state = inst->state;
		f->due_ms = inst->lease_until_ms;
		f->push_count = inst->push_count;
		f->push_gone = 0;
		for (unsigned i = 0; i < inst->push_count; i++)
			f->push_gone += inst->push[i].gone;
		(void)snprintf(f->inst_id, sizeof(f->inst_id), "%s", inst->id);
		(void)snprintf(f->label, sizeof(f->label), "%s", inst->label);
	}
	fix_called(f);
}


struct acct_row fix_acct_row(const char *user)
{
	struct acct_row a = {
		.pbx = "office",
		.user = user,
		.domain = "example.org",
		.auth_user = user,
		.display_name = "Ann",
		.transport = -1,
		.sealed = (const uint8_t *)"sealed secret",
		.sealed_len = 13,
		.contact = { 1, 2, 3, 4 },
		.proven = true,
	};

	return a;
}


struct inst_row fix_inst_row(const char *installation)
{
	struct inst_row i = {
		.app = "org.example.phone",
		.installation = installation,
		.label = "Ann's phone",
		.platform = "ios",
		.state = INST_INACTIVE,
		.seen_ms = 1000000,
		.created_ms = 1000000,
		.idle_s = 864000,
		.options = "{}",
		.push_enabled = true,
		.push_count = 2,
		.push = {
			{
				.uses = STORE_USE_CALL,
				.provider = "apns",
				.topic = "org.example.phone.voip",
				.environment = "production",
				.handle = (const uint8_t *)installation,
				.handle_len = strlen(installation),
				.gone_reason = "",
			},
			{
				.uses = 1u << 2,
				.provider = "apns",
				.topic = "org.example.phone",
				.environment = "production",
				.handle = (const uint8_t *)"message handle",
				.handle_len = 14,
				.gone_reason = "",
			},
		},
	};

	(void)secret_sha256(i.secret_sha256, "secret", 6);
	return i;
}


void fix_put(struct fix *f, const char *user, const char *installation)
{
	struct acct_row a = fix_acct_row(user);
	struct inst_row i = fix_inst_row(installation);

	assert_int_equal(store_inst_put(f->st, &a, &i, fix_inst, f), 0);
	fix_wait(f, 1);
	assert_int_equal(f->err, 0);
}


void fix_open(struct fix *f)
{
	int err;

	f->prm.path = f->path;
	err = store_alloc(&f->st, &f->prm, f->reason, sizeof(f->reason));
	if (err)
		fail_msg("store_alloc: %d: %s", err, f->reason);
}


void fix_close(struct fix *f)
{
	f->st = mem_deref(f->st);
}


int fix_setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));

	if (!f || libre_init())
		return -1;

	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/sipis-store-XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;

	(void)snprintf(f->path, sizeof(f->path), "%s/store.db", f->dir);
	*state = f;
	return 0;
}


int fix_teardown(void **state)
{
	struct fix *f = *state;
	int rc;

	fix_close(f);
	rc = tmpdir_remove(f->dir);
	free(f);
	libre_close();
	return rc;
}
