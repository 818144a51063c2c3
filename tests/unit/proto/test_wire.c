/**
 * @file test_wire.c  The framing codec
 */

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "proto/wire.h"
#include "tests/unit/common/unit.h"


struct seen {
	unsigned n;
	Wire__Envelope__BodyCase body[16];
	char call[64];
	bool video;
	uint64_t nonce;
	int answer;
	struct wire_dec *kill;
};


static int handler(const Wire__Envelope *env, void *arg)
{
	struct seen *s = arg;

	s->body[s->n++ % 16] = env->body_case;
	if (env->body_case == WIRE__ENVELOPE__BODY_PING)
		s->nonce = env->ping->nonce;
	if (env->body_case == WIRE__ENVELOPE__BODY_PUSH) {
		s->video = env->push->video;
		(void)snprintf(s->call, sizeof(s->call), "%s",
			       env->push->call);
	}
	wire_dec_free(s->kill);

	return s->answer;
}


static size_t put_push(uint8_t *buf, size_t size)
{
	static uint8_t id[WIRE_ID_LEN] = "0123456789abcdef";
	Wire__Push push = WIRE__PUSH__INIT;
	Wire__Envelope env = WIRE__ENVELOPE__INIT;
	size_t len = 0;

	push.id = (ProtobufCBinaryData){ sizeof(id), id };
	push.use = WIRE__USE__USE_CALL;
	push.call = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6";
	push.display_name = "Bob";
	push.expires_at_ms = INT64_MAX;
	env.body_case = WIRE__ENVELOPE__BODY_PUSH;
	env.push = &push;

	assert_int_equal(wire_enc(buf, size, &len, &env), 0);
	assert_int_equal(wire_enc_size(&env), len);

	return len;
}


static size_t put_ping(uint8_t *buf, size_t size, uint64_t nonce)
{
	Wire__Ping ping = WIRE__PING__INIT;
	Wire__Envelope env = WIRE__ENVELOPE__INIT;
	size_t len = 0;

	ping.nonce = nonce;
	env.body_case = WIRE__ENVELOPE__BODY_PING;
	env.ping = &ping;
	assert_int_equal(wire_enc(buf, size, &len, &env), 0);

	return len;
}


static struct wire_dec *make(size_t max, struct seen *s)
{
	struct wire_dec *d = NULL;

	memset(s, 0, sizeof(*s));
	assert_int_equal(wire_dec_alloc(&d, max, handler, s), 0);

	return d;
}


static size_t three_frames(uint8_t *buf, size_t size)
{
	size_t len = put_ping(buf, size, 1);

	len += put_push(buf + len, size - len);
	len += put_ping(buf + len, size - len, 0);

	return len;
}


static void assert_three(const struct seen *s)
{
	assert_int_equal(s->n, 3);
	assert_int_equal(s->body[0], WIRE__ENVELOPE__BODY_PING);
	assert_int_equal(s->body[1], WIRE__ENVELOPE__BODY_PUSH);
	assert_int_equal(s->body[2], WIRE__ENVELOPE__BODY_PING);
	assert_string_equal(s->call, "f81d4fae-7dec-11d0-a765-00a0c91e6bf6");
}


/* Two cuts at all places, and every even chunk size.  Each chunk lies in a
   block of its own, so that a sanitizer sees one byte read too far */
static void feed_cut(const uint8_t *buf, size_t len, size_t a, size_t b)
{
	const size_t cut[] = { 0, a, b, len };
	struct seen s;
	struct wire_dec *d = make(WIRE_MAX_FRAME, &s);

	for (int i = 0; i < 3; i++) {
		const size_t n = cut[i + 1] - cut[i];
		uint8_t *p = malloc(n + !n);

		memcpy(p, buf + cut[i], n);
		assert_int_equal(wire_dec_feed(d, p, n), 0);
		free(p);
	}

	assert_three(&s);
	assert_int_equal(wire_dec_pending(d), 0);
	wire_dec_free(d);
}


