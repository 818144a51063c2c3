/**
 * @file resolve.h  From a SIP domain to addresses; RFC 3263, RFC 2782
 *
 * One object per name.  It asks by itself as long as it lives: again when
 * the answer's time to live is over, soon when not all of it came.  The last
 * good answer stays for 24 h without DNS, or with half of it.  A name that is
 * to be reached over TLS gets TLS hops or none.  Fail-over is by marking hops
 * as down.  A question waits for five seconds; new name servers are asked from
 * the next walk on, and at once where the old ones are silent.
 */

#ifndef SIPIS_RESOLVE_H
#define SIPIS_RESOLVE_H

#include <re/re.h>
#include "sipis/cfg.h"

enum { RESOLVE_HOPS = 16 };

struct resolve_hop {
	struct sa addr;
	enum sip_transp tp;
	uint64_t down_until; /**< clock_mono_ms() */
};

struct resolve;
/** There is a (new) answer */
typedef void(resolve_h)(struct resolve *r, void *arg);

struct resolve_prm {
	struct dnsc *dnsc; /**< NULL: hosts file and getaddrinfo() only */
	struct nameserv *nameserv; /**< of dnsc; NULL: they do not change */
	const char *host;
	uint16_t port; /**< 0: by SRV, else the protocol's */
	enum cfg_transport tp;
	const char *hosts; /**< NULL: /etc/hosts */
	resolve_h *h;
	void *arg;
};

/** A numeric host is there at once; h is never called from in here */
int resolve_alloc(struct resolve **rp, const struct resolve_prm *prm);

/** Hop number n of those that are not down, best first; ENOENT past the
    last, EAGAIN while there is no answer at all */
int resolve_hop(const struct resolve *r, unsigned n, uint64_t now,
		struct resolve_hop *hop);
void resolve_down(struct resolve *r, const struct sa *addr, enum sip_transp tp,
		  uint64_t until);
/** Milliseconds until the first hop is up again; 0: one is, or none is
    known */
uint64_t resolve_wait(const struct resolve *r, uint64_t now);
/** Until when its last good answer stands, monotonic ms; UINT64_MAX for an
    address */
uint64_t resolve_good_until(const struct resolve *r);
/** Is addr (without port) among the hops? */
bool resolve_has(const struct resolve *r, const struct sa *addr);
bool resolve_is(const struct resolve *r, const char *host, uint16_t port,
		enum cfg_transport tp);

/** "host", "host:port", "[v6]", "[v6]:port", a bare v6 address */
int resolve_split(const char *hostport, char *host, size_t size,
		  uint16_t *port);

#endif
