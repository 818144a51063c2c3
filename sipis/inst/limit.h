/**
 * @file limit.h  Token buckets by key: so many of something per somebody
 *
 * For addresses and instances, of which a stranger can make up any number:
 * at most max_keys are remembered, and the one that was silent longest makes
 * room.  Time is an argument.  One thread.
 */

#ifndef SIPIS_LIMIT_H
#define SIPIS_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LIMIT_KEY_MAX 64

struct limit;

/** rate per second, burst: the most at once */
int limit_alloc(struct limit **lp, double rate, double burst,
		unsigned max_keys);

/** Takes n if there are that many */
bool limit_take(struct limit *l, const char *key, double n, uint64_t now_ms);
/** Would it?  Takes nothing */
bool limit_has(const struct limit *l, const char *key, double n,
	       uint64_t now_ms);
/** Seconds, rounded up, until n are there again; at least 1 */
uint32_t limit_wait_s(const struct limit *l, const char *key, double n,
		      uint64_t now_ms);
double limit_burst(const struct limit *l);
unsigned limit_keys(const struct limit *l);

#endif
