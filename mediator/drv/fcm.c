/**
 * @file drv/fcm.c  Firebase Cloud Messaging, HTTP v1
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "mediator/json.h"
#include "mediator/drv/drv.h"
#include "mediator/drv/fcm_body.h"
#include "mediator/drv/fcm_outcome.h"

enum {
	TOKEN_MIN = 16,
	TOKEN_MAX = 2048,
	LINE_SIZE = 4096,
};


static int token_check(const char *token)
{
	size_t n = strlen(token);

	if (n < TOKEN_MIN || n > TOKEN_MAX)
		return EBADMSG;

	return strspn(token, "0123456789abcdefghijklmnopqrstuvwxyz"
			     "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_:.") == n
		       ? 0
		       : EBADMSG;
}


static int kind(unsigned *k, const struct push *p)
{
	(void)p;

	*k = 0;
	return 0;
}


static int headers(struct hdrs *h, const char *bearer,
		   const struct drv_app *app, unsigned k)
{
	char line[LINE_SIZE];
	int err;
	(void)app;
	(void)k;

	if (re_snprintf(line, sizeof(line), "authorization: Bearer %s",
			bearer) < 0)
		return EMSGSIZE;

	err = hdrs_add(h, line);
	err |= hdrs_add(h, "content-type: application/json");
	err |= hdrs_add(h, "Accept:");

	return err ? ENOMEM : 0;
}


static int compose(struct req *r, const struct push *p, unsigned k,
		   const struct drv_place *place, const struct drv_app *app,
		   int64_t now_ms)
{
	(void)k;

	if (snprintf(r->url, sizeof(r->url), "%s/v1/projects/%s/messages:send",
		     place->url, place->project) >= (int)sizeof(r->url))
		return EMSGSIZE;

	return fcm_body(r->body, &r->body_len, p, app->package, now_ms);
}


const struct drv drv_fcm = {
	.name = "fcm",
	.token_check = token_check,
	.kinds = 1,
	.kind = kind,
	.headers = headers,
	.compose = compose,
	.parse = fcm_parse,
	.judge = fcm_judge,
};
