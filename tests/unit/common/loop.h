/**
 * @file loop.h  libre's loop, for tests
 */

#ifndef TESTS_UNIT_COMMON_LOOP_H
#define TESTS_UNIT_COMMON_LOOP_H

#include <stdbool.h>

/** libre, once for all tests of a program: setup and teardown of a group */
int loop_open(void **state);
int loop_close(void **state);

/** Until somebody calls re_cancel(); the test fails if that takes more than
    15 s */
void loop_run(void);

/** Asked once in a millisecond */
typedef bool(until_h)(void *arg);

/** Runs the loop until cond; the test fails if that takes more than 15 s */
void until(void *arg, until_h *cond);

/** Runs it for so long, for what must not come about */
void run_for(unsigned ms);

#endif
