/**
 * @file test_push_body.c  What is written to Apple and Google
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "mediator/json.h"
#include "tests/unit/common/unit.h"
#include "mediator/drv/apns_body.h"
#include "mediator/drv/drv.h"
#include "mediator/drv/fcm_body.h"

static uint8_t raw_id[16] = { 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
			      0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef };

static const struct push_target voip = { .provider = "apns",
					 .app = "phone",
					 .topic = "com.example.phone",
					 .token = "aabbccddeeff00112233",
					 .voip = true };
static const struct push_target alert = { .provider = "apns",
					  .app = "phone",
					  .topic = "com.example.phone",
					  .token = "aabbccddeeff00112233" };
static const struct push_target fcm = {
	.provider = "fcm", .app = "phone", .topic = "", .token = "fcm:token"
};


static struct push *make(const struct push_target *t, Wire__Use use,
			 const char *name)
{
	Wire__Push f = WIRE__PUSH__INIT;
	struct push *p = NULL;

	f.id.data = raw_id;
	f.id.len = sizeof(raw_id);
	f.use = use;
	f.trace = (char *)"trace-1";
	f.call = (char *)"11111111-2222-8333-8444-555555555555";
	f.instance = (char *)"i-7";
	f.from = (char *)"sip:100@example.com";
	f.display_name = (char *)name;
	f.video = 1;
	f.received_at_ms = 1700000000123;
	f.expires_at_ms = 1700000015123;
	f.reason = (char *)(use == WIRE__USE__USE_ENDED ? "cancelled" : "");
	assert_int_equal(push_alloc(&p, &f, t), 0);
	return p;
}


static const char *text(const json_t *obj, const char *key)
{
	const char *s = json_string_value(json_object_get(obj, key));

	return s ? s : "(none)";
}


static json_t *apns(const struct push *p, enum apns_type *type)
{
	char buf[BODY_MAX];
	size_t len = 0;
	json_t *j;

	assert_int_equal(apns_type(type, p), 0);
	assert_int_equal(apns_body(buf, &len, *type, p), 0);
	j = json_loadb(buf, len, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(j);
	return j;
}


static void test_apns_call(void **state)
{
	struct push *p = make(&voip, WIRE__USE__USE_CALL, "Zo\xc3\xab \"X\\");
	enum apns_type type;
	json_t *j = apns(p, &type);
	(void)state;

	assert_int_equal(type, APNS_VOIP);
	assert_string_equal(p->uuid, "01234567-89ab-cdef-0123-456789abcdef");
	assert_int_equal(json_object_size(json_object_get(j, "aps")), 0);
	assert_string_equal(text(j, "use"), "call");
	assert_string_equal(text(j, "call"), p->call);
	assert_string_equal(text(j, "trace"), "trace-1");
	assert_string_equal(text(j, "instance"), "i-7");
	assert_string_equal(text(j, "from"), "sip:100@example.com");
	assert_string_equal(text(j, "display_name"), "Zo\xc3\xab \"X\\");
	assert_true(json_is_true(json_object_get(j, "video")));
	assert_int_equal(json_integer_value(json_object_get(j, "expires_at")),
			 1700000015123);
	assert_null(json_object_get(j, "reason"));
	json_decref(j);
	mem_deref(p);
}


/* Every use with both kinds of token */
static void test_apns_types(void **state)
{
	static const struct {
		Wire__Use use;
		int with_voip, with_alert; /* -1: refused */
	} v[] = {
		{ WIRE__USE__USE_CALL, APNS_VOIP, APNS_ALERT },
		{ WIRE__USE__USE_MESSAGE, -1, APNS_ALERT },
		{ WIRE__USE__USE_VOICEMAIL, -1, APNS_ALERT },
		{ WIRE__USE__USE_ENDED, -1, APNS_BACKGROUND },
		{ WIRE__USE__USE_WAKE, -1, APNS_BACKGROUND },
		{ WIRE__USE__USE_TEST, -1, APNS_ALERT },
	};
	enum apns_type type = APNS_TYPES;
	(void)state;

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct push *p = make(&voip, v[i].use, "");
		struct push *q = make(&alert, v[i].use, "");

		if (v[i].with_voip < 0) {
			assert_int_equal(apns_type(&type, p), EPERM);
		}
		else {
			assert_int_equal(apns_type(&type, p), 0);
			assert_int_equal(type, v[i].with_voip);
		}
		assert_int_equal(apns_type(&type, q), 0);
		assert_int_equal(type, v[i].with_alert);
		mem_deref(p);
		mem_deref(q);
	}

	assert_string_equal(apns_type_suffix(APNS_VOIP), ".voip");
	assert_string_equal(apns_type_suffix(APNS_ALERT), "");
	assert_int_equal(apns_type_priority(APNS_VOIP), 10);
	assert_int_equal(apns_type_priority(APNS_BACKGROUND), 5);
}


