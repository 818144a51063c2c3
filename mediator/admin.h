/**
 * @file mediator/admin.h  Prometheus text and liveness, for this host only
 */

#ifndef MEDIATOR_ADMIN_H
#define MEDIATOR_ADMIN_H

#include "common/metrics.h"

struct admin;

/** GET /metrics and /healthz over HTTP at listen, a loopback address.
    metrics must outlive it */
int admin_alloc(struct admin **ap, const char *listen,
		const struct metrics *metrics, char *reason, size_t reason_sz);

#endif
