/**
 * @file arena.h  Memory that lives and dies with one request
 *
 * Rows are many small strings; one request keeps all of its arguments and
 * results in one or a few blocks and frees them at once.  A failed allocation
 * is remembered, so that copying needs no checks in between.
 */

#ifndef SIPIS_ARENA_H
#define SIPIS_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct arena_block;

struct arena {
	struct arena_block *head;
	struct arena_block *own; /**< given by arena_init(), not freed */
	bool failed;             /**< something did not fit into memory */
};

/** The first size bytes come from mem, which is aligned for anything */
void arena_init(struct arena *a, void *mem, size_t size);
/** Aligned, not zeroed; NULL (and failed) without memory */
void *arena_get(struct arena *a, size_t size);
void *arena_zero(struct arena *a, size_t size);
/** NULL stays NULL */
const char *arena_str(struct arena *a, const char *s);
const void *arena_dup(struct arena *a, const void *p, size_t size);
/** Bytes that arena_init() needs for as much as this one holds */
size_t arena_size(const struct arena *a);
/** Overwrites, then frees: rows carry sealed secrets and tokens */
void arena_clear(struct arena *a);

#endif
