/**
 * @file tests/unit/common/jump.c  Clocks that run, and jump where a test says
 */

#include <time.h>
#include "common/clock.h"
#include "tests/unit/common/jump.h"

static uint64_t jumped_ms;


void jump_ms(uint64_t ms)
{
	jumped_ms += ms;
}


uint64_t clock_mono_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return jumped_ms + (uint64_t)ts.tv_sec * 1000 +
	       (uint64_t)ts.tv_nsec / 1000000;
}


int64_t clock_wall_us(void)
{
	return (int64_t)clock_mono_ms() * 1000;
}


int64_t clock_wall_ms(void)
{
	return (int64_t)clock_mono_ms();
}
