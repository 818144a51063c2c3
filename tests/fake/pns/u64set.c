/**
 * @file u64set.c  A growing set of 64-bit hashes, open addressing
 *
 * Remembers millions of ids for the counters of duplicates.  Two different
 * ids with one hash would count as a duplicate: at 10 million ids the chance
 * is about one in 400,000.
 */

#include <errno.h>
#include "pns.h"

#define FIRST_SIZE 1024

struct pns_u64set {
	uint64_t *v;
	size_t size, used;
};


static void set_destructor(void *arg)
{
	struct pns_u64set *s = arg;

	mem_deref(s->v);
}


int pns_u64set_alloc(struct pns_u64set **sp)
{
	struct pns_u64set *s = mem_zalloc(sizeof(*s), set_destructor);

	if (!s)
		return ENOMEM;

	*sp = s;

	return 0;
}


static bool insert(uint64_t *v, size_t size, uint64_t h)
{
	size_t i = h & (size - 1);

	while (v[i]) {
		if (v[i] == h)
			return true;
		i = (i + 1) & (size - 1);
	}
	v[i] = h;

	return false;
}


static int grow(struct pns_u64set *s)
{
	const size_t size = s->size ? s->size * 2 : FIRST_SIZE;
	uint64_t *v = mem_zalloc(size * sizeof(*v), NULL);

	if (!v)
		return ENOMEM;

	for (size_t i = 0; i < s->size; i++) {
		if (s->v[i])
			(void)insert(v, size, s->v[i]);
	}
	mem_deref(s->v);
	s->v = v;
	s->size = size;

	return 0;
}


bool pns_u64set_put(struct pns_u64set *s, uint64_t v)
{
	if (s->used * 2 >= s->size && grow(s))
		return false;
	if (insert(s->v, s->size, v ? v : 1))
		return true;
	++s->used;

	return false;
}


void pns_u64set_clear(struct pns_u64set *s)
{
	s->v = mem_deref(s->v);
	s->size = s->used = 0;
}


/* FNV-1a with a final mix: the low bits choose the slot */
uint64_t pns_hash64(uint64_t seed, const void *p, size_t len)
{
	const uint8_t *b = p;
	uint64_t h = 0xcbf29ce484222325ull ^ seed;

	for (size_t i = 0; i < len; i++) {
		h ^= b[i];
		h *= 0x100000001b3ull;
	}
	h ^= h >> 33;
	h *= 0xff51afd7ed558ccdull;

	return h ^ (h >> 33);
}
