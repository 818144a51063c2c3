/**
 * @file alert.h  What one phone is pushed with for one call
 *
 * A CALL push that wakes it, and an ENDED push if it may have heard of the
 * call.
 */

#ifndef SIPIS_CALL_ALERT_H
#define SIPIS_CALL_ALERT_H

#include "sipis/call/priv.h"

struct alert {
	struct leg *leg; /**< not a reference: it owns us */
	char inst[STORE_ID_LEN + 1];
	uint8_t *handle, *ended_handle; /**< one block each */
	size_t handle_len, ended_len;
	struct med_req *req, *ended_req;
	struct tmr tmr; /**< a verdict that needs no mediator */
	bool accepted;  /**< known from before a restart */
	bool sent;
	unsigned turn; /**< 1: the first push */
};

/** Into zeroed memory that does not move.  ENOENT: it cannot be pushed */
int alert_init(struct alert *a, struct leg *leg, const struct inst_row *inst);
void alert_clear(struct alert *a);
/** call_pushed() follows */
void alert_push(struct alert *a);
/** No more of it; true: it has left already */
bool alert_drop(struct alert *a);
/** ENDED, once */
void alert_tell(struct alert *a, const char *why);

#endif
