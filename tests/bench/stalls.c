/**
 * @file tests/bench/stalls.c  How even the machine is, before it is measured
 *
 * A loop that writes all over 4 MiB counts its rounds in slices of 20 ms.  On
 * a machine of one's own all slices are alike; on a shared one some are slow,
 * and a latency of milliseconds says more about these than about us.
 *
 *     bench-stalls SECONDS
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
	WORDS_LOG2 = 20,
	SLICES_PER_S = 50,
	STEPS = 400, /* between two looks at the clock */
	SECONDS_MAX = 60,
};


static double mono_s(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}


static int compare(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}


static void count(uint32_t *slicev, unsigned slices, uint32_t *wordv)
{
	const double begin = mono_s();
	uint32_t x = 1;

	for (;;) {
		const unsigned slice =
			(unsigned)((mono_s() - begin) * SLICES_PER_S);

		if (slice >= slices)
			return;
		for (unsigned i = 0; i < STEPS; i++) {
			x = x * 1664525u + 1013904223u;
			wordv[x >> (32 - WORDS_LOG2)] += x;
		}
		++slicev[slice];
	}
}


int main(int argc, char *argv[])
{
	const int seconds = argc == 2 ? atoi(argv[1]) : 0;
	const unsigned slices = (unsigned)seconds * SLICES_PER_S;
	uint32_t *slicev, *wordv;
	unsigned slow = 0;
	uint32_t usual;

	if (seconds < 1 || seconds > SECONDS_MAX) {
		(void)fprintf(stderr, "usage: bench-stalls SECONDS\n");
		return 64;
	}
	slicev = calloc(slices, sizeof(*slicev));
	wordv = calloc((size_t)1 << WORDS_LOG2, sizeof(*wordv));
	if (!slicev || !wordv)
		return 71;

	count(slicev, slices, wordv);
	qsort(slicev, slices, sizeof(*slicev), compare);
	usual = slicev[slices / 2];
	while (slow < slices && slicev[slow] < usual / 2)
		++slow;

	(void)printf("%.1f %.2f\n", 100.0 * slow / slices,
		     (double)slicev[0] / usual);
	free(wordv);
	free(slicev);
	return 0;
}
