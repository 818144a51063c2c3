/**
 * @file bucket.c  Token bucket; the time is an argument
 */

#include "common/bucket.h"


/* So many roundings of a refill do not keep a due token back */
static const double tolerance = 1e-6;


void bucket_init(struct bucket *b, double rate, double burst, uint64_t now)
{
	if (!b)
		return;

	b->rate = rate;
	b->burst = burst;
	b->tokens = burst;
	b->at = now;
}


static double level(const struct bucket *b, uint64_t now)
{
	double tokens = b->tokens;

	if (now > b->at)
		tokens += (double)(now - b->at) * b->rate / 1000.;

	return tokens < b->burst ? tokens : b->burst;
}


static void refill(struct bucket *b, uint64_t now)
{
	b->tokens = level(b, now);
	if (now > b->at)
		b->at = now;
}


void bucket_charge(struct bucket *b, double n, uint64_t now)
{
	if (!b)
		return;

	refill(b, now);
	b->tokens -= n;
}


bool bucket_take(struct bucket *b, double n, uint64_t now)
{
	if (!b)
		return false;

	refill(b, now);
	if (b->tokens + tolerance < n)
		return false;

	b->tokens -= n;
	return true;
}


uint64_t bucket_wait(const struct bucket *b, double n, uint64_t now)
{
	double lack, ms;
	uint64_t whole;

	if (!b)
		return 0;

	lack = n - tolerance / 2 - level(b, now);
	if (lack <= 0)
		return 0;
	if (n > b->burst + tolerance || b->rate <= 0)
		return UINT64_MAX;

	ms = lack * 1000. / b->rate;
	if (ms >= 9e18)
		return UINT64_MAX;

	whole = (uint64_t)ms;
	return whole + ((double)whole < ms);
}
