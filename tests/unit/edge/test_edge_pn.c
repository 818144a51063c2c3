/**
 * @file test_edge_pn.c  What clients say of their pushes
 */

#include <string.h>
#include <re/re.h>
#include "proto/wire.h"
#include "sipis/edge/pn.h"
#include "tests/unit/common/unit.h"

#define USE(u) (1u << WIRE__USE__USE_##u)

#define VAPID                                           \
	"BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF" \
	"6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs"

static struct edge_push_cfg web_apps[] = {
	{ .app = (char *)"phone", .fcm = (char *)"project-1" },
	{ .app = (char *)"page", .webpush = (char *)VAPID },
};
static const struct edge_cfg web_cfg = { .push = web_apps, .push_count = 2 };

static struct edge_push_cfg apps[] = {
	{ .app = (char *)"demo", .apns = (char *)"TEAM.com.example.demo" },
	{ .app = (char *)"other", .fcm = (char *)"project-1" },
};
static const struct edge_cfg cfg = { .push = apps, .push_count = 2 };


static enum edge_pn_kind read_params(struct edge_pn *pn, const char *params)
{
	struct uri uri;

	memset(&uri, 0, sizeof(uri));
	pl_set_str(&uri.params, params);
	edge_pn_read(pn, &cfg, &uri);

	return pn->kind;
}


static void token_is(const struct inst_token *t, const char *token,
		     const char *topic, const char *environment)
{
	assert_string_equal(t->token, token);
	assert_string_equal(t->topic, topic);
	assert_string_equal(t->environment, environment);
}


static void test_kinds(void **state)
{
	static const struct {
		const char *params;
		enum edge_pn_kind kind;
	} v[] = {
		{ "", EDGE_PN_NONE },
		{ ";transport=tls", EDGE_PN_NONE },
		{ ";pn-provider", EDGE_PN_ASKS },
		{ ";transport=tls;pn-provider;lr", EDGE_PN_ASKS },
		{ ";pn-providers", EDGE_PN_NONE },
		{ ";pn-provider=apns", EDGE_PN_ASKS },
		{ ";pn-provider=fcm;pn-param=project-1", EDGE_PN_ASKS },
		{ ";pn-provider=fcm;pn-prid=x", EDGE_PN_FOREIGN },
		{ ";pn-provider=webpush;pn-prid=x", EDGE_PN_FOREIGN },
		{ ";pn-provider=apnsx;pn-prid=x;pn-param=y", EDGE_PN_FOREIGN },
		{ ";pn-provider=fcm;pn-param=project-2;pn-prid=x",
		  EDGE_PN_FOREIGN },
		{ ";pn-provider=fcm;pn-param=TEAM.com.example.demo;pn-prid=x",
		  EDGE_PN_FOREIGN },
		{ ";pn-provider=apns;pn-param=TEAM.com.example.demo.evil;"
		  "pn-prid=x",
		  EDGE_PN_FOREIGN },
		{ ";pn-provider=apns;pn-param=TEAM.com.example.demo.voip;"
		  "pn-prid=a:voip&b:remote&c:voip",
		  EDGE_PN_FOREIGN },
		{ ";pn-provider=apns;pn-param=TEAM.com.example.demo.voip;"
		  "pn-prid=:voip",
		  EDGE_PN_FOREIGN },
		{ ";pn-provider=fcm;pn-param=project-1;pn-prid=x",
		  EDGE_PN_TOKENS },
	};
	struct edge_pn pn;
	(void)state;

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++)
		if (read_params(&pn, v[i].params) != v[i].kind)
			fail_msg("%s: %d", v[i].params, pn.kind);
}


static void test_fcm(void **state)
{
	struct edge_pn pn;
	(void)state;

	(void)read_params(&pn, ";pn-provider=fcm;pn-param=project-1;"
			       "pn-prid=ab:cd%3ae&f");
	assert_string_equal(pn.app, "other");
	assert_int_equal(pn.tokenc, 1);
	token_is(pn.tokenv, "ab:cd:e&f", "", "");
	assert_true(pn.tokenv[0].uses & USE(CALL));
	assert_true(pn.tokenv[0].uses & USE(ENDED));
}


/* A VoIP token never gets anything but calls */
static void test_apns(void **state)
{
	struct edge_pn pn;
	(void)state;

	(void)read_params(&pn, ";pn-provider=apns;"
			       "pn-param=TEAM.com.example.demo.voip;"
			       "pn-prid=aa");
	assert_int_equal(pn.tokenc, 1);
	token_is(pn.tokenv, "aa", "com.example.demo.voip", "production");
	assert_int_equal(pn.tokenv[0].uses, USE(CALL));

	(void)read_params(&pn, ";pn-provider=apns.dev;"
			       "pn-param=TEAM.com.example.demo.remote&voip;"
			       "pn-prid=bb:remote&aa:voip");
	assert_int_equal(pn.tokenc, 2);
	token_is(&pn.tokenv[0], "bb", "com.example.demo", "sandbox");
	assert_false(pn.tokenv[0].uses & USE(CALL));
	assert_true(pn.tokenv[0].uses & USE(ENDED));
	token_is(&pn.tokenv[1], "aa", "com.example.demo.voip", "sandbox");
	assert_int_equal(pn.tokenv[1].uses, USE(CALL));

	/* an app without VoIP pushes is rung as well as it can be */
	(void)read_params(&pn, ";pn-provider=apns;"
			       "pn-param=TEAM.com.example.demo;pn-prid=cc");
	assert_int_equal(pn.tokenc, 1);
	token_is(pn.tokenv, "cc", "com.example.demo", "production");
	assert_true(pn.tokenv[0].uses & USE(CALL));
}


