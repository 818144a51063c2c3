/**
 * @file route.h  Which request is it?  Method and path, no I/O
 */

#ifndef SIPIS_API_ROUTE_H
#define SIPIS_API_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "sipis/api/problem.h"

#define ROUTE_ID_MAX   256 /**< of a path segment, unescaped */
#define ROUTE_WAIT_MAX 60  /**< seconds of a long poll */
#define ROUTE_LIST_MAX 1000

enum route_op {
	RT_CREATE,
	RT_READ,
	RT_PATCH,
	RT_DELETE,
	RT_STATE,
	RT_CALL,
	RT_RINGING,
	RT_DECLINE,
	RT_HEALTH,
	RT_METRICS,
	RT_ADMIN_STATUS,
	RT_ADMIN_CALL,
	RT_ADMIN_CALLS,
	ROUTES
};

enum route_body { BODY_NONE, BODY_JSON };

struct route_info {
	const char *method, *path; /**< "{}" stands for one segment */
	enum route_body body;
	bool bearer;     /**< needs the instance's secret */
	bool app, admin; /**< on which listeners */
};

struct route {
	enum route_op op;
	char id[ROUTE_ID_MAX];   /**< first {} */
	char call[ROUTE_ID_MAX]; /**< second {} */
	char filter[ROUTE_ID_MAX];
	uint32_t wait_s, offset, max;
};

const struct route_info *route_info(enum route_op op);

/** PB_NONE and *rt; PB_NO_ROUTE; PB_METHOD with allow ("GET, HEAD, PUT")
    filled; HEAD is found as GET, RFC 9110 9.3.2;
    PB_BAD_REQUEST for a query that does not belong there.  path and queryv
    ("name=value") are decoded already */
enum problem route_find(struct route *rt, bool admin, const char *method,
			const char *path, const char *const *queryv,
			unsigned queryc, char *allow, size_t allow_size);

#endif
