/**
 * @file drv/fcm_body.h  A push as FCM HTTP v1 wants it
 *
 * "REST Resource: projects.messages".  Data only: with a notification part
 * the system would show it and the app would sleep on.
 */

#ifndef MEDIATOR_DRV_FCM_BODY_H
#define MEDIATOR_DRV_FCM_BODY_H

#include "mediator/drv/body.h"

enum {
	FCM_MAX = 4096, /**< keys and values of the data */
	FCM_TTL_MAX_S = 2419200,
};

/** buf has BODY_MAX bytes; package may be NULL.  now_ms: wall.  EMSGSIZE:
    over Google's limit.
    "from" is a reserved key in data: the caller is in "caller" */
int fcm_body(char *buf, size_t *lenp, const struct push *p,
	     const char *package, int64_t now_ms);

#endif
