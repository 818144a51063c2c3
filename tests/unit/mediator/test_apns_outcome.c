/**
 * @file test_apns_outcome.c  Every answer that Apple documents, and others
 */

#include <stdlib.h>
#include <string.h>
#include "mediator/json.h"
#include "tests/unit/common/unit.h"
#include "mediator/drv/apns_outcome.h"


static struct verdict judge(uint32_t status, const char *reason)
{
	struct answer a = { .status = status };
	struct verdict v;

	snprintf(a.reason, sizeof(a.reason), "%s", reason);
	apns_judge(&v, &a);
	return v;
}


/* "Handling notification responses from APNs", whole table */
static void test_documented(void **state)
{
	static const struct {
		uint32_t status;
		const char *reason;
		Wire__Outcome outcome;
		enum drv_act act;
	} v[] = {
#define ROW(s, r, o, a) { s, r, WIRE__OUTCOME__##o, DRV_##a }
		ROW(200, "", DELIVERED, DONE),
		ROW(400, "BadCollapseId", REJECTED, DONE),
		ROW(400, "BadDeviceToken", TOKEN_GONE, TOKEN_PLACE),
		ROW(400, "BadExpirationDate", REJECTED, DONE),
		ROW(400, "BadMessageId", REJECTED, DONE),
		ROW(400, "BadPriority", REJECTED, DONE),
		ROW(400, "BadTopic", MISCONFIGURED, BREAK_APP),
		ROW(400, "DeviceTokenNotForTopic", TOKEN_GONE, TOKEN_PLACE),
		ROW(400, "DuplicateHeaders", REJECTED, DONE),
		ROW(400, "IdleTimeout", RETRY_LATER, RETRY),
		ROW(400, "InvalidPushType", REJECTED, DONE),
		ROW(400, "MissingDeviceToken", REJECTED, DONE),
		ROW(400, "MissingTopic", MISCONFIGURED, BREAK_APP),
		ROW(400, "PayloadEmpty", REJECTED, DONE),
		ROW(400, "TopicDisallowed", MISCONFIGURED, BREAK_APP),
		ROW(403, "BadCertificate", MISCONFIGURED, BREAK),
		ROW(403, "BadCertificateEnvironment", MISCONFIGURED, BREAK),
		ROW(403, "BadEnvironmentKeyIdInToken", MISCONFIGURED, BREAK),
		ROW(403, "ExpiredProviderToken", MISCONFIGURED, REAUTH),
		ROW(403, "Forbidden", MISCONFIGURED, BREAK),
		ROW(403, "InvalidProviderToken", MISCONFIGURED, BREAK),
		ROW(403, "MissingProviderToken", MISCONFIGURED, BREAK),
		ROW(403, "UnrelatedKeyIdInToken", MISCONFIGURED, BREAK),
		ROW(404, "BadPath", REJECTED, DONE),
		ROW(405, "MethodNotAllowed", REJECTED, DONE),
		ROW(410, "ExpiredToken", TOKEN_GONE, TOKEN_SINCE),
		ROW(410, "Unregistered", TOKEN_GONE, TOKEN_SINCE),
		ROW(413, "PayloadTooLarge", REJECTED, DONE),
		ROW(429, "TooManyProviderTokenUpdates", RETRY_LATER,
		    RETRY_SLOW),
		ROW(429, "TooManyRequests", THROTTLED, DONE),
		ROW(500, "InternalServerError", RETRY_LATER, RETRY),
		ROW(503, "ServiceUnavailable", RETRY_LATER, RETRY),
		ROW(503, "Shutdown", RETRY_LATER, RETRY),
	};
	(void)state;

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct verdict got = judge(v[i].status, v[i].reason);

		if (got.outcome != v[i].outcome || got.act != v[i].act)
			print_error("%u %s\n", v[i].status, v[i].reason);
		assert_int_equal(got.outcome, v[i].outcome);
		assert_int_equal(got.act, v[i].act);
		assert_false(got.unknown);
	}
}


/* A reason is known only with its own status, and what is unknown never costs
   a token */
static void test_unknown(void **state)
{
	static const char *const reasons[] = { "", "Unregistered",
					       "BadDeviceToken", "NewIn2030" };
	(void)state;

	for (uint32_t status = 0; status < 1000; status++) {
		for (size_t i = 0; i < 4; i++) {
			struct verdict v = judge(status, reasons[i]);

			if (!v.unknown)
				continue;
			assert_int_not_equal(v.outcome,
					     WIRE__OUTCOME__TOKEN_GONE);
			assert_int_not_equal(v.outcome,
					     WIRE__OUTCOME__DELIVERED);
			assert_int_not_equal(v.outcome, 0);
			assert_true(v.act == DRV_DONE ||
				    (v.act == DRV_RETRY && status >= 500));
		}
	}

	assert_true(judge(400, "Unregistered").unknown);
	assert_int_equal(judge(400, "X").outcome, WIRE__OUTCOME__REJECTED);
	assert_int_equal(judge(403, "X").outcome,
			 WIRE__OUTCOME__MISCONFIGURED);
	assert_int_equal(judge(410, "X").outcome, WIRE__OUTCOME__REJECTED);
	assert_int_equal(judge(429, "X").outcome, WIRE__OUTCOME__THROTTLED);
	assert_int_equal(judge(301, "").outcome, WIRE__OUTCOME__RETRY_LATER);
	assert_int_equal(judge(502, "").act, DRV_RETRY);
}


static void test_marks(void **state)
{
	(void)state;

	assert_true(judge(403, "ExpiredProviderToken").renew_conn);
	assert_true(judge(403, "InvalidProviderToken").clock);
	assert_true(judge(429, "TooManyProviderTokenUpdates").clock);
	assert_false(judge(503, "ServiceUnavailable").renew_conn);
}


static void test_parse(void **state)
{
	static const struct {
		const char *body, *reason;
		int64_t since;
	} v[] = {
		{ "{\"reason\":\"Unregistered\",\"timestamp\":1700000000123}",
		  "Unregistered", 1700000000123 },
		{ "{\"reason\":\"BadPath\"}", "BadPath", 0 },
		{ "{\"reason\":7,\"timestamp\":\"x\"}", "", 0 },
		{ "[]", "", 0 },
		{ "", "", 0 },
		{ "<html>", "", 0 },
		{ "{\"reason\":\"Unregis", "", 0 },
	};
	(void)state;

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct answer a = { .status = 410 };

		apns_parse(&a, v[i].body, strlen(v[i].body));
		assert_string_equal(a.reason, v[i].reason);
		assert_int_equal(a.since_ms, v[i].since);
	}
}


static void test_parse_long(void **state)
{
	struct answer a = { .status = 400 };
	char body[300], name[256];
	(void)state;

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	snprintf(body, sizeof(body), "{\"reason\":\"%s\"}", name);
	apns_parse(&a, body, strlen(body));
	assert_int_equal(strlen(a.reason), sizeof(a.reason) - 1);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_documented),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_marks),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_parse_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
