/**
 * @file queue/tenant.h  One operator at run time
 *
 * Lives as long as anything points to it: sessions and pushes hold a
 * reference, the site holds one while the tenant is configured.
 */

#ifndef MEDIATOR_QUEUE_TENANT_H
#define MEDIATOR_QUEUE_TENANT_H

#include <stdbool.h>
#include <stdint.h>
#include <re/re.h>
#include "common/bucket.h"
#include "mediator/cfg.h"
#include "proto/wire.h"

enum { TENANT_OUTCOMES = WIRE__OUTCOME__DUPLICATE + 1 };

enum queue_lane { QUEUE_CALLS, QUEUE_OTHERS, QUEUE_LANES };

struct tenant_rights;

struct tenant {
	struct le le;
	char *name;
	struct tenant_rights *rights; /**< reference; NULL = none */
	struct mcfg_limits limits;
	/* One of each per lane: messages cost a call nothing */
	struct bucket bucket[QUEUE_LANES];
	uint32_t waiting[QUEUE_LANES];     /**< pushes in queues */
	uint32_t connections;              /**< sessions after their Hello */
	uint64_t outcome[TENANT_OUTCOMES]; /**< pushes that ended so */
};

int tenant_alloc(struct tenant **tp, const char *name);

/** What a configuration says of one tenant, beside the tenant itself */
int tenant_rights_alloc(struct tenant_rights **rp,
			const struct mcfg_tenant *cfg);

/** From now on t has these; what its buckets hold stays.  Cannot fail.
    now: monotonic ms */
void tenant_grant(struct tenant *t, struct tenant_rights *r, uint64_t now);

bool tenant_may(const struct tenant *t, const char *app);

#endif
