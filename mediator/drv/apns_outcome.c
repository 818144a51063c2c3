/**
 * @file drv/apns_outcome.c  What APNs answers
 */

#include <string.h>
#include "mediator/json.h"
#include "mediator/drv/apns_outcome.h"

#define OUT(o) WIRE__OUTCOME__##o
#define V(o, a, ...)                                           \
	{                                                      \
		.outcome = OUT(o), .act = DRV_##a, __VA_ARGS__ \
	}
#define ROWS (sizeof(rows) / sizeof(rows[0]))

struct row {
	uint32_t status;
	const char *reason;
	struct verdict v;
};

/* clang-format off */
static const struct row rows[] = {
	/* The wrong environment answers BadDeviceToken too, and a mixed-up
	   topic DeviceTokenNotForTopic: many at once are our mistake */
	{ 400, "BadDeviceToken",         V(TOKEN_GONE, TOKEN) },
	{ 400, "DeviceTokenNotForTopic", V(TOKEN_GONE, TOKEN) },
	{ 400, "BadTopic",               V(MISCONFIGURED, BREAK_APP) },
	{ 400, "MissingTopic",           V(MISCONFIGURED, BREAK_APP) },
	{ 400, "TopicDisallowed",        V(MISCONFIGURED, BREAK_APP) },
	{ 400, "BadCollapseId",          V(REJECTED, DONE) },
	{ 400, "BadExpirationDate",      V(REJECTED, DONE) },
	{ 400, "BadMessageId",           V(REJECTED, DONE) },
	{ 400, "BadPriority",            V(REJECTED, DONE) },
	{ 400, "DuplicateHeaders",       V(REJECTED, DONE) },
	{ 400, "InvalidPushType",        V(REJECTED, DONE) },
	{ 400, "MissingDeviceToken",     V(REJECTED, DONE) },
	{ 400, "PayloadEmpty",           V(REJECTED, DONE) },
	{ 400, "IdleTimeout",            V(RETRY_LATER, RETRY, .renew_conn = true) },
	/* A connection that once judged the JWT stale may go on doing so */
	{ 403, "ExpiredProviderToken",   V(MISCONFIGURED, REAUTH, .renew_conn = true) },
	{ 403, "InvalidProviderToken",   V(MISCONFIGURED, BREAK, .clock = true) },
	{ 403, "MissingProviderToken",   V(MISCONFIGURED, BREAK) },
	{ 403, "UnrelatedKeyIdInToken",  V(MISCONFIGURED, BREAK) },
	{ 403, "BadEnvironmentKeyIdInToken", V(MISCONFIGURED, BREAK) },
	{ 403, "BadCertificate",         V(MISCONFIGURED, BREAK) },
	{ 403, "BadCertificateEnvironment", V(MISCONFIGURED, BREAK) },
	{ 403, "Forbidden",              V(MISCONFIGURED, BREAK) },
	{ 404, "BadPath",                V(REJECTED, DONE) },
	{ 405, "MethodNotAllowed",       V(REJECTED, DONE) },
	{ 410, "Unregistered",           V(TOKEN_GONE, TOKEN_SINCE) },
	{ 410, "ExpiredToken",           V(TOKEN_GONE, TOKEN_SINCE) },
	{ 413, "PayloadTooLarge",        V(REJECTED, DONE) },
	{ 429, "TooManyRequests",        V(THROTTLED, DONE) },
	/* Signing again would make it worse */
	{ 429, "TooManyProviderTokenUpdates", V(RETRY_LATER, RETRY_SLOW, .clock = true) },
	{ 500, "InternalServerError",    V(RETRY_LATER, RETRY) },
	{ 503, "ServiceUnavailable",     V(RETRY_LATER, RETRY) },
	{ 503, "Shutdown",               V(RETRY_LATER, RETRY, .renew_conn = true) },
};
/* clang-format on */


static void judge_class(struct verdict *v, uint32_t status)
{
	v->act = DRV_DONE;
	v->unknown = true;

	if (status == 403)
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


void apns_judge(struct verdict *v, const struct answer *a)
{
	memset(v, 0, sizeof(*v));

	if (a->status == 200) {
		v->outcome = OUT(DELIVERED);
		return;
	}

	for (size_t i = 0; i < ROWS; i++) {
		if (rows[i].status == a->status &&
		    !strcmp(rows[i].reason, a->reason)) {
			*v = rows[i].v;
			return;
		}
	}

	judge_class(v, a->status);
}


void apns_parse(struct answer *a, const char *body, size_t len)
{
	json_t *root = json_loadb(body, len, 0, NULL);
	const char *reason =
		json_string_value(json_object_get(root, "reason"));
	const json_t *since = json_object_get(root, "timestamp");

	if (reason)
		str_ncpy(a->reason, reason, sizeof(a->reason));
	if (json_is_integer(since))
		a->since_ms = json_integer_value(since);

	json_decref(root);
}
