/**
 * @file merge.h  Calls that begin and end within one group
 *
 * A call that is answered at once would be a row that is written, and written
 * again with another length.  Its ends are handed to its beginning, which
 * writes the row as it shall be.
 */

#ifndef SIPIS_STORE_MERGE_H
#define SIPIS_STORE_MERGE_H

#include "sipis/store/req.h"

/** Sets ends, next_end and merged in a chain that is about to be run */
void merge_calls(struct mail *chain);
/** Does this word on a call's end stand, after the one before? */
bool merge_stands(const char *before, const char *word);

#endif
