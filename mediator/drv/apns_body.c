/**
 * @file drv/apns_body.c  A push as APNs wants it
 */

#include <errno.h>
#include "mediator/drv/apns_body.h"

static const struct {
	const char *name, *suffix;
	unsigned priority;
	size_t max;
} types[APNS_TYPES] = {
	[APNS_VOIP] = { "voip", ".voip", 10, APNS_MAX_VOIP },
	[APNS_ALERT] = { "alert", "", 10, APNS_MAX },
	/* 10 is refused for background */
	[APNS_BACKGROUND] = { "background", "", 5, APNS_MAX },
};


int apns_type(enum apns_type *type, const struct push *p)
{
	if (p->target.voip) {
		if (p->use != WIRE__USE__USE_CALL)
			return EPERM;
		*type = APNS_VOIP;
		return 0;
	}

	switch (p->use) {

	case WIRE__USE__USE_ENDED:
	case WIRE__USE__USE_WAKE:
		*type = APNS_BACKGROUND;
		break;

	default:
		*type = APNS_ALERT;
		break;
	}

	return 0;
}


const char *apns_type_name(enum apns_type type)
{
	return types[type].name;
}


const char *apns_type_suffix(enum apns_type type)
{
	return types[type].suffix;
}


unsigned apns_type_priority(enum apns_type type)
{
	return types[type].priority;
}


static const char *alert_text(Wire__Use use)
{
	switch (use) {

	case WIRE__USE__USE_CALL:
		return "Incoming call";
	case WIRE__USE__USE_MESSAGE:
		return "New message";
	case WIRE__USE__USE_VOICEMAIL:
		return "New voicemail";
	default:
		return "Test";
	}
}


/* mutable-content lets the app's service extension put its own words */
static int aps_alert(json_t *aps, const struct push *p)
{
	json_t *alert = json_object();
	int err = body_add(aps, "alert", alert);

	if (err)
		return err;

	err |= body_add_text(alert, "title",
			     *p->display_name ? p->display_name : p->from);
	err |= body_add_text(alert, "body", alert_text(p->use));
	err |= body_add_text(aps, "sound", "default");
	err |= body_add(aps, "mutable-content", json_integer(1));

	return err;
}


static int aps_add(json_t *root, enum apns_type type, const struct push *p)
{
	json_t *aps = json_object();
	int err = body_add(root, "aps", aps);

	if (err)
		return err;

	switch (type) {

	case APNS_ALERT:
		return aps_alert(aps, p);
	case APNS_BACKGROUND:
		return body_add(aps, "content-available", json_integer(1));
	default:
		return 0;
	}
}


static int payload_add(json_t *root, const struct push *p)
{
	int err = 0;

	err |= body_add_text(root, "use", wire_use_name(p->use));
	err |= body_add_text(root, "call", p->call);
	err |= body_add_text(root, "trace", p->trace);
	err |= body_add_text(root, "instance", p->instance);
	err |= body_add_text(root, "from", p->from);
	err |= body_add_text(root, "display_name", p->display_name);
	err |= body_add(root, "video", json_boolean(p->video));
	err |= body_add(root, "received_at", json_integer(p->received_ms));
	err |= body_add(root, "expires_at", json_integer(p->expires_ms));
	err |= body_add_text(root, "reason", p->reason);

	return err ? ENOMEM : 0;
}


int apns_body(char *buf, size_t *lenp, enum apns_type type,
	      const struct push *p)
{
	json_t *root = json_object();
	int err = aps_add(root, type, p);

	if (!err)
		err = payload_add(root, p);
	if (!err)
		err = body_write(buf, types[type].max, lenp, root);

	json_decref(root);
	return err;
}
