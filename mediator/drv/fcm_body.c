/**
 * @file drv/fcm_body.c  A push as FCM HTTP v1 wants it
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "mediator/drv/fcm_body.h"

struct data {
	struct body *b;
	size_t size; /**< of keys and values: that is what Google counts */
};


static void data_text(struct data *d, const char *key, const char *text)
{
	if (!*text)
		return;

	body_text(d->b, key, text);
	d->size += strlen(key) + strlen(text);
}


/* Values are strings in FCM, numbers too */
static void data_ms(struct data *d, const char *key, int64_t ms)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, ms);
	data_text(d, key, text);
}


/* Returns the size that Google counts */
static size_t data_write(struct body *b, const struct push *p)
{
	struct data d = { .b = b };

	body_open(b, "data");
	data_text(&d, "use", wire_use_name(p->use));
	data_text(&d, "call", p->call);
	data_text(&d, "trace", p->trace);
	data_text(&d, "instance", p->instance);
	data_text(&d, "caller", p->from);
	data_text(&d, "display_name", p->display_name);
	data_text(&d, "video", p->video ? "true" : "false");
	data_ms(&d, "received_at", p->received_ms);
	data_ms(&d, "expires_at", p->expires_ms);
	data_text(&d, "reason", p->reason);
	body_close(b);

	return d.size;
}


/* HIGH only for what the app shows at once: Android moves apps that use it
   for silent refreshes to the slow lane */
static const char *priority(Wire__Use use)
{
	return use == WIRE__USE__USE_WAKE ? "NORMAL" : "HIGH";
}


static void android_write(struct body *b, const struct push *p,
			  const char *package, int64_t now_ms)
{
	int64_t ttl = (p->expires_ms - now_ms) / 1000;
	char text[24];

	if (ttl < 0)
		ttl = 0;
	if (ttl > FCM_TTL_MAX_S)
		ttl = FCM_TTL_MAX_S;
	snprintf(text, sizeof(text), "%" PRId64 "s", ttl);

	body_open(b, "android");
	body_text(b, "priority", priority(p->use));
	body_text(b, "ttl", text);
	body_text(b, "restricted_package_name", package ? package : "");
	body_close(b);
}


int fcm_body(char *buf, size_t *lenp, const struct push *p,
	     const char *package, int64_t now_ms)
{
	struct body b;
	size_t size;

	body_begin(&b, buf, BODY_MAX);
	body_open(&b, NULL);
	body_open(&b, "message");
	body_text(&b, "token", p->target.token);
	size = data_write(&b, p);
	android_write(&b, p, package, now_ms);
	body_close(&b);
	body_close(&b);

	return size > FCM_MAX ? EMSGSIZE : body_end(&b, lenp);
}
