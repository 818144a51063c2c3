/**
 * @file test_api_body.c  Bodies: what is taken, what is refused, and why
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "sipis/api/body.h"

#define PUSH_                                                  \
	"\"push\":[{\"use\":[\"call\"],\"provider\":\"apns\"," \
	"\"token\":\"00112233\"}]"
#define HEAD_ \
	"\"app\":\"a\",\"installation\":\"i\",\"platform\":\"ios\"," PUSH_
#define ACCT_ "\"account\":{\"aor\":\"sip:1@e.org\",\"password\":\"p\"}"
#define A64   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

typedef enum problem(read_h)(struct body *b, const char *p, size_t len);

struct row {
	const char *json;
	enum problem problem;
	const char *why; /**< part of it */
};


static void check(read_h *h, const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct row *r = &rows[i];
		struct body b;
		const enum problem p = h(&b, r->json, strlen(r->json));

		if (p != r->problem || (r->why && !strstr(b.why, r->why)))
			fail_msg("%s: %d, \"%s\", not %d, \"%s\"", r->json, p,
				 b.why, r->problem, r->why ? r->why : "");
		body_free(&b);
	}
}


static void creations(void **state)
{
	static const struct row rows[] = {
		{ "{" HEAD_ "," ACCT_ "}", PB_NONE, "" },
		{ "", PB_NOT_JSON, "Line" },
		{ "[]", PB_NOT_JSON, "The body must be an object" },
		{ "{}", PB_INVALID, "app is missing" },
		{ "{" HEAD_ "," ACCT_ ",\"app\":\"b\"}", PB_NOT_JSON, "" },
		{ "{" HEAD_ "," ACCT_ ",\"x\":1}", PB_INVALID,
		  "x is not known here" },
		{ "{" HEAD_ "}", PB_INVALID, "account is missing" },
		{ "{" HEAD_ ",\"account\":7}", PB_INVALID,
		  "account must be an object" },
		{ "{" HEAD_ ",\"account\":{\"aor\":\"sip:1@e.org\"}}",
		  PB_INVALID, "needs password or ha1" },
		{ "{" HEAD_ ",\"account\":{\"aor\":\"sip:1@e.org\","
		  "\"password\":\"\"}}",
		  PB_INVALID, "account.password must have 1 to 256 bytes" },
		{ "{" HEAD_ ",\"account\":{\"aor\":\"sip:1@e.org\","
		  "\"password\":\"p\",\"ha1\":{\"realm\":\"r\","
		  "\"algorithm\":\"MD5\",\"value\":\"" A64 "\"}}}",
		  PB_INVALID, "both" },
		{ "{" HEAD_ ",\"account\":{\"aor\":\"sip:1@e.org\","
		  "\"ha1\":{\"realm\":\"r\",\"algorithm\":\"MD5\","
		  "\"value\":\"" A64 "\"}}}",
		  PB_INVALID, "32 hex digits" },
		{ "{" HEAD_ ",\"account\":{\"aor\":\"sip:1@e.org\","
		  "\"ha1\":{\"realm\":\"r\",\"algorithm\":\"SHA-256\","
		  "\"value\":\"" A64 "\"}}}",
		  PB_NONE, "" },
		{ "{" HEAD_ ",\"account\":{\"aor\":\"sip:1@e.org\","
		  "\"ha1\":{\"realm\":\"r\",\"algorithm\":\"SHA\","
		  "\"value\":\"" A64 "\"}}}",
		  PB_INVALID,
		  "account.ha1.algorithm must be one of \"MD5\", "
		  "\"SHA-256\"" },
		{ "{" HEAD_ "," ACCT_ ",\"options\":{\"push_enabled\":1}}",
		  PB_INVALID, "options.push_enabled must be true or false" },
		{ "{" HEAD_ "," ACCT_
		  ",\"options\":{\"inactivity_timeout\":59}}",
		  PB_INVALID, "a whole number from 60" },
		{ "{" HEAD_ "," ACCT_
		  ",\"options\":{\"inactivity_timeout\":60.0}}",
		  PB_INVALID, "a whole number" },
		{ "{" HEAD_ "," ACCT_ ",\"label\":\"a\\u000ab\"}", PB_INVALID,
		  "label must not have control characters" },
		{ "{" HEAD_ "," ACCT_ ",\"label\":\"a\\u0000b\"}", PB_NOT_JSON,
		  "" },
	};
	(void)state;

	check(body_new, rows, sizeof(rows) / sizeof(*rows));
}


