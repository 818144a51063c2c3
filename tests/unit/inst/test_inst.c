/**
 * @file test_inst.c  Phones on accounts, every module real
 *
 * A PBX made of text judges credentials and keeps bindings over UDP, tokens
 * are enrolled over TLS at a mediator of this process, the store is a file.
 * What an app would say over HTTPS is said here.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/log.h"
#include "common/secret.h"
#include "sipis/inst/inst.h"
#include "tests/unit/common/unit.h"
#include "tests/unit/common/loop.h"
#include "tests/unit/lib/site.h"

enum { CREATES = 5 };

struct fix {
	struct site site;
	struct api_cfg api;
	struct inst *in;

	unsigned want;

	/* the last answer */
	unsigned answers;
	enum inst_res res;
	char id[STORE_ID_LEN + 1], secret[STORE_SECRET_LEN + 1];
	char old_secret[STORE_SECRET_LEN + 1];
	char detail[256], label[64], options[160];
	enum inst_state state;
	int64_t lease_ms, seen_ms, first_ms;
	uint16_t pbx_status;
	uint32_t retry_after_s;
	unsigned push_count;
	uint64_t acct_id;
	uint8_t handle[STORE_HANDLE_MAX];
	size_t handle_len;
};


/* waiting */

static bool is_answered(void *arg)
{
	struct fix *f = arg;

	return f->answers >= f->want;
}


static bool is_bound(void *arg)
{
	struct fix *f = arg;

	return f->site.peer.ours[0] != '\0';
}


static bool is_unbound(void *arg)
{
	struct fix *f = arg;

	return !f->site.peer.ours[0];
}


static void answer_handler(const struct inst_answer *ans, void *arg)
{
	struct fix *f = arg;

	f->answers++;
	f->res = ans->res;
	f->pbx_status = ans->pbx_status;
	f->retry_after_s = ans->retry_after_s;
	assert_non_null(ans->detail);
	str_ncpy(f->detail, ans->detail, sizeof(f->detail));
	if (ans->secret)
		str_ncpy(f->secret, ans->secret, sizeof(f->secret));
	if (!ans->inst)
		return;

	str_ncpy(f->id, ans->inst->id, sizeof(f->id));
	str_ncpy(f->label, ans->inst->label, sizeof(f->label));
	str_ncpy(f->options, ans->inst->options, sizeof(f->options));
	f->state = ans->inst->state;
	f->lease_ms = ans->inst->lease_until_ms - ans->inst->seen_ms;
	f->seen_ms = ans->inst->seen_ms;
	f->push_count = ans->inst->push_count;
	f->acct_id = ans->acct->id;
	if (!f->push_count)
		return;
	f->handle_len = ans->inst->push[0].handle_len;
	memcpy(f->handle, ans->inst->push[0].handle, f->handle_len);
}


static void answered(struct fix *f)
{
	f->want = f->answers + 1;
	until(f, is_answered);
}


/* asking */

static struct inst_who who(const struct fix *f, const char *secret)
{
	struct inst_who w = { .id = f->id, .addr = "192.0.2.1", .trace = "t" };

	assert_int_equal(
		secret_sha256(w.secret_sha256, secret, strlen(secret)), 0);
	return w;
}


static struct inst_new new_phone(const char *installation)
{
	struct inst_new nw = {
		.app = "org.example",
		.installation = installation,
		.label = "phone",
		.platform = "ios",
		.aor_user = "100",
		.aor_domain = "pbx.test",
		.creds = { .password = "secret" },
		.display_name = "",
		.transport = -1,
		.push_count = 1,
		.push = { { .uses = STORE_USE_CALL,
			    .provider = "apns",
			    .token = "0011223344556677",
			    .topic = "org.example.voip",
			    .environment = "production" } },
		.options = { -1, -1, -1 },
	};

	return nw;
}


