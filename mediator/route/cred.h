/**
 * @file route/cred.h  One credential and the places it opens
 */

#ifndef MEDIATOR_ROUTE_CRED_H
#define MEDIATOR_ROUTE_CRED_H

#include "mediator/cfg.h"
#include "mediator/drv/dest.h"
#include "mediator/route/origins.h"

struct cred;

struct cred_prm {
	const struct mcfg_credential *cfg;
	uint32_t index;   /**< in the configuration, for errors */
	const char *path; /**< of the configuration, for errors */
	const char *state_dir;
	const uint8_t *seal_key;
	struct signer *signer;
	const struct dest_counters *counters;
	dest_result_h *resulth;
	void *arg;
};

/** If old (NULL = none) has the very same credential, its places are shared:
    connections and bearer live on.  0, or an errno value with *e filled */
int cred_alloc(struct cred **cp, const struct list *old,
	       const struct cred_prm *prm, struct cfgfile_err *e);

struct le *cred_le(struct cred *c);
struct cred *cred_find(const struct list *creds, const char *name);

/** apns: 0 production, 1 sandbox; fcm: 0 */
struct dest *cred_dest(const struct cred *c, int i);

/** NULL: no webpush */
struct origins *cred_origins(const struct cred *c);

int cred_print(struct re_printf *pf, const struct cred *c);

#endif
