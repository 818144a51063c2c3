/**
 * @file drv/fcm_outcome.h  What FCM HTTP v1 answers
 *
 * "ErrorCode" of the FCM REST reference; the error body is google.rpc.Status.
 */

#ifndef MEDIATOR_DRV_FCM_OUTCOME_H
#define MEDIATOR_DRV_FCM_OUTCOME_H

#include <stddef.h>
#include "mediator/drv/verdict.h"

/** Fills id on success, else the reason (the details' errorCode, or the
    status word if there is none) and what the message tells */
void fcm_parse(struct answer *a, const char *body, size_t len);

/** Pure; an unknown reason is decided by its status class and deletes no
    token */
void fcm_judge(struct verdict *v, const struct answer *a);

/** RFC 9110 10.2.3: seconds or a date; milliseconds from now_ms (wall), at
    most a day, 0 if it is neither */
uint32_t fcm_retry_after(const char *value, int64_t now_ms);

#endif
