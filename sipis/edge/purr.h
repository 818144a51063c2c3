/**
 * @file purr.h  What a phone puts into the Contact of its dialogs; pure
 *
 * PURR of RFC 8599, section 6: whoever sends a request to a Contact with
 * pn-purr wants the phone woken for it.  It is a day and a MAC over the phone
 * and that day.  So it needs no table and says nothing of the phone, one of
 * another day cannot be told to be of the same phone, and it stays good as
 * long as the dialog does.
 */

#ifndef SIPIS_EDGE_PURR_H
#define SIPIS_EDGE_PURR_H

#include "sipis/edge/token.h"

enum {
	EDGE_PURR_LEN = 36, /**< characters; hex, case makes no difference */
	EDGE_PURR_S = 24 * 3600,
};

/** dst has EDGE_PURR_LEN + 1 bytes; now_s: wall */
int edge_purr_write(char *dst, const struct edge_key *key,
		    const uint8_t phone[EDGE_PHONE], int64_t now_s);
/** Of this phone, of whatever day */
bool edge_purr_is(const struct pl *text, const struct edge_key *key,
		  const uint8_t phone[EDGE_PHONE]);

#endif
