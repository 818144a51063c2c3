/**
 * @file queue/queue.h  Who is next: two lanes, fair between tenants
 *
 * One queue stands in front of each destination.  The owner takes from the
 * lane of calls first; within a lane tenants take turns, each at its own rate
 * and with a share of what can be under way.  What a tenant has in one lane
 * does not count in the other.  Nothing leaves the queue after its time.
 * Pure: the time (monotonic milliseconds) is an argument.
 */

#ifndef MEDIATOR_QUEUE_QUEUE_H
#define MEDIATOR_QUEUE_QUEUE_H

#include <stdbool.h>
#include <stdint.h>
#include <re/re.h>
#include "mediator/queue/tenant.h"

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
	struct queue_flow *away; /**< taken from it and not done */
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

/** EAGAIN: the tenant has its depth waiting in that lane already */
int queue_put(struct queue *q, struct queue_item *it);
/** First of its lane, whatever the depth: for what was taken before */
int queue_put_back(struct queue *q, struct queue_item *it);
void queue_remove(struct queue_item *it);

/** The next of a lane, or NULL.  Until queue_done() it counts as under way;
    a tenant with share of them is passed over while another one waits.
    *wait_ms: the least of it and of when a bucket allows one; 0 = none */
struct queue_item *queue_take(struct queue *q, enum queue_lane lane,
			      uint32_t share, uint64_t now, uint64_t *wait_ms);
/** It is not under way any more, if it was.  Not after the queue is gone */
void queue_done(struct queue_item *it);
/** Drops everything whose time has passed */
void queue_sweep(struct queue *q, uint64_t now);
void queue_flush(struct queue *q);

uint32_t queue_count(const struct queue *q);

#endif
