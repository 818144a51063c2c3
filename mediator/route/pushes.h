/**
 * @file route/pushes.h  All pushes between their frame and their result
 *
 * Knows every id of the last minute: one that comes again while its push is
 * under way makes the newest asker the one who is told, one whose result is
 * known gets that.  The ENDED of a call drops its CALL where that has not
 * left.
 */

#ifndef MEDIATOR_ROUTE_PUSHES_H
#define MEDIATOR_ROUTE_PUSHES_H

#include "common/metrics.h"
#include "mediator/route/site.h"

struct pushes;

struct pushes_reply {
	const uint8_t *id; /**< WIRE_ID_LEN bytes */
	const struct push_result *res;
	const uint8_t *handle; /**< with TOKEN_GONE and renewed, else NULL */
	size_t handle_len;
	const uint8_t *renewed; /**< to be kept in its place; NULL: not */
	size_t renewed_len;
};

/** To whoever asked; origin is what pushes_take() got */
typedef void(pushes_reply_h)(void *origin, const struct pushes_reply *r,
			     void *arg);

int pushes_alloc(struct pushes **pp, const struct mcfg_queue *cfg,
		 struct metrics *metrics, pushes_reply_h *h, void *arg);

/** frame->id has WIRE_ID_LEN bytes.  Takes a reference of origin.  The reply
    may come before it returns */
void pushes_take(struct pushes *ps, const struct site *s, struct tenant *t,
		 void *origin, const Wire__Push *frame, int64_t received_us);

/** The dest_result_h of all destinations; arg is the pushes */
void pushes_result(struct push *p, void *arg);

const struct dest_counters *pushes_counters(const struct pushes *ps);
uint32_t pushes_inflight(const struct pushes *ps);

#endif
