/**
 * @file route/enrol.h  A token into a handle
 */

#ifndef MEDIATOR_ROUTE_ENROL_H
#define MEDIATOR_ROUTE_ENROL_H

#include "proto/wire.h"
#include "mediator/route/site.h"

struct enrol_result {
	Wire__Outcome outcome; /**< DELIVERED: the handle is there */
	const char *reason;    /**< "" if it is */
	uint8_t handle[HANDLE_MAX];
	size_t handle_len;
};

/** now_ms: wall.  Nothing is asked of the provider and nothing is kept: any
    well-formed token gets a handle */
void enrol(struct enrol_result *res, const struct site *s,
	   const struct tenant *tenant, const Wire__Enrol *frame,
	   int64_t now_ms);

#endif
