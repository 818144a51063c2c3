/**
 * @file table.c  Where the accounts stand: slots, and two ways to find one
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "sipis/reg/priv.h"


enum { CHUNK = 1024 }; /* accounts per allocation */

struct chunk {
	struct acct v[CHUNK];
};


struct acct *reg_slot(const struct reg *reg, uint32_t slot)
{
	return &reg->chunkv[slot / CHUNK]->v[slot % CHUNK];
}


static int chunk_new(struct reg *reg)
{
	struct chunk **v =
		realloc(reg->chunkv, (reg->chunkc + 1) * sizeof(*v));

	if (!v)
		return ENOMEM;

	reg->chunkv = v;
	v[reg->chunkc] = calloc(1, sizeof(**v));
	if (!v[reg->chunkc])
		return ENOMEM;

	++reg->chunkc;

	return 0;
}


int table_new(struct reg *reg, uint32_t *slot)
{
	if (reg->free_slot != UINT32_MAX) {
		*slot = reg->free_slot;
		reg->free_slot = reg_slot(reg, *slot)->link.due;
	}
	else {
		if (reg->slots == reg->chunkc * CHUNK && chunk_new(reg))
			return ENOMEM;
		*slot = reg->slots++;
	}

	memset(reg_slot(reg, *slot), 0, sizeof(struct acct));

	return 0;
}


void table_free(struct reg *reg, uint32_t slot)
{
	struct acct *a = reg_slot(reg, slot);

	if (a->tail)
		acctmem_free(&reg->mem, a->tail, tail_size(a->tail));
	memset(a, 0, sizeof(*a));
	a->link.due = reg->free_slot;
	reg->free_slot = slot;
}


static uint64_t mix(uint64_t x)
{
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ULL;
	x ^= x >> 32;

	return x;
}


static uint64_t id_hash(uint32_t slot, const void *arg)
{
	return mix(reg_slot(arg, slot)->id);
}


static bool id_equal(uint32_t slot, const void *key, const void *arg)
{
	return reg_slot(arg, slot)->id == *(const uint64_t *)key;
}


/* Contact users are random: some of their bits are a hash */
static uint64_t contact_bits(const uint8_t *contact)
{
	uint64_t x;

	memcpy(&x, contact, sizeof(x));

	return mix(x);
}


static uint64_t contact_hash(uint32_t slot, const void *arg)
{
	return contact_bits(reg_slot(arg, slot)->contact);
}


struct contact_key {
	const struct pbx *pbx;
	const uint8_t *contact;
};


static bool contact_equal(uint32_t slot, const void *key, const void *arg)
{
	const struct contact_key *k = key;
	const struct acct *a = reg_slot(arg, slot);

	return !memcmp(a->contact, k->contact, STORE_CONTACT) &&
	       a->line->pbx == k->pbx;
}


struct acct *reg_find(const struct reg *reg, uint64_t id)
{
	uint32_t slot;

	if (!reg)
		return NULL;

	slot = index_find(&reg->by_id, mix(id), &id, id_equal, reg);

	return slot == UINT32_MAX ? NULL : reg_slot(reg, slot);
}


struct acct *reg_find_contact(const struct reg *reg, struct pbx *pbx,
			      const uint8_t contact[STORE_CONTACT])
{
	const struct contact_key key = { pbx, contact };
	uint32_t slot;

	if (!reg || !contact)
		return NULL;

	slot = index_find(&reg->by_contact, contact_bits(contact), &key,
			  contact_equal, reg);

	return slot == UINT32_MAX ? NULL : reg_slot(reg, slot);
}


int table_add(struct reg *reg, uint32_t slot)
{
	int err = index_add(&reg->by_id, slot, id_hash, reg);

	if (err)
		return err;

	err = index_add(&reg->by_contact, slot, contact_hash, reg);
	if (err)
		index_remove(&reg->by_id, slot, id_hash, reg);

	return err;
}


void table_remove(struct reg *reg, const struct acct *a)
{
	const uint32_t slot =
		index_find(&reg->by_id, mix(a->id), &a->id, id_equal, reg);

	if (slot == UINT32_MAX)
		return;

	index_remove(&reg->by_id, slot, id_hash, reg);
	index_remove(&reg->by_contact, slot, contact_hash, reg);
	table_free(reg, slot);
}


void table_close(struct reg *reg)
{
	for (uint32_t i = 0; i < reg->slots; i++) {
		struct tail *t = reg_slot(reg, i)->tail;

		/* The small ones go with their blocks */
		if (t)
			acctmem_free(&reg->mem, t, tail_size(t));
	}
	acctmem_close(&reg->mem);

	for (uint32_t i = 0; i < reg->chunkc; i++)
		free(reg->chunkv[i]);
	free(reg->chunkv);
	reg->chunkv = NULL;
	reg->chunkc = reg->slots = 0;
	index_free(&reg->by_id);
	index_free(&reg->by_contact);
}
