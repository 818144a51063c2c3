/**
 * @file arena.c  Memory that lives and dies with one request
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "sipis/store/arena.h"

#define BLOCK 4000

struct arena_block {
	struct arena_block *next;
	size_t used, size;
	max_align_t data[];
};


void arena_init(struct arena *a, void *mem, size_t size)
{
	struct arena_block *b = mem;

	memset(a, 0, sizeof(*a));
	if (size <= sizeof(*b))
		return;

	b->next = NULL;
	b->used = 0;
	b->size = size - sizeof(*b);
	a->head = a->own = b;
}


static struct arena_block *block_new(struct arena *a, size_t size)
{
	struct arena_block *b;

	if (size < BLOCK)
		size = BLOCK;
	b = malloc(sizeof(*b) + size);
	if (!b)
		return NULL;

	b->used = 0;
	b->size = size;
	b->next = a->head;
	a->head = b;
	return b;
}


void *arena_get(struct arena *a, size_t size)
{
	const size_t align = sizeof(max_align_t);
	struct arena_block *b = a->head;
	void *p;

	if (size > SIZE_MAX / 2) {
		a->failed = true;
		return NULL;
	}

	size = (size + align - 1) / align * align;
	if (!b || b->size - b->used < size)
		b = block_new(a, size);
	if (!b) {
		a->failed = true;
		return NULL;
	}

	p = (uint8_t *)b->data + b->used;
	b->used += size;
	return p;
}


void *arena_zero(struct arena *a, size_t size)
{
	void *p = arena_get(a, size);

	if (p)
		memset(p, 0, size);
	return p;
}


const char *arena_str(struct arena *a, const char *s)
{
	return s ? arena_dup(a, s, strlen(s) + 1) : NULL;
}


const void *arena_dup(struct arena *a, const void *p, size_t size)
{
	void *copy = p ? arena_get(a, size) : NULL;

	if (copy)
		memcpy(copy, p, size);
	return copy;
}


size_t arena_size(const struct arena *a)
{
	size_t size = sizeof(struct arena_block);

	for (const struct arena_block *b = a->head; b; b = b->next)
		size += b->used;
	return size;
}


void arena_clear(struct arena *a)
{
	while (a->head) {
		struct arena_block *b = a->head;

		a->head = b->next;
		explicit_bzero(b->data, b->used);
		if (b != a->own)
			free(b);
	}
}
