/**
 * @file drv/fcm_body.c  A push as FCM HTTP v1 wants it
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "mediator/drv/fcm_body.h"

struct data {
	json_t *obj;
	size_t size;
	int err;
};


static void data_add(struct data *d, const char *key, const char *text)
{
	if (!*text)
		return;

	d->err |= body_add_text(d->obj, key, text);
	d->size += strlen(key) + strlen(text);
}


/* Values are strings in FCM, numbers too */
static void data_add_ms(struct data *d, const char *key, int64_t ms)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, ms);
	data_add(d, key, text);
}


static int data_fill(json_t *obj, const struct push *p)
{
	struct data d = { .obj = obj };

	data_add(&d, "use", wire_use_name(p->use));
	data_add(&d, "call", p->call);
	data_add(&d, "trace", p->trace);
	data_add(&d, "instance", p->instance);
	data_add(&d, "caller", p->from);
	data_add(&d, "display_name", p->display_name);
	data_add(&d, "video", p->video ? "true" : "false");
	data_add_ms(&d, "received_at", p->received_ms);
	data_add_ms(&d, "expires_at", p->expires_ms);
	data_add(&d, "reason", p->reason);

	if (d.err)
		return ENOMEM;
	return d.size > FCM_MAX ? EMSGSIZE : 0;
}


/* HIGH only for what the app shows at once: Android moves apps that use it
   for silent refreshes to the slow lane */
static const char *priority(Wire__Use use)
{
	return use == WIRE__USE__USE_WAKE ? "NORMAL" : "HIGH";
}


static int android_fill(json_t *android, const struct push *p,
			const char *package, int64_t now_ms)
{
	int64_t ttl = (p->expires_ms - now_ms) / 1000;
	char text[24];
	int err = 0;

	if (ttl < 0)
		ttl = 0;
	if (ttl > FCM_TTL_MAX_S)
		ttl = FCM_TTL_MAX_S;
	snprintf(text, sizeof(text), "%" PRId64 "s", ttl);

	err |= body_add_text(android, "priority", priority(p->use));
	err |= body_add_text(android, "ttl", text);
	if (package)
		err |= body_add(android, "restricted_package_name",
				json_string(package));

	return err ? ENOMEM : 0;
}


int fcm_body(char *buf, size_t *lenp, const struct push *p,
	     const char *package, int64_t now_ms)
{
	json_t *root = json_object(), *msg = json_object();
	json_t *data, *android;
	int err = body_add(root, "message", msg);

	if (!err)
		err = body_add_text(msg, "token", p->target.token);
	if (!err)
		err = body_add(msg, "data", data = json_object());
	if (!err)
		err = data_fill(data, p);
	if (!err)
		err = body_add(msg, "android", android = json_object());
	if (!err)
		err = android_fill(android, p, package, now_ms);
	if (!err)
		err = body_write(buf, BODY_MAX, lenp, root);

	json_decref(root);
	return err;
}
