/**
 * @file tests/bench/enrol.c  Push tokens in, sealed handles out
 *
 * Enrols the tokens 0..N-1 (32 bytes each, the number in hex) at a mediator
 * over the real wire, as sipis would, and prints one handle per line in the
 * form that `sipis --import` reads.
 */

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/ident.h"
#include "tests/bench/tenant.h"

#define IN_FLIGHT 64

struct enrol {
	struct tenant t;
	const char *app, *topic;
	uint32_t count;
	uint32_t asked, answered;
	char **handles;
};


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
	return tenant_put(&e->t, &env);
}


static int take(struct enrol *e, const Wire__Enrolled *a)
{
	uint32_t n;

	if (a->id.len != WIRE_ID_LEN)
		return tenant_fail(&e->t, "an answer without its id");
	memcpy(&n, a->id.data + 8, sizeof(n));
	if (n >= e->count || e->handles[n])
		return tenant_fail(&e->t, "an answer to what was not asked");
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


static int answer_handler(const Wire__Envelope *env, void *arg)
{
	return env->body_case == WIRE__ENVELOPE__BODY_ENROLLED
		       ? take(arg, env->enrolled)
		       : 0;
}


static int more_handler(void *arg)
{
	struct enrol *e = arg;
	int err = 0;

	while (!err && e->asked < e->count &&
	       e->asked - e->answered < e->t.window)
		err = put_enrol(e, e->asked++);
	return err;
}


static bool done_handler(void *arg)
{
	const struct enrol *e = arg;

	return e->answered == e->count;
}


static bool options(struct enrol *e, int argc, char **argv)
{
	static const struct option longopts[] = {
		TENANT_OPTIONS,
		{ "app", required_argument, NULL, 'A' },
		{ "topic", required_argument, NULL, 't' },
		{ "count", required_argument, NULL, 'N' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longopts, NULL)) != -1) {
		if (c == 'N')
			e->count = (uint32_t)strtoul(optarg, NULL, 10);
		else if (c == 'A')
			e->app = optarg;
		else if (c == 't')
			e->topic = optarg;
		else if (!tenant_option(&e->t, c, optarg))
			return false;
	}

	return tenant_complete(&e->t) && e->app && e->topic && e->count;
}


static int run(struct enrol *e)
{
	int err;

	e->handles = calloc(e->count, sizeof(*e->handles));
	err = e->handles ? tenant_dial(&e->t) : ENOMEM;
	if (!err)
		err = tenant_run(&e->t);
	for (uint32_t i = 0; e->handles && i < e->count; i++) {
		if (!err)
			puts(e->handles[i]);
		free(e->handles[i]);
	}

	free(e->handles);
	tenant_close(&e->t);
	return err;
}


int main(int argc, char **argv)
{
	struct enrol *e = calloc(1, sizeof(*e));
	int err;

	if (!e)
		return 1;

	e->t = (struct tenant){
		.who = "enrol",
		.window = IN_FLIGHT,
		.answer = answer_handler,
		.more = more_handler,
		.done = done_handler,
		.arg = e,
		.fd = -1,
	};
	if (!options(e, argc, argv)) {
		fputs("usage: enrol --cert F --key F --ca F --name N "
		      "[--host H] [--port P] --app A --topic T --count N\n",
		      stderr);
		free(e);
		return 64;
	}

	err = run(e);
	free(e);
	return err ? 1 : 0;
}
