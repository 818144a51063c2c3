/**
 * @file rand_pool.h  libre's random numbers, fetched many at a time
 *
 * libre asks OpenSSL's generator for four bytes at a time, and its decoder
 * does so twice for every SIP message: more than half of what the rest of a
 * short one costs.  rand_pool.c defines rand_u32() and rand_u64() anew over a
 * small pool from the system's generator; libre calls them through the PLT.
 */

#ifndef COMMON_RAND_POOL_H
#define COMMON_RAND_POOL_H

/** ENOSYS if the functions in use are not ours.  Calling it is also what makes
    the linker take rand_pool.c out of the library */
int randpool_check(void);

#endif
