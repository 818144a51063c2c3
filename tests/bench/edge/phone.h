/**
 * @file phone.h  One phone: its way to the edge, and its registration
 */

#ifndef BENCH_EDGE_PHONE_H
#define BENCH_EDGE_PHONE_H

#include "site.h"

struct phone {
	struct site *site;
	struct way *way;
	unsigned n; /**< user u<n> */
	unsigned cseq, nc;
	char realm[64], nonce[128];
	bool waiting, bound;
};

/** Opens so many and registers them, at most `window` at a time, until all
    are bound or nothing moves for seconds */
void phones_open(struct site *s, unsigned count, unsigned window);
/** So many REGISTERs per second, from the phones in turn */
void phones_refresh(struct site *s, unsigned rate, unsigned count);
void phones_close(struct site *s);

#endif
