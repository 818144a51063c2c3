/**
 * @file queue/push.h  One push on its way through the mediator
 *
 * Made when a Push frame was accepted, freed when its Result is known.  One
 * block of memory: the strings stand behind the struct.
 */

#ifndef MEDIATOR_QUEUE_PUSH_H
#define MEDIATOR_QUEUE_PUSH_H

#include <stdbool.h>
#include <stdint.h>
#include <re/re.h>
#include "common/ident.h"
#include "proto/wire.h"
#include "mediator/queue/queue.h"
#include "mediator/queue/seen.h"

enum { PUSH_TRIES = 2 }; /**< the first and one more */

/** What a handle stands for.  Strings belong to whoever filled it */
struct push_target {
	const char *provider; /**< "apns", "fcm", "webpush" */
	const char *app;
	const char *topic; /**< apns: bundle id without .voip */
	const char *token;
	bool sandbox;
	bool voip;           /**< apns: a PushKit token */
	uint32_t uses;       /**< bit mask 1 << Wire__Use; 0 = all */
	int64_t enrolled_ms; /**< wall */
};

struct push {
	struct queue_item q;
	struct le le;      /**< of whoever keeps the pushes in flight */
	struct le call_le; /**< of whoever finds pushes by their call */
	struct tmr tmr;    /**< the pause before the second try */
	struct seen_entry *seen;
	void *origin; /**< who wants the result; reference or NULL */
	void *dest;   /**< reference to where it goes */
	void *line;   /**< reference; see drv/dest.h */

	uint8_t id[WIRE_ID_LEN];
	char uuid[UUID_LEN + 1]; /**< the id as the provider sees it */
	Wire__Use use;
	bool video;
	bool probe; /**< the breaker lets it through to see */
	bool over;  /**< its call has ended: no first and no second try */
	unsigned tries;
	unsigned avoid; /**< 1 + number of the connection that failed */
	int64_t received_ms, expires_ms; /**< wall */
	int64_t send_by_ms;              /**< wall; 0 = expires_ms */
	uint64_t until;  /**< monotonic ms of expires_ms: an answer after it
			      is of no use */
	uint64_t queued; /**< monotonic ms */
	struct push_target target;
	const char *trace, *call, *instance, *from, *display_name, *reason;
	const uint8_t *handle;
	size_t handle_len;
	uint8_t *
		renewed; /**< the handle under the newest key, NULL if it is */
	size_t renewed_len;

	struct push_result res;
	char res_reason[96];
	char res_id[128];
};

/** Copies what it needs of both.  Foreign text is made valid UTF-8; a caller's
    name and address are cut at 256 and 512 bytes.  EMSGSIZE: an id, trace,
    call or instance is longer than any of ours can be */
int push_alloc(struct push **pp, const Wire__Push *frame,
	       const struct push_target *target);

/** Fills p->res; reason and id are copied, NULL is "" */
void push_outcome(struct push *p, Wire__Outcome outcome, const char *reason);

#endif
