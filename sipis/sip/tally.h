/**
 * @file tally.h  What is counted of a profile's SIP
 */

#ifndef SIPIS_TALLY_H
#define SIPIS_TALLY_H

#include "common/metrics.h"

enum tally_kind {
	TALLY_STRANGER,
	TALLY_CONNECTION,
	TALLY_NOBODY,
	TALLY_INVITE,
	TALLY_CANCEL,
	TALLY_OTHER,
	TALLY_KINDS
};

struct tally;

/** ms may be NULL; the tally must outlive it */
int tally_alloc(struct tally **tp, const char *pbx, struct metrics *ms);
void tally_inc(struct tally *t, enum tally_kind kind);

#endif
