/**
 * @file drv/guards.h  A guard for each tenant of one app at one destination
 *
 * Tokens and their environments come from the tenants: what one of them sends
 * must not decide about the tokens of another.
 */

#ifndef MEDIATOR_DRV_GUARDS_H
#define MEDIATOR_DRV_GUARDS_H

#include "mediator/drv/guard.h"
#include "mediator/queue/tenant.h"

struct guards;

int guards_alloc(struct guards **gp);

/** Never NULL; good until the guards go.  Without memory for one more it is
    one that several tenants share */
struct guard *guards_of(struct guards *g, struct tenant *t);

#endif
