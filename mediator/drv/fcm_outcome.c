/**
 * @file drv/fcm_outcome.c  What FCM HTTP v1 answers
 */

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <curl/curl.h>
#include "mediator/json.h"
#include "mediator/drv/fcm_outcome.h"

#define OUT(o) WIRE__OUTCOME__##o
#define V(o, a, ...)                                           \
	{                                                      \
		.outcome = OUT(o), .act = DRV_##a, __VA_ARGS__ \
	}
#define ROWS (sizeof(rows) / sizeof(rows[0]))

enum { DAY_S = 86400 };

/** ANY: an answer with and without an FcmError means the same */
enum typed { ANY, TYPED, UNTYPED };

struct row {
	const char *reason;
	uint32_t status;
	enum typed typed;
	struct verdict v;
};

/* clang-format off */
static const struct row rows[] = {
	{ "INVALID_ARGUMENT", 400,       ANY,     V(REJECTED, DONE) },
	/* Keys that Firebase holds for Apple and for browsers: that app's */
	{ "THIRD_PARTY_AUTH_ERROR", 401, ANY,     V(MISCONFIGURED, BREAK_APP) },
	{ "UNAUTHENTICATED", 401,        ANY,     V(MISCONFIGURED, REAUTH) },
	{ "SENDER_ID_MISMATCH", 403,     ANY,     V(TOKEN_GONE, TOKEN) },
	{ "PERMISSION_DENIED", 403,      ANY,     V(MISCONFIGURED, BREAK) },
	{ "UNREGISTERED", 404,           ANY,     V(TOKEN_GONE, TOKEN) },
	{ "NOT_FOUND", 404,              TYPED,   V(REJECTED, DONE) },
	{ "NOT_FOUND", 404,              UNTYPED, V(MISCONFIGURED, BREAK) },
	{ "", 404,                       ANY,     V(MISCONFIGURED, BREAK) },
	{ "QUOTA_EXCEEDED", 429,         ANY,     V(THROTTLED, HOLD) },
	{ "RESOURCE_EXHAUSTED", 429,     ANY,     V(THROTTLED, HOLD) },
	{ "INTERNAL", 500,               ANY,     V(RETRY_LATER, RETRY) },
	{ "UNAVAILABLE", 503,            ANY,     V(RETRY_LATER, RETRY) },
};
/* clang-format on */


static void judge_class(struct verdict *v, uint32_t status)
{
	v->act = DRV_DONE;
	v->unknown = true;

	if (status == 401 || status == 403)
		v->outcome = OUT(MISCONFIGURED);
	else if (status == 429)
		v->outcome = OUT(THROTTLED);
	else if (status >= 400 && status < 500)
		v->outcome = OUT(REJECTED);
	else
		v->outcome = OUT(RETRY_LATER);
	if (status >= 500)
		v->act = DRV_RETRY;
}


static bool row_fits(const struct row *r, const struct answer *a)
{
	return r->status == a->status && !strcmp(r->reason, a->reason) &&
	       (r->typed == ANY || (r->typed == TYPED) == a->typed);
}


void fcm_judge(struct verdict *v, const struct answer *a)
{
	size_t i;

	memset(v, 0, sizeof(*v));

	if (a->status == 200) {
		v->outcome = OUT(DELIVERED);
		return;
	}

	for (i = 0; i < ROWS; i++)
		if (row_fits(&rows[i], a))
			break;
	if (i == ROWS) {
		judge_class(v, a->status);
		return;
	}

	*v = rows[i].v;
	/* A malformed token and a malformed message share status and code */
	if (a->status == 400 && a->typed && a->bad_token) {
		v->outcome = OUT(TOKEN_GONE);
		v->act = DRV_TOKEN_FORM;
	}
	if (v->act == DRV_HOLD && a->device_quota)
		v->act = DRV_DONE;
}


static void details_parse(struct answer *a, const json_t *details)
{
	size_t i;
	const json_t *d;

	json_array_foreach(details, i, d)
	{
		const char *type =
			json_string_value(json_object_get(d, "@type"));
		const char *code =
			json_string_value(json_object_get(d, "errorCode"));

		if (!type || !code || !strstr(type, "fcm.v1.FcmError"))
			continue;
		a->typed = true;
		str_ncpy(a->reason, code, sizeof(a->reason));
		return;
	}
}


static void error_parse(struct answer *a, const json_t *error)
{
	const char *status =
		json_string_value(json_object_get(error, "status"));
	const char *msg = json_string_value(json_object_get(error, "message"));

	if (status)
		str_ncpy(a->reason, status, sizeof(a->reason));
	details_parse(a, json_object_get(error, "details"));
	if (!msg)
		return;

	a->bad_token = strcasestr(msg, "not a valid FCM registration token");
	a->device_quota = strcasestr(msg, "device message rate");
}


void fcm_parse(struct answer *a, const char *body, size_t len)
{
	json_t *root = json_loadb(body, len, 0, NULL);
	const char *name = json_string_value(json_object_get(root, "name"));

	if (a->status == 200 && name)
		str_ncpy(a->id, name, sizeof(a->id));
	else
		error_parse(a, json_object_get(root, "error"));

	json_decref(root);
}


uint32_t fcm_retry_after(const char *value, int64_t now_ms)
{
	char *end;
	long s = strtol(value, &end, 10);
	time_t date;

	if (end == value || *end) {
		date = curl_getdate(value, NULL);
		if (date == -1)
			return 0;
		s = (long)(date - now_ms / 1000);
	}
	if (s <= 0)
		return 0;

	return (uint32_t)(s < DAY_S ? s : DAY_S) * 1000;
}
