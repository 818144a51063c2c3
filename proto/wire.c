/**
 * @file wire.c  Framing of the wire on 24998; no I/O
 *
 * Whole frames are unpacked where they lie in the caller's bytes; only what
 * is left of an unfinished one is copied, into a buffer that is made when the
 * length is known and allowed.  What the peer can make us allocate is
 * bounded twice: by the frame limit, and by a budget for the unpacked form,
 * because a byte of unknown field would otherwise become forty of heap.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "proto/wire.h"


enum {
	PREFIX = 4,
	BUDGET_FACTOR = 4, /**< unpacked bytes per byte of frame limit */
	BUDGET_BASE = 4096
};

struct wire_dec {
	size_t max;
	wire_h *h;
	void *arg;
	uint8_t prefix[PREFIX];
	size_t have;  /**< bytes of the unfinished frame, prefix included */
	size_t body;  /**< length of its envelope, once the prefix is whole */
	uint8_t *buf; /**< the envelope so far */
	bool dead;
	bool feeding;
	bool unwanted; /**< freed by its own handler */
};

struct budget {
	size_t left;
};


static uint32_t get_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	       (uint32_t)p[2] << 8 | p[3];
}


static void *budget_alloc(void *arg, size_t size)
{
	struct budget *b = arg;

	if (size > b->left)
		return NULL;

	b->left -= size;
	return malloc(size);
}


static void budget_free(void *arg, void *p)
{
	(void)arg;
	free(p);
}


int wire_dec_alloc(struct wire_dec **dp, size_t max_frame, wire_h *h,
		   void *arg)
{
	struct wire_dec *d;

	if (!dp || !h || !max_frame)
		return EINVAL;

	d = calloc(1, sizeof(*d));
	if (!d)
		return ENOMEM;

	d->max = max_frame;
	d->h = h;
	d->arg = arg;

	*dp = d;
	return 0;
}


static void drop_frame(struct wire_dec *d)
{
	free(d->buf);
	d->buf = NULL;
	d->have = 0;
	d->body = 0;
}


void wire_dec_free(struct wire_dec *d)
{
	if (!d)
		return;

	if (d->feeding) {
		d->unwanted = true;
		return;
	}

	drop_frame(d);
	free(d);
}


/* There is no field 0; protobuf-c takes one whose tag is written long */
static bool has_field_zero(const ProtobufCMessage *msg)
{
	for (unsigned i = 0; i < msg->n_unknown_fields; i++) {
		if (!msg->unknown_fields[i].tag)
			return true;
	}

	return false;
}


static bool is_sound(const Wire__Envelope *env)
{
	if (env->body_case == WIRE__ENVELOPE__BODY__NOT_SET)
		return false;

	/* Every body is a message, and none has another inside */
	return !has_field_zero(&env->base) &&
	       !has_field_zero(&env->hello->base);
}


static int hand_over(struct wire_dec *d, const uint8_t *p, size_t len)
{
	struct budget budget = { d->max * BUDGET_FACTOR + BUDGET_BASE };
	ProtobufCAllocator allocator = { budget_alloc, budget_free, &budget };
	Wire__Envelope *env;
	int err;

	env = wire__envelope__unpack(&allocator, len, p);
	if (!env)
		return EBADMSG;

	err = is_sound(env) ? d->h(env, d->arg) : EBADMSG;

	wire__envelope__free_unpacked(env, &allocator);

	return !err && d->unwanted ? ECANCELED : err;
}


/* The length is judged here, before a byte of the body is kept */
static int begin_body(struct wire_dec *d, const uint8_t *prefix)
{
	d->body = get_be32(prefix);

	if (d->body > d->max)
		return EMSGSIZE;

	return d->body ? 0 : EBADMSG;
}


static size_t take(uint8_t *dst, size_t want, const uint8_t **pp, size_t *lenp)
{
	size_t n = want < *lenp ? want : *lenp;

	memcpy(dst, *pp, n);
	*pp += n;
	*lenp -= n;

	return n;
}


/* Goes on with the frame of which a part is already here */
static int feed_rest(struct wire_dec *d, const uint8_t **pp, size_t *lenp)
{
	size_t want;
	int err;

	if (d->have < PREFIX) {
		d->have +=
			take(d->prefix + d->have, PREFIX - d->have, pp, lenp);
		if (d->have < PREFIX)
			return 0;

		err = begin_body(d, d->prefix);
		if (err)
			return err;
	}

	if (!*lenp)
		return 0;

	if (!d->buf) {
		d->buf = malloc(d->body);
		if (!d->buf)
			return ENOMEM;
	}

	want = PREFIX + d->body - d->have;
#ifdef PLANT_BUG
	want = *lenp; /* for tests/fuzz/run.sh planted, never for use */
#endif
	d->have += take(d->buf + d->have - PREFIX, want, pp, lenp);
	if (d->have < PREFIX + d->body)
		return 0;

	err = hand_over(d, d->buf, d->body);
	drop_frame(d);

	return err;
}


