/**
 * @file trust.c  The addresses from which a PBX may speak
 */

#include <errno.h>
#include "sipis/sip/trust.h"


enum { BUCKETS = 64 };

struct trust {
	struct hash *ht;
	struct list ranges;
};

struct entry {
	struct le he;
	struct sa addr;
	uint64_t until;
};


struct range {
	struct le le;
	struct cidr cidr;
};


static void destructor(void *data)
{
	struct trust *t = data;

	hash_flush(t->ht);
	mem_deref(t->ht);
	list_flush(&t->ranges);
}


static void entry_destructor(void *data)
{
	struct entry *e = data;

	hash_unlink(&e->he);
}


static void range_destructor(void *data)
{
	struct range *r = data;

	list_unlink(&r->le);
}


int trust_alloc(struct trust **tp)
{
	struct trust *t;
	int err;

	if (!tp)
		return EINVAL;

	t = mem_zalloc(sizeof(*t), destructor);
	if (!t)
		return ENOMEM;

	err = hash_alloc(&t->ht, BUCKETS);
	if (err)
		mem_deref(t);
	else
		*tp = t;

	return err;
}


static struct entry *find(const struct trust *t, const struct sa *addr)
{
	struct le *le = list_head(hash_list(t->ht, sa_hash(addr, SA_ADDR)));

	for (; le; le = le->next) {
		struct entry *e = le->data;

		if (sa_cmp(&e->addr, addr, SA_ADDR))
			return e;
	}

	return NULL;
}


void trust_add(struct trust *t, const struct sa *addr, uint64_t until)
{
	struct entry *e;

	if (!t || !addr)
		return;

	e = find(t, addr);
	if (!e) {
		e = mem_zalloc(sizeof(*e), entry_destructor);
		if (!e)
			return;
		e->addr = *addr;
		hash_append(t->ht, sa_hash(addr, SA_ADDR), &e->he, e);
	}

	if (e->until < until)
		e->until = until;
}


int trust_add_range(struct trust *t, const struct cidr *range)
{
	struct range *r;

	if (!t || !range)
		return EINVAL;

	r = mem_zalloc(sizeof(*r), range_destructor);
	if (!r)
		return ENOMEM;

	r->cidr = *range;
	list_append(&t->ranges, &r->le, r);

	return 0;
}


struct room {
	struct cidr *v;
	size_t n, max;
	uint64_t now;
};


static void room_add(struct room *room, const struct cidr *c)
{
	if (room->v && room->n < room->max)
		room->v[room->n] = *c;
	++room->n;
}


static bool entry_handler(struct le *le, void *arg)
{
	const struct entry *e = le->data;
	struct room *room = arg;
	const struct cidr one = {
		.addr = e->addr,
		.bits = sa_af(&e->addr) == AF_INET6 ? 128 : 32,
	};

	if (e->until > room->now)
		room_add(room, &one);

	return false;
}


static void fill(struct room *room, const struct trust *t)
{
	room->n = 0;
	(void)hash_apply(t->ht, entry_handler, room);
	for (struct le *le = t->ranges.head; le; le = le->next)
		room_add(room, &((const struct range *)le->data)->cidr);
}


int trust_ranges(struct cidr **vp, size_t *np, const struct trust *t,
		 uint64_t now)
{
	struct room room = { .v = NULL, .now = now };

	if (!vp || !np || !t)
		return EINVAL;

	fill(&room, t);
	room.max = room.n;
	room.v = mem_zalloc((room.max + 1) * sizeof(*room.v), NULL);
	if (!room.v)
		return ENOMEM;
	fill(&room, t);

	*vp = room.v;
	*np = room.n;

	return 0;
}


static bool in_range(const struct trust *t, const struct sa *addr)
{
	for (struct le *le = t->ranges.head; le; le = le->next) {
		const struct range *r = le->data;

		if (cidr_has(&r->cidr, addr))
			return true;
	}

	return false;
}


bool trust_has(const struct trust *t, const struct sa *addr, uint64_t now)
{
	struct entry *e = t && addr ? find(t, addr) : NULL;

	if (e && e->until <= now) {
		mem_deref(e);
		e = NULL;
	}

	return e || (t && addr && in_range(t, addr));
}
