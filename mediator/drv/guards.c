/**
 * @file drv/guards.c  A guard for each tenant of one app at one destination
 */

#include <errno.h>
#include "mediator/drv/guards.h"

enum { BUCKETS = 64 };

struct entry {
	struct le he;
	struct tenant *tenant; /**< reference: its address is the key */
	struct guard guard;
};

struct guards {
	struct hash *entries; /**< owns */
	struct guard spare;
};


static void entry_destructor(void *arg)
{
	struct entry *e = arg;

	hash_unlink(&e->he);
	mem_deref(e->tenant);
}


static void destructor(void *arg)
{
	struct guards *g = arg;

	if (g->entries)
		hash_flush(g->entries);
	mem_deref(g->entries);
}


int guards_alloc(struct guards **gp)
{
	struct guards *g;
	int err;

	if (!gp)
		return EINVAL;

	g = mem_zalloc(sizeof(*g), destructor);
	if (!g)
		return ENOMEM;

	err = hash_alloc(&g->entries, BUCKETS);
	if (err)
		mem_deref(g);
	else
		*gp = g;

	return err;
}


static bool entry_is(struct le *le, void *arg)
{
	const struct entry *e = le->data;

	return e->tenant == arg;
}


struct guard *guards_of(struct guards *g, struct tenant *t)
{
	uint32_t key = (uint32_t)((uintptr_t)t >> 6);
	struct le *le = hash_lookup(g->entries, key, entry_is, t);
	struct entry *e;

	if (le) {
		e = le->data;
		return &e->guard;
	}

	e = mem_zalloc(sizeof(*e), entry_destructor);
	if (!e)
		return &g->spare;

	e->tenant = mem_ref(t);
	hash_append(g->entries, key, &e->he, e);
	return &e->guard;
}
