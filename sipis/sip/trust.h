/**
 * @file trust.h  The addresses from which a PBX may speak
 *
 * Every address that a name of the profile resolved to, as long as that
 * answer stands; what the operator wrote down himself stays.
 */

#ifndef SIPIS_TRUST_H
#define SIPIS_TRUST_H

#include "sipis/sip/cidr.h"

struct trust;

int trust_alloc(struct trust **tp);
/** until: monotonic ms; UINT64_MAX for ever.  It is never shortened */
void trust_add(struct trust *t, const struct sa *addr, uint64_t until);
/** What the operator wrote down: for ever */
int trust_add_range(struct trust *t, const struct cidr *range);
/** All of them; mem_deref(*vp) */
int trust_ranges(struct cidr **vp, size_t *np, const struct trust *t,
		 uint64_t now);
bool trust_has(const struct trust *t, const struct sa *addr, uint64_t now);

#endif
