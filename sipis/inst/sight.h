/**
 * @file sight.h  What the edge sees of an account's phones
 *
 * For the operator who asks why one does not ring.  The edge fills it in, and
 * app.c hands it to the API; without an edge it is empty.
 */

#ifndef SIPIS_INST_SIGHT_H
#define SIPIS_INST_SIGHT_H

#include <re/re.h>
#include "sipis/store/store.h"

/** One way to a phone that is registered there */
struct inst_flow {
	const char *phone; /**< its instance's id; else one of the edge's */
	bool known;        /**< it is an instance */
	const char *contact;
	const char *transport; /**< udp, tcp, tls */
	struct sa peer;
	int64_t since_ms, until_ms; /**< wall: connected, bound */
};

/** Its REGISTER was refused, the last time that it was */
struct inst_rebuff {
	const char *phone; /**< what it calls itself */
	int64_t at_ms;
	uint16_t scode;
	const char *why;
	const char *transport;
	struct sa peer;
};

typedef void(inst_flow_h)(const struct inst_flow *f, void *arg);
typedef void(inst_rebuff_h)(const struct inst_rebuff *b, void *arg);

struct inst_sight {
	void (*flows)(uint64_t acct, inst_flow_h *h, void *h_arg, void *arg);
	void (*rebuffs)(uint64_t acct, inst_rebuff_h *h, void *h_arg,
			void *arg);
	void *arg;
};

/** Is that its installation, with or without "urn:uuid:"? */
bool inst_is_called(const struct inst_row *inst, const char *name);

#endif
