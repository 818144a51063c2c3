/**
 * @file cidr.h  A range of addresses; RFC 4632, RFC 4291 2.3
 */

#ifndef SIPIS_CIDR_H
#define SIPIS_CIDR_H

#include <re/re.h>

struct cidr {
	struct sa addr; /**< the first of them; no port */
	unsigned bits;  /**< that all have in common */
};

/** "192.0.2.0/24", "2001:db8::/32", or one address.  EINVAL; EDOM: it has
    bits behind the prefix; ERANGE: everything */
int cidr_decode(struct cidr *c, const char *text);
bool cidr_has(const struct cidr *c, const struct sa *addr);

#endif
