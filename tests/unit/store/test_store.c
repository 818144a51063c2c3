/**
 * @file test_store.c  What the store promises, on a real file
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <sqlite3.h>
#include "common/secret.h"
#include "tests/unit/store/fixture.h"


static void put_and_get(void **state)
{
	struct fix *f = *state;
	char id[STORE_ID_LEN + 1];
	uint64_t acct;
	struct stat sb;

	fix_open(f);
	assert_int_equal(stat(f->path, &sb), 0);
	assert_int_equal(sb.st_mode & 0777, 0600);

	fix_put(f, "ann", "phone");
	assert_int_equal(f->state, INST_INACTIVE);
	assert_true(f->want);
	assert_int_equal(f->push_count, 2);
	assert_int_equal(strlen(f->inst_id), STORE_ID_LEN);
	memcpy(id, f->inst_id, sizeof(id));
	acct = f->acct_id;

	/* the same installation replaces and keeps both ids */
	fix_put(f, "ann", "phone");
	assert_string_equal(f->inst_id, id);
	assert_int_equal(f->acct_id, acct);

	/* another one joins the account */
	fix_put(f, "ann", "tablet");
	assert_string_not_equal(f->inst_id, id);
	assert_int_equal(f->acct_id, acct);

	/* and all of it is there after a restart */
	fix_close(f);
	fix_open(f);
	assert_int_equal(store_inst_get(f->st, id, fix_inst, f), 0);
	fix_wait(f, 1);
	assert_int_equal(f->err, 0);
	assert_int_equal(f->acct_id, acct);
	assert_int_equal(f->contact[0], 1);
}


/* a phone that joins writes nothing of its account: somebody else may be
   changing it */
static void phone_alone(void **state)
{
	struct fix *f = *state;
	struct inst_row i = fix_inst_row("tablet");
	uint64_t acct;

	fix_open(f);
	fix_put(f, "ann", "phone");
	i.acct = acct = f->acct_id;
	assert_int_equal(store_inst_put(f->st, NULL, &i, fix_inst, f), 0);
	fix_wait(f, 1);
	assert_int_equal(f->err, 0);
	assert_int_equal(f->acct_id, acct);
	assert_int_equal(f->contact[0], 1);

	i.acct = 77;
	assert_int_equal(store_inst_put(f->st, NULL, &i, fix_inst, f), 0);
	fix_wait(f, 1);
	assert_int_equal(f->err, ENOENT);

	i.acct = 0;
	assert_int_equal(store_inst_put(f->st, NULL, &i, fix_inst, f), EINVAL);
}


static void sealed_to_an_id(void **state)
{
	struct fix *f = *state;
	struct acct_row a = fix_acct_row("ann");
	struct inst_row i = fix_inst_row("phone");

	fix_open(f);
	a.id = store_id_new();
	assert_int_equal(store_inst_put(f->st, &a, &i, fix_inst, f), 0);
	a.id = store_id_new();
	i.installation = "tablet";
	assert_int_equal(store_inst_put(f->st, &a, &i, fix_inst, f), 0);
	fix_wait(f, 2);
	assert_int_equal(f->err, EAGAIN);
}


static void too_many_phones(void **state)
{
	struct fix *f = *state;
	struct acct_row a = fix_acct_row("ann");
	struct inst_row i = fix_inst_row("");
	char name[16];

	fix_open(f);
	for (unsigned n = 0; n <= STORE_INST_MAX; n++) {
		(void)snprintf(name, sizeof(name), "phone %u", n);
		i.installation = name;
		assert_int_equal(store_inst_put(f->st, &a, &i, fix_inst, f),
				 0);
		fix_wait(f, 1);
		assert_int_equal(f->err, n < STORE_INST_MAX ? 0 : ENFILE);
	}
}


static void state_put(struct fix *f, const char *id, const char *secret,
		      enum inst_state to)
{
	uint8_t md[32];

	assert_int_equal(secret_sha256(md, secret, strlen(secret)), 0);
	assert_int_equal(store_inst_state(f->st, id, md, to, 5000000, 4000000,
					  fix_inst, f),
			 0);
	fix_wait(f, 1);
}


