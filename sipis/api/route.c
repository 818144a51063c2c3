/**
 * @file route.c  Which request is it?  Method and path, no I/O
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "sipis/api/route.h"

#define LIST_USUAL 100
#define INST       "/v1/instances/{}"

static const struct route_info infos[ROUTES] = {
	[RT_CREATE] = { "POST", "/v1/instances", BODY_JSON, false, true,
			false },
	[RT_READ] = { "GET", INST, BODY_NONE, true, true, false },
	[RT_PATCH] = { "PATCH", INST, BODY_JSON, true, true, false },
	[RT_DELETE] = { "DELETE", INST, BODY_NONE, true, true, false },
	[RT_STATE] = { "PUT", INST "/state", BODY_JSON, true, true, false },
	[RT_CALL] = { "GET", INST "/calls/{}", BODY_NONE, true, true, false },
	[RT_RINGING] = { "POST", INST "/calls/{}/ringing", BODY_NONE, true,
			 true, false },
	[RT_DECLINE] = { "POST", INST "/calls/{}/decline", BODY_NONE, true,
			 true, false },
	[RT_HEALTH] = { "GET", "/healthz", BODY_NONE, false, true, true },
	[RT_METRICS] = { "GET", "/metrics", BODY_NONE, false, false, true },
	[RT_ADMIN_STATUS] = { "GET", "/admin/status", BODY_NONE, false, false,
			      true },
	[RT_ADMIN_CALL] = { "GET", "/admin/calls/{}", BODY_NONE, false, false,
			    true },
	[RT_ADMIN_CALLS] = { "GET", "/admin/calls", BODY_NONE, false, false,
			     true },
};


const struct route_info *route_info(enum route_op op)
{
	return &infos[op];
}


/** Does path fit the pattern?  "{}" is one segment and goes to id, then to
    call; at the end of the admin's paths it is all that is left, because a
    SIP Call-ID may contain a slash */
static bool path_fits(struct route *rt, const char *pattern, const char *path,
		      bool greedy)
{
	char *dst[] = { rt->id, rt->call };
	size_t n = 0;

	for (;;) {
		if (!strncmp(pattern, "{}", 2)) {
			const size_t len = greedy && !pattern[2]
						   ? strlen(path)
						   : strcspn(path, "/");

			if (!len || n >= 2 || len >= ROUTE_ID_MAX)
				return false;
			memcpy(dst[n], path, len);
			dst[n++][len] = 0;
			path += len;
			pattern += 2;
			continue;
		}
		if (*pattern != *path)
			return false;
		if (!*pattern)
			return true;
		++pattern;
		++path;
	}
}


static bool number(uint32_t *dst, const char *value, uint32_t max)
{
	char *end;
	unsigned long v;

	if (*value < '0' || *value > '9' || strlen(value) > 10)
		return false;

	v = strtoul(value, &end, 10);
	if (*end || v > max)
		return false;
	*dst = (uint32_t)v;
	return true;
}


static bool parameter(struct route *rt, const char *name, const char *value)
{
	if (rt->op == RT_CALL && !strcmp(name, "wait"))
		return number(&rt->wait_s, value, ROUTE_WAIT_MAX);
	if (rt->op == RT_ADMIN_STATUS && !strcmp(name, "offset"))
		return number(&rt->offset, value, UINT32_MAX);
	if (rt->op != RT_ADMIN_STATUS && rt->op != RT_ADMIN_CALLS)
		return false;

	if (!strcmp(name, rt->op == RT_ADMIN_CALLS ? "account" : "filter"))
		return snprintf(rt->filter, sizeof(rt->filter), "%s", value) <
		       (int)sizeof(rt->filter);
	if (!strcmp(name, "max"))
		return number(&rt->max, value, ROUTE_LIST_MAX) && rt->max;
	return false;
}


static bool query_fits(struct route *rt, const char *const *queryv,
		       unsigned queryc)
{
	for (unsigned i = 0; i < queryc; i++) {
		const char *eq = strchr(queryv[i], '=');
		char name[16];

		if (!eq || eq - queryv[i] >= (int)sizeof(name))
			return false;
		memcpy(name, queryv[i], (size_t)(eq - queryv[i]));
		name[eq - queryv[i]] = 0;
		if (!parameter(rt, name, eq + 1))
			return false;
	}

	return true;
}


static void allow_add(char *allow, size_t size, const char *method)
{
	const size_t used = strlen(allow);

	(void)snprintf(allow + used, size - used, "%s%s%s", used ? ", " : "",
		       method, strcmp(method, "GET") ? "" : ", HEAD");
}


enum problem route_find(struct route *rt, bool admin, const char *method,
			const char *path, const char *const *queryv,
			unsigned queryc, char *allow, size_t allow_size)
{
	bool there = false;

	*allow = 0;
	if (!strcmp(method, "HEAD"))
		method = "GET";
	memset(rt, 0, sizeof(*rt));
	rt->max = LIST_USUAL;
	for (unsigned i = 0; i < ROUTES; i++) {
		const struct route_info *info = &infos[i];

		rt->op = (enum route_op)i;
		if (admin ? !info->admin : !info->app)
			continue;
		if (!path_fits(rt, info->path, path, admin))
			continue;
		if (!strcmp(method, info->method))
			return query_fits(rt, queryv, queryc) ? PB_NONE
							      : PB_BAD_REQUEST;
		there = true;
		allow_add(allow, allow_size, info->method);
	}

	return there ? PB_METHOD : PB_NO_ROUTE;
}
