/**
 * @file backoff.c  How long to wait after the nth failure
 */

#include "common/backoff.h"


uint32_t backoff_ms(uint32_t base_ms, uint32_t max_ms, unsigned n,
		    uint32_t rnd)
{
	/* 32 doublings of any base but 0 pass any max */
	uint64_t ms = (uint64_t)base_ms << (n < 32 ? n : 32);

	if (ms > max_ms)
		ms = max_ms;

	return (uint32_t)(ms - (ms / 2 * rnd >> 32));
}
