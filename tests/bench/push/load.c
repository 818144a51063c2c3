/**
 * @file tests/bench/push/load.c  Pushes into a mediator, as sipis sends them
 *
 * A closed loop over one connection: a number of pushes is always unanswered.
 * Reads handles (base64url, one per line, of bench-enrol) from stdin, takes
 * them in turn, and prints one line of JSON.  Its own work is not measured.
 */

#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include "common/ident.h"
#include "proto/wire.h"

enum {
	OUT_MAX = 1 << 16,
	FLUSH_AT = 12000, /* one TLS record */
	LINE_MAX_ = 8192,
	OUTCOMES = 10,
	EXPIRES_MS = 15000,
};

struct handle {
	uint8_t *data;
	size_t len;
};

struct load {
	const char *cert, *key, *ca, *name, *host, *port;
	uint32_t count, window;
	uint32_t sent, answered;
	uint32_t outcomes[OUTCOMES];
	char why[128]; /**< the last push that was not delivered */
	uint64_t *at_us, *took_us;
	struct handle *handles;
	uint32_t handlen;
	bool hello;
	SSL_CTX *ctx;
	SSL *ssl;
	int fd;
	uint8_t out[OUT_MAX];
	size_t outlen;
	uint32_t run; /**< so that ids of two runs differ */
};


static int fail(const char *what)
{
	fprintf(stderr, "load: %s\n", what);
	ERR_print_errors_fp(stderr);
	return EPROTO;
}


static uint64_t now_us(clockid_t clock)
{
	struct timespec ts;

	(void)clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}


static int dial(struct load *l)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *ai = NULL;
	int on = 1;

	if (getaddrinfo(l->host, l->port, &hints, &ai))
		return fail("address");
	l->fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (l->fd < 0 || connect(l->fd, ai->ai_addr, ai->ai_addrlen)) {
		freeaddrinfo(ai);
		return fail(strerror(errno));
	}
	freeaddrinfo(ai);
	(void)setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));

	l->ctx = SSL_CTX_new(TLS_client_method());
	if (!l->ctx ||
	    SSL_CTX_use_certificate_chain_file(l->ctx, l->cert) != 1 ||
	    SSL_CTX_use_PrivateKey_file(l->ctx, l->key, SSL_FILETYPE_PEM) !=
		    1 ||
	    SSL_CTX_load_verify_locations(l->ctx, l->ca, NULL) != 1)
		return fail("certificates");

	SSL_CTX_set_verify(l->ctx, SSL_VERIFY_PEER, NULL);
	(void)SSL_CTX_set_min_proto_version(l->ctx, TLS1_3_VERSION);
	l->ssl = SSL_new(l->ctx);
	if (!l->ssl || SSL_set1_host(l->ssl, l->name) != 1 ||
	    SSL_set_tlsext_host_name(l->ssl, l->name) != 1 ||
	    SSL_set_fd(l->ssl, l->fd) != 1 || SSL_connect(l->ssl) != 1)
		return fail("TLS");

	return 0;
}


static int flush(struct load *l)
{
	int n = (int)l->outlen;

	l->outlen = 0;
	return !n || SSL_write(l->ssl, l->out, n) == n ? 0 : fail("write");
}


static int put(struct load *l, const Wire__Envelope *env)
{
	size_t len = 0;
	int err = wire_enc(l->out + l->outlen, OUT_MAX - l->outlen, &len, env);

	if (err)
		return err;
	l->outlen += len;
	return l->outlen > FLUSH_AT ? flush(l) : 0;
}


static int put_hello(struct load *l)
{
	Wire__Envelope env = WIRE__ENVELOPE__INIT;
	Wire__Hello hello = WIRE__HELLO__INIT;
	int err;

	hello.version_min = hello.version_max = WIRE_VERSION;
	hello.software = "sipis-bench";
	hello.node = "bench";
	env.body_case = WIRE__ENVELOPE__BODY_HELLO;
	env.hello = &hello;
	err = put(l, &env);
	return err ? err : flush(l);
}


