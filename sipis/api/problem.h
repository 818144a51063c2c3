/**
 * @file problem.h  Errors of the API, RFC 9457
 */

#ifndef SIPIS_API_PROBLEM_H
#define SIPIS_API_PROBLEM_H

#include "sipis/api/text.h"

enum problem {
	PB_NONE,
	PB_BAD_REQUEST,
	PB_NOT_JSON,
	PB_INVALID,
	PB_NO_BEARER,
	PB_NO_INSTANCE,
	PB_NOT_ALLOWED,
	PB_PBX_REFUSED,
	PB_NO_ROUTE,
	PB_NO_CALL,
	PB_METHOD,
	PB_CALL_OVER,
	PB_AMBIGUOUS,
	PB_TOO_MANY_PHONES,
	PB_LENGTH_REQUIRED,
	PB_TOO_LARGE,
	PB_MEDIA_TYPE,
	PB_EXPECTATION,
	PB_THROTTLED,
	PB_INTERNAL,
	PB_NOT_IMPLEMENTED,
	PB_PBX_ERROR,
	PB_NO_MEDIATOR,
	PB_BUSY,
	PB_STOPPING,
	PB_PBX_TIMEOUT,
	PB_FULL,
	PROBLEMS
};

struct problem_info {
	const char *type; /**< behind "urn:sipis:problem:" */
	int status;
	const char *title;
	uint32_t retry_after_s; /**< default advice, 0 none */
};

const struct problem_info *problem_info(enum problem p);

/** The document.  pbx: the PBX's status, 0 leaves the member out, as "" does
    with its reason; detail NULL: the title says it all */
void problem_write(struct text *t, enum problem p, const char *detail,
		   unsigned pbx, const char *pbx_reason, const char *trace);

/** The usual words of an HTTP status, for the status line */
const char *problem_status_text(int status);

#endif
