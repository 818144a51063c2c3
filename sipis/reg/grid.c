/**
 * @file grid.c  When refreshes are due; pure arithmetic
 */

#include "sipis/reg/grid.h"


enum {
	GRID_BITS = 31,
	FAR_S = 30 * 24 * 3600, /* longer down is as good as for ever */
};

#define GRID_MASK (((int64_t)1 << GRID_BITS) - 1)


/* Finaliser of MurmurHash3: neighbours in id become strangers in phase */
static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ULL;
	x ^= x >> 33;

	return x;
}


static uint32_t period(uint32_t grant_s)
{
	const uint32_t p = grant_s / 5 * 4 + grant_s % 5 * 4 / 5;

	return p ? p : 1;
}


uint32_t grid_next(uint64_t id, uint32_t grant_s, uint32_t g)
{
	const uint32_t p = period(grant_s);
	const uint32_t phase = (uint32_t)(mix(id) % p);
	const uint32_t at = g % p;

	return phase > at ? phase - at : phase + p - at;
}


uint32_t grid_wait(uint64_t id, uint32_t grant_s, uint32_t g, uint32_t min_s)
{
	const uint32_t next = grid_next(id, grant_s, g);
	uint32_t low = grant_s / 10;

	if (low < min_s)
		low = min_s;
	if (next >= low)
		return next;

	/* A short grant has no room for a whole period more */
	return next + period(grant_s) <= grant_s / 10 * 9
		       ? next + period(grant_s)
		       : low;
}


uint32_t grid_after(uint64_t id, uint32_t grant_s, uint32_t from, uint32_t now)
{
	const uint32_t next = grid_next(id, grant_s, from);

	if (now < from || next <= now - from)
		return 0;

	return next - (now - from);
}


uint32_t grid_rate(uint32_t accounts, uint32_t grant_s)
{
	const uint32_t p = period(grant_s);

	return accounts / p + (accounts % p != 0);
}


int64_t grid_pack(uint32_t g, int64_t wall_s)
{
	return wall_s << GRID_BITS | (g & GRID_MASK);
}


bool grid_resume(int64_t packed, int64_t wall_s, uint32_t *from, uint32_t *now)
{
	const int64_t wall = packed >> GRID_BITS;
	int64_t down = wall_s - wall;
	const bool known = down >= 0;

	if (down < 0)
		down = 0;
	if (down > FAR_S)
		down = FAR_S;

	*from = (uint32_t)(packed & GRID_MASK);
	*now = *from + (uint32_t)down;

	return known;
}
