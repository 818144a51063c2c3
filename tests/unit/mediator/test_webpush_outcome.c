/**
 * @file test_webpush_outcome.c  What push services of browsers answer
 */

#include <string.h>
#include <re/re.h>
#include "tests/unit/common/unit.h"
#include "mediator/drv/webpush_outcome.h"

#define OUT(o) WIRE__OUTCOME__##o


static void answer(struct verdict *v, struct answer *a, uint32_t status,
		   const char *body)
{
	memset(a, 0, sizeof(*a));
	a->status = status;
	webpush_parse(a, body, strlen(body));
	webpush_judge(v, a);
}


static void test_rows(void **state)
{
	static const struct {
		uint32_t status;
		const char *body, *reason;
		Wire__Outcome outcome;
		enum drv_act act;
	} v[] = {
		{ 200, "{\"id\":1}", "", OUT(DELIVERED), DRV_DONE },
		{ 201, "", "", OUT(DELIVERED), DRV_DONE },
		{ 202, "", "", OUT(DELIVERED), DRV_DONE },
		{ 204, "", "", OUT(DELIVERED), DRV_DONE },
		{ 301, "", "", OUT(TOKEN_GONE), DRV_TOKEN },
		{ 302, "", "", OUT(RETRY_LATER), DRV_DONE },
		{ 307, "", "", OUT(RETRY_LATER), DRV_DONE },
		{ 308, "", "", OUT(TOKEN_GONE), DRV_TOKEN },
		{ 400, "{\"errno\":113,\"error\":\"Bad Request\"}",
		  "113 Bad Request", OUT(REJECTED), DRV_DONE },
		{ 400, "UnauthorizedRegistration\n",
		  "UnauthorizedRegistration", OUT(TOKEN_GONE),
		  DRV_TOKEN_AUTH },
		{ 401, "", "", OUT(TOKEN_GONE), DRV_TOKEN_AUTH },
		{ 403, "{\"reason\":\"BadJwtToken\"}", "BadJwtToken",
		  OUT(TOKEN_GONE), DRV_TOKEN_AUTH },
		{ 404, "{\"errno\":102}", "102 ", OUT(TOKEN_GONE), DRV_TOKEN },
		{ 410, "<html>gone</html>", "", OUT(TOKEN_GONE), DRV_TOKEN },
		{ 413, "", "", OUT(REJECTED), DRV_DONE },
		{ 418, "", "", OUT(REJECTED), DRV_DONE },
		{ 429, "", "", OUT(THROTTLED), DRV_DONE },
		{ 500, "", "", OUT(RETRY_LATER), DRV_RETRY },
		{ 503, "busy \"\x01\xc3\xab", "busy ????", OUT(RETRY_LATER),
		  DRV_RETRY },
		{ 507, "", "", OUT(RETRY_LATER), DRV_RETRY },
		{ 599, "", "", OUT(RETRY_LATER), DRV_RETRY },
	};
	struct verdict got;
	struct answer a;
	(void)state;

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		answer(&got, &a, v[i].status, v[i].body);
		if (got.outcome != v[i].outcome || got.act != v[i].act)
			fail_msg("row %zu: %d %d", i, got.outcome, got.act);
		assert_string_equal(a.reason, v[i].reason);
	}
}


static void test_long(void **state)
{
	char body[2048];
	struct verdict v;
	struct answer a;
	(void)state;

	memset(body, 'x', sizeof(body));
	body[sizeof(body) - 1] = '\0';
	answer(&v, &a, 400, body);
	assert_int_equal(strlen(a.reason), sizeof(a.reason) - 1);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
