/**
 * @file acctmem.h  Very many small blocks that come and go one by one
 *
 * In steps of 8 bytes, without a header: the caller knows the size.  What is
 * freed is used again for the same size and goes back to the system at the
 * end.
 */

#ifndef SIPIS_ACCTMEM_H
#define SIPIS_ACCTMEM_H

#include <stddef.h>
#include <stdint.h>

enum { ACCTMEM_STEP = 8, ACCTMEM_MAX = 512 }; /* larger ones: malloc() */

struct acctmem {
	void *free[ACCTMEM_MAX / ACCTMEM_STEP + 1];
	void *blocks; /**< a chain */
	uint8_t *next;
	size_t left;
};

void *acctmem_alloc(struct acctmem *a, size_t size);
void acctmem_free(struct acctmem *a, void *p, size_t size);
/** All at once; what malloc() gave stays the caller's */
void acctmem_close(struct acctmem *a);

#endif
