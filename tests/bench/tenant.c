/**
 * @file tests/bench/tenant.c  A sipis at a mediator, as the benches need one
 */

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include "tests/bench/tenant.h"

enum { FLUSH_AT = 12000 }; /* one TLS record */


int tenant_fail(const struct tenant *t, const char *what)
{
	fprintf(stderr, "%s: %s\n", t->who, what);
	ERR_print_errors_fp(stderr);
	return EPROTO;
}


bool tenant_option(struct tenant *t, int c, const char *value)
{
	const char **const to[128] = {
		['c'] = &t->cert, ['k'] = &t->key,  ['a'] = &t->ca,
		['n'] = &t->name, ['h'] = &t->host, ['p'] = &t->port,
	};

	if (c <= 0 || c >= 128 || !to[c])
		return false;

	*to[c] = value;
	return true;
}


bool tenant_complete(const struct tenant *t)
{
	return t->cert && t->key && t->ca && t->name;
}


static int dial_tcp(struct tenant *t)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *ai = NULL;
	int err = 0, on = 1;

	if (getaddrinfo(t->host ? t->host : "127.0.0.1",
			t->port ? t->port : "24998", &hints, &ai))
		return tenant_fail(t, "address");

	t->fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (t->fd < 0 || connect(t->fd, ai->ai_addr, ai->ai_addrlen))
		err = tenant_fail(t, strerror(errno));
	else
		(void)setsockopt(t->fd, IPPROTO_TCP, TCP_NODELAY, &on,
				 sizeof(on));
	freeaddrinfo(ai);
	return err;
}


int tenant_dial(struct tenant *t)
{
	int err = dial_tcp(t);

	if (err)
		return err;

	t->ctx = SSL_CTX_new(TLS_client_method());
	if (!t->ctx ||
	    SSL_CTX_use_certificate_chain_file(t->ctx, t->cert) != 1 ||
	    SSL_CTX_use_PrivateKey_file(t->ctx, t->key, SSL_FILETYPE_PEM) !=
		    1 ||
	    SSL_CTX_load_verify_locations(t->ctx, t->ca, NULL) != 1)
		return tenant_fail(t, "certificates");

	SSL_CTX_set_verify(t->ctx, SSL_VERIFY_PEER, NULL);
	(void)SSL_CTX_set_min_proto_version(t->ctx, TLS1_3_VERSION);
	t->ssl = SSL_new(t->ctx);
	if (!t->ssl || SSL_set1_host(t->ssl, t->name) != 1 ||
	    SSL_set_tlsext_host_name(t->ssl, t->name) != 1 ||
	    SSL_set_fd(t->ssl, t->fd) != 1 || SSL_connect(t->ssl) != 1)
		return tenant_fail(t, "TLS");

	return 0;
}


static int flush(struct tenant *t)
{
	int n = (int)t->outlen;

	t->outlen = 0;
	return !n || SSL_write(t->ssl, t->out, n) == n
		       ? 0
		       : tenant_fail(t, "write");
}


int tenant_put(struct tenant *t, const Wire__Envelope *env)
{
	size_t len = 0;
	int err = wire_enc(t->out + t->outlen, sizeof(t->out) - t->outlen,
			   &len, env);

	if (err)
		return err;

	t->outlen += len;
	return t->outlen > FLUSH_AT ? flush(t) : 0;
}


static int put_hello(struct tenant *t)
{
	Wire__Envelope env = WIRE__ENVELOPE__INIT;
	Wire__Hello hello = WIRE__HELLO__INIT;
	int err;

	hello.version_min = hello.version_max = WIRE_VERSION;
	hello.software = "sipis-bench";
	hello.node = "bench";
	env.body_case = WIRE__ENVELOPE__BODY_HELLO;
	env.hello = &hello;
	err = tenant_put(t, &env);
	return err ? err : flush(t);
}


static int pong(struct tenant *t, const Wire__Ping *ping)
{
	Wire__Envelope env = WIRE__ENVELOPE__INIT;
	Wire__Pong answer = WIRE__PONG__INIT;

	answer.nonce = ping->nonce;
	env.body_case = WIRE__ENVELOPE__BODY_PONG;
	env.pong = &answer;
	return tenant_put(t, &env);
}


static int frame_handler(const Wire__Envelope *env, void *arg)
{
	struct tenant *t = arg;

	switch (env->body_case) {
	case WIRE__ENVELOPE__BODY_HELLO:
		t->hello = true;
		if (env->hello->window < t->window)
			t->window = env->hello->window;
		return 0;
	case WIRE__ENVELOPE__BODY_PING:
		return pong(t, env->ping);
	case WIRE__ENVELOPE__BODY_REFUSED:
		return tenant_fail(t, env->refused->reason);
	default:
		return t->answer(env, t->arg);
	}
}


int tenant_run(struct tenant *t)
{
	struct wire_dec *dec = NULL;
	uint8_t buf[16384];
	int err;

	err = wire_dec_alloc(&dec, WIRE_MAX_FRAME, frame_handler, t);
	if (!err)
		err = put_hello(t);
	while (!err && !t->done(t->arg)) {
		int n = SSL_read(t->ssl, buf, sizeof(buf));

		err = n > 0 ? wire_dec_feed(dec, buf, (size_t)n)
			    : tenant_fail(t, "closed");
		if (!err && t->hello)
			err = t->more(t->arg);
		if (!err)
			err = flush(t);
	}

	wire_dec_free(dec);
	return err;
}


void tenant_close(struct tenant *t)
{
	SSL_free(t->ssl);
	SSL_CTX_free(t->ctx);
	if (t->fd >= 0)
		(void)close(t->fd);
}