static void create_with(struct fix *f, const struct inst_new *nw,
			const char *addr)
{
	const struct inst_who w = { .addr = addr, .trace = "t" };

	assert_int_equal(inst_create(f->in, &w, nw, answer_handler, f), 0);
	assert_int_equal(f->answers, f->want); /* never before it returns */
	answered(f);
}


static void create(struct fix *f, const char *installation)
{
	const struct inst_new nw = new_phone(installation);

	create_with(f, &nw, "192.0.2.1");
	if (f->res != INST_R_CREATED)
		fail_msg("%d: %s", f->res, f->detail);
}


static void say(struct fix *f, const char *secret, enum inst_state state)
{
	const struct inst_who w = who(f, secret);
	const struct inst_word word = { .state = state };

	assert_int_equal(inst_word(f->in, &w, &word, answer_handler, f), 0);
	answered(f);
}


static void read_it(struct fix *f, const char *secret)
{
	const struct inst_who w = who(f, secret);

	assert_int_equal(inst_read(f->in, &w, answer_handler, f), 0);
	answered(f);
}


static void delete_it(struct fix *f, const char *secret)
{
	const struct inst_who w = who(f, secret);

	assert_int_equal(inst_delete(f->in, &w, answer_handler, f), 0);
	answered(f);
}


static void change(struct fix *f, const struct inst_change *ch)
{
	const struct inst_who w = who(f, f->secret);

	assert_int_equal(inst_patch(f->in, &w, ch, answer_handler, f), 0);
	answered(f);
}


/* life of the fixture */

static void inst_make(struct fix *f)
{
	const struct inst_prm prm = {
		.store = f->site.store,
		.reg = f->site.reg,
		.calls = f->site.calls,
		.med = f->site.med,
		.key = &f->site.key,
		.cfg = &f->api,
		.pbxv = &f->site.pbx,
		.pbxc = 1,
	};

	f->api.creates_per_hour = CREATES;
	assert_int_equal(inst_alloc(&f->in, &prm), 0);
}


static int setup(void **state)
{
	static const struct pbx_cfg cfg = { .inactivity_days = 10,
					    .auth_failures = 2 };
	struct fix *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	site_open(&f->site, *state, &cfg);
	inst_make(f);
	until(&f->site, site_med_is_up);
	*state = f;

	return 0;
}


static int teardown(void **state)
{
	struct fix *f = *state;
	int rc;

	inst_close(f->in);
	mem_deref(f->in);
	rc = site_close(&f->site);
	free(f);

	return rc;
}


/* the tests */

static void created_and_read(void **state)
{
	struct fix *f = *state;
	char id[STORE_ID_LEN + 1];

	create(f, "i");
	assert_int_equal(strlen(f->id), STORE_ID_LEN);
	assert_int_equal(strlen(f->secret), STORE_SECRET_LEN);
	assert_int_equal(f->state, INST_ACTIVE);
	assert_int_equal(f->site.peer.looks,
			 1); /* the probe leaves no binding */
	assert_int_equal(f->site.peer.registers, 0);
	memcpy(id, f->id, sizeof(id));
	memcpy(f->old_secret, f->secret, sizeof(f->secret));

	read_it(f, f->secret);
	assert_int_equal(f->res, INST_R_OK);
	assert_string_equal(f->label, "phone");
	assert_string_equal(f->options, "{}");
	assert_int_equal(f->push_count, 1);

	/* again: the same phone with a new secret */
	create(f, "i");
	assert_string_equal(f->id, id);
	assert_string_not_equal(f->secret, f->old_secret);
	read_it(f, f->old_secret);
	assert_int_equal(f->res, INST_R_UNAUTHORIZED);
	read_it(f, f->secret);
	assert_int_equal(f->res, INST_R_OK);
}


