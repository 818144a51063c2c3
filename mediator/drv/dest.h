/**
 * @file drv/dest.h  One provider endpoint under one credential
 *
 * Holds the queue in front of it, its connections, and what was learnt about
 * it.  A push that is submitted comes back exactly once with its result.
 */

#ifndef MEDIATOR_DRV_DEST_H
#define MEDIATOR_DRV_DEST_H

#include "common/metrics.h"
#include "mediator/auth/auth.h"
#include "mediator/cfg.h"
#include "mediator/drv/drv.h"

struct dest;
struct dest_line;

/** p->res is filled.  May be called before dest_submit() returns */
typedef void(dest_result_h)(struct push *p, void *arg);

/** Counted over all destinations; NULLs are not counted */
struct dest_counters {
	struct metric *connects, *retries, *unknown;
};

/** Destinations that share one are hosts of strangers: what is wrong there is
    a warning, once a minute at most for all of them, and no alert */
struct dest_hush;

int dest_hush_alloc(struct dest_hush **hp);

struct dest_prm {
	const struct drv *drv;
	const char *name; /**< for the log: "apple/production" */
	struct auth *auth;
	const char *url, *project;
	const struct mcfg_link *link; /**< complete */
	bool outside_only; /**< never to an address of a private network */
	struct dest_hush *hush; /**< NULL: a host that we have named */
	const struct dest_counters *counters;
	dest_result_h *resulth;
	void *arg;
};

int dest_alloc(struct dest **dp, const struct dest_prm *prm);

/** One app at one destination: what its pushes share */
int dest_line_alloc(struct dest_line **lp, const char *app,
		    const struct drv_app *prm);

/** p->dest and p->line are set and hold references, as do the times in p->q.
    p stays the caller's */
void dest_submit(struct dest *d, struct push *p);

/** The call of p has ended: it does not begin any more, nor again.  Its
    result, EXPIRED, may come before this returns; what is on its way to the
    provider has its own */
void dest_drop(struct push *p);

/** One line for /metrics' sibling, the log at debug and the status */
int dest_print(struct re_printf *pf, const struct dest *d);

#endif
