/**
 * @file mediator/admin.h  Prometheus text and liveness, for this host only
 */

#ifndef MEDIATOR_ADMIN_H
#define MEDIATOR_ADMIN_H

#include <re/re.h>
#include "common/metrics.h"

struct admin;

/** More Prometheus text, of families that metrics does not have */
typedef int(admin_more_h)(struct re_printf *pf, void *arg);

/** GET /metrics and /healthz over HTTP at listen, a loopback address.
    metrics must outlive it.  moreh may be NULL */
int admin_alloc(struct admin **ap, const char *listen,
		const struct metrics *metrics, admin_more_h *moreh, void *arg,
		char *reason, size_t reason_sz);

#endif
