/**
 * @file spent.c  Nonces that have been answered, and how often; pure
 */

#include <errno.h>
#include "sipis/edge/nonce.h"
#include "sipis/edge/spent.h"


enum { SIZE = 16384 };

struct edge_spent {
	struct hash *ids;
	struct list list; /**< oldest answer first */
	uint32_t max, count;
	uint32_t floor; /**< of what was made before nothing is known */
};

struct nonce {
	struct le he, le;
	uint64_t id;
	uint32_t time, nc;
};


static void nonce_destructor(void *data)
{
	struct nonce *n = data;

	hash_unlink(&n->he);
	list_unlink(&n->le);
}


static void destructor(void *data)
{
	struct edge_spent *s = data;

	list_flush(&s->list);
	mem_deref(s->ids);
}


int edge_spent_alloc(struct edge_spent **sp, uint32_t max, uint32_t now_s)
{
	struct edge_spent *s;
	int err;

	if (!sp || !max)
		return EINVAL;

	s = mem_zalloc(sizeof(*s), destructor);
	if (!s)
		return ENOMEM;

	s->max = max;
	s->floor = now_s;
	err = hash_alloc(&s->ids, SIZE);
	if (err)
		mem_deref(s);
	else
		*sp = s;

	return err;
}


static bool id_handler(struct le *le, void *arg)
{
	const struct nonce *n = le->data;
	const uint64_t *id = arg;

	return n->id == *id;
}


static struct nonce *find(const struct edge_spent *s, uint64_t id)
{
	return list_ledata(hash_lookup(s->ids, (uint32_t)id, id_handler, &id));
}


/* What is too old is stale anyway; what has to go before that takes all of
   its age along */
static void make_room(struct edge_spent *s, uint32_t now_s)
{
	struct nonce *n;

	while ((n = list_ledata(list_head(&s->list)))) {
		const bool old = now_s - n->time > EDGE_NONCE_S;

		if (!old && s->count < s->max)
			return;
		if (!old && n->time >= s->floor)
			s->floor = n->time + 1;
		mem_deref(n);
		--s->count;
	}
}


bool edge_spent_take(struct edge_spent *s, const struct pl *nonce, uint32_t nc,
		     uint32_t now_s)
{
	const uint64_t id = edge_nonce_id(nonce);
	const uint32_t time = edge_nonce_time(nonce);
	struct nonce *n = find(s, id);

	if (n && nc > n->nc) {
		n->nc = nc;
		return true;
	}
	if (n || !nc || time < s->floor)
		return false;

	make_room(s, now_s);
	n = mem_zalloc(sizeof(*n), nonce_destructor);
	if (!n)
		return false;

	n->id = id;
	n->time = time;
	n->nc = nc;
	hash_append(s->ids, (uint32_t)id, &n->he, n);
	list_append(&s->list, &n->le, n);
	++s->count;

	return true;
}
