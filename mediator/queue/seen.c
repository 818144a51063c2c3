/**
 * @file queue/seen.c  Which ids were here, and what became of them
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <re/re.h>
#include "common/ident.h"
#include "mediator/queue/seen.h"

enum { SEEN_BUCKETS = 65536 };

struct seen_entry {
	struct le he;
	struct le
		done; /**< in seen->done, oldest first, once it has a result */
	struct seen *s;
	void *tenant; /**< reference, so that its address stays its own */
	uint8_t id[WIRE_ID_LEN];
	struct push *p; /**< NULL once it has a result */
	uint64_t done_at;
	struct push_result res;
	char *text; /**< holds both strings of res; NULL if both are "" */
};

struct seen {
	struct hash *ht;
	struct list done;
	uint32_t done_count, count;
	uint64_t keep_ms;
	uint32_t max;
	uint64_t salt; /**< ids are foreign: no one shall aim at a bucket */
};

struct key {
	const void *tenant;
	const uint8_t *id;
};


static void entry_destructor(void *arg)
{
	struct seen_entry *e = arg;

	hash_unlink(&e->he);
	if (e->done.list)
		e->s->done_count--;
	list_unlink(&e->done);
	e->s->count--;
	mem_deref(e->text);
	mem_deref(e->tenant);
}


static void destructor(void *arg)
{
	struct seen *s = arg;

	hash_flush(s->ht);
	mem_deref(s->ht);
}


int seen_alloc(struct seen **sp, uint64_t keep_ms, uint32_t max)
{
	struct seen *s;
	int err;

	if (!sp)
		return EINVAL;

	s = mem_zalloc(sizeof(*s), destructor);
	if (!s)
		return ENOMEM;

	s->keep_ms = keep_ms;
	s->max = max;
	err = hash_alloc(&s->ht, SEEN_BUCKETS);
	if (!err)
		err = ident_random(&s->salt, sizeof(s->salt));
	if (err)
		mem_deref(s);
	else
		*sp = s;

	return err;
}


static uint32_t bucket_of(const struct seen *s, const uint8_t *id)
{
	uint64_t a, b;

	memcpy(&a, id, sizeof(a));
	memcpy(&b, id + sizeof(a), sizeof(b));
	a = (a ^ s->salt) * 0x9e3779b97f4a7c15u;
	a = (a ^ (a >> 29) ^ b) * (s->salt | 1);

	return (uint32_t)(a >> 32);
}


static bool entry_is(struct le *le, void *arg)
{
	const struct seen_entry *e = le->data;
	const struct key *k = arg;

	return e->tenant == k->tenant && !memcmp(e->id, k->id, WIRE_ID_LEN);
}


struct seen_entry *seen_find(struct seen *s, const void *tenant,
			     const uint8_t id[WIRE_ID_LEN])
{
	struct key k = { .tenant = tenant, .id = id };
	struct le *le = hash_lookup(s->ht, bucket_of(s, id), entry_is, &k);

	return le ? le->data : NULL;
}


struct push *seen_look(const struct seen_entry *e, struct push_result *res)
{
	if (!e->p)
		*res = e->res;

	return e->p;
}


int seen_add(struct seen_entry **ep, struct seen *s, void *tenant,
	     const uint8_t id[WIRE_ID_LEN], struct push *p)
{
	struct seen_entry *e = mem_zalloc(sizeof(*e), entry_destructor);

	if (!e)
		return ENOMEM;

	e->s = s;
	e->tenant = mem_ref(tenant);
	e->p = p;
	memcpy(e->id, id, WIRE_ID_LEN);
	hash_append(s->ht, bucket_of(s, id), &e->he, e);
	s->count++;

	*ep = e;
	return 0;
}


static int text_keep(struct seen_entry *e)
{
	size_t n = strlen(e->res.reason), m = strlen(e->res.provider_id);

	if (n + m) {
		e->text = mem_alloc(n + m + 2, NULL);
		if (!e->text)
			return ENOMEM;
		memcpy(e->text, e->res.reason, n + 1);
		memcpy(e->text + n + 1, e->res.provider_id, m + 1);
	}
	e->res.reason = n ? e->text : "";
	e->res.provider_id = m ? e->text + n + 1 : "";

	return 0;
}


void seen_done(struct seen_entry *e, const struct push_result *res,
	       uint64_t now)
{
	struct seen *s = e->s;

	e->p = NULL;
	e->res = *res;
	if (text_keep(e)) {
		seen_forget(e);
		return;
	}

	e->done_at = now;
	list_append(&s->done, &e->done, e);
	if (++s->done_count > s->max)
		seen_forget(s->done.head->data);
}


void seen_forget(struct seen_entry *e)
{
	if (!e)
		return;

	mem_deref(e);
}


void seen_turn(struct seen *s, uint64_t now)
{
	struct le *le;

	while ((le = s->done.head)) {
		struct seen_entry *e = le->data;

		if (now - e->done_at < s->keep_ms)
			break;
		seen_forget(e);
	}
}


uint32_t seen_count(const struct seen *s)
{
	return s ? s->count : 0;
}
