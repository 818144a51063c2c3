/**
 * @file queue/seen.h  Which ids were here, and what became of them
 *
 * A push that comes again with the same id must not ring a phone twice.  An
 * entry is made when a push is taken in, holds its result once it is known,
 * and is forgotten some time later.  Ids belong to a tenant.  Pure: the time
 * (monotonic milliseconds) is an argument.
 */

#ifndef MEDIATOR_QUEUE_SEEN_H
#define MEDIATOR_QUEUE_SEEN_H

#include <stdint.h>
#include "proto/wire.h"

struct push;
struct seen;
struct seen_entry;

/** What the Result frame says */
struct push_result {
	Wire__Outcome outcome;
	uint32_t status;
	const char *reason;                        /**< never NULL */
	const char *provider_id;                   /**< never NULL */
	int64_t received_us, sent_us, answered_us; /**< wall */
	uint32_t retry_after_ms;
};

/** keep_ms after its result an entry goes, or earlier if there are more than
    max of them with a result */
int seen_alloc(struct seen **sp, uint64_t keep_ms, uint32_t max);

/** NULL if the id is new */
struct seen_entry *seen_find(struct seen *s, const void *tenant,
			     const uint8_t id[WIRE_ID_LEN]);
/** The push in flight, or NULL with *res filled; res is valid until the entry
    is forgotten */
struct push *seen_look(const struct seen_entry *e, struct push_result *res);

int seen_add(struct seen_entry **ep, struct seen *s, void *tenant,
	     const uint8_t id[WIRE_ID_LEN], struct push *p);
/** The push is over; out of memory forgets the entry at once */
void seen_done(struct seen_entry *e, const struct push_result *res,
	       uint64_t now);
/** As if it had never been here: the push was not taken in after all */
void seen_forget(struct seen_entry *e);
void seen_turn(struct seen *s, uint64_t now);
uint32_t seen_count(const struct seen *s);

#endif
