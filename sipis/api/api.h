/**
 * @file api.h  HTTPS in front of inst, and HTTP for the operator
 *
 * libwebsockets in a thread of its own: TLS >= 1.2, HTTP/1.1 and nothing
 * else, limits per address, JSON in and out.  It decides nothing: requests
 * travel to the loop as mails and answers come back the same way.
 */

#ifndef SIPIS_API_H
#define SIPIS_API_H

#include <re/re.h>
#include "common/metrics.h"
#include "sipis/cfg.h"
#include "sipis/inst/inst.h"
#include "sipis/inst/sight.h"

struct api;

struct api_prm {
	const struct api_cfg *cfg;
	const struct admin_cfg *admin;
	const struct edge_cfg *edge; /**< where phones find it */
	const char *node;            /**< for /healthz and the admin pages */
	struct inst *inst;
	struct inst_sight sight;
	struct store *store;
	struct reg *reg;
	struct calls *calls;
	struct med *med;
	struct metrics *metrics;
};

/** Opens the listeners and starts the thread; reason gets a sentence for the
    operator.  Call on the loop's thread */
int api_alloc(struct api **apip, const struct api_prm *prm, char *reason,
	      size_t reason_sz);
/** Stops the thread; blocks */
void api_close(struct api *api);

/** Certificate and key of the listeners, read again: a file that is no good
    changes nothing, and reason says why.  Connections that stand keep
    theirs */
int api_renew(struct api *api, char *reason, size_t reason_sz);

/** Ports in use, for listeners that asked for port 0; 0: none such */
uint16_t api_port(const struct api *api, unsigned n);
uint16_t api_admin_port(const struct api *api);

#endif
