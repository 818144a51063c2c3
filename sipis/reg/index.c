/**
 * @file index.c  Many keys in few bytes: open addressing over slot numbers
 */

#include <errno.h>
#include <stdlib.h>
#include "sipis/reg/index.h"


enum { SIZE_MIN = 64 };


void index_free(struct index_table *t)
{
	free(t->v);
	t->v = NULL;
	t->mask = t->n = 0;
}


static void put(uint32_t *v, uint32_t mask, uint64_t hash, uint32_t slot)
{
	uint32_t i = (uint32_t)hash & mask;

	while (v[i])
		i = (i + 1) & mask;
	v[i] = slot + 1;
}


static int grow(struct index_table *t, index_hash_h *h, const void *arg)
{
	const uint32_t size = t->v ? 2 * (t->mask + 1) : SIZE_MIN;
	uint32_t *v = calloc(size, sizeof(*v));

	if (!v)
		return ENOMEM;

	for (uint32_t i = 0; t->v && i <= t->mask; i++) {
		if (t->v[i])
			put(v, size - 1, h(t->v[i] - 1, arg), t->v[i] - 1);
	}

	free(t->v);
	t->v = v;
	t->mask = size - 1;

	return 0;
}


int index_add(struct index_table *t, uint32_t slot, index_hash_h *h,
	      const void *arg)
{
	if (!t->v || t->n >= t->mask / 8 * 7) {
		int err = grow(t, h, arg);

		if (err)
			return err;
	}

	put(t->v, t->mask, h(slot, arg), slot);
	++t->n;

	return 0;
}


uint32_t index_find(const struct index_table *t, uint64_t hash,
		    const void *key, index_equal_h *eq, const void *arg)
{
	if (!t->v)
		return UINT32_MAX;

	for (uint32_t i = (uint32_t)hash & t->mask; t->v[i];
	     i = (i + 1) & t->mask) {
		if (eq(t->v[i] - 1, key, arg))
			return t->v[i] - 1;
	}

	return UINT32_MAX;
}


void index_remove(struct index_table *t, uint32_t slot, index_hash_h *h,
		  const void *arg)
{
	uint32_t i, k;

	if (!t->v)
		return;

	i = (uint32_t)h(slot, arg) & t->mask;
	while (t->v[i] && t->v[i] != slot + 1)
		i = (i + 1) & t->mask;
	if (!t->v[i])
		return;

	/* Whoever stands behind and would now be missed moves up */
	for (k = (i + 1) & t->mask; t->v[k]; k = (k + 1) & t->mask) {
		const uint32_t home = (uint32_t)h(t->v[k] - 1, arg) & t->mask;

		if (((k - home) & t->mask) < ((k - i) & t->mask))
			continue;
		t->v[i] = t->v[k];
		i = k;
	}
	t->v[i] = 0;
	--t->n;
}