static void tokens(void **state)
{
#define B(push)                                                       \
	"{\"app\":\"a\",\"installation\":\"i\",\"platform\":\"ios\"," \
	"\"push\":" push "," ACCT_ "}"
#define W(url, more)                                                     \
	"[{\"use\":[\"call\"],\"provider\":\"webpush\",\"token\":\"" url \
	"\"" more "}]"
#define KEYS                                                         \
	"{\"p256dh\":\"BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcx" \
	"aOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4\",\"auth\":"    \
	"\"BTBZMqHH6r4Tts7J_aSIgg\"}"
#define T(use) \
	"{\"use\":[" use "],\"provider\":\"fcm\",\"token\":\"00112233\"}"
	static const struct row rows[] = {
		{ B("[" T("\"call\"") "]"), PB_NONE, "" },
		{ B("[]"), PB_INVALID, "push must be a list of 1 to 4" },
		{ B("{}"), PB_INVALID, "push must be a list" },
		{ B("[7]"), PB_INVALID, "push[0] must be an object" },
		{ B("[" T("\"message\"") "]"), PB_INVALID,
		  "the use \"call\"" },
		{ B("[" T("\"message\"") "," T("\"call\"") "]"), PB_NONE, "" },
		{ B("[" T("") "]"), PB_INVALID, "push[0].use must be a list" },
		{ B("[" T("\"call\",\"ring\"") "]"), PB_INVALID,
		  "push[0].use has an unknown use at 1" },
		{ B("[" T("\"call\"") "," T("\"call\"") "," T(
			  "\"call\"") "," T("\"call\"") "," T("\"call\"") "]"),
		  PB_INVALID, "1 to 4" },
		{ B("[{\"use\":[\"call\"],\"provider\":\"palm\","
		    "\"token\":\"00112233\"}]"),
		  PB_INVALID,
		  "push[0].provider must be one of \"apns\", \"fcm\", "
		  "\"webpush\"" },
		{ B(W("https://p.example/x", "")), PB_NONE, "" },
		{ B(W("https://p.example/x", ",\"keys\":" KEYS)), PB_NONE,
		  "" },
		{ B(W("http://p.example/x", "")), PB_INVALID,
		  "push[0] needs the subscription's URL" },
		{ B(W("https://p.example/x", ",\"keys\":{\"auth\":"
					     "\"0123456789012345678901\"}")),
		  PB_INVALID, "push[0].keys.p256dh is missing" },
		{ B(W("https://p.example/x", ",\"keys\":7")), PB_INVALID,
		  "push[0].keys must be an object" },
		{ B("[{\"use\":[\"call\"],\"provider\":\"fcm\",\"token\":"
		    "\"00112233\",\"keys\":" KEYS "}]"),
		  PB_INVALID, "push[0] has keys, which only webpush does" },
		{ B("[{\"use\":[\"call\"],\"provider\":\"fcm\","
		    "\"token\":\"0\"}]"),
		  PB_INVALID, "push[0].token must have 8 to 2048 bytes" },
	};
#undef T
#undef KEYS
#undef W
#undef B
	(void)state;

	check(body_new, rows, sizeof(rows) / sizeof(*rows));
}


static void aors(void **state)
{
	static const struct {
		const char *aor, *user, *domain;
	} rows[] = {
		{ "sip:1001@example.org", "1001", "example.org" },
		{ "sips:a.b%40c@EXAMPLE.org", "a.b@c", "example.org" },
		{ "sip:%2B49@h-1", "+49", "h-1" },
		{ "sip:+49(0)1@192.0.2.1", "+49(0)1", "192.0.2.1" },
		{ "1001@example.org", NULL, NULL },
		{ "tel:+491234567", NULL, NULL },
		{ "sip:example.org", NULL, NULL },
		{ "sip:@example.org", NULL, NULL },
		{ "sip:a@", NULL, NULL },
		{ "sip:a@b@c.org", NULL, NULL },
		{ "sip:a@example.org;transport=udp", NULL, NULL },
		{ "sip:a@example.org:5060", NULL, NULL },
		{ "sip:a b@example.org", NULL, NULL },
		{ "sip:a%0d@example.org", NULL, NULL },
		{ "sip:a%00@example.org", NULL, NULL },
		{ "sip:a%4@example.org", NULL, NULL },
		{ "sip:a:pw@example.org", NULL, NULL },
		{ "sip:<a>@example.org", NULL, NULL },
		{ "sip:a@exa_mple.org", NULL, NULL },
		{ "sip:a@[2001:db8::1]", NULL, NULL },
	};
	(void)state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char json[512];
		struct body b;
		int n = snprintf(json, sizeof(json),
				 "{" HEAD_ ",\"account\":{\"aor\":\"%s\","
				 "\"password\":\"p\"}}",
				 rows[i].aor);
		enum problem p = body_new(&b, json, (size_t)n);

		if (p != (rows[i].user ? PB_NONE : PB_INVALID))
			fail_msg("%s: %d %s", rows[i].aor, p, b.why);
		if (rows[i].user) {
			assert_string_equal(b.nw.aor_user, rows[i].user);
			assert_string_equal(b.nw.aor_domain, rows[i].domain);
		}
		body_free(&b);
	}
}


