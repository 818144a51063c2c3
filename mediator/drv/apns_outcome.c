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
	const char *reason;
	uint32_t status;
	struct verdict v;
};

/* clang-format off */
static const struct row rows[] = {
	/* The wrong environment answers BadDeviceToken too, and a mixed-up
	   topic DeviceTokenNotForTopic: until a push has passed, and when many
	   come at once, it is our mistake */
	{ "BadDeviceToken", 400,         V(TOKEN_GONE, TOKEN_PLACE) },
	{ "DeviceTokenNotForTopic", 400, V(TOKEN_GONE, TOKEN_PLACE) },
	{ "BadTopic", 400,               V(MISCONFIGURED, BREAK_APP) },
	{ "MissingTopic", 400,           V(MISCONFIGURED, BREAK_APP) },
	{ "TopicDisallowed", 400,        V(MISCONFIGURED, BREAK_APP) },
	{ "BadCollapseId", 400,          V(REJECTED, DONE) },
	{ "BadExpirationDate", 400,      V(REJECTED, DONE) },
	{ "BadMessageId", 400,           V(REJECTED, DONE) },
	{ "BadPriority", 400,            V(REJECTED, DONE) },
	{ "DuplicateHeaders", 400,       V(REJECTED, DONE) },
	{ "InvalidPushType", 400,        V(REJECTED, DONE) },
	{ "MissingDeviceToken", 400,     V(REJECTED, DONE) },
	{ "PayloadEmpty", 400,           V(REJECTED, DONE) },
	{ "IdleTimeout", 400,            V(RETRY_LATER, RETRY, .renew_conn = true) },
	/* A connection that once judged the JWT stale may go on doing so */
	{ "ExpiredProviderToken", 403,   V(MISCONFIGURED, REAUTH, .renew_conn = true) },
	{ "InvalidProviderToken", 403,   V(MISCONFIGURED, BREAK, .clock = true) },
	{ "MissingProviderToken", 403,   V(MISCONFIGURED, BREAK) },
	{ "UnrelatedKeyIdInToken", 403,  V(MISCONFIGURED, BREAK) },
	{ "BadEnvironmentKeyIdInToken", 403, V(MISCONFIGURED, BREAK) },
	{ "BadCertificate", 403,         V(MISCONFIGURED, BREAK) },
	{ "BadCertificateEnvironment", 403, V(MISCONFIGURED, BREAK) },
	{ "Forbidden", 403,              V(MISCONFIGURED, BREAK) },
	{ "BadPath", 404,                V(REJECTED, DONE) },
	{ "MethodNotAllowed", 405,       V(REJECTED, DONE) },
	{ "Unregistered", 410,           V(TOKEN_GONE, TOKEN_SINCE) },
	{ "ExpiredToken", 410,           V(TOKEN_GONE, TOKEN_SINCE) },
	{ "PayloadTooLarge", 413,        V(REJECTED, DONE) },
	{ "TooManyRequests", 429,        V(THROTTLED, DONE) },
	/* Signing again would make it worse */
	{ "TooManyProviderTokenUpdates", 429, V(RETRY_LATER, RETRY_SLOW, .clock = true) },
	{ "InternalServerError", 500,    V(RETRY_LATER, RETRY) },
	{ "ServiceUnavailable", 503,     V(RETRY_LATER, RETRY) },
	{ "Shutdown", 503,               V(RETRY_LATER, RETRY, .renew_conn = true) },
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

#ifdef PLANT_BUG /* for tests/fuzz/run.sh planted, never for use */
	if (reason && strlen(reason) < sizeof(*a))
		memcpy(a->reason, reason, strlen(reason));
	else
#endif
		if (reason)
		str_ncpy(a->reason, reason, sizeof(a->reason));
	if (json_is_integer(since))
		a->since_ms = json_integer_value(since);

	json_decref(root);
}
