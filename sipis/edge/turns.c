/**
 * @file turns.c  Which turn of a request it was; pure
 */

#include <errno.h>
#include <string.h>
#include "sipis/edge/turns.h"


enum { BUCKETS = 4096 };

struct turn {
	struct le he, le;
	uint8_t phone[EDGE_PHONE];
	char *callid;
	uint32_t cseq;
	unsigned turn;
	uint64_t until;
};

struct edge_turns {
	struct hash *hash;
	struct list list; /* oldest first */
	unsigned n, max;
};


static void turn_destructor(void *data)
{
	struct turn *t = data;

	hash_unlink(&t->he);
	list_unlink(&t->le);
	mem_deref(t->callid);
}


static void destructor(void *data)
{
	struct edge_turns *t = data;

	list_flush(&t->list);
	mem_deref(t->hash);
}


int edge_turns_alloc(struct edge_turns **tp, unsigned max)
{
	struct edge_turns *t;
	int err;

	if (!tp || !max)
		return EINVAL;

	t = mem_zalloc(sizeof(*t), destructor);
	if (!t)
		return ENOMEM;

	t->max = max;
	err = hash_alloc(&t->hash, BUCKETS);
	if (err)
		mem_deref(t);
	else
		*tp = t;

	return err;
}


static uint32_t hash_of(const struct edge_turn_key *key)
{
	return hash_joaat((const uint8_t *)key->callid->p, key->callid->l) ^
	       hash_joaat(key->phone, EDGE_PHONE) ^ key->cseq;
}


static struct turn *find(const struct edge_turns *t,
			 const struct edge_turn_key *key)
{
	struct le *le = list_head(hash_list(t->hash, hash_of(key)));

	for (; le; le = le->next) {
		struct turn *x = le->data;

		if (x->cseq == key->cseq &&
		    !memcmp(x->phone, key->phone, EDGE_PHONE) &&
		    !pl_strcmp(key->callid, x->callid))
			return x;
	}

	return NULL;
}


static void drop_oldest(struct edge_turns *t)
{
	mem_deref(t->list.head->data);
	--t->n;
}


static void make_room(struct edge_turns *t, uint64_t now_ms)
{
	while (t->n >= t->max)
		drop_oldest(t);
	while (t->n && ((struct turn *)t->list.head->data)->until <= now_ms)
		drop_oldest(t);
}


int edge_turns_put(struct edge_turns *t, const struct edge_turn_key *key,
		   unsigned turn, uint64_t now_ms)
{
	struct turn *x = find(t, key);

	if (!x) {
		make_room(t, now_ms);
		x = mem_zalloc(sizeof(*x), turn_destructor);
		if (!x || pl_strdup(&x->callid, key->callid)) {
			mem_deref(x);
			return ENOMEM;
		}
		memcpy(x->phone, key->phone, EDGE_PHONE);
		x->cseq = key->cseq;
		hash_append(t->hash, hash_of(key), &x->he, x);
		++t->n;
	}

	list_unlink(&x->le);
	list_append(&t->list, &x->le, x);
	x->turn = turn;
	x->until = now_ms + EDGE_TURNS_MS;

	return 0;
}


unsigned edge_turns_get(const struct edge_turns *t,
			const struct edge_turn_key *key, unsigned other)
{
	const struct turn *x = t->n ? find(t, key) : NULL;

	return x ? x->turn : other;
}
