/**
 * @file caller.h  A PBX that calls sleeping users at a fixed rate
 *
 * Open loop: each INVITE leaves at its own time, however slow the answers
 * are.  What goes unanswered is sent again as RFC 3261 says (timer A), each
 * final gets its ACK, and 64*T1 without a final is a lost call.
 */

#ifndef REGISTRAR_CALLER_H
#define REGISTRAR_CALLER_H

#include <stdint.h>
#include <stdio.h>
#include "text.h"
#include "udp.h"
#include "users.h"

struct caller;

struct caller_prm {
	double rate;               /**< calls per second */
	uint32_t count;            /**< calls in all */
	uint32_t first, users;     /**< whom */
	struct sockaddr_in target; /**< port 0: where the user registered */
	const char *domain;
};

int caller_alloc(struct caller **cp, struct udp *udp,
		 const struct users *users);
void caller_free(struct caller *c);
/** EBUSY while a run goes on; EINVAL: nobody to call */
int caller_start(struct caller *c, const struct caller_prm *prm);
/** Sends what is due; returns nanoseconds until more is, or UINT64_MAX */
uint64_t caller_poll(struct caller *c);
/** true: the response was to one of ours */
bool caller_response(struct caller *c, const struct text *t);
void caller_print(const struct caller *c, FILE *f);
/** One line of JSON per call */
int caller_dump(const struct caller *c, const char *path);

#endif