static void test_hash(void **state)
{
	struct edge_pn a, b;
	(void)state;

	(void)read_params(&a, ";pn-provider=fcm;pn-param=project-1;pn-prid=x");
	(void)read_params(&b, ";pn-provider=fcm;pn-param=project-1;pn-prid=y");
	assert_int_not_equal(a.hash, b.hash);
}


static void test_webpush(void **state)
{
	static const struct {
		const char *params;
		enum edge_pn_kind kind;
		const char *token;
	} v[] = {
		{ ";pn-provider=webpush", EDGE_PN_ASKS, NULL },
		{ ";pn-provider=webpush;pn-prid=https://push.example/a/b",
		  EDGE_PN_TOKENS, "https://push.example/a/b" },
		{ ";pn-provider=webpush;pn-prid=https%3A%2F%2Fpush.example%2Fa"
		  "%3Fb%3Dc%3Bd%2525",
		  EDGE_PN_TOKENS, "https://push.example/a?b=c;d%25" },
		{ ";pn-provider=webpush;pn-param=x;pn-prid=https://p.example/",
		  EDGE_PN_TOKENS, "https://p.example/" },
		{ ";pn-provider=webpush;pn-prid=http://push.example/a",
		  EDGE_PN_FOREIGN, NULL },
		{ ";pn-provider=webpush;pn-prid=x", EDGE_PN_FOREIGN, NULL },
	};
	struct edge_pn_offer offer = { .cfg = &web_cfg };
	struct edge_pn pn;
	char text[512];
	struct uri uri;
	(void)state;

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		memset(&uri, 0, sizeof(uri));
		pl_set_str(&uri.params, v[i].params);
		edge_pn_read(&pn, &web_cfg, &uri);
		if (pn.kind != v[i].kind)
			fail_msg("%s: %d", v[i].params, pn.kind);
		if (!v[i].token)
			continue;
		assert_int_equal(pn.tokenc, 1);
		token_is(&pn.tokenv[0], v[i].token, "", "");
		assert_string_equal(pn.app, "page");
		assert_string_equal(pn.provider, "webpush");
		assert_string_equal(pn.platform, "web");
		assert_true(pn.tokenv[0].uses & USE(CALL));
		assert_true(pn.tokenv[0].uses & USE(WAKE));
	}

	(void)re_snprintf(text, sizeof(text), "%H", edge_pn_caps, &offer);
	assert_string_equal(text, "Feature-Caps: *;+sip.pns=\"fcm\"\r\n"
				  "Feature-Caps: *;+sip.pns=\"webpush\""
				  ";+sip.vapid=\"" VAPID "\"\r\n");
	offer.provider = "webpush";
	offer.pnsreg_s = 130;
	(void)re_snprintf(text, sizeof(text), "%H", edge_pn_caps, &offer);
	assert_string_equal(text, "Feature-Caps: *;+sip.pns=\"webpush\""
				  ";+sip.vapid=\"" VAPID "\""
				  ";+sip.pnsreg=\"130\"\r\n");
}


static void test_caps(void **state)
{
	struct edge_pn_offer offer = { .cfg = &cfg };
	char text[256];
	(void)state;

	(void)re_snprintf(text, sizeof(text), "%H", edge_pn_caps, &offer);
	assert_string_equal(text, "Feature-Caps: *;+sip.pns=\"apns\"\r\n"
				  "Feature-Caps: *;+sip.pns=\"fcm\"\r\n");

	offer.provider = "fcm";
	offer.pnsreg_s = 30;
	(void)re_snprintf(text, sizeof(text), "%H", edge_pn_caps, &offer);
	assert_string_equal(text, "Feature-Caps: *;+sip.pns=\"fcm\""
				  ";+sip.pnsreg=\"30\"\r\n");

	offer.provider = "apns";
	offer.pnsreg_s = 0;
	offer.purr = "abc";
	(void)re_snprintf(text, sizeof(text), "%H", edge_pn_caps, &offer);
	assert_string_equal(text, "Feature-Caps: *;+sip.pns=\"apns\""
				  ";+sip.pnspurr=\"abc\"\r\n");
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds), cmocka_unit_test(test_fcm),
		cmocka_unit_test(test_apns),  cmocka_unit_test(test_hash),
		cmocka_unit_test(test_caps),  cmocka_unit_test(test_webpush),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