static void states(void **state)
{
	struct fix *f = *state;
	char id[STORE_ID_LEN + 1], other[STORE_ID_LEN + 1];

	fix_open(f);
	fix_put(f, "ann", "phone");
	memcpy(id, f->inst_id, sizeof(id));

	state_put(f, id, "secret", INST_ACTIVE);
	assert_int_equal(f->err, 0);
	assert_int_equal(f->state, INST_ACTIVE);
	assert_int_equal(f->due_ms, 5000000);
	assert_false(f->want);

	state_put(f, id, "wrong", INST_INACTIVE);
	assert_int_equal(f->err, ENOENT);
	assert_false(f->has_inst);
	assert_false(f->has_acct);

	memcpy(other, id, sizeof(id));
	other[STORE_ID_LEN - 1] = other[STORE_ID_LEN - 1] == '0' ? '1' : '0';
	state_put(f, other, "secret", INST_INACTIVE);
	assert_int_equal(f->err, ENOENT);

	state_put(f, "not an id", "secret", INST_INACTIVE);
	assert_int_equal(f->err, ENOENT);

	state_put(f, id, "secret", INST_EXITED);
	assert_int_equal(f->state, INST_EXITED);
	assert_false(f->want);

	state_put(f, id, "secret", INST_INACTIVE);
	assert_true(f->want);
	assert_int_equal(f->due_ms, 4000000 + 864000000LL);

	assert_int_equal(store_inst_state(f->st, id, NULL, INST_GONE, 0, 0,
					  fix_inst, f),
			 EINVAL);
}


static void last_one_takes_the_account(void **state)
{
	struct fix *f = *state;
	char id[STORE_ID_LEN + 1];
	uint64_t acct;

	fix_open(f);
	fix_put(f, "ann", "phone");
	memcpy(id, f->inst_id, sizeof(id));
	acct = f->acct_id;
	fix_put(f, "ann", "tablet");

	assert_int_equal(store_inst_delete(f->st, f->inst_id, fix_inst, f), 0);
	fix_wait(f, 1);
	assert_int_equal(f->err, 0);
	assert_true(f->has_inst);
	assert_true(f->want);

	assert_int_equal(store_inst_delete(f->st, id, fix_inst, f), 0);
	fix_wait(f, 1);
	assert_int_equal(f->err, 0);
	assert_false(f->has_inst);
	assert_false(f->want);
	assert_int_equal(f->acct_id, acct);

	assert_int_equal(store_acct_get(f->st, acct, fix_acct, f), 0);
	fix_wait(f, 1);
	assert_int_equal(f->err, ENOENT);

	assert_int_equal(store_inst_delete(f->st, id, fix_inst, f), 0);
	fix_wait(f, 1);
	assert_int_equal(f->err, ENOENT);
}


static void dead_tokens(void **state)
{
	struct fix *f = *state;
	const uint8_t *handle = (const uint8_t *)"phone";

	fix_open(f);
	fix_put(f, "ann", "phone");

	/* another handle than the one that is there */
	assert_int_equal(store_push_gone(f->st, f->inst_id,
					 (const uint8_t *)"old", 3, "gone",
					 fix_inst, f),
			 0);
	fix_wait(f, 1);
	assert_int_equal(f->err, ENOENT);

	assert_int_equal(store_push_gone(f->st, NULL, handle, 5,
					 "Unregistered", fix_inst, f),
			 0);
	fix_wait(f, 1);
	assert_int_equal(f->err, 0);
	assert_int_equal(f->state, INST_GONE);
	assert_int_equal(f->push_gone, 1);
	assert_false(f->want);

	/* a word of the app brings no token back to life */
	state_put(f, f->inst_id, "secret", INST_INACTIVE);
	assert_int_equal(f->state, INST_GONE);
	assert_false(f->want);
}


/* Only what came by REGISTER, and only what lives */
static void sip_tokens(void **state)
{
	struct acct_row a = fix_acct_row("ann");
	struct inst_row i = fix_inst_row("phone");
	struct fix *f = *state;

	fix_open(f);
	fix_put(f, "ann", "phone");
	assert_int_equal(store_push_end(f->st, f->inst_id, "x", fix_inst, f),
			 0);
	fix_wait(f, 1);
	assert_int_equal(f->err, ENOENT);

	i.push[1].via_sip = true;
	assert_int_equal(store_inst_put(f->st, &a, &i, fix_inst, f), 0);
	fix_wait(f, 1);
	assert_int_equal(store_push_end(f->st, f->inst_id, "x", fix_inst, f),
			 0);
	fix_wait(f, 1);
	assert_int_equal(f->err, 0);
	assert_int_equal(f->push_gone, 1);
	assert_int_equal(f->state, INST_INACTIVE); /* the other is for calls */
	assert_true(f->want);

	i.push[0].via_sip = true;
	assert_int_equal(store_inst_put(f->st, &a, &i, fix_inst, f), 0);
	fix_wait(f, 1);
	fix_close(f);
	fix_open(f); /* it is written down */
	assert_int_equal(store_push_end(f->st, f->inst_id, "x", fix_inst, f),
			 0);
	fix_wait(f, 1);
	assert_int_equal(f->push_gone, 2);
	assert_int_equal(f->state, INST_GONE);
	assert_false(f->want);

	assert_int_equal(store_push_end(f->st, f->inst_id, "x", fix_inst, f),
			 0);
	fix_wait(f, 1);
	assert_int_equal(f->err, ENOENT);
}


