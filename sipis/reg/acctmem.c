/**
 * @file acctmem.c  Very many small blocks that come and go one by one
 */

#include <stdlib.h>
#include <string.h>
#include "sipis/reg/acctmem.h"


enum { BLOCK = 64 * 1024 };

/* Begins with the one before it */
struct block {
	struct block *prev;
	uint8_t data[];
};


static size_t class_of(size_t size)
{
	return size ? (size + ACCTMEM_STEP - 1) / ACCTMEM_STEP : 1;
}


static void *take(struct acctmem *m, size_t class)
{
	const size_t size = class * ACCTMEM_STEP;
	void *p = m->free[class];

	if (p) {
		memcpy(&m->free[class], p, sizeof(void *));
		return p;
	}

	if (m->left < size) {
		struct block *b = malloc(BLOCK);

		if (!b)
			return NULL;
		b->prev = m->blocks;
		m->blocks = b;
		m->next = b->data;
		m->left = BLOCK - sizeof(*b);
	}

	p = m->next;
	m->next += size;
	m->left -= size;

	return p;
}


void *acctmem_alloc(struct acctmem *m, size_t size)
{
	return size > ACCTMEM_MAX ? malloc(size) : take(m, class_of(size));
}


void acctmem_free(struct acctmem *m, void *p, size_t size)
{
	if (!p)
		return;

	if (size > ACCTMEM_MAX) {
		free(p);
		return;
	}

	memcpy(p, &m->free[class_of(size)], sizeof(void *));
	m->free[class_of(size)] = p;
}


void acctmem_close(struct acctmem *m)
{
	struct block *b = m->blocks;

	while (b) {
		struct block *prev = b->prev;

		free(b);
		b = prev;
	}
	memset(m, 0, sizeof(*m));
}
