/**
 * @file limit.c  Token buckets by key: so many of something per somebody
 */

#include <errno.h>
#include <string.h>
#include <re/re.h>
#include "common/bucket.h"
#include "common/ident.h"
#include "sipis/inst/limit.h"

struct limit {
	struct hash *keys;
	struct list lru; /**< longest silent first */
	double rate, burst;
	unsigned count, max;
	uint8_t salt[8]; /**< so that nobody can choose keys that collide */
};

struct entry {
	struct le he, le;
	struct limit *l;
	struct bucket bucket;
	char key[LIMIT_KEY_MAX];
};


static void entry_destructor(void *arg)
{
	struct entry *e = arg;

	hash_unlink(&e->he);
	list_unlink(&e->le);
	e->l->count--;
}


static void destructor(void *arg)
{
	struct limit *l = arg;

	list_flush(&l->lru);
	mem_deref(l->keys);
}


int limit_alloc(struct limit **lp, double rate, double burst,
		unsigned max_keys)
{
	struct limit *l;
	int err;

	if (!lp || rate <= 0 || burst < 1 || !max_keys)
		return EINVAL;

	l = mem_zalloc(sizeof(*l), destructor);
	if (!l)
		return ENOMEM;

	l->rate = rate;
	l->burst = burst;
	l->max = max_keys;
	err = ident_random(l->salt, sizeof(l->salt));
	if (!err)
		err = hash_alloc(&l->keys, hash_valid_size(max_keys));
	if (err)
		mem_deref(l);
	else
		*lp = l;
	return err;
}


static bool same_key(struct le *le, void *arg)
{
	const struct entry *e = le->data;

	return !strncmp(e->key, arg, LIMIT_KEY_MAX - 1);
}


static uint32_t key_hash(const struct limit *l, const char *key)
{
	uint8_t buf[sizeof(l->salt) + LIMIT_KEY_MAX];
	const size_t n = strnlen(key, LIMIT_KEY_MAX - 1);

	memcpy(buf, l->salt, sizeof(l->salt));
	memcpy(buf + sizeof(l->salt), key, n);
	return hash_joaat(buf, sizeof(l->salt) + n);
}


static struct entry *find(const struct limit *l, const char *key)
{
	return list_ledata(
		hash_lookup(l->keys, key_hash(l, key), same_key, (void *)key));
}


static struct entry *make(struct limit *l, const char *key, uint64_t now_ms)
{
	struct entry *e;

	if (l->count >= l->max)
		mem_deref(list_ledata(list_head(&l->lru)));

	e = mem_zalloc(sizeof(*e), entry_destructor);
	if (!e)
		return NULL;

	e->l = l;
	l->count++;
	bucket_init(&e->bucket, l->rate, l->burst, now_ms);
	(void)str_ncpy(e->key, key, sizeof(e->key));
	hash_append(l->keys, key_hash(l, key), &e->he, e);
	list_append(&l->lru, &e->le, e);
	return e;
}


bool limit_take(struct limit *l, const char *key, double n, uint64_t now_ms)
{
	struct entry *e = find(l, key);

	if (e) {
		list_unlink(&e->le);
		list_append(&l->lru, &e->le, e);
	}
	else {
		e = make(l, key, now_ms);
	}

	/* without memory nobody is let in for free */
	return e && bucket_take(&e->bucket, n, now_ms);
}


bool limit_has(const struct limit *l, const char *key, double n,
	       uint64_t now_ms)
{
	const struct entry *e = find(l, key);

	return !e || !bucket_wait(&e->bucket, n, now_ms);
}


uint32_t limit_wait_s(const struct limit *l, const char *key, double n,
		      uint64_t now_ms)
{
	const struct entry *e = find(l, key);
	const uint64_t ms = e ? bucket_wait(&e->bucket, n, now_ms) : 0;

	return ms < 1000 ? 1 : (uint32_t)((ms + 999) / 1000);
}


double limit_burst(const struct limit *l)
{
	return l->burst;
}


unsigned limit_keys(const struct limit *l)
{
	return l->count;
}