static void renewed_handles(void **state)
{
	struct fix *f = *state;
	const uint8_t *handle = (const uint8_t *)"phone",
		      *renewed = (const uint8_t *)"under another key";

	fix_open(f);
	fix_put(f, "ann", "phone");
	assert_int_equal(
		store_push_renew(f->st, handle, 5, renewed, 17, fix_done, f),
		0);
	fix_wait(f, 1);
	assert_int_equal(f->err, 0);

	/* once only; and the new one is found as the old one was */
	assert_int_equal(
		store_push_renew(f->st, handle, 5, renewed, 17, fix_done, f),
		0);
	fix_wait(f, 1);
	assert_int_equal(f->err, ENOENT);
	assert_int_equal(
		store_push_gone(f->st, NULL, renewed, 17, "x", fix_inst, f),
		0);
	fix_wait(f, 1);
	assert_int_equal(f->err, 0);
	assert_int_equal(f->push_gone, 1);
}


static void patches(void **state)
{
	struct fix *f = *state;
	struct inst_row to = { 0 };

	fix_open(f);
	fix_put(f, "ann", "phone");
	assert_int_equal(store_push_gone(f->st, NULL, (const uint8_t *)"phone",
					 5, "x", fix_inst, f),
			 0);
	fix_wait(f, 1);
	assert_int_equal(f->state, INST_GONE);

	to.id = f->inst_id;
	to.label = "new label";
	assert_int_equal(store_inst_patch(f->st, NULL, &to, fix_inst, f), 0);
	fix_wait(f, 1);
	assert_int_equal(f->err, 0);
	assert_string_equal(f->label, "new label");
	assert_int_equal(f->push_count, 2);
	assert_int_equal(f->state, INST_GONE);

	to = fix_inst_row("new token");
	to.id = f->inst_id;
	to.label = NULL;
	assert_int_equal(store_inst_patch(f->st, NULL, &to, fix_inst, f), 0);
	fix_wait(f, 1);
	assert_int_equal(f->err, 0);
	assert_string_equal(f->label, "new label");
	assert_int_equal(f->state, INST_INACTIVE);
	assert_true(f->want);
}


static void time_passes(void **state)
{
	struct fix *f = *state;

	fix_open(f);
	fix_put(f, "ann", "phone");
	state_put(f, f->inst_id, "secret", INST_ACTIVE);

	assert_int_equal(store_inst_overdue(f->st, 4999999, 10, fix_inst, f),
			 0);
	fix_wait(f, 1);
	assert_int_equal(f->err, ENOENT);

	assert_int_equal(store_inst_overdue(f->st, 5000000, 10, fix_inst, f),
			 0);
	fix_wait(f, 2);
	assert_int_equal(store_inst_get(f->st, f->inst_id, fix_inst, f), 0);
	fix_wait(f, 1);
	assert_int_equal(f->state, INST_INACTIVE);
	assert_true(f->want);

	/* silent since 4000000 */
	assert_int_equal(store_inst_overdue(f->st, 4000000 + 864000000LL, 10,
					    fix_inst, f),
			 0);
	fix_wait(f, 2);
	assert_int_equal(store_inst_get(f->st, f->inst_id, fix_inst, f), 0);
	fix_wait(f, 1);
	assert_int_equal(f->state, INST_EXPIRED);
	assert_false(f->want);
	assert_int_equal(f->due_ms, 0);
}


static void learn(void **state)
{
	struct fix *f = *state;
	struct acct_row a = fix_acct_row("ann");

	fix_open(f);
	fix_put(f, "ann", "phone");
	a.id = f->acct_id;
	a.realm = "example.org";
	a.sealed = (const uint8_t *)"ha1";
	a.sealed_len = 3;
	a.sealed_is_ha1 = true;
	a.auth_failed = true;
	assert_int_equal(store_acct_learn(f->st, &a, fix_done, f), 0);
	fix_wait(f, 1);
	assert_int_equal(f->err, 0);

	assert_int_equal(store_acct_find(f->st, "office", "ann", "example.org",
					 fix_acct, f),
			 0);
	fix_wait(f, 1);
	assert_int_equal(f->err, 0);
	assert_true(f->auth_failed);

	/* new credentials end that */
	fix_put(f, "ann", "phone");
	assert_false(f->auth_failed);

	a.id = 1;
	assert_int_equal(store_acct_learn(f->st, &a, fix_done, f), 0);
	fix_wait(f, 1);
	assert_int_equal(f->err, ENOENT);
}


