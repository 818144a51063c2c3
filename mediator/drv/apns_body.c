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
static void aps_alert(struct body *b, const struct push *p)
{
	body_open(b, "alert");
	body_text(b, "title", *p->display_name ? p->display_name : p->from);
	body_text(b, "body", alert_text(p->use));
	body_close(b);
	body_text(b, "sound", "default");
	body_int(b, "mutable-content", 1);
}


static void payload(struct body *b, const struct push *p)
{
	body_text(b, "use", wire_use_name(p->use));
	body_text(b, "call", p->call);
	body_text(b, "trace", p->trace);
	body_text(b, "instance", p->instance);
	body_text(b, "from", p->from);
	body_text(b, "display_name", p->display_name);
	body_bool(b, "video", p->video);
	body_int(b, "received_at", p->received_ms);
	body_int(b, "expires_at", p->expires_ms);
	body_text(b, "reason", p->reason);
}


int apns_body(char *buf, size_t *lenp, enum apns_type type,
	      const struct push *p)
{
	struct body b;

	body_begin(&b, buf, types[type].max);
	body_open(&b, NULL);
	body_open(&b, "aps");
	if (type == APNS_ALERT)
		aps_alert(&b, p);
	else if (type == APNS_BACKGROUND)
		body_int(&b, "content-available", 1);
	body_close(&b);
	payload(&b, p);
	body_close(&b);

	return body_end(&b, lenp);
}
