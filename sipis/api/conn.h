/**
 * @file conn.h  Connections of the listeners: slots and deadlines
 *
 *   HANDSHAKE -> HEADER -> BODY -> WORK -> SEND -> IDLE -> BODY ...
 *      5 s        10 s     20 s     -      20 s    30 s
 *
 * A phase has a deadline, whatever trickles in meanwhile; WORK is ours and
 * has none here.  A connection is named by slot and serial number, so that an
 * answer that comes late cannot go to somebody else.  No I/O; time is an
 * argument.
 */

#ifndef SIPIS_API_CONN_H
#define SIPIS_API_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "sipis/api/guard.h"
#include "sipis/api/route.h"

enum phase {
	PH_FREE,
	PH_HANDSHAKE,
	PH_HEADER,
	PH_BODY,
	PH_WORK,
	PH_SEND,
	PH_IDLE,
	PHASES
};

struct ask;

struct conn {
	void *wsi;
	uint32_t slot;
	uint64_t serial;
	enum phase phase;
	uint64_t since_ms;
	bool admin;
	char addr[GUARD_ADDR_MAX];

	struct ask *ask;      /**< being read, or with its answer */
	bool away;            /**< the ask is with the loop */
	enum problem refused; /**< known before the body has been read */
	const char *why;
	char *body;
	size_t body_len, body_size;
	bool close_after; /**< what still comes in is thrown away */
	bool bare;        /**< HEAD: an answer without its body */
	uint64_t asked_us;
};

struct conns;

int conns_alloc(struct conns **csp, uint32_t max);
/** NULL: full */
struct conn *conns_new(struct conns *cs, void *wsi, uint64_t now_ms);
/** Frees slot and body; the ask is the caller's */
void conns_drop(struct conns *cs, struct conn *c);
/** NULL if that connection is gone */
struct conn *conns_find(const struct conns *cs, uint32_t slot,
			uint64_t serial);

void conn_phase(struct conn *c, enum phase ph, uint64_t now_ms);
/** Past the deadline of its phase */
bool conn_late(const struct conn *c, uint64_t now_ms);

typedef void(conn_h)(struct conn *c, void *arg);
/** Calls h for each connection; h may drop it */
void conns_each(struct conns *cs, conn_h *h, void *arg);

#endif
