/**
 * @file rawphone.h  A phone on one UDP socket, made of text
 *
 * Says what it is told to, keeps all that it hears, and answers nothing by
 * itself.
 */

#ifndef TESTS_UNIT_EDGE_RAWPHONE_H
#define TESTS_UNIT_EDGE_RAWPHONE_H

#include <re/re.h>

struct rawphone {
	struct udp_sock *us;
	struct sa addr;
	struct sa edge;    /**< where it speaks to */
	struct list heard; /**< requests, the first one first */
	unsigned rounds;
	bool waits; /**< for an answer of its own */
};

/** edge NULL: whoever speaks to it first */
void rawphone_open(struct rawphone *p, const struct sa *edge);
void rawphone_close(struct rawphone *p);

/** A whole message, by re_printf's rules */
void rawphone_say(struct rawphone *p, const char *fmt, ...);
/** To a request; what: "180 Ringing" */
void rawphone_answer(struct rawphone *p, const struct sip_msg *req,
		     const char *what);

/** Requests that it has heard, NULL: any; repeats count too */
unsigned rawphone_count(const struct rawphone *p, const char *met);
/** The newest one; NULL: none */
const struct sip_msg *rawphone_last(const struct rawphone *p, const char *met);
void rawphone_forget(struct rawphone *p);

/** A round trip: the edge has read all that it said before, and it all that
    the edge said before it read that */
void rawphone_settle(struct rawphone *p);

#endif