/* What sipis sends for a call */
static int put_push(struct load *l, uint32_t n)
{
	Wire__Envelope env = WIRE__ENVELOPE__INIT;
	Wire__Push push = WIRE__PUSH__INIT;
	struct handle *h = &l->handles[n % l->handlen];
	int64_t now = (int64_t)now_us(CLOCK_REALTIME) / 1000;
	uint8_t id[WIRE_ID_LEN] = { 0xbe };
	char call[UUID_LEN + 1];

	memcpy(id + 4, &l->run, sizeof(l->run));
	memcpy(id + 8, &n, sizeof(n));
	(void)ident_uuid_encode(call, id);
	push.id.data = id;
	push.id.len = sizeof(id);
	push.handle.data = h->data;
	push.handle.len = h->len;
	push.use = WIRE__USE__USE_CALL;
	push.trace = call;
	push.call = call;
	push.instance = "0b5f4c62-7a51-4b39-9d3e-2f6a1c8e7d90";
	push.from = "sip:+4930123456789@pbx.example.com";
	push.display_name = "Alice Example";
	push.received_at_ms = now;
	push.expires_at_ms = now + EXPIRES_MS;
	env.body_case = WIRE__ENVELOPE__BODY_PUSH;
	env.push = &push;
	l->at_us[n] = now_us(CLOCK_MONOTONIC);
	return put(l, &env);
}


static int take(struct load *l, const Wire__Result *r)
{
	uint32_t n;

	if (r->id.len != WIRE_ID_LEN)
		return fail("a result without its id");
	memcpy(&n, r->id.data + 8, sizeof(n));
	if (n >= l->sent || l->took_us[n])
		return fail("a result of nothing that is under way");

	l->took_us[n] = now_us(CLOCK_MONOTONIC) - l->at_us[n] + 1;
	l->outcomes[(unsigned)r->outcome < OUTCOMES ? r->outcome : 0]++;
	if (r->outcome != WIRE__OUTCOME__DELIVERED)
		snprintf(l->why, sizeof(l->why), "%u %s", r->status,
			 r->reason);
	++l->answered;
	return 0;
}


static int frame_handler(const Wire__Envelope *env, void *arg)
{
	struct load *l = arg;
	Wire__Envelope out = WIRE__ENVELOPE__INIT;
	Wire__Pong pong = WIRE__PONG__INIT;

	switch (env->body_case) {
	case WIRE__ENVELOPE__BODY_HELLO:
		l->hello = true;
		if (env->hello->window < l->window)
			l->window = env->hello->window;
		return 0;
	case WIRE__ENVELOPE__BODY_RESULT:
		return take(l, env->result);
	case WIRE__ENVELOPE__BODY_PING:
		pong.nonce = env->ping->nonce;
		out.body_case = WIRE__ENVELOPE__BODY_PONG;
		out.pong = &pong;
		return put(l, &out);
	case WIRE__ENVELOPE__BODY_REFUSED:
		return fail(env->refused->reason);
	default:
		return 0;
	}
}


static int run(struct load *l)
{
	struct wire_dec *dec = NULL;
	uint8_t buf[16384];
	int err;

	err = wire_dec_alloc(&dec, WIRE_MAX_FRAME, frame_handler, l);
	if (!err)
		err = put_hello(l);
	while (!err && l->answered < l->count) {
		int n = SSL_read(l->ssl, buf, sizeof(buf));

		err = n > 0 ? wire_dec_feed(dec, buf, (size_t)n)
			    : fail("closed");
		while (!err && l->hello && l->sent < l->count &&
		       l->sent - l->answered < l->window) {
			uint32_t next = l->sent++;

			err = put_push(l, next);
		}
		if (!err)
			err = flush(l);
	}

	wire_dec_free(dec);
	return err;
}


/* base64url without padding, as bench-enrol writes it */
static bool handle_read(struct handle *h, char *line)
{
	size_t len = strcspn(line, "\r\n"), pad = (4 - len % 4) % 4;
	int n;

	for (size_t i = 0; i < len; i++)
		line[i] = line[i] == '-'   ? '+'
			  : line[i] == '_' ? '/'
					   : line[i];
	memset(line + len, '=', pad);
	h->data = malloc(len + pad + 1);
	if (!h->data)
		return false;
	n = EVP_DecodeBlock(h->data, (uint8_t *)line, (int)(len + pad));
	h->len = n > 0 ? (size_t)n - pad : 0;
	return n > 0;
}


