/**
 * @file tests/bench/tenant.h  A sipis at a mediator, as the benches need one
 *
 * One connection over TLS 1.3, blocking; frames out are gathered until
 * somebody waits for an answer.
 */

#ifndef TESTS_BENCH_TENANT_H
#define TESTS_BENCH_TENANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <openssl/ssl.h>
#include "proto/wire.h"

enum { TENANT_OUT_MAX = 1 << 16 };

struct tenant {
	const char *cert, *key, *ca, *name, *host, *port;
	const char *who; /**< our name, for complaints */
	bool hello;      /**< the mediator has greeted */
	uint32_t window; /**< at most so many unanswered; set before */
	int (*answer)(const Wire__Envelope *env, void *arg);
	int (*more)(void *arg); /**< after each read: ask on */
	bool (*done)(void *arg);
	void *arg;

	SSL_CTX *ctx;
	SSL *ssl;
	int fd;
	uint8_t out[TENANT_OUT_MAX];
	size_t outlen;
};

/** Says so on standard error; EPROTO */
int tenant_fail(const struct tenant *t, const char *what);
/** Takes one of cert, key, ca, name, host, port (by its initial); false: it
    is none of them */
bool tenant_option(struct tenant *t, int c, const char *value);
/** The options that getopt_long() must know for it */
#define TENANT_OPTIONS                                    \
	{ "cert", required_argument, NULL, 'c' },         \
		{ "key", required_argument, NULL, 'k' },  \
		{ "ca", required_argument, NULL, 'a' },   \
		{ "name", required_argument, NULL, 'n' }, \
		{ "host", required_argument, NULL, 'h' }, \
	{                                                 \
		"port", required_argument, NULL, 'p'      \
	}
/** All are there that must be */
bool tenant_complete(const struct tenant *t);

int tenant_dial(struct tenant *t);
int tenant_put(struct tenant *t, const Wire__Envelope *env);
/** Greets, then hands answers to answer() and lets more() ask until done() */
int tenant_run(struct tenant *t);
void tenant_close(struct tenant *t);

#endif
