/**
 * @file guard.h  Who may still ask: connections, requests, wrong secrets
 *
 * Counts per address, in the thread of the listeners.  An IPv6 host has a
 * whole /64 to itself, so that is what counts as its address.  When all the
 * wrong secrets of a minute are used up, addresses that gave one of them are
 * shut out and any further wrong one is answered as such; whoever knows his
 * secret is served all the same, or a handful of guessers could lock
 * everybody out.  Time is an argument.
 */

#ifndef SIPIS_API_GUARD_H
#define SIPIS_API_GUARD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include "sipis/cfg.h"

#define GUARD_ADDR_MAX 64

struct guard;

int guard_alloc(struct guard **gp, const struct api_cfg *cfg);

/** The text that stands for an address; dst has GUARD_ADDR_MAX bytes */
void guard_addr(char *dst, const struct sockaddr *sa);

/** A connection comes; false: one too many, and nothing is counted */
bool guard_open(struct guard *g, const char *addr);
void guard_close(struct guard *g, const char *addr);
unsigned guard_count(const struct guard *g);

/** Seconds to wait, 0: go on */
uint32_t guard_request(struct guard *g, const char *addr, uint64_t now_ms);
/** May this address try a secret? */
uint32_t guard_secret(struct guard *g, const char *addr, uint64_t now_ms);
/** It was wrong.  Seconds to wait if all of them are used up, else 0 */
uint32_t guard_wrong(struct guard *g, const char *addr, uint64_t now_ms);

#endif
