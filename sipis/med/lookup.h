/**
 * @file lookup.h  A host name into addresses, off the loop
 *
 * getaddrinfo() knows /etc/hosts, TCP fall-back and caches of the system,
 * but blocks; it runs in a thread of its own for this one question.
 */

#ifndef SIPIS_MED_LOOKUP_H
#define SIPIS_MED_LOOKUP_H

#include <re/re.h>

#define LOOKUP_MAX 8

struct lookup;

/** err 0: n >= 1 addresses in the order of RFC 6724 */
typedef void(lookup_h)(int err, const struct sa *addrv, unsigned n, void *arg);

/** Literal addresses go the same way, without a thread.  h is never called
    before the function returns; mem_deref(*rp) to hear no more */
int lookup_alloc(struct lookup **rp, const char *host, uint16_t port,
		 lookup_h *h, void *arg);

/** "host", "host:port", "address", "[v6]:port"; host has size bytes */
int lookup_split(char *host, size_t size, uint16_t *port, const char *s,
		 uint16_t default_port);

#endif
