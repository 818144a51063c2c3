/**
 * @file test_api_parts.c  Routes, JSON out, problem documents, limits per
 * address, deadlines
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <cmocka.h>
#include <re/re.h>
#include "sipis/api/conn.h"
#include "sipis/api/guard.h"
#include "sipis/api/route.h"
#include "sipis/api/text.h"

#define I "/v1/instances/0011"


/* routes */

static void routes(void **state)
{
	static const struct {
		const char *method, *path;
		bool admin;
		enum problem problem;
		enum route_op op;
		const char *id, *call;
	} rows[] = {
		{ "POST", "/v1/instances", false, PB_NONE, RT_CREATE, "", "" },
		{ "GET", I, false, PB_NONE, RT_READ, "0011", "" },
		{ "PATCH", I, false, PB_NONE, RT_PATCH, "0011", "" },
		{ "DELETE", I, false, PB_NONE, RT_DELETE, "0011", "" },
		{ "PUT", I "/state", false, PB_NONE, RT_STATE, "0011", "" },
		{ "GET", I "/calls/c", false, PB_NONE, RT_CALL, "0011", "c" },
		{ "POST", I "/calls/c/ringing", false, PB_NONE, RT_RINGING,
		  "0011", "c" },
		{ "POST", I "/calls/c/decline", false, PB_NONE, RT_DECLINE,
		  "0011", "c" },
		{ "GET", "/healthz", false, PB_NONE, RT_HEALTH, "", "" },
		{ "GET", "/healthz", true, PB_NONE, RT_HEALTH, "", "" },
		{ "GET", "/metrics", true, PB_NONE, RT_METRICS, "", "" },
		{ "GET", "/admin/calls", true, PB_NONE, RT_ADMIN_CALLS, "",
		  "" },
		{ "GET", "/admin/calls/a/b@c", true, PB_NONE, RT_ADMIN_CALL,
		  "a/b@c", "" },
		{ "GET", "/admin/status", true, PB_NONE, RT_ADMIN_STATUS, "",
		  "" },

		{ "GET", "/metrics", false, PB_NO_ROUTE, 0, NULL, NULL },
		{ "GET", "/admin/status", false, PB_NO_ROUTE, 0, NULL, NULL },
		{ "POST", "/v1/instances", true, PB_NO_ROUTE, 0, NULL, NULL },
		{ "GET", "/", false, PB_NO_ROUTE, 0, NULL, NULL },
		{ "GET", "", false, PB_NO_ROUTE, 0, NULL, NULL },
		{ "GET", "/v1/instances/", false, PB_NO_ROUTE, 0, NULL, NULL },
		{ "GET", I "/", false, PB_NO_ROUTE, 0, NULL, NULL },
		{ "GET", I "/calls/", false, PB_NO_ROUTE, 0, NULL, NULL },
		{ "GET", I "/calls/a/b", false, PB_NO_ROUTE, 0, NULL, NULL },
		{ "GET", "/healthzz", false, PB_NO_ROUTE, 0, NULL, NULL },
		{ "PUT", "/v1/instances", false, PB_METHOD, 0, NULL, NULL },
		{ "POST", I, false, PB_METHOD, 0, NULL, NULL },
		{ "get", "/healthz", false, PB_METHOD, 0, NULL, NULL },
		{ "HEAD", "/healthz", false, PB_NONE, RT_HEALTH, "", "" },
		{ "HEAD", I, false, PB_NONE, RT_READ, "0011", "" },
		{ "HEAD", "/v1/instances", false, PB_METHOD, 0, NULL, NULL },
	};
	char allow[64];
	struct route rt;
	(void)state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const enum problem p = route_find(
			&rt, rows[i].admin, rows[i].method, rows[i].path, NULL,
			0, allow, sizeof(allow));

		if (p != rows[i].problem)
			fail_msg("%s %s: %d", rows[i].method, rows[i].path, p);
		if (p)
			continue;
		assert_int_equal(rt.op, rows[i].op);
		assert_string_equal(rt.id, rows[i].id);
		assert_string_equal(rt.call, rows[i].call);
	}

	assert_int_equal(route_find(&rt, false, "POST", I, NULL, 0, allow,
				    sizeof(allow)),
			 PB_METHOD);
	assert_string_equal(allow, "GET, HEAD, PATCH, DELETE");
}


static enum problem ask(struct route *rt, bool admin, const char *path,
			const char *query)
{
	char allow[64];

	return route_find(rt, admin, "GET", path, &query, query ? 1 : 0, allow,
			  sizeof(allow));
}