/* Frames that are whole in the caller's bytes need no copy */
static int feed_whole(struct wire_dec *d, const uint8_t **pp, size_t *lenp)
{
	while (*lenp >= PREFIX) {
		int err = begin_body(d, *pp);

		if (!err && *lenp - PREFIX < d->body)
			break;
		if (!err)
			err = hand_over(d, *pp + PREFIX, d->body);
		if (err)
			return err;

		*pp += PREFIX + d->body;
		*lenp -= PREFIX + d->body;
	}

	return 0;
}


int wire_dec_feed(struct wire_dec *d, const uint8_t *p, size_t len)
{
	int err = 0;

	if (!d || (!p && len))
		return EINVAL;
	if (d->dead || d->feeding)
		return EBADMSG;

	d->feeding = true;

	while (len && !err) {
		if (!d->have)
			err = feed_whole(d, &p, &len);
		if (len && !err)
			err = feed_rest(d, &p, &len);
	}

	d->feeding = false;

	if (err) {
		d->dead = true;
		drop_frame(d);
	}
	if (d->unwanted)
		wire_dec_free(d);

	return err;
}


size_t wire_dec_pending(const struct wire_dec *d)
{
	return d ? d->have : 0;
}


size_t wire_enc_size(const Wire__Envelope *env)
{
	return env ? PREFIX + wire__envelope__get_packed_size(env) : 0;
}


int wire_enc(uint8_t *buf, size_t size, size_t *lenp,
	     const Wire__Envelope *env)
{
	size_t body;

	if (!buf || !lenp || !env)
		return EINVAL;

	body = wire__envelope__get_packed_size(env);
	if (body > WIRE_MAX_FRAME)
		return EMSGSIZE;
	if (size < PREFIX + body)
		return EOVERFLOW;

	buf[0] = (uint8_t)(body >> 24);
	buf[1] = (uint8_t)(body >> 16);
	buf[2] = (uint8_t)(body >> 8);
	buf[3] = (uint8_t)body;

	*lenp = PREFIX + wire__envelope__pack(env, buf + PREFIX);
	return 0;
}


static const char *const use_names[] = {
	[WIRE__USE__USE_UNKNOWN] = "unknown",
	[WIRE__USE__USE_CALL] = "call",
	[WIRE__USE__USE_MESSAGE] = "message",
	[WIRE__USE__USE_VOICEMAIL] = "voicemail",
	[WIRE__USE__USE_ENDED] = "ended",
	[WIRE__USE__USE_WAKE] = "wake",
	[WIRE__USE__USE_TEST] = "test",
};

static const char *const outcome_names[] = {
	[WIRE__OUTCOME__OUTCOME_UNKNOWN] = "unknown",
	[WIRE__OUTCOME__DELIVERED] = "delivered",
	[WIRE__OUTCOME__TOKEN_GONE] = "token_gone",
	[WIRE__OUTCOME__RETRY_LATER] = "retry_later",
	[WIRE__OUTCOME__THROTTLED] = "throttled",
	[WIRE__OUTCOME__REJECTED] = "rejected",
	[WIRE__OUTCOME__MISCONFIGURED] = "misconfigured",
	[WIRE__OUTCOME__EXPIRED] = "expired",
	[WIRE__OUTCOME__NOT_ALLOWED] = "not_allowed",
	[WIRE__OUTCOME__DUPLICATE] = "duplicate",
};

#define ELEMENTS(a) (sizeof(a) / sizeof((a)[0]))


const char *wire_use_name(Wire__Use use)
{
	const size_t i = (size_t)use;

	return i < ELEMENTS(use_names) ? use_names[i] : use_names[0];
}


int wire_use_decode(Wire__Use *use, const char *name)
{
	if (!use || !name)
		return EINVAL;

	for (size_t i = 1; i < ELEMENTS(use_names); i++) {
		if (!strcmp(name, use_names[i])) {
			*use = (Wire__Use)i;
			return 0;
		}
	}

	return EINVAL;
}


const char *wire_outcome_name(Wire__Outcome o)
{
	const size_t i = (size_t)o;

	return i < ELEMENTS(outcome_names) ? outcome_names[i]
					   : outcome_names[0];
}
