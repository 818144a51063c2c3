/**
 * @file clock.h  The two clocks, and which one to use
 *
 * Anything that waits uses clock_mono_ms(): it never steps.  Anything that a
 * human, another host or a file reads uses clock_wall_*().  Code that decides
 * takes the time as an argument and calls neither.
 */

#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stdint.h>

uint64_t clock_mono_ms(void); /**< CLOCK_MONOTONIC, milliseconds */
int64_t clock_wall_ms(void);  /**< since 1970-01-01 UTC, milliseconds */
int64_t clock_wall_us(void);  /**< since 1970-01-01 UTC, microseconds */

#endif
