/**
 * @file srv.h  A DNS SRV name into the mediators behind it
 *
 * Asked at once and again when the answer's time is over, RFC 2782.  The last
 * good answer stays in force while the name servers are silent.
 */

#ifndef SIPIS_MED_SRV_H
#define SIPIS_MED_SRV_H

#include <re/re.h>

#define SRV_MAX       8
#define SRV_NAME_SIZE 262 /**< a domain name, and ":65535" */

struct srv;

/** "host:port" each, in the order in which they are to be used; n >= 1.  Each
    time that the name servers answered, the same list too */
typedef void(srv_h)(const char (*targetv)[SRV_NAME_SIZE], unsigned n,
		    void *arg);

/** Is that an SRV name, and no host?  Those begin with "_" */
bool srv_is_name(const char *name);

/** h is never called before this returns; mem_deref(*sp) to hear no more */
int srv_alloc(struct srv **sp, const char *name, srv_h *h, void *arg);

#endif
