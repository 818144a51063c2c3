/**
 * @file trust.h  The addresses from which a PBX may speak
 *
 * Every address that a name of the profile ever resolved to stays for 24 h
 * after it was last seen in an answer.
 */

#ifndef SIPIS_TRUST_H
#define SIPIS_TRUST_H

#include <re/re.h>

struct trust;

int trust_alloc(struct trust **tp);
void trust_add(struct trust *t, const struct sa *addr, uint64_t now);
bool trust_has(const struct trust *t, const struct sa *addr, uint64_t now);

#endif
