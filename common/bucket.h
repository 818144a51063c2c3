/**
 * @file bucket.h  Token bucket; the time is an argument
 */

#ifndef COMMON_BUCKET_H
#define COMMON_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

struct bucket {
	double tokens;
	double rate;  /**< tokens per second */
	double burst; /**< the most it holds */
	uint64_t at;  /**< milliseconds, of the last refill */
};

void bucket_init(struct bucket *b, double rate, double burst, uint64_t now);
bool bucket_take(struct bucket *b, double n, uint64_t now);
/** For what cannot be put off: takes n also where they are not there, and the
    bucket owes them */
void bucket_charge(struct bucket *b, double n, uint64_t now);
/** Milliseconds until n tokens are there; 0 = now */
uint64_t bucket_wait(const struct bucket *b, double n, uint64_t now);

#endif