static void test_wire_every_chunking(void **state)
{
	uint8_t buf[512];
	const size_t len = three_frames(buf, sizeof(buf));

	(void)state;

	for (size_t a = 0; a <= len; a++) {
		for (size_t b = a; b <= len; b++)
			feed_cut(buf, len, a, b);
	}

	for (size_t n = 1; n <= len; n++) {
		struct seen s;
		struct wire_dec *d = make(WIRE_MAX_FRAME, &s);

		for (size_t pos = 0; pos < len; pos += n)
			assert_int_equal(
				wire_dec_feed(d, buf + pos,
					      pos + n < len ? n : len - pos),
				0);
		assert_three(&s);
		wire_dec_free(d);
	}
}


/* A length over the limit is refused with its fourth byte, however it comes,
   and nothing is kept for it */
static void test_wire_oversize_before_buffering(void **state)
{
	static const uint8_t over[] = { 0, 0, 0x20, 0x01, 'x' };
	static const uint8_t huge[] = { 0xff, 0xff, 0xff, 0xff };
	static const uint8_t limit[] = { 0, 0, 0x20, 0x00 };
	struct seen s;
	struct wire_dec *d = make(WIRE_MAX_FRAME, &s);

	(void)state;

	assert_int_equal(wire_dec_feed(d, over, 3), 0);
	assert_int_equal(wire_dec_pending(d), 3);
	assert_int_equal(wire_dec_feed(d, over + 3, 1), EMSGSIZE);
	assert_int_equal(wire_dec_pending(d), 0);
	assert_int_equal(wire_dec_feed(d, over, 1), EBADMSG);
	wire_dec_free(d);

	d = make(WIRE_MAX_FRAME, &s);
	assert_int_equal(wire_dec_feed(d, over, sizeof(over)), EMSGSIZE);
	wire_dec_free(d);

	d = make(WIRE_MAX_FRAME, &s);
	assert_int_equal(wire_dec_feed(d, huge, sizeof(huge)), EMSGSIZE);
	wire_dec_free(d);

	d = make(WIRE_MAX_FRAME, &s);
	assert_int_equal(wire_dec_feed(d, limit, sizeof(limit)), 0);
	assert_int_equal(wire_dec_pending(d), 4);
	wire_dec_free(d);
}


/* Exactly the limit passes, both ways */
static void test_wire_at_the_limit(void **state)
{
	Wire__Refused refused = WIRE__REFUSED__INIT;
	Wire__Envelope env = WIRE__ENVELOPE__INIT;
	uint8_t *buf = malloc(WIRE_MAX_FRAME + 4);
	char *text = calloc(1, WIRE_MAX_FRAME);
	struct wire_dec *d;
	struct seen s;
	size_t len = 0;

	(void)state;

	env.body_case = WIRE__ENVELOPE__BODY_REFUSED;
	env.refused = &refused;
	refused.reason = text;

	memset(text, 'a', WIRE_MAX_FRAME - 6);
	assert_int_equal(wire_enc_size(&env), WIRE_MAX_FRAME + 4);
	assert_int_equal(wire_enc(buf, WIRE_MAX_FRAME + 3, &len, &env),
			 EOVERFLOW);
	assert_int_equal(len, 0);
	assert_int_equal(wire_enc(buf, WIRE_MAX_FRAME + 4, &len, &env), 0);
	assert_int_equal(len, WIRE_MAX_FRAME + 4);

	d = make(WIRE_MAX_FRAME, &s);
	assert_int_equal(wire_dec_feed(d, buf, len), 0);
	assert_int_equal(s.n, 1);
	wire_dec_free(d);

	d = make(WIRE_MAX_FRAME - 1, &s);
	assert_int_equal(wire_dec_feed(d, buf, len), EMSGSIZE);
	assert_int_equal(s.n, 0);
	wire_dec_free(d);

	text[WIRE_MAX_FRAME - 6] = 'a';
	assert_int_equal(wire_enc(buf, WIRE_MAX_FRAME + 4, &len, &env),
			 EMSGSIZE);
	free(text);
	free(buf);
}


static void expect(const char *bytes, size_t len, int want)
{
	struct seen s;
	struct wire_dec *d = make(WIRE_MAX_FRAME, &s);

	assert_int_equal(wire_dec_feed(d, (const uint8_t *)bytes, len), want);
	assert_int_equal(s.n, want ? 0 : 1);
	if (want)
		assert_int_equal(wire_dec_feed(d, NULL, 0), EBADMSG);
	wire_dec_free(d);
}


