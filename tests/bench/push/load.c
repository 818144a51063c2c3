/**
 * @file tests/bench/push/load.c  Pushes into a mediator, as sipis sends them
 *
 * A closed loop over one connection: a number of pushes is always unanswered.
 * Reads handles (base64url, one per line, of bench-enrol) from stdin, takes
 * them in turn, and prints one line of JSON.  Its own work is not measured.
 */

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <openssl/evp.h>
#include "common/ident.h"
#include "tests/bench/tenant.h"

enum {
	LINE_MAX_ = 8192,
	OUTCOMES = 10,
	EXPIRES_MS = 15000,
};

struct handle {
	uint8_t *data;
	size_t len;
};

struct load {
	struct tenant t;
	uint32_t count;
	uint32_t sent, answered;
	uint32_t outcomes[OUTCOMES];
	char why[128]; /**< the last push that was not delivered */
	uint64_t *at_us, *took_us;
	struct handle *handles;
	uint32_t handlen;
	uint32_t run; /**< so that ids of two runs differ */
};


static uint64_t now_us(clockid_t clock)
{
	struct timespec ts;

	(void)clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
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
	return tenant_put(&l->t, &env);
}


static int take(struct load *l, const Wire__Result *r)
{
	uint32_t n;

	if (r->id.len != WIRE_ID_LEN)
		return tenant_fail(&l->t, "a result without its id");
	memcpy(&n, r->id.data + 8, sizeof(n));
	if (n >= l->sent || l->took_us[n])
		return tenant_fail(&l->t,
				   "a result of nothing that is under way");

	l->took_us[n] = now_us(CLOCK_MONOTONIC) - l->at_us[n] + 1;
	l->outcomes[(unsigned)r->outcome < OUTCOMES ? r->outcome : 0]++;
	if (r->outcome != WIRE__OUTCOME__DELIVERED)
		snprintf(l->why, sizeof(l->why), "%u %s", r->status,
			 r->reason);
	++l->answered;
	return 0;
}


static int answer_handler(const Wire__Envelope *env, void *arg)
{
	return env->body_case == WIRE__ENVELOPE__BODY_RESULT
		       ? take(arg, env->result)
		       : 0;
}


static int more_handler(void *arg)
{
	struct load *l = arg;
	int err = 0;

	while (!err && l->sent < l->count &&
	       l->sent - l->answered < l->t.window) {
		uint32_t next = l->sent++;

		err = put_push(l, next);
	}
	return err;
}


static bool done_handler(void *arg)
{
	const struct load *l = arg;

	return l->answered == l->count;
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
			return tenant_fail(&l->t, "a handle is not base64url");
	}

	return l->handlen ? 0 : tenant_fail(&l->t, "no handles on stdin");
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
	       l->answered, (double)us / 1e6, l->t.window,
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
		TENANT_OPTIONS,
		{ "count", required_argument, NULL, 'N' },
		{ "window", required_argument, NULL, 'W' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longopts, NULL)) != -1) {
		if (c == 'N')
			l->count = (uint32_t)strtoul(optarg, NULL, 10);
		else if (c == 'W')
			l->t.window = (uint32_t)strtoul(optarg, NULL, 10);
		else if (!tenant_option(&l->t, c, optarg))
			return false;
	}

	return tenant_complete(&l->t) && l->count && l->t.window;
}


static void clear(struct load *l)
{
	for (uint32_t i = 0; i < l->handlen; i++)
		free(l->handles[i].data);
	free(l->handles);
	free(l->at_us);
	free(l->took_us);
	tenant_close(&l->t);
	free(l);
}


int main(int argc, char **argv)
{
	struct load *l = calloc(1, sizeof(*l));
	uint64_t begin;
	int err;

	if (!l)
		return 1;
	l->t = (struct tenant){
		.who = "load",
		.answer = answer_handler,
		.more = more_handler,
		.done = done_handler,
		.arg = l,
		.fd = -1,
	};
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
		err = tenant_dial(&l->t);
	begin = now_us(CLOCK_MONOTONIC);
	if (!err)
		err = tenant_run(&l->t);
	if (!err)
		report(l, now_us(CLOCK_MONOTONIC) - begin);

	clear(l);
	return err ? 1 : 0;
}
