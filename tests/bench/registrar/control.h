/**
 * @file control.h  Commands to the registrar over TCP on loopback
 *
 * One command per line, one line of JSON as the answer:
 *
 *   stats                     counters, bindings, REGISTERs per second
 *   counts                    counters only, cheap with many users
 *   reset                     counters to 0
 *   grant S                   most seconds granted from now on
 *   nonce-life S              0: challenge each REGISTER
 *   invite RATE COUNT FIRST USERS [IP PORT]
 *   calls                     how far the calls are
 *   dump PATH                 one line of JSON per call
 *   quit
 */

#ifndef REGISTRAR_CONTROL_H
#define REGISTRAR_CONTROL_H

#include <stdint.h>
#include "caller.h"
#include "registrar.h"

struct control;

struct control_prm {
	struct registrar *registrar;
	struct caller *caller;
	const char *domain;
	uint16_t port; /**< 0: any */
};

int control_alloc(struct control **cp, const struct control_prm *prm);
void control_free(struct control *c);
uint16_t control_port(const struct control *c);
/** Of the listener, and of the one client or -1 */
void control_fds(const struct control *c, int *listener, int *client);
void control_accept(struct control *c);
/** true: "quit" */
bool control_read(struct control *c);

#endif
