/**
 * @file until.h  Runs libre's loop until something has come about
 */

#ifndef TESTS_UNIT_COMMON_UNTIL_H
#define TESTS_UNIT_COMMON_UNTIL_H

#include <stdbool.h>

/** Asked once in a millisecond */
typedef bool(until_h)(void *arg);

/** The test fails if that takes more than 15 s */
void until(void *arg, until_h *cond);

/** Runs it for so long, for what must not come about */
void run_for(unsigned ms);

#endif
