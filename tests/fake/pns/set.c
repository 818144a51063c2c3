/**
 * @file set.c  Settings of the fake that a test may change at any time
 */

#include <errno.h>
#include <stdlib.h>
#include "pns.h"

struct row {
	const char *name;
	int64_t def;
	const char *words[2]; /**< a value with names instead of numbers */
};

static const struct row rows[SET_N] = {
	[SET_CLOCK_OFFSET_MS] = { "clock_offset_ms", 0, { 0 } },
	[SET_APNS_JWT_LIFE_S] = { "apns_jwt_life_s", 3600, { 0 } },
	[SET_APNS_JWT_MIN_AGE_S] = { "apns_jwt_min_age_s", 1200, { 0 } },
	[SET_APNS_JWT_SCOPE] = { "apns_jwt_scope",
				 0,
				 { "connection", "server" } },
	[SET_APNS_STREAMS] = { "apns_streams", 1000, { 0 } },
	[SET_APNS_STREAMS_FIRST] = { "apns_streams_first", 1, { 0 } },
	[SET_APNS_SHRINK_ON_REJECT] = { "apns_shrink_on_reject", 0, { 0 } },
	[SET_APNS_WEDGE_ON_EXPIRED] = { "apns_wedge_on_expired", 0, { 0 } },
	[SET_FCM_STREAMS] = { "fcm_streams", 100, { 0 } },
	[SET_FCM_TOKEN_LIFE_S] = { "fcm_token_life_s", 3599, { 0 } },
	[SET_FCM_QUOTA_PER_MIN] = { "fcm_quota_per_min", 0, { 0 } },
	[SET_WEBPUSH_STATUS] = { "webpush_status", 201, { 0 } },
	[SET_WEBPUSH_BODY_MAX] = { "webpush_body_max", 4096, { 0 } },
	[SET_WEBPUSH_TTL_MAX_S] = { "webpush_ttl_max_s", 2419200, { 0 } },
	[SET_WEBPUSH_APPLE] = { "webpush_apple", 0, { 0 } },
	[SET_EXCESS] = { "excess", 0, { "refuse", "goaway" } },
	[SET_DELAY_MS] = { "delay_ms", 0, { 0 } },
	[SET_DELAY_JITTER_MS] = { "delay_jitter_ms", 0, { 0 } },
	[SET_REPORT_MS] = { "report_ms", 5000, { 0 } },
	[SET_ACCEPT_ANY_TOKEN] = { "accept_any_token", 0, { 0 } },
	[SET_LOG] = { "log", 1, { 0 } },
};


void pns_set_default(int64_t setv[SET_N])
{
	for (int i = 0; i < SET_N; i++)
		setv[i] = rows[i].def;
}


static int row_decode(int64_t *v, const struct row *row, const char *value)
{
	char *end;

	if (row->words[0]) {
		for (int i = 0; i < 2; i++) {
			if (!strcmp(row->words[i], value)) {
				*v = i;
				return 0;
			}
		}
		return EINVAL;
	}

	*v = strtoll(value, &end, 10);

	return *value && !*end ? 0 : EINVAL;
}


int pns_set_text(int64_t setv[SET_N], const char *name, const char *value)
{
	for (int i = 0; i < SET_N; i++) {
		if (!strcmp(rows[i].name, name))
			return row_decode(&setv[i], &rows[i], value);
	}

	return ENOENT;
}


json_t *pns_set_json(const int64_t setv[SET_N])
{
	json_t *o = json_object();

	for (int i = 0; i < SET_N; i++) {
		const struct row *row = &rows[i];

		json_object_set_new(o, row->name,
				    row->words[0]
					    ? json_string(row->words[setv[i]])
					    : json_integer(setv[i]));
	}

	return o;
}