/* a failing request leaves the others of its group alone */
static void group_survives_a_failure(void **state)
{
	struct fix *f = *state;
	struct acct_row a = fix_acct_row("ann"), b = fix_acct_row("bob");
	struct inst_row i = fix_inst_row("phone");

	fix_open(f);
	assert_int_equal(store_inst_put(f->st, &a, &i, NULL, NULL), 0);
	a.id = 1; /* EAGAIN */
	assert_int_equal(store_inst_put(f->st, &a, &i, NULL, NULL), 0);
	assert_int_equal(store_inst_delete(f->st, "no such id", NULL, NULL),
			 0);
	assert_int_equal(store_inst_put(f->st, &b, &i, fix_inst, f), 0);
	fix_wait(f, 1);
	assert_int_equal(f->err, 0);

	assert_int_equal(store_acct_find(f->st, "office", "ann", "example.org",
					 fix_acct, f),
			 0);
	fix_wait(f, 1);
	assert_int_equal(f->err, 0);
}


struct loaded {
	unsigned n, want;
	uint64_t last;
};


static int load_handler(const struct acct_row *acct, void *arg)
{
	struct loaded *l = arg;

	assert_true(acct->id > l->last);
	l->last = acct->id;
	l->n++;
	l->want += acct->want;
	return 0;
}


static void loading(void **state)
{
	struct fix *f = *state;
	struct loaded l = { 0 };
	char user[16];
	int64_t value = 0;

	fix_open(f);
	for (unsigned n = 0; n < 100; n++) {
		struct acct_row a = fix_acct_row(user);
		struct inst_row i = fix_inst_row("phone");

		(void)snprintf(user, sizeof(user), "%u", n);
		i.state = n % 3 ? INST_INACTIVE : INST_ACTIVE;
		assert_int_equal(store_inst_put(f->st, &a, &i, NULL, NULL), 0);
	}
	assert_int_equal(store_meta_put(f->st, "grid", 42, fix_done, f), 0);
	fix_wait(f, 1);

	fix_close(f);
	fix_open(f);
	assert_int_equal(store_load_accts(f->st, load_handler, &l), 0);
	assert_int_equal(l.n, 100);
	assert_int_equal(l.want, 66);
	assert_int_equal(store_meta_get(f->st, "grid", &value), 0);
	assert_int_equal(value, 42);
	assert_int_equal(store_meta_get(f->st, "none", &value), ENOENT);
}


static void list_handler(int err, const struct acct_row *acct,
			 const struct inst_row *instv, unsigned instc,
			 void *arg)
{
	struct fix *f = arg;

	f->err = err;
	if (!err) {
		assert_int_equal(instc, 1);
		assert_int_equal(instv[0].push_count, 2);
		(void)snprintf(f->text, sizeof(f->text), "%s", acct->user);
	}
	fix_called(f);
}


static void status_list(void **state)
{
	struct fix *f = *state;

	fix_open(f);
	fix_put(f, "ann", "phone");
	fix_put(f, "bob", "phone");
	fix_put(f, "anna", "phone");

	assert_int_equal(store_list(f->st, "", 0, 100, list_handler, f), 0);
	fix_wait(f, 4);
	assert_int_equal(store_list(f->st, "ANN", 1, 100, list_handler, f), 0);
	fix_wait(f, 2);
	assert_int_equal(f->err, ENOENT);
	assert_string_equal(f->text, "anna");
	assert_int_equal(
		store_list(f->st, "bob@example", 0, 1, list_handler, f), 0);
	fix_wait(f, 2);
	assert_string_equal(f->text, "bob");
	assert_int_equal(store_list(f->st, "nobody", 0, 1, list_handler, f),
			 0);
	fix_wait(f, 1);
	assert_int_equal(f->err, ENOENT);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(t) cmocka_unit_test_setup_teardown(t, fix_setup, fix_teardown)
		T(put_and_get),
		T(phone_alone),
		T(sealed_to_an_id),
		T(too_many_phones),
		T(states),
		T(last_one_takes_the_account),
		T(dead_tokens),
		T(sip_tokens),
		T(renewed_handles),
		T(patches),
		T(time_passes),
		T(learn),
		T(group_survives_a_failure),
		T(loading),
		T(status_list),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