static void test_wire_bad_frames(void **state)
{
	(void)state;

	/* empty envelope */
	expect("\0\0\0\0", 4, EBADMSG);
	/* a message of the future: field 11 */
	expect("\0\0\0\2\x5a\0", 6, EBADMSG);
	/* a ping whose length points behind the frame */
	expect("\0\0\0\2\x3a\5", 6, EBADMSG);
	/* a ping with a cut varint */
	expect("\0\0\0\4\x3a\2\x08\xff", 8, EBADMSG);
	/* a ping with the wrong wire type */
	expect("\0\0\0\2\x38\1", 6, EBADMSG);
	/* field number 0 */
	expect("\0\0\0\2\0\0", 6, EBADMSG);
	/* the same with a long tag, beside and in the body */
	expect("\0\0\0\5\x3a\0\x80\0\0", 9, EBADMSG);
	expect("\0\0\0\5\x3a\3\x80\0\0", 9, EBADMSG);
	/* groups */
	expect("\0\0\0\2\x3b\x3c", 6, EBADMSG);
	/* an empty ping is a ping */
	expect("\0\0\0\2\x3a\0", 6, 0);
}


/* Later versions may add fields; a flood of them costs no memory */
static void test_wire_unknown_fields(void **state)
{
	char flood[4 + 8000];

	(void)state;

	expect("\0\0\0\7\x3a\5\x08\7\xf8\7\1", 11, 0);
	expect("\0\0\0\7\x3a\0\xfa\7\2ab", 11, 0);

	flood[0] = flood[1] = 0;
	flood[2] = (char)(8000 >> 8);
	flood[3] = (char)(8000 & 255);
	flood[4] = 0x3a;
	flood[5] = 0;
	for (size_t i = 6; i + 1 < sizeof(flood); i += 2) {
		flood[i] = 0x78; /* field 15, varint */
		flood[i + 1] = 1;
	}
	expect(flood, sizeof(flood), EBADMSG);
}


static void test_wire_truncated(void **state)
{
	uint8_t buf[512];
	const size_t len = put_push(buf, sizeof(buf));

	(void)state;

	/* A cut frame is no error, only not there yet */
	for (size_t n = 0; n < len; n++) {
		struct seen s;
		struct wire_dec *d = make(WIRE_MAX_FRAME, &s);

		assert_int_equal(wire_dec_feed(d, buf, n), 0);
		assert_int_equal(wire_dec_pending(d), n);
		assert_int_equal(s.n, 0);
		wire_dec_free(d);
	}

	/* A cut envelope in a whole frame never passes for the message */
	for (size_t n = 1; n < len - 4; n++) {
		struct seen s;
		struct wire_dec *d = make(WIRE_MAX_FRAME, &s);

		buf[2] = (uint8_t)(n >> 8);
		buf[3] = (uint8_t)n;
		assert_int_equal(wire_dec_feed(d, buf, 4 + n), EBADMSG);
		assert_int_equal(s.n, 0);
		wire_dec_free(d);
	}
}


static void test_wire_handler_ends_feeding(void **state)
{
	uint8_t buf[512];
	const size_t len = three_frames(buf, sizeof(buf));
	struct seen s;
	struct wire_dec *d = make(WIRE_MAX_FRAME, &s);

	(void)state;

	s.answer = EPROTO;
	assert_int_equal(wire_dec_feed(d, buf, len), EPROTO);
	assert_int_equal(s.n, 1);
	assert_int_equal(wire_dec_feed(d, buf, len), EBADMSG);
	assert_int_equal(s.n, 1);
	wire_dec_free(d);
}


/* A session that closes in its handler frees its decoder there */
static void test_wire_freed_in_handler(void **state)
{
	uint8_t buf[512];
	const size_t len = three_frames(buf, sizeof(buf));
	struct seen s;
	struct wire_dec *d;

	(void)state;

	for (size_t cut = 0; cut < 8; cut += 4) {
		d = make(WIRE_MAX_FRAME, &s);
		assert_int_equal(wire_dec_feed(d, buf, cut), 0);
		s.kill = d;
		assert_int_equal(wire_dec_feed(d, buf + cut, len - cut),
				 ECANCELED);
		assert_int_equal(s.n, 1);
	}
}


