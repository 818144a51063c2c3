/**
 * @file route/origins.h  The push services that one VAPID key is shown to
 *
 * A subscription names its service by URL.  Each origin has a destination of
 * its own: connections, token, breaker.  They are made when they are first
 * asked for, as far as the credential allows the host.  Each pattern has
 * places of its own, and of them the one unused for the longest makes room
 * when there are too many: strangers' hosts, which "*" allows, take none from
 * those that are named.  With "*" the well-known browsers are named as well.
 */

#ifndef MEDIATOR_ROUTE_ORIGINS_H
#define MEDIATOR_ROUTE_ORIGINS_H

#include "mediator/cfg.h"
#include "mediator/drv/dest.h"

struct origins;

enum { ORIGINS_MAX = 128 }; /**< places of one pattern */

struct origins_prm {
	const char *name; /**< of the credential */
	const struct mcfg_webpush *cfg;
	struct signer *signer;
	struct signer_key *key;
	const struct dest_counters *counters;
	dest_result_h *resulth;
	void *arg;
};

/** Copies what it needs of cfg */
int origins_alloc(struct origins **op, const struct origins_prm *prm);

/** May a subscription be there?  Makes no place: what is only enrolled must
    not drive out what is used */
bool origins_allow(const struct origins *o, const char *token);

/** Where a push to token, of this app, goes; no references.  EACCES: no
    service that the credential allows; ENOSPC: all places of its pattern
    are in use */
int origins_route(struct origins *o, const char *app, const char *token,
		  struct dest **dp, struct dest_line **lp);

int origins_print(struct re_printf *pf, const struct origins *o);

#endif
