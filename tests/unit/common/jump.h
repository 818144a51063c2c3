/**
 * @file tests/unit/common/jump.h  Clocks that run, and jump where a test says
 *
 * In place of common/clock.c, which is not linked where this is.
 */

#ifndef TESTS_UNIT_COMMON_JUMP_H
#define TESTS_UNIT_COMMON_JUMP_H

#include <stdint.h>

/** All clocks of this program go forward by so much, at once */
void jump_ms(uint64_t ms);

#endif