static void created(void **state)
{
	static const char json[] =
		"{\"app\":\"org.example\",\"installation\":\"i-1\","
		"\"label\":\"Ann\\u00e9\",\"platform\":\"android\","
		"\"push\":[{\"use\":[\"message\",\"wake\"],\"provider\":"
		"\"fcm\",\"token\":\"token-of-messages\"},{\"use\":[\"call\"],"
		"\"provider\":\"apns\",\"token\":\"token-of-calls\","
		"\"topic\":\"t.voip\",\"environment\":\"sandbox\"}],"
		"\"account\":{\"aor\":\"sip:ann@example.org\",\"auth_user\":"
		"\"ann-1\",\"password\":\"s\\\"e\",\"display_name\":\"Ann\","
		"\"outbound_proxy\":\"p:5080\",\"transport\":\"tls\"},"
		"\"options\":{\"push_after_exit\":false}}";
	const struct inst_new *nw;
	struct body b;
	(void)state;

	assert_int_equal(body_new(&b, json, sizeof(json) - 1), PB_NONE);
	nw = &b.nw;
	assert_string_equal(nw->app, "org.example");
	assert_string_equal(nw->installation, "i-1");
	assert_string_equal(nw->label, "Ann\xc3\xa9");
	assert_string_equal(nw->platform, "android");
	assert_string_equal(nw->creds.auth_user, "ann-1");
	assert_string_equal(nw->creds.password, "s\"e");
	assert_int_equal(nw->creds.ha1_len, 0);
	assert_string_equal(nw->display_name, "Ann");
	assert_string_equal(nw->outbound_proxy, "p:5080");
	assert_int_equal(nw->transport, 3);
	assert_int_equal(nw->push_count, 2);
	assert_int_equal(nw->push[0].uses, 1u << 2 | 1u << 5);
	assert_string_equal(nw->push[0].topic, "");
	assert_int_equal(nw->push[1].uses, STORE_USE_CALL);
	assert_string_equal(nw->push[1].environment, "sandbox");
	assert_int_equal(nw->options.push_enabled, -1);
	assert_int_equal(nw->options.push_after_exit, 0);
	assert_int_equal(nw->options.inactivity_s, -1);
	body_free(&b);
}


static void changes(void **state)
{
	static const struct row rows[] = {
		{ "{}", PB_INVALID, "changes nothing" },
		{ "{\"label\":\"\"}", PB_NONE, "" },
		{ "{\"options\":{}}", PB_NONE, "" },
		{ "{\"new_secret\":true}", PB_NONE, "" },
		{ "{\"new_secret\":\"yes\"}", PB_INVALID, "true or false" },
		{ "{\"account\":{}}", PB_INVALID, "needs password or ha1" },
		{ "{\"account\":{\"password\":\"p\"}}", PB_NONE, "" },
		{ "{\"account\":{\"aor\":\"sip:a@b\",\"password\":\"p\"}}",
		  PB_INVALID, "account.aor is not known here" },
		{ "{\"installation\":\"x\"}", PB_INVALID, "not known" },
		{ "{" PUSH_ "}", PB_NONE, "" },
		{ "{\"push\":null}", PB_INVALID, "push must be a list" },
	};
	struct body b;
	(void)state;

	check(body_change, rows, sizeof(rows) / sizeof(*rows));

	assert_int_equal(body_change(&b, "{\"label\":\"x\"}", 13), PB_NONE);
	assert_string_equal(b.change.label, "x");
	assert_null(b.change.creds);
	assert_null(b.change.options);
	assert_int_equal(b.change.push_count, 0);
	assert_false(b.change.new_secret);
	body_free(&b);
}


static void words(void **state)
{
	static const struct row rows[] = {
		{ "{\"state\":\"active\"}", PB_NONE, "" },
		{ "{\"state\":\"inactive\",\"lease\":1}", PB_NONE, "" },
		{ "{\"state\":\"exited\"}", PB_NONE, "" },
		{ "{\"state\":\"gone\"}", PB_INVALID, "state must be one of" },
		{ "{\"state\":\"expired\"}", PB_INVALID, "\"exited\"" },
		{ "{\"state\":null}", PB_INVALID, "must be one of" },
		{ "{}", PB_INVALID, "state is missing" },
		{ "{\"state\":\"active\",\"lease\":0}", PB_INVALID,
		  "lease must be a whole number from 1 to 86400" },
		{ "{\"state\":\"active\",\"lease\":86401}", PB_INVALID, "" },
		{ "{\"state\":\"active\",\"lease\":1e3}", PB_INVALID, "" },
		{ "{\"state\":\"active\",\"lease\":99999999999999999999}",
		  PB_NOT_JSON, "" },
		{ "{\"state\":\"active\",\"contact\":7}", PB_INVALID,
		  "contact must be a string" },
		{ "{\"state\":\"active\"} x", PB_NOT_JSON, "" },
	};
	struct body b;
	(void)state;

	check(body_word, rows, sizeof(rows) / sizeof(*rows));

	assert_int_equal(
		body_word(&b, "{\"state\":\"active\",\"contact\":\"c\"}", 32),
		PB_NONE);
	assert_true(b.word.registered);
	assert_int_equal(b.word.state, INST_ACTIVE);
	assert_int_equal(b.word.lease_s, 0);
	assert_string_equal(b.word.call, "");
	body_free(&b);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(creations), cmocka_unit_test(tokens),
		cmocka_unit_test(aors),      cmocka_unit_test(created),
		cmocka_unit_test(changes),   cmocka_unit_test(words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
