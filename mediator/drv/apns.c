/**
 * @file drv/apns.c  Apple Push Notification service, token-based
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "mediator/drv/apns_body.h"
#include "mediator/drv/apns_outcome.h"
#include "mediator/drv/drv.h"

enum {
	/* 64 digits today, "never assume a length" */
	TOKEN_MIN = 16,
	TOKEN_MAX = 400,
	LINE_SIZE = 1024,
};


static int token_check(const char *token)
{
	size_t n = strlen(token);

	if (n < TOKEN_MIN || n > TOKEN_MAX || n % 2)
		return EBADMSG;

	return strspn(token, "0123456789abcdef") == n ? 0 : EBADMSG;
}


static int kind(unsigned *k, const struct push *p)
{
	enum apns_type type;
	int err = apns_type(&type, p);

	if (!err)
		*k = type;

	return err;
}


static int headers(struct hdrs *h, const char *bearer,
		   const struct drv_app *app, unsigned k)
{
	enum apns_type type = (enum apns_type)k;
	char line[LINE_SIZE];
	int err;

	if (re_snprintf(line, sizeof(line), "authorization: bearer %s",
			bearer) < 0)
		return EMSGSIZE;
	err = hdrs_add(h, line);

	if (re_snprintf(line, sizeof(line), "apns-topic: %s%s", app->topic,
			apns_type_suffix(type)) < 0)
		return EMSGSIZE;
	err |= hdrs_add(h, line);

	(void)re_snprintf(line, sizeof(line), "apns-push-type: %s",
			  apns_type_name(type));
	err |= hdrs_add(h, line);
	(void)re_snprintf(line, sizeof(line), "apns-priority: %u",
			  apns_type_priority(type));
	err |= hdrs_add(h, line);
	err |= hdrs_add(h, "content-type: application/json");
	err |= hdrs_add(h, "Accept:");

	return err ? ENOMEM : 0;
}


static int compose(struct req *r, const struct push *p, unsigned k,
		   const struct drv_place *place, const struct drv_app *app,
		   int64_t now_ms)
{
	int err;
	(void)app;
	(void)now_ms;

	if (snprintf(r->url, sizeof(r->url), "%s/3/device/%s", place->url,
		     p->target.token) >= (int)sizeof(r->url))
		return EMSGSIZE;

	err = req_line(r, "apns-id: %s", p->uuid);
	if (!err)
		/* Absolute: a relative number is a date in 1970 */
		err = req_line(r, "apns-expiration: %" PRId64,
			       p->expires_ms / 1000);
	if (!err && *p->call)
		err = req_line(r, "apns-collapse-id: %s", p->call);
	if (err)
		return err;

	return apns_body(r->body, &r->body_len, (enum apns_type)k, p);
}


const struct drv drv_apns = {
	.name = "apns",
	.token_check = token_check,
	.kinds = APNS_TYPES,
	.kind = kind,
	.headers = headers,
	.compose = compose,
	.parse = apns_parse,
	.judge = apns_judge,
};
