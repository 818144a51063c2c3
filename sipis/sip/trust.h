/**
 * @file trust.h  The addresses from which a PBX may speak
 *
 * Every address that a name of the profile resolved to, as long as that
 * answer stands; an address that the operator wrote down himself stays.
 */

#ifndef SIPIS_TRUST_H
#define SIPIS_TRUST_H

#include <re/re.h>

struct trust;

int trust_alloc(struct trust **tp);
/** until: monotonic ms; UINT64_MAX for ever.  It is never shortened */
void trust_add(struct trust *t, const struct sa *addr, uint64_t until);
bool trust_has(const struct trust *t, const struct sa *addr, uint64_t now);

#endif