static void unknown_and_wrong_are_one(void **state)
{
	struct fix *f = *state;
	char detail[256];

	create(f, "i");
	read_it(f, "wrong");
	assert_int_equal(f->res, INST_R_UNAUTHORIZED);
	memcpy(detail, f->detail, sizeof(detail));
	say(f, "wrong", INST_INACTIVE);
	assert_int_equal(f->res, INST_R_UNAUTHORIZED);
	assert_string_equal(f->detail, detail);
	delete_it(f, "wrong");
	assert_int_equal(f->res, INST_R_UNAUTHORIZED);

	f->id[STORE_ID_LEN - 1] ^= 1;
	read_it(f, f->secret);
	assert_int_equal(f->res, INST_R_UNAUTHORIZED);
	assert_string_equal(f->detail, detail);
	f->id[STORE_ID_LEN - 1] ^= 1;
	read_it(f, f->secret);
	assert_int_equal(f->res, INST_R_OK);
	assert_int_equal(f->state, INST_ACTIVE);
	assert_int_equal(f->site.peer.registers, 0);
}


static void states_move_the_binding(void **state)
{
	struct fix *f = *state;

	create(f, "i");
	say(f, f->secret, INST_INACTIVE);
	assert_int_equal(f->res, INST_R_OK);
	until(f, is_bound);

	say(f, f->secret, INST_ACTIVE);
	until(f, is_unbound);

	say(f, f->secret, INST_INACTIVE);
	until(f, is_bound);
	say(f, f->secret, INST_EXITED); /* without push_after_exit */
	assert_int_equal(f->state, INST_EXITED);
	until(f, is_unbound);
}


static void exited_but_rung(void **state)
{
	struct fix *f = *state;
	struct inst_new nw = new_phone("i");

	nw.options.push_after_exit = 1;
	nw.options.inactivity_s = 3600;
	create_with(f, &nw, "192.0.2.1");
	assert_int_equal(f->res, INST_R_CREATED);
	assert_string_equal(f->options, "{\"push_after_exit\": true, "
					"\"inactivity_timeout\": 3600}");
	say(f, f->secret, INST_EXITED);
	until(f, is_bound);
}


static void one_of_two_sleeps(void **state)
{
	struct fix *f = *state;
	char first[STORE_ID_LEN + 1], key[STORE_SECRET_LEN + 1];

	create(f, "one");
	memcpy(first, f->id, sizeof(first));
	memcpy(key, f->secret, sizeof(key));
	create(f, "two");
	say(f, f->secret, INST_INACTIVE);
	until(f, is_bound);

	/* the first stays awake, the second goes: nobody sleeps any more */
	delete_it(f, f->secret);
	assert_int_equal(f->res, INST_R_OK);
	until(f, is_unbound);
	memcpy(f->id, first, sizeof(first));
	read_it(f, key);
	assert_int_equal(f->res, INST_R_OK);
}


static void last_one_unregisters(void **state)
{
	struct fix *f = *state;

	create(f, "i");
	say(f, f->secret, INST_INACTIVE);
	until(f, is_bound);
	delete_it(f, f->secret);
	assert_int_equal(f->res, INST_R_OK);
	until(f, is_unbound);
	assert_int_equal(f->site.peer.removes, 1);
	read_it(f, f->secret);
	assert_int_equal(f->res, INST_R_UNAUTHORIZED);
}


static void lease_lapses(void **state)
{
	struct fix *f = *state;
	const struct inst_word word = { .state = INST_ACTIVE, .lease_s = 1 };
	struct inst_who w;

	create(f, "i");
	w = who(f, f->secret);
	assert_int_equal(inst_word(f->in, &w, &word, answer_handler, f), 0);
	answered(f);
	assert_int_equal(f->state, INST_ACTIVE);
	assert_false(is_bound(f));

	/* killed while active: it tells nobody, and we take over */
	until(f, is_bound);
	read_it(f, f->secret);
	assert_int_equal(f->state, INST_INACTIVE);
}


