/**
 * @file metrics.h  Counters, gauges and histograms as Prometheus text
 *
 * A module owns a static const table of descriptions and an array of values
 * of its own; it registers both.  Values are _Atomic, so any thread may read.
 */

#ifndef COMMON_METRICS_H
#define COMMON_METRICS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum metric_type { METRIC_COUNTER, METRIC_GAUGE };

struct metric {
	const char *name; /**< sipis_pushes_total, with labels if any:
			       name{result="ok"}; NULL: not shown now */
	const char *help;
	enum metric_type type;
	_Atomic int64_t value;
};

static inline void metric_inc(struct metric *m)
{
	atomic_fetch_add_explicit(&m->value, 1, memory_order_relaxed);
}

static inline void metric_set(struct metric *m, int64_t v)
{
	atomic_store_explicit(&m->value, v, memory_order_relaxed);
}

/** A fixed set of buckets for latencies, microseconds */
struct histogram {
	const char *name;
	const char *help;
	_Atomic uint64_t bucket[24]; /**< le 2^i * 50 us */
	_Atomic uint64_t sum_us;
	_Atomic uint64_t count;
};

void histogram_add(struct histogram *h, uint64_t us);

struct metrics;
int metrics_alloc(struct metrics **msp);
/** v stays the caller's and must outlive ms */
int metrics_add(struct metrics *ms, struct metric *v, size_t n);
int metrics_add_histogram(struct metrics *ms, struct histogram *h);
/** Prometheus text format 0.0.4; *bufp is malloc'd.  Any thread */
int metrics_print(const struct metrics *ms, char **bufp, size_t *lenp);

#endif