static void queries(void **state)
{
	struct route rt;
	(void)state;

	assert_int_equal(ask(&rt, false, I "/calls/c", "wait=60"), PB_NONE);
	assert_int_equal(rt.wait_s, 60);
	assert_int_equal(ask(&rt, false, I "/calls/c", "wait=61"),
			 PB_BAD_REQUEST);
	assert_int_equal(ask(&rt, false, I "/calls/c", "wait=-1"),
			 PB_BAD_REQUEST);
	assert_int_equal(ask(&rt, false, I "/calls/c", "wait="),
			 PB_BAD_REQUEST);
	assert_int_equal(ask(&rt, false, I "/calls/c", "wait"),
			 PB_BAD_REQUEST);
	assert_int_equal(ask(&rt, false, I, "wait=1"), PB_BAD_REQUEST);
	assert_int_equal(ask(&rt, true, "/admin/status", "filter=a@b"),
			 PB_NONE);
	assert_string_equal(rt.filter, "a@b");
	assert_int_equal(rt.max, 100);
	assert_int_equal(ask(&rt, true, "/admin/status", "account=a"),
			 PB_BAD_REQUEST);
	assert_int_equal(ask(&rt, true, "/admin/calls", "account=a@b"),
			 PB_NONE);
	assert_string_equal(rt.filter, "a@b");
	assert_int_equal(ask(&rt, true, "/admin/calls", "offset=1"),
			 PB_BAD_REQUEST);
	assert_int_equal(ask(&rt, true, "/admin/status", "max=0"),
			 PB_BAD_REQUEST);
	assert_int_equal(ask(&rt, true, "/admin/status", "offset=4294967296"),
			 PB_BAD_REQUEST);
	assert_int_equal(ask(&rt, true, "/admin/status", "a-long-name-here=1"),
			 PB_BAD_REQUEST);
}


/* JSON out */

static void json(void **state)
{
	struct text t;
	(void)state;

	text_init(&t, 7);
	text_object(&t, NULL);
	text_str(&t, "a", "q\"b\\s\n\x01\x7f");
	text_str(&t, "u", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x93\x9e");
	/* overlong, a surrogate, a lone byte, a cut one */
	text_str(&t, "bad", "\xc0\x80x\xed\xa0\x80y\xffz\xe2\x82");
	text_list(&t, "l");
	text_int(&t, NULL, -7);
	text_bool(&t, NULL, true);
	text_null(&t, NULL);
	text_object(&t, NULL);
	text_object_end(&t);
	text_list_end(&t);
	text_time(&t, "t", 1795363390007);
	text_time(&t, "never", 0);
	text_json(&t, "o", "{\"x\":1}");
	text_str(&t, "null", NULL);
	text_object_end(&t);

	text_raw(&t, "", 1);
	assert_false(t.failed);
	assert_string_equal(
		t.buf + t.head,
		"{\"a\":\"q\\u0022b\\u005cs\\u000a\\u0001\\u007f\","
		"\"u\":\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x93\x9e\","
		"\"bad\":\"xyz\",\"l\":[-7,true,null,{}],"
		"\"t\":\"2026-11-22T16:03:10.007Z\",\"never\":null,"
		"\"o\":{\"x\":1},\"null\":\"\"}");
	text_free(&t);
}


static void problems(void **state)
{
	struct text t;
	(void)state;

	for (int p = 1; p < PROBLEMS; p++) {
		const struct problem_info *info =
			problem_info((enum problem)p);

		assert_non_null(info->type);
		assert_in_range(info->status, 400, 599);
		assert_string_not_equal(problem_status_text(info->status),
					"Unknown");
		if (info->status == 429 || info->status == 503)
			assert_true(info->retry_after_s);
	}

	text_init(&t, 0);
	problem_write(&t, PB_PBX_REFUSED, "No.", 403, "Forbidden", "tr");
	text_raw(&t, "", 1);
	assert_string_equal(
		t.buf, "{\"type\":\"urn:sipis:problem:pbx-refused\",\"title\":"
		       "\"The PBX refused\",\"status\":403,\"detail\":\"No.\","
		       "\"pbx\":{\"status\":403,\"reason\":\"Forbidden\"},"
		       "\"trace\":\"tr\"}");
	text_free(&t);
}


/* limits */

static const struct api_cfg cfg = {
	.connections = 5,
	.connections_per_address = 3,
	.requests_per_second = 10,
	.bad_secrets_per_min = 10,
};


static int guard_setup(void **state)
{
	return guard_alloc((struct guard **)state, &cfg);
}


static int guard_teardown(void **state)
{
	mem_deref(*state);
	return 0;
}


static void connections(void **state)
{
	struct guard *g = *state;

	for (unsigned i = 0; i < 3; i++)
		assert_true(guard_open(g, "a"));
	assert_false(guard_open(g, "a")); /* limit + 1 */
	assert_true(guard_open(g, "b"));
	assert_true(guard_open(g, "c"));
	assert_false(guard_open(g, "d")); /* in all */
	guard_close(g, "a");
	assert_true(guard_open(g, "d"));
	assert_false(guard_open(g, "a"));
	assert_int_equal(guard_count(g), 5);
	guard_close(g, "nobody");
	assert_int_equal(guard_count(g), 5);
}


static void requests(void **state)
{
	struct guard *g = *state;

	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(guard_request(g, "a", 1000), 0);
	assert_int_equal(guard_request(g, "a", 1000), 1);
	assert_int_equal(guard_request(g, "b", 1000), 0);
	assert_int_equal(guard_request(g, "a", 1100), 0);
	assert_int_equal(guard_request(g, "a", 1100), 1);
}


static void wrong_secrets(void **state)
{
	struct guard *g = *state;
	char addr[16];

	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(guard_secret(g, "a", 0), 0);
		assert_int_equal(guard_wrong(g, "a", 0), 0);
	}
	assert_int_equal(guard_secret(g, "a", 0), 6);
	assert_int_equal(guard_secret(g, "b", 0), 0);
	assert_int_equal(guard_secret(g, "a", 6001), 0);

	/* 90 more from everywhere, then there is none left in all */
	for (unsigned i = 0; i < 90; i++) {
		(void)snprintf(addr, sizeof(addr), "10.0.0.%u", i);
		assert_int_equal(guard_wrong(g, addr, 0), 0);
	}
	assert_int_equal(guard_wrong(g, "new", 0), 1);
	/* who guessed is shut out, who did not is let try */
	assert_int_equal(guard_secret(g, "10.0.0.7", 0), 1);
	assert_int_equal(guard_secret(g, "honest", 0), 0);
	assert_int_equal(guard_secret(g, "10.0.0.7", 61000), 0);
}


