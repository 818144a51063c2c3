/**
 * @file metrics.c  Counters, gauges and histograms as Prometheus text
 *
 * https://prometheus.io/docs/instrumenting/exposition_formats/, version 0.0.4.
 * Tables are added at start by one thread; printing only reads.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <re/re.h>
#include "common/metrics.h"


enum { BUCKETS = 24, FIRST_US = 50 };

struct table {
	struct le le;
	struct metric *v;
	size_t n;
	struct histogram *h;
};

struct metrics {
	struct list tablel;
};


void histogram_add(struct histogram *h, uint64_t us)
{
	size_t i = 0;

	if (!h)
		return;

	while (i < BUCKETS && us > (uint64_t)FIRST_US << i)
		i++;

	/* What is over the last bound is in count alone, as le="+Inf" */
	if (i < BUCKETS)
		atomic_fetch_add_explicit(&h->bucket[i], 1,
					  memory_order_relaxed);
	atomic_fetch_add_explicit(&h->sum_us, us, memory_order_relaxed);
	atomic_fetch_add_explicit(&h->count, 1, memory_order_relaxed);
}


static void destructor(void *data)
{
	struct metrics *ms = data;

	list_flush(&ms->tablel);
}


int metrics_alloc(struct metrics **msp)
{
	struct metrics *ms;

	if (!msp)
		return EINVAL;

	ms = mem_zalloc(sizeof(*ms), destructor);
	if (!ms)
		return ENOMEM;

	*msp = ms;
	return 0;
}


static void table_destructor(void *data)
{
	struct table *t = data;

	list_unlink(&t->le);
}


static int add(struct metrics *ms, struct metric *v, size_t n,
	       struct histogram *h)
{
	struct table *t;

	t = mem_zalloc(sizeof(*t), table_destructor);
	if (!t)
		return ENOMEM;

	t->v = v;
	t->n = n;
	t->h = h;
	list_append(&ms->tablel, &t->le, t);

	return 0;
}


int metrics_add(struct metrics *ms, struct metric *v, size_t n)
{
	return ms && v ? add(ms, v, n, NULL) : EINVAL;
}


int metrics_add_histogram(struct metrics *ms, struct histogram *h)
{
	return ms && h ? add(ms, NULL, 0, h) : EINVAL;
}


static size_t family_len(const char *name)
{
	return strcspn(name, "{");
}


/* Rows of one family stand together and share one head */
static bool same_family(const struct metric *a, const struct metric *b)
{
	const size_t n = family_len(a->name);

	return n == family_len(b->name) && !strncmp(a->name, b->name, n);
}


static void print_metric(FILE *f, const struct metric *m, bool head)
{
	const int n = (int)family_len(m->name);

	if (head) {
		(void)fprintf(f, "# HELP %.*s %s\n", n, m->name, m->help);
		(void)fprintf(f, "# TYPE %.*s %s\n", n, m->name,
			      m->type == METRIC_GAUGE ? "gauge" : "counter");
	}
	(void)fprintf(f, "%s %lld\n", m->name,
		      (long long)atomic_load_explicit(&m->value,
						      memory_order_relaxed));
}


static void print_table(FILE *f, const struct table *t)
{
	const struct metric *before = NULL;

	for (size_t i = 0; i < t->n; i++) {
		const struct metric *m = &t->v[i];

		if (!m->name)
			continue;
		print_metric(f, m, !before || !same_family(before, m));
		before = m;
	}
}


static void print_histogram(FILE *f, const struct histogram *h)
{
	/* Buckets first: count may only be ahead of them, never behind */
	uint64_t sum = 0, count, v[BUCKETS];

	for (size_t i = 0; i < BUCKETS; i++)
		v[i] = atomic_load_explicit(&h->bucket[i],
					    memory_order_relaxed);
	count = atomic_load_explicit(&h->count, memory_order_relaxed);

	(void)fprintf(f, "# HELP %s %s\n# TYPE %s histogram\n", h->name,
		      h->help, h->name);

	for (size_t i = 0; i < BUCKETS; i++) {
		sum += v[i];
		(void)fprintf(f, "%s_bucket{le=\"%.6g\"} %llu\n", h->name,
			      (double)((uint64_t)FIRST_US << i) / 1e6,
			      (unsigned long long)sum);
	}
	if (count < sum)
		count = sum;

	(void)fprintf(f, "%s_bucket{le=\"+Inf\"} %llu\n", h->name,
		      (unsigned long long)count);
	(void)fprintf(f, "%s_sum %.6f\n", h->name,
		      (double)atomic_load_explicit(&h->sum_us,
						   memory_order_relaxed) /
			      1e6);
	(void)fprintf(f, "%s_count %llu\n", h->name,
		      (unsigned long long)count);
}


int metrics_print(const struct metrics *ms, char **bufp, size_t *lenp)
{
	char *buf = NULL;
	size_t len = 0;
	struct le *le;
	FILE *f;

	if (!ms || !bufp || !lenp)
		return EINVAL;

	f = open_memstream(&buf, &len);
	if (!f)
		return ENOMEM;

	LIST_FOREACH (&ms->tablel, le) {
		const struct table *t = le->data;

		print_table(f, t);
		if (t->h)
			print_histogram(f, t->h);
	}

	if (fclose(f)) {
		free(buf);
		return ENOMEM;
	}

	*bufp = buf;
	*lenp = len;
	return 0;
}
