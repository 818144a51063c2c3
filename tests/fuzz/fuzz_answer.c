/**
 * @file fuzz_answer.c  Foreign bytes as the answer of a push provider
 *
 *     byte 0      bit 0: APNs or FCM; bit 1: the words below, or a raw body;
 *                 bit 2: Web Push instead of both
 *     byte 1      status: one of the documented, and some others
 *     byte 2      length of the Retry-After header
 *     header
 *     rest        the body; or, for the words: a number, and then the text
 *                 that stands where the provider's word stands
 *
 * Judged: no crash, nothing left behind; every text ends inside its field;
 * what is delivered has status 200, or for Web Push one of its class; no
 * status class and no unknown word kills a token (Web Push has no words: a
 * status does); a pause is a day at most; the same answer is judged the same
 * again.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "mediator/json.h"
#include "mediator/drv/apns_outcome.h"
#include "mediator/drv/fcm_outcome.h"
#include "mediator/drv/webpush_outcome.h"

enum { DAY_MS = 86400 * 1000, HEAD = 3 };

#define NOW_MS 1700000000000

#define CHECK(cond)              \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

struct driver {
	void (*parse)(struct answer *a, const char *body, size_t len);
	void (*judge)(struct verdict *v, const struct answer *a);
	bool web;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/* A block of its own with a NUL, so that a byte read too far shows */
static char *text_of(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	CHECK(text);
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	return text;
}


/* JSON as the provider makes it, around foreign words */
static char *words_body(bool fcm, const uint8_t *data, size_t size)
{
	const int64_t number = size ? (int64_t)data[0] << data[0] % 55 : 0;
	char *word = text_of(data + (size > 0), size - (size > 0));
	json_t *root, *text = json_string(word);
	char *body;

	if (!text) /* it is not UTF-8 */
		text = json_string("");
	if (fcm)
		root = json_pack("{s:{s:i,s:O,s:O,s:[{s:s,s:O}]},s:O}",
				 "error", "code", (int)number, "status", text,
				 "message", text, "details", "@type",
				 "type.googleapis.com/google.firebase.fcm.v1."
				 "FcmError",
				 "errorCode", text, "name", text);
	else
		root = json_pack("{s:O,s:I}", "reason", text, "timestamp",
				 (json_int_t)number);
	CHECK(root);
	body = json_dumps(root, 0);
	CHECK(body);
	json_decref(text);
	json_decref(root);
	free(word);
	return body;
}


static bool ends(const char *s, size_t size)
{
	return memchr(s, 0, size) != NULL;
}


static bool kills(enum drv_act act)
{
	return act == DRV_TOKEN || act == DRV_TOKEN_SINCE ||
	       act == DRV_TOKEN_FORM || act == DRV_TOKEN_PLACE ||
	       act == DRV_TOKEN_AUTH;
}


static bool delivered(const struct driver *d, uint32_t status)
{
	return d->web ? status / 100 == 2 : status == 200;
}


static bool may_kill(const struct driver *d, const struct answer *a)
{
	if (d->web && (a->status == 301 || a->status == 308))
		return true;

	return (d->web || a->reason[0]) && a->status >= 400 && a->status < 500;
}


static void judge(const struct driver *d, const struct answer *a)
{
	struct verdict v, again;

	d->judge(&v, a);
	d->judge(&again, a);
	CHECK(!memcmp(&v, &again, sizeof(v)));

	CHECK(v.outcome > WIRE__OUTCOME__OUTCOME_UNKNOWN &&
	      v.outcome < WIRE__OUTCOME__EXPIRED);
	CHECK((v.outcome == WIRE__OUTCOME__DELIVERED) ==
	      delivered(d, a->status));
	CHECK(kills(v.act) == (v.outcome == WIRE__OUTCOME__TOKEN_GONE));
	if (kills(v.act))
		CHECK(!v.unknown && may_kill(d, a));
	if (v.act == DRV_BREAK || v.act == DRV_BREAK_APP)
		CHECK(v.outcome == WIRE__OUTCOME__MISCONFIGURED);
}


static void header(struct answer *a, const uint8_t *data, size_t size)
{
	char *value = text_of(data, size);

	a->retry_after_ms = fcm_retry_after(value, NOW_MS);
	CHECK(a->retry_after_ms <= DAY_MS);
	free(value);
}


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct driver drivers[] = {
		{ apns_parse, apns_judge, false },
		{ fcm_parse, fcm_judge, false },
		{ webpush_parse, webpush_judge, true },
	};
	static const uint16_t statuses[] = {
		200, 400, 401, 403, 404,   405, 410, 413, 429,
		500, 502, 503, 0,   100,   201, 204, 302, 418,
		499, 504, 599, 999, 65535, 301, 307, 308, 507,
	};
	const struct driver *d;
	struct answer a;
	bool words;
	char *body;
	size_t n;

	if (size < HEAD)
		return 0;

	memset(&a, 0, sizeof(a));
	d = &drivers[data[0] & 4 ? 2 : data[0] & 1];
	words = data[0] & 2;
	a.status =
		statuses[data[1] % (sizeof(statuses) / sizeof(statuses[0]))];
	n = data[2] < size - HEAD ? data[2] : size - HEAD;
	header(&a, data + HEAD, n);

	data += HEAD + n;
	size -= HEAD + n;
	if (words) {
		body = words_body(d == &drivers[1], data, size);
		n = strlen(body);
	}
	else {
		body = text_of(data, size);
		n = size;
	}

	d->parse(&a, body, n);
	free(body);
	CHECK(ends(a.reason, sizeof(a.reason)) && ends(a.id, sizeof(a.id)));
	judge(d, &a);
	return 0;
}
