/**
 * @file cfgnum.h  Numbers of a configuration: default and range
 *
 * A number that is absent or 0 in the struct means its default.
 */

#ifndef COMMON_CFGNUM_H
#define COMMON_CFGNUM_H

#include <stddef.h>
#include <stdint.h>
#include "common/cfgfile.h"

/** A uint32_t in a struct */
struct cfgnum {
	const char *key;
	size_t offset;
	uint32_t def, min, max;
};

/* clang-format off */
#define CFGNUM(type, member, def, min, max)                                   \
	{ #member, offsetof(type, member), (def), (min), (max) }
/* clang-format on */

/** Defaults into base, then ranges; where is what stands before the keys, as
    "pbx[2]."  EINVAL with *e filled */
int cfgnum_apply(void *base, const struct cfgnum *v, size_t n,
		 const char *where, const char *path, struct cfgfile_err *e);

/** Which table is whose */
struct cfgnum_group {
	const char *where; /**< "pbx[].", without the index */
	const struct cfgnum *v;
	size_t n;
};

/** After cfgfile_load() failed for a number that its type cannot hold: says
    the range that is meant */
void cfgnum_tell(struct cfgfile_err *e, const char *path,
		 const struct cfgnum_group *groupv, size_t n);

#endif
