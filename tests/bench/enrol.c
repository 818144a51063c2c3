/**
 * @file tests/bench/enrol.c  Push tokens in, sealed handles out
 *
 * Enrols the tokens 0..N-1 (32 bytes each, the number in hex) at a mediator
 * over the real wire, as sipis would, and prints one handle per line in the
 * form that `sipis --import` reads.
 */

#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include "common/ident.h"
#include "proto/wire.h"

#define IN_FLIGHT 64

struct enrol {
	const char *cert, *key, *ca, *name, *host, *port, *app, *topic;
	uint32_t count;
	uint32_t asked, answered;
	char **handles;
	bool hello;
	SSL_CTX *ctx;
	SSL *ssl;
	int fd;
};


static int fail(const char *what)
{
	fprintf(stderr, "enrol: %s\n", what);
	ERR_print_errors_fp(stderr);
	return EPROTO;
}


static int dial(struct enrol *e)
{
	struct addrinfo *ai = NULL;
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };

	if (getaddrinfo(e->host, e->port, &hints, &ai))
		return fail("address");
	e->fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (e->fd < 0 || connect(e->fd, ai->ai_addr, ai->ai_addrlen)) {
		freeaddrinfo(ai);
		return fail(strerror(errno));
	}
	freeaddrinfo(ai);

	e->ctx = SSL_CTX_new(TLS_client_method());
	if (!e->ctx ||
	    SSL_CTX_use_certificate_chain_file(e->ctx, e->cert) != 1 ||
	    SSL_CTX_use_PrivateKey_file(e->ctx, e->key, SSL_FILETYPE_PEM) !=
		    1 ||
	    SSL_CTX_load_verify_locations(e->ctx, e->ca, NULL) != 1)
		return fail("certificates");

	SSL_CTX_set_verify(e->ctx, SSL_VERIFY_PEER, NULL);
	(void)SSL_CTX_set_min_proto_version(e->ctx, TLS1_3_VERSION);
	e->ssl = SSL_new(e->ctx);
	if (!e->ssl || SSL_set1_host(e->ssl, e->name) != 1 ||
	    SSL_set_tlsext_host_name(e->ssl, e->name) != 1 ||
	    SSL_set_fd(e->ssl, e->fd) != 1 || SSL_connect(e->ssl) != 1)
		return fail("TLS");

	return 0;
}


static int put(struct enrol *e, const Wire__Envelope *env)
{
	uint8_t buf[WIRE_MAX_FRAME + 4];
	size_t len;
	int err = wire_enc(buf, sizeof(buf), &len, env);

	if (err)
		return err;
	return SSL_write(e->ssl, buf, (int)len) == (int)len ? 0
							    : fail("write");
}


static int put_hello(struct enrol *e)
{
	Wire__Envelope env = WIRE__ENVELOPE__INIT;
	Wire__Hello hello = WIRE__HELLO__INIT;

	hello.version_min = hello.version_max = WIRE_VERSION;
	hello.software = "sipis-bench";
	hello.node = "bench";
	env.body_case = WIRE__ENVELOPE__BODY_HELLO;
	env.hello = &hello;
	return put(e, &env);
}


static int put_enrol(struct enrol *e, uint32_t n)
{
	Wire__Envelope env = WIRE__ENVELOPE__INIT;
	Wire__Enrol enrol = WIRE__ENROL__INIT;
	Wire__Use use[] = { WIRE__USE__USE_CALL };
	uint8_t id[WIRE_ID_LEN] = { 0xbe };
	char token[65];

	memcpy(id + 8, &n, sizeof(n));
	(void)snprintf(token, sizeof(token), "%064x", n);
	enrol.id.data = id;
	enrol.id.len = sizeof(id);
	enrol.app = (char *)(uintptr_t)e->app;
	enrol.provider = "apns";
	enrol.token = token;
	enrol.topic = (char *)(uintptr_t)e->topic;
	enrol.environment = "production";
	enrol.trace = "bench";
	enrol.use = use;
	enrol.n_use = 1;
	env.body_case = WIRE__ENVELOPE__BODY_ENROL;
	env.enrol = &enrol;
	return put(e, &env);
}


