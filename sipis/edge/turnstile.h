/**
 * @file turnstile.h  How many connections an address may have open
 *
 * libre accepts whoever comes, and shows neither its sockets nor what it has
 * accepted.  So its tcp_accept() is ours while there is a turnstile: the real
 * one runs, and what goes too far is closed at once.  One per thread, as one
 * loop per thread.
 */

#ifndef SIPIS_EDGE_TURNSTILE_H
#define SIPIS_EDGE_TURNSTILE_H

#include <re/re.h>
#include "common/metrics.h"

struct turnstile;

/** Is somebody at the end of that connection who is known?  It counts no
    more */
typedef bool(turnstile_known_h)(const struct sa *peer, void *arg);
/** It may go in */
typedef void(turnstile_enter_h)(const struct sa *peer, void *arg);

struct turnstile_prm {
	uint32_t per_address;   /**< of strangers; IPv6: per /64 */
	int fds;                /**< a connection with this descriptor or a
				     higher one is closed; 0: any goes */
	struct metric *refused; /**< counts what was closed */
	turnstile_known_h *h;
	turnstile_enter_h *enterh; /**< may be NULL */
	void *arg;
};

/** ENOSYS: libre's calls do not reach us; EALREADY: there is one */
int turnstile_alloc(struct turnstile **tp, const struct turnstile_prm *prm);
/** Connections to that address pass it; the others go by */
int turnstile_guard(struct turnstile *t, const struct sa *laddr);
/** The descriptor of the connection from there; -1: none that has passed.  A
    walk through all of them */
int turnstile_fd(const struct turnstile *t, const struct sa *peer);

#endif
