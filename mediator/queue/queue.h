/**
 * @file queue/queue.h  Who is next: two lanes, fair between tenants
 *
 * One queue stands in front of each destination.  Calls go before everything
 * else; within a lane tenants take turns, each at its own rate.  Nothing
 * leaves the queue after its time.  Pure: the time (monotonic milliseconds)
 * is an argument.
 */

#ifndef MEDIATOR_QUEUE_QUEUE_H
#define MEDIATOR_QUEUE_QUEUE_H

#include <stdbool.h>
#include <stdint.h>
#include <re/re.h>
#include "mediator/queue/tenant.h"

enum queue_lane { QUEUE_CALLS, QUEUE_OTHERS, QUEUE_LANES };

enum queue_drop {
	QUEUE_EXPIRED, /**< its deadline passed */
	QUEUE_WAITED,  /**< it waited longer than anyone should */
	QUEUE_FLUSHED, /**< queue_flush() */
};

struct queue;
struct queue_flow;

/** Embedded in what waits */
struct queue_item {
	struct le le;
	struct queue_flow *flow; /**< NULL = not waiting */
	struct tenant
		*tenant;      /**< set by the owner, who holds the reference */
	enum queue_lane lane; /**< set by the owner */
	uint64_t expires;     /**< set by the owner: never after this */
	uint64_t give_up;     /**< set by the owner: wait no longer */
	bool charged;         /**< the tenant's bucket paid for it */
};

/** The item has left the queue; must not call back into the queue */
typedef void(queue_drop_h)(struct queue_item *it, enum queue_drop why,
			   void *arg);

int queue_alloc(struct queue **qp, queue_drop_h *h, void *arg);

/** EAGAIN: the tenant has its depth waiting already */
int queue_put(struct queue *q, struct queue_item *it);
/** First of its lane, whatever the depth: for what was taken before */
int queue_put_back(struct queue *q, struct queue_item *it);
void queue_remove(struct queue_item *it);

/** The next, or NULL; then *wait_ms is when a bucket allows one, 0 = none is
    waiting for that */
struct queue_item *queue_take(struct queue *q, uint64_t now,
			      uint64_t *wait_ms);
/** Drops everything whose time has passed */
void queue_sweep(struct queue *q, uint64_t now);
void queue_flush(struct queue *q);

uint32_t queue_count(const struct queue *q);

#endif
