/**
 * @file test_fcm_outcome.c  Every answer that Google documents, and others
 */

#include <stdlib.h>
#include <string.h>
#include "mediator/json.h"
#include "tests/unit/common/unit.h"
#include "mediator/drv/fcm_outcome.h"

#define TYPE "type.googleapis.com/google.firebase.fcm.v1.FcmError"

/* As Google writes an error; code NULL: no FcmError in the details */
static void answer_make(struct answer *a, uint32_t status, const char *word,
			const char *message, const char *code)
{
	char body[1024];

	memset(a, 0, sizeof(*a));
	a->status = status;
	if (code)
		snprintf(body, sizeof(body),
			 "{\"error\":{\"code\":%u,\"message\":\"%s\","
			 "\"status\":\"%s\",\"details\":[{\"@type\":\"x\"},"
			 "{\"@type\":\"" TYPE "\",\"errorCode\":\"%s\"}]}}",
			 status, message, word, code);
	else
		snprintf(body, sizeof(body),
			 "{\"error\":{\"code\":%u,\"message\":\"%s\","
			 "\"status\":\"%s\"}}",
			 status, message, word);
	fcm_parse(a, body, strlen(body));
}


static void test_documented(void **state)
{
	static const struct {
		uint32_t status;
		const char *word, *message, *code;
		Wire__Outcome outcome;
		enum drv_act act;
	} v[] = {
#define ROW(s, w, m, c, o, a) { s, w, m, c, WIRE__OUTCOME__##o, DRV_##a }
		ROW(400, "INVALID_ARGUMENT", "Invalid value at 'message.data'",
		    NULL, REJECTED, DONE),
		ROW(400, "INVALID_ARGUMENT",
		    "The registration token is not a valid FCM registration "
		    "token",
		    "INVALID_ARGUMENT", TOKEN_GONE, TOKEN_FORM),
		ROW(400, "INVALID_ARGUMENT", "Message is too big",
		    "INVALID_ARGUMENT", REJECTED, DONE),
		ROW(401, "UNAUTHENTICATED", "Request had invalid credentials",
		    NULL, MISCONFIGURED, REAUTH),
		ROW(401, "UNAUTHENTICATED", "Auth error from APNS",
		    "THIRD_PARTY_AUTH_ERROR", MISCONFIGURED, BREAK_APP),
		ROW(403, "PERMISSION_DENIED", "SenderId mismatch",
		    "SENDER_ID_MISMATCH", TOKEN_GONE, TOKEN),
		ROW(403, "PERMISSION_DENIED", "API is disabled", NULL,
		    MISCONFIGURED, BREAK),
		ROW(404, "NOT_FOUND", "Requested entity was not found",
		    "UNREGISTERED", TOKEN_GONE, TOKEN),
		ROW(404, "NOT_FOUND", "Project does not exist", NULL,
		    MISCONFIGURED, BREAK),
		ROW(429, "RESOURCE_EXHAUSTED", "Quota exceeded",
		    "QUOTA_EXCEEDED", THROTTLED, HOLD),
		ROW(429, "RESOURCE_EXHAUSTED", "Device message rate exceeded",
		    "QUOTA_EXCEEDED", THROTTLED, DONE),
		ROW(429, "RESOURCE_EXHAUSTED", "slow down", NULL, THROTTLED,
		    HOLD),
		ROW(500, "INTERNAL", "x", "INTERNAL", RETRY_LATER, RETRY),
		ROW(503, "UNAVAILABLE", "x", "UNAVAILABLE", RETRY_LATER,
		    RETRY),
	};
	(void)state;

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct verdict got;
		struct answer a;

		answer_make(&a, v[i].status, v[i].word, v[i].message,
			    v[i].code);
		fcm_judge(&got, &a);
		if (got.outcome != v[i].outcome || got.act != v[i].act)
			print_error("%u %s\n", v[i].status, v[i].message);
		assert_int_equal(got.outcome, v[i].outcome);
		assert_int_equal(got.act, v[i].act);
		assert_false(got.unknown);
	}
}


static void test_success(void **state)
{
	static const char body[] = "{\"name\":\"projects/p/messages/0:1\"}";
	struct answer a = { .status = 200 };
	struct verdict v;
	(void)state;

	fcm_parse(&a, body, strlen(body));
	fcm_judge(&v, &a);
	assert_int_equal(v.outcome, WIRE__OUTCOME__DELIVERED);
	assert_string_equal(a.id, "projects/p/messages/0:1");
}


/* A wrong project answers with a page */
static void test_html(void **state)
{
	struct answer a = { .status = 404 };
	struct verdict v;
	(void)state;

	fcm_parse(&a, "<!DOCTYPE html>", 15);
	fcm_judge(&v, &a);
	assert_int_equal(v.outcome, WIRE__OUTCOME__MISCONFIGURED);
	assert_int_equal(v.act, DRV_BREAK);
}


static void test_unknown(void **state)
{
	static const char *const words[] = { "", "UNREGISTERED", "NEW_CODE" };
	(void)state;

	for (uint32_t status = 0; status < 1000; status++) {
		for (size_t i = 0; i < 3; i++) {
			struct answer a = { .status = status, .typed = true };
			struct verdict v;

			snprintf(a.reason, sizeof(a.reason), "%s", words[i]);
			fcm_judge(&v, &a);
			if (!v.unknown)
				continue;
			assert_int_not_equal(v.outcome,
					     WIRE__OUTCOME__TOKEN_GONE);
			assert_int_not_equal(v.outcome,
					     WIRE__OUTCOME__DELIVERED);
			assert_int_not_equal(v.outcome, 0);
		}
	}
}


static void test_nonsense(void **state)
{
	static const char *const bodies[] = {
		"",
		"[",
		"[]",
		"{\"error\":7}",
		"{\"error\":{\"details\":{}}}",
		"{\"error\":{\"details\":[7,{\"@type\":1}]}}",
		"{\"error\":{\"status\":[]}}",
		"{\"name\":7}",
	};
	(void)state;

	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		struct answer a = { .status = 400 };

		fcm_parse(&a, bodies[i], strlen(bodies[i]));
		assert_string_equal(a.reason, "");
		assert_false(a.typed);
	}
}


/* RFC 9110 10.2.3 */
static void test_retry_after(void **state)
{
	const int64_t now = 784111777000; /* Sun, 06 Nov 1994 08:49:37 GMT */
	(void)state;

	assert_int_equal(fcm_retry_after("120", now), 120000);
	assert_int_equal(fcm_retry_after("0", now), 0);
	assert_int_equal(fcm_retry_after("-5", now), 0);
	assert_int_equal(fcm_retry_after("99999999999", now), 86400000);
	assert_int_equal(fcm_retry_after("Sun, 06 Nov 1994 08:50:37 GMT", now),
			 60000);
	assert_int_equal(fcm_retry_after("Sun, 06 Nov 1994 08:40:37 GMT", now),
			 0);
	assert_int_equal(fcm_retry_after("soon", now), 0);
	assert_int_equal(fcm_retry_after("", now), 0);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_documented),
		cmocka_unit_test(test_success),
		cmocka_unit_test(test_html),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_retry_after),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
