/**
 * @file phones.c  Phones of accounts as they were read last
 */

#include <errno.h>
#include <stdlib.h>
#include <re/re.h>
#include "common/clock.h"
#include "sipis/store/phones.h"

enum {
	SLOTS = 256,
	BYTES_MAX = 1 << 20,
	AGE_MS = 60000, /**< by then another hand on the file is seen */
};

struct phones {
	struct hash *by_acct;
	struct list used; /**< the longest unused first */
	unsigned count;
	uint32_t idle_ms;
	struct tmr tmr;
	size_t bytes;
	uint64_t tickets;
};

struct phones_entry {
	struct le he, le;
	struct phones *of; /**< NULL: no longer current */
	uint64_t acct;
	uint64_t ticket; /**< of the read that is awaited, 0: kept */
	uint64_t read_at, used_at;
	size_t size;
	struct arena arena; /**< of the rows, in room */
	struct inst_row *instv;
	unsigned instc;
	void *room;
};


static void entry_destructor(void *arg)
{
	struct phones_entry *e = arg;

	arena_clear(&e->arena);
	free(e->room);
}


static void drop(struct phones_entry *e)
{
	struct phones *p = e->of;

	hash_unlink(&e->he);
	list_unlink(&e->le);
	p->bytes -= e->size;
	--p->count;
	e->of = NULL;
	mem_deref(e);
}


static void clear(struct phones *p)
{
	while (p->used.head)
		drop(p->used.head->data);
}


static void destructor(void *arg)
{
	struct phones *p = arg;

	tmr_cancel(&p->tmr);
	clear(p);
	mem_deref(p->by_acct);
}


int phones_alloc(struct phones **pp, uint32_t idle_ms)
{
	struct phones *p = mem_zalloc(sizeof(*p), destructor);
	int err;

	if (!p)
		return ENOMEM;

	p->idle_ms = idle_ms;
	err = hash_alloc(&p->by_acct, SLOTS);
	if (err)
		mem_deref(p);
	else
		*pp = p;
	return err;
}


unsigned phones_count(const struct phones *p)
{
	return p->count;
}


static void idle_handler(void *arg)
{
	struct phones *p = arg;
	const uint64_t now = clock_mono_ms();
	struct le *le = p->used.head;

	while (le) {
		struct phones_entry *e = le->data;

		le = le->next;
		if (now - e->used_at < p->idle_ms)
			break;
		drop(e);
	}
	if (p->used.head)
		tmr_start(&p->tmr, p->idle_ms, idle_handler, p);
}


static uint32_t key_of(uint64_t acct)
{
	return (uint32_t)(acct ^ acct >> 32);
}


static bool of_acct(struct le *le, void *arg)
{
	const struct phones_entry *e = le->data;

	return e->acct == *(const uint64_t *)arg;
}


static struct phones_entry *find(const struct phones *p, uint64_t acct)
{
	return list_ledata(
		hash_lookup(p->by_acct, key_of(acct), of_acct, &acct));
}


struct phones_entry *phones_get(struct phones *p, uint64_t acct)
{
	const uint64_t now = clock_mono_ms();
	struct phones_entry *e = find(p, acct);

	if (!e || e->ticket)
		return NULL;
	if (now - e->read_at >= AGE_MS) {
		drop(e);
		return NULL;
	}

	e->used_at = now;
	list_unlink(&e->le);
	list_append(&p->used, &e->le, e);
	return mem_ref(e);
}


bool phones_current(const struct phones_entry *e)
{
	return e->of;
}


void phones_answer(const struct phones_entry *e, const struct store_req *r)
{
	r->h.insts(0, e->instv, e->instc, r->arg);
}


uint64_t phones_expect(struct phones *p, uint64_t acct)
{
	struct phones_entry *e;

	if (find(p, acct)) /* another read is under way */
		return 0;

	if (p->count >= PHONES_MAX)
		drop(p->used.head->data);

	e = mem_zalloc(sizeof(*e), entry_destructor);
	if (!e)
		return 0;

	e->of = p;
	e->acct = acct;
	e->ticket = ++p->tickets;
	e->used_at = clock_mono_ms();
	e->size = sizeof(*e);
	p->bytes += e->size;
	++p->count;
	hash_append(p->by_acct, key_of(acct), &e->he, e);
	list_append(&p->used, &e->le, e);
	if (!tmr_isrunning(&p->tmr))
		tmr_start(&p->tmr, p->idle_ms, idle_handler, p);
	return e->ticket;
}


/** All rows into one block of memory; many accounts have none */
static int copy(struct phones_entry *e, const struct store_req *r)
{
	const size_t size = r->count ? arena_size(&r->arena) : 0;

	if (!size)
		return 0;

	e->room = malloc(size);
	if (!e->room)
		return ENOMEM;

	arena_init(&e->arena, e->room, size);
	e->instv = arena_get(&e->arena, r->count * sizeof(*e->instv));
	for (unsigned i = 0; i < r->count && !e->arena.failed; i++)
		store_inst_copy(&e->arena, &e->instv[i], &r->rinst[i]);
	if (e->arena.failed)
		return ENOMEM;

	e->instc = r->count;
	e->size += size;
	e->of->bytes += size;
	return 0;
}


void phones_keep(struct phones *p, const struct store_req *r)
{
	struct phones_entry *e = find(p, r->acct_id);

	if (!r->ticket || !e || e->ticket != r->ticket)
		return;

	if (r->err || copy(e, r)) {
		drop(e);
		return;
	}

	e->ticket = 0;
	e->read_at = clock_mono_ms();
	while (p->bytes > BYTES_MAX)
		drop(p->used.head->data);
}


static void forget(struct phones *p, uint64_t acct)
{
	struct phones_entry *e = find(p, acct);

	if (e)
		drop(e);
}


void phones_changed(struct phones *p, const struct store_req *r)
{
	/* whoever has the handle; or nobody knows how far it went */
	if (r->err || r->op == OP_PUSH_RENEW) {
		clear(p);
		return;
	}

	if (r->op == OP_OVERDUE)
		for (unsigned i = 0; i < r->count; i++)
			forget(p, r->items[i].acct.id);
	else
		forget(p, r->racct->id);
}