static void addr_is(const char *wanted, int af, const char *text)
{
	struct sockaddr_storage ss = { .ss_family = (sa_family_t)af };
	char dst[GUARD_ADDR_MAX];

	if (af == AF_INET)
		(void)inet_pton(af, text,
				&((struct sockaddr_in *)&ss)->sin_addr);
	else
		(void)inet_pton(af, text,
				&((struct sockaddr_in6 *)&ss)->sin6_addr);
	guard_addr(dst, (const struct sockaddr *)&ss);
	assert_string_equal(dst, wanted);
}


static void addresses(void **state)
{
	(void)state;
	addr_is("192.0.2.7", AF_INET, "192.0.2.7");
	addr_is("192.0.2.7", AF_INET6, "::ffff:192.0.2.7");
	addr_is("2001:db8:1:2::", AF_INET6, "2001:db8:1:2:3:4:5:6");
	addr_is("", AF_UNIX, "");
}


/* connections */

static void slots(void **state)
{
	struct conns *cs;
	struct conn *a, *b;
	uint64_t serial;
	uint32_t slot;
	(void)state;

	assert_int_equal(conns_alloc(&cs, 2), 0);
	a = conns_new(cs, cs, 0);
	b = conns_new(cs, cs, 0);
	assert_non_null(a);
	assert_non_null(b);
	assert_null(conns_new(cs, cs, 0));

	slot = a->slot;
	serial = a->serial;
	assert_ptr_equal(conns_find(cs, slot, serial), a);
	conns_drop(cs, a);
	assert_null(conns_find(cs, slot, serial));

	/* the slot is somebody else's now: a late answer does not fit */
	a = conns_new(cs, cs, 0);
	assert_int_equal(a->slot, slot);
	assert_null(conns_find(cs, slot, serial));
	assert_null(conns_find(cs, 77, serial));
	mem_deref(cs);
}


static void deadlines(void **state)
{
	static const struct {
		enum phase phase;
		uint32_t ms;
	} rows[] = {
		{ PH_HANDSHAKE, 5000 }, { PH_HEADER, 10000 },
		{ PH_BODY, 20000 },     { PH_SEND, 20000 },
		{ PH_IDLE, 30000 },
	};
	struct conn c = { 0 };
	(void)state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		conn_phase(&c, rows[i].phase, 100);
		assert_false(conn_late(&c, 100 + rows[i].ms - 1));
		assert_true(conn_late(&c, 100 + rows[i].ms));
	}
	conn_phase(&c, PH_WORK, 100);
	assert_false(conn_late(&c, UINT64_MAX / 2));
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(routes),
		cmocka_unit_test(queries),
		cmocka_unit_test(json),
		cmocka_unit_test(problems),
		cmocka_unit_test_setup_teardown(connections, guard_setup,
						guard_teardown),
		cmocka_unit_test_setup_teardown(requests, guard_setup,
						guard_teardown),
		cmocka_unit_test_setup_teardown(wrong_secrets, guard_setup,
						guard_teardown),
		cmocka_unit_test(addresses),
		cmocka_unit_test(slots),
		cmocka_unit_test(deadlines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