static bool is_renewed(void *arg)
{
	struct fix *f = arg;

	if (is_answered(f) && f->seen_ms == f->first_ms) {
		const struct inst_who w = who(f, f->secret);

		f->answers = 0;
		assert_int_equal(inst_read(f->in, &w, answer_handler, f), 0);
	}

	return f->seen_ms != f->first_ms;
}


/* Any word of an app renews its lease, by as much as the app had asked for
   and not by what the profile says */
static void lease_is_renewed_as_asked(void **state)
{
	struct fix *f = *state;
	const struct inst_word word = { .state = INST_ACTIVE, .lease_s = 2 };
	struct inst_who w;

	create(f, "i");
	w = who(f, f->secret);
	f->answers = 0;
	assert_int_equal(inst_word(f->in, &w, &word, answer_handler, f), 0);
	answered(f);
	assert_int_equal(f->lease_ms, 2000);

	f->first_ms = f->seen_ms;
	until(f, is_renewed);
	assert_int_equal(f->state, INST_ACTIVE);
	assert_int_equal(f->lease_ms, 2000);
	if (!is_answered(f))
		answered(f);
}


static void dead_token(void **state)
{
	struct fix *f = *state;

	create(f, "i");
	say(f, f->secret, INST_INACTIVE);
	until(f, is_bound);
	read_it(f, f->secret);
	inst_token_gone(f->in, f->handle, f->handle_len, "Unregistered");
	until(f, is_unbound);
	read_it(f, f->secret);
	assert_int_equal(f->state, INST_GONE);

	/* a new token brings it back */
	{
		const struct inst_new nw = new_phone("i");
		const struct inst_change ch = { .push = nw.push,
						.push_count = 1 };

		change(f, &ch);
		assert_int_equal(f->res, INST_R_OK);
		assert_int_equal(f->state, INST_INACTIVE);
		until(f, is_bound);
	}
}


static void changes(void **state)
{
	struct fix *f = *state;
	const struct inst_creds creds = { .password = "other" };
	const struct inst_options off = { 0, -1, -1 };
	struct inst_change ch = { .label = "renamed" };

	create(f, "i");
	memcpy(f->old_secret, f->secret, sizeof(f->secret));
	change(f, &ch);
	assert_int_equal(f->res, INST_R_OK);
	assert_string_equal(f->label, "renamed");
	assert_string_equal(f->secret, f->old_secret);

	ch = (struct inst_change){ .creds = &creds };
	change(f, &ch);
	assert_int_equal(f->res, INST_R_OK);
	assert_int_equal(f->site.peer.looks, 2); /* the PBX was asked again */

	ch = (struct inst_change){ .options = &off };
	change(f, &ch);
	assert_string_equal(f->options, "{\"push_enabled\": false}");
	say(f, f->secret, INST_INACTIVE);
	assert_int_equal(f->state, INST_INACTIVE);
	assert_false(is_bound(f)); /* it may not be rung */

	ch = (struct inst_change){ .new_secret = true };
	change(f, &ch);
	assert_string_not_equal(f->secret, f->old_secret);
	read_it(f, f->old_secret);
	assert_int_equal(f->res, INST_R_UNAUTHORIZED);
}


static void not_allowed(void **state)
{
	struct fix *f = *state;
	struct inst_new nw = new_phone("i");

	nw.aor_domain = "foreign.test";
	create_with(f, &nw, "192.0.2.1");
	assert_int_equal(f->res, INST_R_NOT_ALLOWED);

	nw = new_phone("i");
	nw.outbound_proxy = "192.0.2.66:5060";
	create_with(f, &nw, "192.0.2.1");
	assert_int_equal(f->res, INST_R_NOT_ALLOWED);

	nw = new_phone("i");
	nw.transport = CFG_TP_TLS;
	create_with(f, &nw, "192.0.2.1");
	assert_int_equal(f->res, INST_R_NOT_ALLOWED);
	assert_int_equal(f->site.peer.looks, 0); /* no packet went out */

	nw = new_phone("i");
	nw.outbound_proxy = f->site.proxy;
	create_with(f, &nw, "192.0.2.1");
	assert_int_equal(f->res, INST_R_CREATED);
}


