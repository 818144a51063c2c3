/**
 * @file rebuff.c  Phones that came and were refused, of late; pure
 */

#include <errno.h>
#include "sipis/edge/rebuff.h"


struct edge_rebuffs {
	struct hash *accts;
	struct list all; /**< the oldest one first */
	unsigned count, max;
};

struct entry {
	struct le he, le;
	struct edge_rebuffs *of;
	struct edge_rebuff is;
};


static void entry_destructor(void *data)
{
	struct entry *n = data;

	hash_unlink(&n->he);
	list_unlink(&n->le);
	--n->of->count;
}


static void destructor(void *data)
{
	struct edge_rebuffs *r = data;

	list_flush(&r->all);
	mem_deref(r->accts);
}


int edge_rebuffs_alloc(struct edge_rebuffs **rp, unsigned max)
{
	struct edge_rebuffs *r;
	int err;

	if (!rp || !max)
		return EINVAL;

	r = mem_zalloc(sizeof(*r), destructor);
	if (!r)
		return ENOMEM;

	r->max = max;
	err = hash_alloc(&r->accts, hash_valid_size(max));
	if (err)
		mem_deref(r);
	else
		*rp = r;

	return err;
}


static uint32_t key(uint64_t acct)
{
	return hash_joaat((const uint8_t *)&acct, sizeof(acct));
}


/* Who gives way to it, if anybody of its account has to */
static struct entry *in_its_way(const struct edge_rebuffs *r,
				const struct edge_rebuff *b)
{
	struct le *le = list_head(hash_list(r->accts, key(b->acct)));
	struct entry *first = NULL, *near = NULL;
	unsigned all = 0, nears = 0;

	for (; le; le = le->next) {
		struct entry *n = le->data;

		if (n->is.acct != b->acct)
			continue;
		if (!str_casecmp(n->is.phone, b->phone))
			return n;
		first = first ? first : n;
		++all;
		if (!sa_cmp(&n->is.peer, &b->peer, SA_ADDR))
			continue;
		near = near ? near : n;
		++nears;
	}
	if (nears >= EDGE_REBUFFS_ADDR)
		return near;

	return all >= EDGE_REBUFFS_ACCT ? first : NULL;
}


void edge_rebuffs_add(struct edge_rebuffs *r, const struct edge_rebuff *b)
{
	struct entry *n;

	if (!r || !b)
		return;

	mem_deref(in_its_way(r, b));
	if (r->count >= r->max)
		mem_deref(list_ledata(list_head(&r->all)));

	n = mem_zalloc(sizeof(*n), entry_destructor);
	if (!n)
		return;

	n->of = r;
	n->is = *b;
	++r->count;
	hash_append(r->accts, key(b->acct), &n->he, n);
	list_append(&r->all, &n->le, n);
}


void edge_rebuffs_each(const struct edge_rebuffs *r, uint64_t acct,
		       edge_rebuff_h *h, void *arg)
{
	struct le *le =
		r && h ? list_head(hash_list(r->accts, key(acct))) : NULL;

	for (; le; le = le->next) {
		const struct entry *n = le->data;

		if (n->is.acct == acct)
			h(&n->is, arg);
	}
}


unsigned edge_rebuffs_count(const struct edge_rebuffs *r)
{
	return r ? r->count : 0;
}
