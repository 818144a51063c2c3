/**
 * @file hosts.h  Addresses of names that DNS does not have
 *
 * libre's DNS client knows no hosts file.  hosts_file() reads it at once;
 * hosts_lookup() asks the system's resolver on a thread of its own.
 */

#ifndef SIPIS_HOSTS_H
#define SIPIS_HOSTS_H

#include <re/re.h>

enum { HOSTS_MAX = 8 };

/** Addresses of name in a hosts file (path NULL: /etc/hosts); the count */
unsigned hosts_file(struct sa *v, unsigned max, const char *path,
		    const char *name);

struct hosts_query;
typedef void(hosts_h)(const struct sa *v, unsigned n, void *arg);

/** getaddrinfo() elsewhere; h is called once on this loop, n may be 0.
    mem_deref(*qp) forgets it without a call and without waiting */
int hosts_lookup(struct hosts_query **qp, const char *name, hosts_h *h,
		 void *arg);

#endif
