/**
 * @file grid.h  When refreshes are due; pure arithmetic
 *
 * Grid time counts seconds and goes on over restarts.  An account is due
 * whenever grid time is its phase modulo its period: the period is 80 % of
 * its grant, the phase a hash of its id.  So load is flat without a random
 * number per refresh, and a restart knows every due time by two numbers.
 *
 *     grid time ---+-----------------+-----------------+---->
 *                  | period          |                 |
 *     expiry       |-------- grant ---------|          |
 */

#ifndef SIPIS_GRID_H
#define SIPIS_GRID_H

#include <stdbool.h>
#include <stdint.h>

/** Seconds from grid time g to the account's next point, 1..period */
uint32_t grid_next(uint64_t id, uint32_t grant_s, uint32_t g);

/** Seconds to wait after a 200 at g.  Not within a tenth of the grant, nor
    within min_s, nor later than 90 % of the grant */
uint32_t grid_wait(uint64_t id, uint32_t grant_s, uint32_t g, uint32_t min_s);

/** After a restart: 0 = due now (its point lay between from and now), else
    seconds until its point */
uint32_t grid_after(uint64_t id, uint32_t grant_s, uint32_t from,
		    uint32_t now);

/** Refreshes per second, rounded up */
uint32_t grid_rate(uint32_t accounts, uint32_t grant_s);

/** What is written now and then: grid time and wall time, as one number */
int64_t grid_pack(uint32_t g, int64_t wall_s);

/** Where the grid stands at start.  *from: the last second known to have
    been served.  false: the clock went backwards, nothing is known: all are
    due */
bool grid_resume(int64_t packed, int64_t wall_s, uint32_t *from,
		 uint32_t *now);

#endif
