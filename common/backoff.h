/**
 * @file backoff.h  How long to wait after the nth failure
 */

#ifndef COMMON_BACKOFF_H
#define COMMON_BACKOFF_H

#include <stdint.h>

/** min(max, base * 2^n), then 50 to 100 % of it by rnd (any 32 bits).
    RFC 5626 4.5 */
uint32_t backoff_ms(uint32_t base_ms, uint32_t max_ms, unsigned n,
		    uint32_t rnd);

#endif