static int take(struct enrol *e, const Wire__Enrolled *a)
{
	uint32_t n;

	if (a->id.len != WIRE_ID_LEN)
		return fail("an answer without its id");
	memcpy(&n, a->id.data + 8, sizeof(n));
	if (n >= e->count || e->handles[n])
		return fail("an answer to what was not asked");
	if (!a->handle.len) {
		fprintf(stderr, "enrol: %s %s\n",
			wire_outcome_name(a->outcome), a->reason);
		return EPROTO;
	}

	e->handles[n] = malloc(4 * ((a->handle.len + 2) / 3) + 1);
	if (!e->handles[n])
		return ENOMEM;
	(void)ident_b64url(e->handles[n], a->handle.data, a->handle.len);
	++e->answered;
	return 0;
}


static int frame_handler(const Wire__Envelope *env, void *arg)
{
	struct enrol *e = arg;
	Wire__Envelope out = WIRE__ENVELOPE__INIT;
	Wire__Pong pong = WIRE__PONG__INIT;

	switch (env->body_case) {
	case WIRE__ENVELOPE__BODY_HELLO:
		e->hello = true;
		return 0;
	case WIRE__ENVELOPE__BODY_ENROLLED:
		return take(e, env->enrolled);
	case WIRE__ENVELOPE__BODY_PING:
		pong.nonce = env->ping->nonce;
		out.body_case = WIRE__ENVELOPE__BODY_PONG;
		out.pong = &pong;
		return put(e, &out);
	case WIRE__ENVELOPE__BODY_REFUSED:
		return fail(env->refused->reason);
	default:
		return 0;
	}
}


static int run(struct enrol *e)
{
	struct wire_dec *dec = NULL;
	uint8_t buf[16384];
	int err;

	err = wire_dec_alloc(&dec, WIRE_MAX_FRAME, frame_handler, e);
	if (!err)
		err = put_hello(e);
	while (!err && e->answered < e->count) {
		int n = SSL_read(e->ssl, buf, sizeof(buf));

		err = n > 0 ? wire_dec_feed(dec, buf, (size_t)n)
			    : fail("closed");
		while (!err && e->hello && e->asked < e->count &&
		       e->asked - e->answered < IN_FLIGHT)
			err = put_enrol(e, e->asked++);
	}

	wire_dec_free(dec);
	return err;
}


static bool options(struct enrol *e, int argc, char **argv)
{
	static const struct option longopts[] = {
		{ "cert", required_argument, NULL, 'c' },
		{ "key", required_argument, NULL, 'k' },
		{ "ca", required_argument, NULL, 'a' },
		{ "name", required_argument, NULL, 'n' },
		{ "host", required_argument, NULL, 'h' },
		{ "port", required_argument, NULL, 'p' },
		{ "app", required_argument, NULL, 'A' },
		{ "topic", required_argument, NULL, 't' },
		{ "count", required_argument, NULL, 'N' },
		{ NULL, 0, NULL, 0 },
	};
	const char **const to[128] = {
		['c'] = &e->cert, ['k'] = &e->key,   ['a'] = &e->ca,
		['n'] = &e->name, ['h'] = &e->host,  ['p'] = &e->port,
		['A'] = &e->app,  ['t'] = &e->topic,
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longopts, NULL)) != -1) {
		if (c == 'N')
			e->count = (uint32_t)strtoul(optarg, NULL, 10);
		else if (c > 0 && c < 128 && to[c])
			*to[c] = optarg;
		else
			return false;
	}

	return e->cert && e->key && e->ca && e->name && e->app && e->topic &&
	       e->count;
}


int main(int argc, char **argv)
{
	struct enrol e = { .host = "127.0.0.1", .port = "24998", .fd = -1 };
	int err;

	if (!options(&e, argc, argv)) {
		fputs("usage: enrol --cert F --key F --ca F --name N "
		      "[--host H] [--port P] --app A --topic T --count N\n",
		      stderr);
		return 64;
	}

	e.handles = calloc(e.count, sizeof(*e.handles));
	err = e.handles ? dial(&e) : ENOMEM;
	if (!err)
		err = run(&e);
	for (uint32_t i = 0; e.handles && i < e.count; i++) {
		if (!err)
			puts(e.handles[i]);
		free(e.handles[i]);
	}

	free(e.handles);
	SSL_free(e.ssl);
	SSL_CTX_free(e.ctx);
	if (e.fd >= 0)
		(void)close(e.fd);
	return err ? 1 : 0;
}
