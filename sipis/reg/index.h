/**
 * @file index.h  Many keys in few bytes: open addressing over slot numbers
 *
 * Holds nothing but 32-bit slot numbers; the keys stay where they are.
 * Linear probing, removal by shifting back, at most 7/8 full: 5 to 9 bytes
 * per entry.
 */

#ifndef SIPIS_INDEX_H
#define SIPIS_INDEX_H

#include <stdbool.h>
#include <stdint.h>

struct index_table {
	uint32_t *v; /**< slot + 1; 0 = free */
	uint32_t mask, n;
};

/** The hash of what stands in a slot */
typedef uint64_t(index_hash_h)(uint32_t slot, const void *arg);
typedef bool(index_equal_h)(uint32_t slot, const void *key, const void *arg);

void index_free(struct index_table *t);
int index_add(struct index_table *t, uint32_t slot, index_hash_h *h,
	      const void *arg);
/** UINT32_MAX: not there */
uint32_t index_find(const struct index_table *t, uint64_t hash,
		    const void *key, index_equal_h *eq, const void *arg);
void index_remove(struct index_table *t, uint32_t slot, index_hash_h *h,
		  const void *arg);

#endif
