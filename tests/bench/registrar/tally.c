/**
 * @file tally.c  Counters and a histogram
 */

#include <string.h>
#include <time.h>
#include "tally.h"


uint64_t tally_wall_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}


uint64_t tally_mono_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}


void tally_reset(struct tally *t)
{
	memset(t, 0, sizeof(*t));
	t->start_us = tally_wall_us();
}


void tally_register(struct tally *t)
{
	uint64_t s = (tally_wall_us() - t->start_us) / 1000000;

	++t->n[TALLY_REGISTERS];
	if (s >= TALLY_SECONDS)
		return;
	++t->second[s];
	t->seconds = (uint32_t)s + 1;
}


void tally_counts(const struct tally *t, FILE *f)
{
	static const char *const names[TALLY_MAX] = {
		[TALLY_REGISTERS] = "registers",
		[TALLY_CHALLENGES] = "challenges",
		[TALLY_STALE] = "stale",
		[TALLY_OK] = "accepted",
		[TALLY_NEW] = "new",
		[TALLY_REFRESHES] = "refreshes",
		[TALLY_LAPSED] = "lapsed",
		[TALLY_CONTACT_CHANGED] = "contact_changed",
		[TALLY_CALLID_CHANGED] = "callid_changed",
		[TALLY_ZERO_EXPIRES] = "zero_expires",
		[TALLY_LOOKS] = "looks",
		[TALLY_BAD_DIGEST] = "bad_digest",
		[TALLY_NC_REPLAYED] = "nc_replayed",
		[TALLY_CSEQ_LOW] = "cseq_low",
		[TALLY_DUPLICATES] = "duplicates",
		[TALLY_UNKNOWN_USER] = "unknown_user",
		[TALLY_MALFORMED] = "malformed",
		[TALLY_OTHER_REQUESTS] = "other_requests",
		[TALLY_SEND_FAILED] = "send_failed",
	};

	for (unsigned i = 0; i < TALLY_MAX; i++)
		fprintf(f, "\"%s\":%llu,", names[i],
			(unsigned long long)t->n[i]);
	fprintf(f, "\"start_us\":%llu,\"now_us\":%llu,\"last_new_us\":%llu,",
		(unsigned long long)t->start_us,
		(unsigned long long)tally_wall_us(),
		(unsigned long long)t->last_new_us);
	fprintf(f, "\"lapse_max_ms\":%llu",
		(unsigned long long)t->lapse_max_ms);
}


void tally_seconds(const struct tally *t, FILE *f)
{
	fputs("\"per_second\":[", f);
	for (uint32_t i = 0; i < t->seconds; i++)
		fprintf(f, "%s%u", i ? "," : "", t->second[i]);
	fputs("]", f);
}
