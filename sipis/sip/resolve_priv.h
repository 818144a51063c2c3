/**
 * @file resolve_priv.h  What the two files of a resolver share
 *
 *     resolve.c        the walk through DNS
 *     resolve_hops.c   what it found: the answer that stands, and the next
 */

#ifndef SIPIS_RESOLVE_PRIV_H
#define SIPIS_RESOLVE_PRIV_H

#include "sipis/sip/hosts.h"
#include "sipis/sip/resolve.h"

enum { RESOLVE_SERVICES = 8, RESOLVE_TARGETS = 8 };

/* A SRV name to ask */
struct service {
	char name[256];
	enum sip_transp tp;
	uint16_t order, pref;
};

/* A host to ask */
struct target {
	char name[256];
	enum sip_transp tp;
	uint16_t port, pri, weight;
	unsigned service;
};

struct resolve {
	char *host, *hosts;
	uint16_t port;
	enum cfg_transport want;
	struct dnsc *dnsc;
	struct nameserv *nameserv;
	uint32_t servers; /* which ones this walk asks: nameserv_look() */
	resolve_h *h;
	void *arg;

	struct resolve_hop hopv[RESOLVE_HOPS]; /* the last good answer */
	unsigned hopc;
	uint64_t good_until;
	bool guessed;

	/* the answer in the making */
	struct resolve_hop nextv[RESOLVE_HOPS];
	unsigned nextc;
	struct service servicev[RESOLVE_SERVICES];
	unsigned servicec, servicei;
	struct target targetv[RESOLVE_TARGETS];
	unsigned targetc, targeti;
	bool first_service_only; /* alternatives, not a list */
	bool unanswered;         /* a question of this walk was not */
	uint32_t ttl;
	struct dns_query *q, *q6;
	dns_query_h *qh; /* of the question that waits */
	struct hosts_query *hq;
	struct tmr tmr; /* the next walk, or the limit of a question */
};

/* --- resolve_hops.c --- */

/** One more for the answer in the making; not twice */
void resolve_hop_add(struct resolve *r, const struct sa *addr,
		     enum sip_transp tp, uint16_t port);
/** Is what there is better than what was found? */
bool resolve_hops_stand(const struct resolve *r);
/** What was found is the answer; hops that are down stay so */
void resolve_hops_adopt(struct resolve *r);

#endif