/* Bytes at the start of an indented line, single spaces between them */
static size_t hex_line(uint8_t *dst, const char *line)
{
	size_t n = 0;
	unsigned byte;
	int used;

	if (strncmp(line, "    ", 4))
		return 0;

	for (line += 4; sscanf(line, "%2x%n", &byte, &used) == 1 && used == 2;
	     line++) {
		dst[n++] = (uint8_t)byte;
		line += 2;
		if (line[0] != ' ' || line[1] == ' ')
			break;
	}

	return n;
}


/* Whoever implements from docs/PROTOCOL.md begins with its examples */
static void test_wire_examples_of_the_document(void **state)
{
	FILE *f = fopen(SOURCE_DIR "/docs/PROTOCOL.md", "r");
	char line[512];
	uint8_t bytes[64];
	struct seen s;
	struct wire_dec *d = make(WIRE_MAX_FRAME, &s);

	(void)state;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		assert_int_equal(
			wire_dec_feed(d, bytes, hex_line(bytes, line)), 0);
	(void)fclose(f);

	assert_int_equal(wire_dec_pending(d), 0);
	assert_int_equal(s.n, 2);
	assert_int_equal(s.body[0], WIRE__ENVELOPE__BODY_PING);
	assert_int_equal(s.body[1], WIRE__ENVELOPE__BODY_PUSH);
	assert_true(s.video);
	assert_int_equal(s.nonce, 7);
	wire_dec_free(d);
}


static void test_wire_names(void **state)
{
	Wire__Use use = WIRE__USE__USE_UNKNOWN;

	(void)state;

	for (int i = WIRE__USE__USE_CALL; i <= WIRE__USE__USE_TEST; i++) {
		assert_int_equal(
			wire_use_decode(&use, wire_use_name((Wire__Use)i)), 0);
		assert_int_equal(use, i);
	}
	assert_string_equal(wire_use_name(WIRE__USE__USE_ENDED), "ended");
	assert_string_equal(wire_use_name((Wire__Use)99), "unknown");
	assert_int_equal(wire_use_decode(&use, "unknown"), EINVAL);
	assert_int_equal(wire_use_decode(&use, "Call"), EINVAL);
	assert_int_equal(wire_use_decode(&use, NULL), EINVAL);

	assert_string_equal(wire_outcome_name(WIRE__OUTCOME__TOKEN_GONE),
			    "token_gone");
	assert_string_equal(wire_outcome_name((Wire__Outcome)-1), "unknown");
}


static void test_wire_bad_arguments(void **state)
{
	uint8_t b = 0;
	size_t len;
	struct seen s;
	struct wire_dec *d;

	(void)state;

	assert_int_equal(wire_dec_alloc(NULL, 1, handler, NULL), EINVAL);
	assert_int_equal(wire_dec_alloc(&d, 0, handler, NULL), EINVAL);
	assert_int_equal(wire_dec_alloc(&d, 1, NULL, NULL), EINVAL);
	assert_int_equal(wire_dec_feed(NULL, &b, 1), EINVAL);
	assert_int_equal(wire_enc(&b, 1, &len, NULL), EINVAL);
	assert_int_equal(wire_dec_pending(NULL), 0);
	assert_int_equal(wire_enc_size(NULL), 0);
	wire_dec_free(NULL);

	d = make(1, &s);
	assert_int_equal(wire_dec_feed(d, NULL, 1), EINVAL);
	assert_int_equal(wire_dec_feed(d, NULL, 0), 0);
	wire_dec_free(d);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wire_at_the_limit),
		cmocka_unit_test(test_wire_bad_arguments),
		cmocka_unit_test(test_wire_bad_frames),
		cmocka_unit_test(test_wire_every_chunking),
		cmocka_unit_test(test_wire_examples_of_the_document),
		cmocka_unit_test(test_wire_freed_in_handler),
		cmocka_unit_test(test_wire_handler_ends_feeding),
		cmocka_unit_test(test_wire_names),
		cmocka_unit_test(test_wire_oversize_before_buffering),
		cmocka_unit_test(test_wire_truncated),
		cmocka_unit_test(test_wire_unknown_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
