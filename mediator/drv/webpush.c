/**
 * @file drv/webpush.c  Web Push: browsers, and UnifiedPush
 *
 * RFC 8030, with the encryption of RFC 8291 and the credential of RFC 8292.
 * A token is "endpoint" or "endpoint p256dh auth".  Without keys nothing can
 * be said to the app but "wake up": the message has no body.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <openssl/ec.h>
#include "common/ident.h"
#include "mediator/drv/drv.h"
#include "mediator/drv/endpoint.h"
#include "mediator/drv/webpush_body.h"
#include "mediator/drv/webpush_outcome.h"

enum {
	KIND_TEXT,
	KIND_EMPTY,
	KINDS,
	KEY_TEXT = 128,
	LINE_SIZE = 2048,
	TTL_MAX_S = 86400,
	TOPIC_MAX = 32, /* RFC 8030 5.4 */
};


static size_t endpoint_len(const char *token)
{
	return strcspn(token, " ");
}


/* ENOENT: the token has none */
static int keys_read(struct webpush_keys *k, const char *token)
{
	const char *p = token + endpoint_len(token), *auth;
	char p256dh[KEY_TEXT];
	size_t n;

	if (!*p++)
		return ENOENT;
	auth = strchr(p, ' ');
	n = auth ? (size_t)(auth - p) : 0;
	if (!auth || n >= sizeof(p256dh))
		return EBADMSG;

	memcpy(p256dh, p, n);
	p256dh[n] = '\0';
	return webpush_keys_read(k, p256dh, auth + 1);
}


static int token_check(const char *token)
{
	struct webpush_keys k;
	struct endpoint ep;
	int err = endpoint_read(&ep, token, endpoint_len(token));

	if (!err)
		err = keys_read(&k, token);

	return err == ENOENT ? 0 : err;
}


static int kind(unsigned *k, const struct push *p)
{
	const char *token = p->target.token;

	*k = token[endpoint_len(token)] ? KIND_TEXT : KIND_EMPTY;
	return 0;
}


static int headers(struct hdrs *h, const char *bearer,
		   const struct drv_app *app, unsigned k)
{
	char line[LINE_SIZE];
	int err;
	(void)app;

	if (re_snprintf(line, sizeof(line), "authorization: vapid %s",
			bearer) < 0)
		return EMSGSIZE;

	err = hdrs_add(h, line);
	if (k == KIND_TEXT) {
		err |= hdrs_add(h, "content-encoding: aes128gcm");
		err |= hdrs_add(h, "content-type: application/octet-stream");
	}
	else {
		err |= hdrs_add(h, "Content-Type:");
	}
	err |= hdrs_add(h, "Accept:");

	return err ? ENOMEM : 0;
}


/* What a phone that saves its battery gets at once */
static const char *urgency(Wire__Use use)
{
	switch (use) {

	case WIRE__USE__USE_CALL:
	case WIRE__USE__USE_ENDED:
	case WIRE__USE__USE_TEST:
		return "high";

	default:
		return "normal";
	}
}


/* The news of a call replace those of it that have not been fetched */
static int topic(struct req *r, const struct push *p)
{
	char text[TOPIC_MAX + 1];
	uint8_t raw[16];

	if (ident_uuid_decode(raw, p->call))
		return 0;

	ident_hex(text, raw, sizeof(raw));
	return req_line(r, "topic: %s", text);
}


static int body(struct req *r, const struct push *p)
{
	char text[WEBPUSH_TEXT_MAX];
	uint8_t salt[WEBPUSH_SALT];
	struct webpush_keys k;
	EVP_PKEY *own;
	size_t len;
	int err = keys_read(&k, p->target.token);

	if (!err)
		err = webpush_text(text, &len, p);
	if (!err)
		err = ident_random(salt, sizeof(salt));
	if (err)
		return err;

	own = EVP_EC_gen("P-256");
	err = own ? webpush_encrypt((uint8_t *)r->body, &r->body_len, text,
				    len, &k, salt, own)
		  : ENOMEM;
	EVP_PKEY_free(own);
	explicit_bzero(text, sizeof(text));

	return err;
}


static int compose(struct req *r, const struct push *p, unsigned k,
		   const struct drv_place *place, const struct drv_app *app,
		   int64_t now_ms)
{
	const char *token = p->target.token;
	int64_t ttl = (p->expires_ms - now_ms) / 1000;
	int err;
	(void)place;
	(void)app;

	if (snprintf(r->url, sizeof(r->url), "%.*s", (int)endpoint_len(token),
		     token) >= (int)sizeof(r->url))
		return EMSGSIZE;

	/* 0 is now or never */
	ttl = ttl < 0 ? 0 : ttl > TTL_MAX_S ? TTL_MAX_S : ttl;
	err = req_line(r, "ttl: %" PRId64, ttl);
	if (!err)
		err = req_line(r, "urgency: %s", urgency(p->use));
	if (!err)
		err = topic(r, p);
	if (!err && k == KIND_TEXT)
		err = body(r, p);

	return err;
}


const struct drv drv_webpush = {
	.name = "webpush",
	.token_check = token_check,
	.kinds = KINDS,
	.kind = kind,
	.headers = headers,
	.compose = compose,
	.parse = webpush_parse,
	.judge = webpush_judge,
};