/* Background has content-available and no alert, sound or badge */
static void test_apns_ended(void **state)
{
	struct push *p = make(&alert, WIRE__USE__USE_ENDED, "Zoe");
	enum apns_type type;
	json_t *j = apns(p, &type), *aps = json_object_get(j, "aps");
	(void)state;

	assert_int_equal(type, APNS_BACKGROUND);
	assert_int_equal(json_object_size(aps), 1);
	assert_int_equal(
		json_integer_value(json_object_get(aps, "content-available")),
		1);
	assert_string_equal(text(j, "reason"), "cancelled");
	json_decref(j);
	mem_deref(p);
}


static void test_apns_alert(void **state)
{
	struct push *p = make(&alert, WIRE__USE__USE_MESSAGE, "");
	enum apns_type type;
	json_t *j = apns(p, &type), *a;
	(void)state;

	a = json_object_get(json_object_get(j, "aps"), "alert");
	assert_string_equal(text(a, "title"), "sip:100@example.com");
	assert_string_equal(text(a, "body"), "New message");
	json_decref(j);
	mem_deref(p);
}


static void test_fcm(void **state)
{
	struct push *p = make(&fcm, WIRE__USE__USE_CALL, "Zoe");
	char buf[BODY_MAX];
	const char *key;
	json_t *j, *m, *data, *val;
	size_t len;
	(void)state;

	assert_int_equal(
		fcm_body(buf, &len, p, "com.example.phone", 1700000005000), 0);
	j = json_loadb(buf, len, 0, NULL);
	m = json_object_get(j, "message");
	data = json_object_get(m, "data");
	assert_string_equal(text(m, "token"), "fcm:token");
	assert_null(json_object_get(m, "notification"));
	json_object_foreach(data, key, val)
	{
		assert_true(json_is_string(val));
		assert_string_not_equal(key, "from");
		assert_string_not_equal(key, "message_type");
	}
	assert_string_equal(text(data, "caller"), "sip:100@example.com");
	assert_string_equal(text(data, "video"), "true");
	assert_string_equal(text(data, "expires_at"), "1700000015123");
	m = json_object_get(m, "android");
	assert_string_equal(text(m, "priority"), "HIGH");
	assert_string_equal(text(m, "ttl"), "10s");
	assert_string_equal(text(m, "restricted_package_name"),
			    "com.example.phone");
	assert_null(json_object_get(m, "collapse_key"));
	json_decref(j);
	mem_deref(p);
}


static void fcm_android(const struct push *p, int64_t now, const char *prio,
			const char *ttl)
{
	char buf[BODY_MAX];
	size_t len;
	json_t *j, *a;

	assert_int_equal(fcm_body(buf, &len, p, NULL, now), 0);
	j = json_loadb(buf, len, 0, NULL);
	a = json_object_get(json_object_get(j, "message"), "android");
	assert_string_equal(text(a, "priority"), prio);
	assert_string_equal(text(a, "ttl"), ttl);
	json_decref(j);
}


static void test_fcm_android(void **state)
{
	static const struct {
		Wire__Use use;
		const char *prio;
	} v[] = {
		{ WIRE__USE__USE_CALL, "HIGH" },
		{ WIRE__USE__USE_ENDED, "HIGH" },
		{ WIRE__USE__USE_MESSAGE, "HIGH" },
		{ WIRE__USE__USE_WAKE, "NORMAL" },
	};
	struct push *p;
	(void)state;

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		p = make(&fcm, v[i].use, "");
		fcm_android(p, 1700000000123, v[i].prio, "15s");
		mem_deref(p);
	}

	p = make(&fcm, WIRE__USE__USE_CALL, "");
	fcm_android(p, 1700000015000, "HIGH", "0s");
	fcm_android(p, 1800000000000, "HIGH", "0s");
	fcm_android(p, 0, "HIGH", "2419200s");
	mem_deref(p);
}