static void budgets(void **state)
{
	struct fix *f = *state;
	const struct inst_creds creds = { .password = "other" };
	const struct inst_change ch = { .creds = &creds };
	struct inst_new nw = new_phone("i");

	for (unsigned i = 0; i < CREATES; i++)
		create(f, "i");
	create_with(f, &nw, "192.0.2.1");
	assert_int_equal(f->res, INST_R_THROTTLED);
	assert_true(f->retry_after_s > 0);
	create_with(f, &nw, "192.0.2.2");
	assert_int_equal(f->res, INST_R_CREATED);

	for (unsigned i = 0; i < CREATES; i++) {
		change(f, &ch);
		assert_int_equal(f->res, INST_R_OK);
	}
	change(f, &ch);
	assert_int_equal(f->res, INST_R_THROTTLED);
}


static void nobody_enrols(void **state)
{
	struct fix *f = *state;
	const struct inst_new nw = new_phone("i");

	med_close(f->site.med);
	create_with(f, &nw, "192.0.2.1");
	assert_int_equal(f->res, INST_R_NO_MEDIATOR);
	assert_true(f->retry_after_s > 0);
}


static void calls_of_others(void **state)
{
	struct fix *f = *state;
	struct inst_who w;

	create(f, "i");
	w = who(f, f->secret);
	assert_int_equal(inst_call_get(NULL, f->in, &w, "no-such-call", 0,
				       answer_handler, f),
			 0);
	answered(f);
	assert_int_equal(f->res, INST_R_NO_CALL);
	assert_int_equal(inst_call_word(f->in, &w, "no-such-call",
					INST_CALL_DECLINE, answer_handler, f),
			 0);
	answered(f);
	assert_int_equal(f->res, INST_R_NO_CALL);

	w = who(f, "wrong");
	assert_int_equal(inst_call_get(NULL, f->in, &w, "no-such-call", 0,
				       answer_handler, f),
			 0);
	answered(f);
	assert_int_equal(f->res, INST_R_UNAUTHORIZED);
}


static void given_up(void **state)
{
	struct fix *f = *state;
	struct inst_job *job = NULL;
	struct inst_who w;

	create(f, "i");
	w = who(f, f->secret);
	assert_int_equal(inst_call_get(&job, f->in, &w, "no-such-call", 60000,
				       answer_handler, f),
			 0);
	assert_non_null(job);
	mem_deref(job);
	read_it(f, f->secret); /* the only answer that comes */
	assert_int_equal(f->res, INST_R_OK);
	assert_int_equal(f->answers, f->want);
}


static void stopping(void **state)
{
	struct fix *f = *state;
	const struct inst_new nw = new_phone("i");
	const struct inst_who w = { .addr = "192.0.2.1", .trace = "t" };

	assert_int_equal(inst_create(f->in, &w, &nw, answer_handler, f), 0);
	inst_close(f->in);
	assert_int_equal(f->answers, 1);
	assert_int_equal(f->res, INST_R_STOPPING);
	assert_int_equal(inst_create(f->in, &w, &nw, answer_handler, f),
			 ESHUTDOWN);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
		T(created_and_read),
		T(unknown_and_wrong_are_one),
		T(states_move_the_binding),
		T(exited_but_rung),
		T(one_of_two_sleeps),
		T(last_one_unregisters),
		T(lease_lapses),
		T(lease_is_renewed_as_asked),
		T(dead_token),
		T(changes),
		T(not_allowed),
		T(budgets),
		T(nobody_enrols),
		T(calls_of_others),
		T(given_up),
		T(stopping),
#undef T
	};

	return cmocka_run_group_tests(tests, site_group_open,
				      site_group_close);
}