static int handles_read(struct load *l)
{
	char line[LINE_MAX_];

	while (fgets(line, sizeof(line) - 4, stdin)) {
		struct handle *v =
			realloc(l->handles, sizeof(*v) * (l->handlen + 1));

		if (!v)
			return ENOMEM;
		l->handles = v;
		if (!handle_read(&v[l->handlen++], line))
			return fail("a handle is not base64url");
	}

	return l->handlen ? 0 : fail("no handles on stdin");
}


static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}


static void report(struct load *l, uint64_t us)
{
	size_t p50 = l->count / 2, p99 = (size_t)l->count * 99 / 100;

	qsort(l->took_us, l->count, sizeof(*l->took_us), by_size);
	printf("{\"pushes\":%u,\"seconds\":%.6f,\"window\":%u,"
	       "\"p50_ms\":%.3f,\"p99_ms\":%.3f",
	       l->answered, (double)us / 1e6, l->window,
	       (double)l->took_us[p50] / 1e3, (double)l->took_us[p99] / 1e3);
	for (int i = 0; i < OUTCOMES; i++)
		if (l->outcomes[i])
			printf(",\"%s\":%u",
			       wire_outcome_name((Wire__Outcome)i),
			       l->outcomes[i]);
	printf(",\"why\":\"%s\"}\n", l->why);
}


static bool options(struct load *l, int argc, char **argv)
{
	static const struct option longopts[] = {
		{ "cert", required_argument, NULL, 'c' },
		{ "key", required_argument, NULL, 'k' },
		{ "ca", required_argument, NULL, 'a' },
		{ "name", required_argument, NULL, 'n' },
		{ "host", required_argument, NULL, 'h' },
		{ "port", required_argument, NULL, 'p' },
		{ "count", required_argument, NULL, 'N' },
		{ "window", required_argument, NULL, 'W' },
		{ NULL, 0, NULL, 0 },
	};
	const char **const to[128] = {
		['c'] = &l->cert, ['k'] = &l->key,  ['a'] = &l->ca,
		['n'] = &l->name, ['h'] = &l->host, ['p'] = &l->port,
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longopts, NULL)) != -1) {
		if (c == 'N')
			l->count = (uint32_t)strtoul(optarg, NULL, 10);
		else if (c == 'W')
			l->window = (uint32_t)strtoul(optarg, NULL, 10);
		else if (c > 0 && c < 128 && to[c])
			*to[c] = optarg;
		else
			return false;
	}

	return l->cert && l->key && l->ca && l->name && l->count && l->window;
}


static void clear(struct load *l)
{
	for (uint32_t i = 0; i < l->handlen; i++)
		free(l->handles[i].data);
	free(l->handles);
	free(l->at_us);
	free(l->took_us);
	SSL_free(l->ssl);
	SSL_CTX_free(l->ctx);
	if (l->fd >= 0)
		(void)close(l->fd);
	free(l);
}


int main(int argc, char **argv)
{
	struct load *l = calloc(1, sizeof(*l));
	uint64_t begin;
	int err;

	if (!l)
		return 1;
	l->host = "127.0.0.1";
	l->port = "24998";
	l->fd = -1;
	if (!options(l, argc, argv)) {
		fputs("usage: bench-push-load --cert F --key F --ca F --name "
		      "N [--host H] [--port P] --count N --window N "
		      "<HANDLES\n",
		      stderr);
		clear(l);
		return 64;
	}

	l->run = (uint32_t)now_us(CLOCK_REALTIME);
	l->at_us = calloc(l->count, sizeof(*l->at_us));
	l->took_us = calloc(l->count, sizeof(*l->took_us));
	err = l->at_us && l->took_us ? handles_read(l) : ENOMEM;
	if (!err)
		err = dial(l);
	begin = now_us(CLOCK_MONOTONIC);
	if (!err)
		err = run(l);
	if (!err)
		report(l, now_us(CLOCK_MONOTONIC) - begin);

	clear(l);
	return err ? 1 : 0;
}