/* Nothing that an INVITE can hold makes a push too big */
static void test_worst_caller(void **state)
{
	char name[4000], from[4000], buf[BODY_MAX];
	Wire__Push f = WIRE__PUSH__INIT;
	struct push *p = NULL;
	size_t len;
	(void)state;

	memset(name, '"', sizeof(name) - 1);
	memset(from, '\x01', sizeof(from) - 1);
	name[sizeof(name) - 1] = from[sizeof(from) - 1] = '\0';
	f.id.data = raw_id;
	f.id.len = sizeof(raw_id);
	f.use = WIRE__USE__USE_CALL;
	f.display_name = name;
	f.from = from;
	assert_int_equal(push_alloc(&p, &f, &voip), 0);
	assert_int_equal(strlen(p->display_name), 256);
	assert_int_equal(strlen(p->from), 512);
	assert_int_equal(apns_body(buf, &len, APNS_VOIP, p), 0);
	assert_int_equal(fcm_body(buf, &len, p, NULL, 0), 0);
	mem_deref(p);
}


static void test_limits(void **state)
{
	struct push *p = make(&alert, WIRE__USE__USE_MESSAGE, "Zoe");
	char big[5000], buf[BODY_MAX];
	size_t len;
	(void)state;

	memset(big, 'x', sizeof(big) - 1);
	p->from = big;
	big[3700] = '\0';
	assert_int_equal(apns_body(buf, &len, APNS_ALERT, p), 0);
	assert_int_equal(fcm_body(buf, &len, p, NULL, 0), 0);
	big[3700] = 'x';
	big[4000] = '\0';
	assert_int_equal(apns_body(buf, &len, APNS_ALERT, p), EMSGSIZE);
	assert_int_equal(fcm_body(buf, &len, p, NULL, 0), EMSGSIZE);
	assert_int_equal(apns_body(buf, &len, APNS_VOIP, p), 0);
	big[4000] = 'x';
	big[4990] = '\0';
	assert_int_equal(apns_body(buf, &len, APNS_VOIP, p), EMSGSIZE);
	mem_deref(p);
}


/* To the byte: the largest body that fits, and one more */
static void test_limit_exact(void **state)
{
	struct push *p = make(&voip, WIRE__USE__USE_CALL, "");
	char big[APNS_MAX_VOIP], buf[BODY_MAX];
	size_t len, base;
	(void)state;

	memset(big, 'x', sizeof(big));
	big[1] = '\0';
	p->from = big;
	assert_int_equal(apns_body(buf, &base, APNS_VOIP, p), 0);
	big[1] = 'x';
	big[1 + APNS_MAX_VOIP - base] = '\0';
	assert_int_equal(apns_body(buf, &len, APNS_VOIP, p), 0);
	assert_int_equal(len, APNS_MAX_VOIP);
	big[1 + APNS_MAX_VOIP - base] = 'x';
	big[2 + APNS_MAX_VOIP - base] = '\0';
	assert_int_equal(apns_body(buf, &len, APNS_VOIP, p), EMSGSIZE);
	mem_deref(p);
}


static void test_token_form(void **state)
{
	static const char hex[] = "0123456789abcdef0123456789abcdef";
	char big[3000];
	(void)state;

	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	assert_int_equal(drv_apns.token_check(hex), 0);
	assert_int_equal(drv_apns.token_check("0123456789abcde"), EBADMSG);
	assert_int_equal(drv_apns.token_check(""), EBADMSG);
	assert_int_equal(drv_apns.token_check("0123456789abcdeg"), EBADMSG);
	assert_int_equal(drv_apns.token_check("0123456789abcdef/?"), EBADMSG);
	assert_int_equal(drv_apns.token_check(big), EBADMSG);
	assert_int_equal(drv_fcm.token_check("abc:DEF-ghi_JKL.mno"), 0);
	assert_int_equal(drv_fcm.token_check("abc DEF ghi JKL mno"), EBADMSG);
	assert_int_equal(drv_fcm.token_check(big), EBADMSG);
	assert_null(drv_find("hms"));
	assert_ptr_equal(drv_find("fcm"), &drv_fcm);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_apns_call),
		cmocka_unit_test(test_apns_types),
		cmocka_unit_test(test_apns_ended),
		cmocka_unit_test(test_apns_alert),
		cmocka_unit_test(test_fcm),
		cmocka_unit_test(test_fcm_android),
		cmocka_unit_test(test_worst_caller),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_limit_exact),
		cmocka_unit_test(test_token_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
