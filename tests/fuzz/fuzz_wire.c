/**
 * @file fuzz_wire.c  Foreign bytes into the frame decoder of 24998
 *
 *     byte 0   frame limit: one of four
 *     byte 1   seed of the chunk sizes
 *     rest     the stream
 *
 * Judged: no crash; the same frames and the same verdict in one chunk and in
 * many; what is held between two chunks stays under the frame limit, what is
 * allocated at any moment under the budget; decode(encode(x)) = x.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sanitizer/allocator_interface.h>
#include "proto/wire.h"


enum { HELD_BASE = 512, PEAK_FACTOR = 6, PEAK_BASE = 8192 };

#define CHECK(cond)              \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

struct seen {
	unsigned frames;
	uint64_t digest;
};

/* The allocator's hooks have no argument, and the fuzzer has a thread of its
   own */
static _Thread_local struct {
	bool on;
	size_t live;
	size_t peak;
} heap;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void malloc_hook(const volatile void *p, size_t size)
{
	(void)p;

	if (!heap.on)
		return;

	heap.live += size;
	if (heap.live > heap.peak)
		heap.peak = heap.live;
}


static void free_hook(const volatile void *p)
{
	if (heap.on && p)
		heap.live -= __sanitizer_get_allocated_size(p);
}


int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;

	CHECK(__sanitizer_install_malloc_and_free_hooks(malloc_hook,
							free_hook));
	return 0;
}


static uint64_t mix(uint64_t digest, const uint8_t *p, size_t len)
{
	while (len--)
		digest = (digest ^ *p++) * 0x100000001b3u;

	return digest;
}


struct again {
	uint8_t *buf;
	size_t len;
	unsigned frames;
};


static int again_handler(const Wire__Envelope *env, void *arg)
{
	struct again *a = arg;
	uint8_t *buf = malloc(a->len);
	size_t len = 0;

	a->frames++;
	CHECK(!wire_enc(buf, a->len, &len, env));
	CHECK(len == a->len && !memcmp(buf, a->buf, len));
	free(buf);

	return 0;
}


/* What came in goes out, comes in again, and is the same */
static uint64_t round_trip(const Wire__Envelope *env, uint64_t digest)
{
	struct again a = { NULL, 0, 0 };
	struct wire_dec *d;
	const size_t size = wire_enc_size(env);
	int err;

	a.buf = malloc(size);
	err = wire_enc(a.buf, size, &a.len, env);

	/* A foreign encoder may be tighter than ours */
	CHECK(!err == (size <= WIRE_MAX_FRAME + 4));
	if (!err) {
		CHECK(a.len == size);
		digest = mix(digest, a.buf, a.len);
		CHECK(!wire_dec_alloc(&d, WIRE_MAX_FRAME, again_handler, &a));
		CHECK(!wire_dec_feed(d, a.buf, a.len));
		CHECK(a.frames == 1);
		wire_dec_free(d);
	}
	free(a.buf);

	return digest;
}


static int handler(const Wire__Envelope *env, void *arg)
{
	struct seen *s = arg;
	const bool on = heap.on;

	heap.on = false;
	s->frames++;
	s->digest = round_trip(env, s->digest + env->body_case);
	heap.on = on;

	return 0;
}


static int feed(struct seen *s, size_t max, unsigned seed, bool chunked,
		const uint8_t *data, size_t size)
{
	struct wire_dec *d;
	int err = 0;

	*s = (struct seen){ 0, 0xcbf29ce484222325u };
	heap.live = 0;
	heap.peak = 0;
	heap.on = true;
	CHECK(!wire_dec_alloc(&d, max, handler, s));

	while (size && !err) {
		size_t n = size;
		uint8_t *chunk;

		seed = seed * 1664525u + 1013904223u;
		if (chunked && n > 1 + (seed >> 24) % 61)
			n = 1 + (seed >> 24) % 61;

		/* A block of its own, so that a byte read too far shows */
		heap.on = false;
		chunk = malloc(n);
		memcpy(chunk, data, n);
		heap.on = true;

		err = wire_dec_feed(d, chunk, n);

		heap.on = false;
		free(chunk);
		heap.on = true;

		CHECK(heap.live <= max + HELD_BASE);
		CHECK(wire_dec_pending(d) <= max + 4);
		data += n;
		size -= n;
	}

	CHECK(heap.peak <= max * PEAK_FACTOR + PEAK_BASE);
	wire_dec_free(d);
	CHECK(!heap.live);
	heap.on = false;

	return err;
}


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t limits[] = { 16, 64, 1024, WIRE_MAX_FRAME };
	struct seen one, many;
	size_t max;
	int err;

	if (size < 2)
		return 0;

	max = limits[data[0] % 4];
	err = feed(&one, max, data[1], false, data + 2, size - 2);
	CHECK(err == feed(&many, max, data[1], true, data + 2, size - 2));
	CHECK(one.frames == many.frames && one.digest == many.digest);

	return 0;
}
