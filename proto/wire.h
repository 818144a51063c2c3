/**
 * @file wire.h  Framing of the wire on 24998; no I/O
 *
 * A frame is a 4-byte big-endian length, then that many bytes of a protobuf
 * Envelope (proto/wire.proto).  The decoder takes bytes in any chunking and
 * refuses a length over its limit before it buffers a byte of the body.
 */

#ifndef PROTO_WIRE_H
#define PROTO_WIRE_H

#include <stddef.h>
#include <stdint.h>
#include "wire.pb-c.h"

#define WIRE_PORT      24998
#define WIRE_VERSION   1
#define WIRE_MAX_FRAME 8192 /**< bytes of an envelope, default limit */
#define WIRE_ID_LEN    16

struct wire_dec;

/** env is valid until the handler returns.  A handler that returns non-zero
    ends the feeding with that error */
typedef int(wire_h)(const Wire__Envelope *env, void *arg);

int wire_dec_alloc(struct wire_dec **dp, size_t max_frame, wire_h *h,
		   void *arg);
void wire_dec_free(struct wire_dec *d);

/** EMSGSIZE frame over the limit, EBADMSG not an envelope or one without a
    body, ENOMEM, or what the handler returned.  After an error the decoder
    is dead: every further call returns EBADMSG */
int wire_dec_feed(struct wire_dec *d, const uint8_t *p, size_t len);

/** Bytes held of an unfinished frame */
size_t wire_dec_pending(const struct wire_dec *d);

/** Size of the whole frame */
size_t wire_enc_size(const Wire__Envelope *env);
/** EMSGSIZE if it is over WIRE_MAX_FRAME, EOVERFLOW if size is too small.
 *lenp gets the bytes written, length prefix included */
int wire_enc(uint8_t *buf, size_t size, size_t *lenp,
	     const Wire__Envelope *env);

const char *wire_use_name(Wire__Use use);
int wire_use_decode(Wire__Use *use, const char *name);
const char *wire_outcome_name(Wire__Outcome o);

#endif
