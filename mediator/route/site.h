/**
 * @file route/site.h  What a configuration means at run time
 *
 * Tenants, apps and credentials with everything that hangs on them, made as a
 * whole or not at all.  A reload makes a new site beside the old one; what is
 * the same in both (tenants with their buckets, credentials with their
 * connections and bearers) goes over.
 */

#ifndef MEDIATOR_ROUTE_SITE_H
#define MEDIATOR_ROUTE_SITE_H

#include "mediator/cfg.h"
#include "mediator/drv/dest.h"
#include "mediator/route/handle.h"

struct site;

struct site_prm {
	const char *path; /**< of the configuration, for errors */
	struct signer *signer;
	const struct dest_counters *counters;
	dest_result_h *resulth;
	void *arg;
};

/** Takes cfg over, on failure too.  old may be NULL.  0, or an errno value
    with *e filled */
int site_alloc(struct site **sp, struct mcfg *cfg, const struct site *old,
	       const struct site_prm *prm, struct cfgfile_err *e);

/** From now on its tenants have the rights of this site.  Until then those of
    the old one go on: it may be refused after all.  Cannot fail */
void site_grant(const struct site *s);

const struct mcfg *site_cfg(const struct site *s);
struct tls *site_tls(const struct site *s);
const struct handle_keys *site_handle_keys(const struct site *s);

/** NULL: not known */
struct tenant *site_tenant(const struct site *s, const char *name);

/** The app's bundle id; NULL without one */
const char *site_topic(const struct site *s, const char *app);

/** Could a push to t go anywhere?  Makes no place for it.  EPERM, ENOENT and
    EACCES as below */
int site_allows(const struct site *s, const struct tenant *tenant,
		const struct push_target *t);

/** Where a push to t goes; no references.  EPERM: the tenant may not use the
    app; ENOENT: the app is not there or not with this provider;
    EACCES, ENOSPC: as origins_route() says */
int site_route(const struct site *s, const struct tenant *tenant,
	       const struct push_target *t, struct dest **dp,
	       struct dest_line **lp);

/** Prometheus text: connections and pushes of each tenant.  At most so many
    rows as tenants are configured, times outcomes */
int site_metrics(struct re_printf *pf, const struct site *s);

int site_print(struct re_printf *pf, const struct site *s);

#endif
