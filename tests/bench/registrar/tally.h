/**
 * @file tally.h  What was seen: counters, and REGISTERs per second
 */

#ifndef REGISTRAR_TALLY_H
#define REGISTRAR_TALLY_H

#include <stdint.h>
#include <stdio.h>

enum tally_id {
	TALLY_REGISTERS,  /**< requests, repetitions not counted */
	TALLY_CHALLENGES, /**< 401, the first of a round */
	TALLY_STALE,      /**< 401 with stale=true */
	TALLY_OK,         /**< 200 to a REGISTER with a contact */
	TALLY_NEW,        /**< ... there was no binding before */
	TALLY_REFRESHES,  /**< ... its binding was still there */
	TALLY_LAPSED,     /**< ... its binding had run out: a gap */
	TALLY_CONTACT_CHANGED,
	TALLY_CALLID_CHANGED,
	TALLY_ZERO_EXPIRES, /**< un-REGISTER */
	TALLY_LOOKS,        /**< REGISTER without Contact */
	TALLY_BAD_DIGEST,
	TALLY_NC_REPLAYED,
	TALLY_CSEQ_LOW,
	TALLY_DUPLICATES, /**< repeated requests */
	TALLY_UNKNOWN_USER,
	TALLY_MALFORMED,
	TALLY_OTHER_REQUESTS,
	TALLY_SEND_FAILED,
	TALLY_MAX
};

#define TALLY_SECONDS 7200

struct tally {
	uint64_t n[TALLY_MAX];
	uint64_t start_us; /**< wall clock of the last reset */
	uint64_t last_new_us;
	uint64_t lapse_max_ms;
	uint32_t second[TALLY_SECONDS]; /**< REGISTERs since the reset */
	uint32_t seconds;
};

uint64_t tally_wall_us(void);
uint64_t tally_mono_ms(void);
void tally_reset(struct tally *t);
void tally_register(struct tally *t);
/** Members of a JSON object, without the braces */
void tally_counts(const struct tally *t, FILE *f);
void tally_seconds(const struct tally *t, FILE *f);

#endif
