/**
 * @file problem.c  Errors of the API, RFC 9457
 */

#include <stdio.h>
#include "sipis/api/problem.h"

#define PREFIX "urn:sipis:problem:"

static const struct problem_info infos[PROBLEMS] = {
	[PB_NONE] = { "none", 200, "", 0 },
	[PB_BAD_REQUEST] = { "bad-request", 400, "The request is malformed",
			     0 },
	[PB_NOT_JSON] = { "not-json", 400, "The body is not a JSON object",
			  0 },
	[PB_NO_BEARER] = { "no-bearer", 401,
			   "The request carries no bearer secret", 0 },
	[PB_NOT_ALLOWED] = { "not-allowed", 403, "This is not allowed here",
			     0 },
	[PB_PBX_REFUSED] = { "pbx-refused", 403, "The PBX refused", 0 },
	[PB_NO_ROUTE] = { "not-found", 404, "There is nothing here", 0 },
	[PB_NO_INSTANCE] = { "no-instance", 404,
			     "No such instance with this secret", 0 },
	[PB_NO_CALL] = { "no-call", 404, "No such call", 0 },
	[PB_METHOD] = { "method", 405, "This method does not exist here", 0 },
	[PB_CALL_OVER] = { "call-over", 409, "The call has ended", 0 },
	[PB_AMBIGUOUS] = { "ambiguous", 409,
			   "More than one call begins like this", 0 },
	[PB_TOO_MANY_PHONES] = { "too-many-phones", 409,
				 "The account has too many phones", 0 },
	[PB_LENGTH_REQUIRED] = { "length-required", 411,
				 "The request needs a Content-Length", 0 },
	[PB_TOO_LARGE] = { "too-large", 413, "The body is too large", 0 },
	[PB_MEDIA_TYPE] = { "media-type", 415,
			    "The body must be application/json", 0 },
	[PB_EXPECTATION] = { "expectation", 417,
			     "This expectation cannot be met", 0 },
	[PB_INVALID] = { "invalid", 422, "The body does not fit", 0 },
	[PB_THROTTLED] = { "throttled", 429, "Too many requests", 1 },
	[PB_INTERNAL] = { "internal", 500, "The server has failed", 0 },
	[PB_NOT_IMPLEMENTED] = { "not-implemented", 501,
				 "This method is not known here", 0 },
	[PB_PBX_ERROR] = { "pbx-error", 502, "The PBX cannot be used", 30 },
	[PB_NO_MEDIATOR] = { "no-mediator", 503, "No mediator can be used",
			     5 },
	[PB_BUSY] = { "busy", 503, "The store is busy", 2 },
	[PB_STOPPING] = { "stopping", 503, "The server is stopping", 5 },
	[PB_PBX_TIMEOUT] = { "pbx-timeout", 504, "The PBX was silent", 30 },
	[PB_FULL] = { "full", 507, "The disk is full", 30 },
};


const struct problem_info *problem_info(enum problem p)
{
	return &infos[p];
}


void problem_write(struct text *t, enum problem p, const char *detail,
		   unsigned pbx, const char *pbx_reason, const char *trace)
{
	const struct problem_info *info = &infos[p];
	char type[64];

	(void)snprintf(type, sizeof(type), PREFIX "%s", info->type);
	text_object(t, NULL);
	text_str(t, "type", type);
	text_str(t, "title", info->title);
	text_int(t, "status", info->status);
	if (detail && *detail)
		text_str(t, "detail", detail);
	if (pbx) {
		text_object(t, "pbx");
		text_int(t, "status", pbx);
		if (pbx_reason && *pbx_reason)
			text_str(t, "reason", pbx_reason);
		text_object_end(t);
	}
	if (trace && *trace)
		text_str(t, "trace", trace);
	text_object_end(t);
}


const char *problem_status_text(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 201:
		return "Created";
	case 204:
		return "No Content";
	case 400:
		return "Bad Request";
	case 401:
		return "Unauthorized";
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 409:
		return "Conflict";
	case 411:
		return "Length Required";
	case 413:
		return "Content Too Large";
	case 415:
		return "Unsupported Media Type";
	case 417:
		return "Expectation Failed";
	case 422:
		return "Unprocessable Content";
	case 429:
		return "Too Many Requests";
	case 500:
		return "Internal Server Error";
	case 501:
		return "Not Implemented";
	case 502:
		return "Bad Gateway";
	case 503:
		return "Service Unavailable";
	case 504:
		return "Gateway Timeout";
	case 507:
		return "Insufficient Storage";
	default:
		return "Unknown";
	}
}
