/**
 * @file main.c  demo-phone: options and loop
 */

#include <curl/curl.h>
#include <getopt.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>
#include "common/daemon.h"
#include "common/tmr_heap.h"
#include "phone.h"

enum kind { TEXT, U32, I64, FLAG, ANSWER, DECLINE, RING_ONLY };

struct opt {
	const char *name;
	size_t off;
	enum kind kind;
	bool needed;
};

#define OPT(n, k, m, needed)                                \
	{                                                   \
		n, offsetof(struct phone_cfg, m), k, needed \
	}

static const struct opt opts[] = {
	OPT("api", TEXT, api, true),
	OPT("ca", TEXT, ca, false),
	OPT("app", TEXT, app, true),
	OPT("platform", TEXT, platform, true),
	OPT("aor", TEXT, aor, true),
	OPT("auth-user", TEXT, auth_user, true),
	OPT("password-file", TEXT, password_file, true),
	OPT("installation", TEXT, installation, true),
	OPT("token", TEXT, token, true),
	OPT("topic", TEXT, topic, false),
	OPT("environment", TEXT, environment, false),
	OPT("project", TEXT, project, false),
	OPT("pns", TEXT, pns, true),
	OPT("sip-registrar", TEXT, registrar, true),
	OPT("sip-ca", TEXT, sip_ca, false),
	OPT("sip-name", TEXT, sip_name, false),
	OPT("sip-listen", TEXT, sip_listen, false),
	OPT("instance", TEXT, instance_file, false),
	OPT("log", TEXT, log, false),
	OPT("answer-after", ANSWER, user_ms, false),
	OPT("decline-after", DECLINE, user_ms, false),
	OPT("ring-only", RING_ONLY, user, false),
	OPT("hangup-after", I64, hangup_ms, false),
	OPT("wake-delay", U32, wake_ms, false),
	OPT("calls", U32, calls, false),
	OPT("expires", U32, expires_s, false),
	OPT("no-wake", FLAG, no_wake, false),
	OPT("no-report", FLAG, no_report, false),
	OPT("stay-awake", FLAG, stay_awake, false),
	OPT("sequential", FLAG, sequential, false),
	OPT("delete-at-exit", FLAG, delete_at_exit, false),
	OPT("stdin-life", FLAG, stdin_life, false),
};


static int number(int64_t *v, const char *s)
{
	char *end;

	*v = strtoll(s, &end, 10);

	return *s && !*end && *v >= 0 && *v <= UINT32_MAX ? 0 : EX_USAGE;
}


static int apply(struct phone_cfg *cfg, const struct opt *o, const char *v)
{
	void *p = (char *)cfg + o->off;
	int64_t n = 0;

	if (v && o->kind != TEXT && number(&n, v))
		return EX_USAGE;

	switch (o->kind) {

	case TEXT:
		*(const char **)p = v;
		break;

	case I64:
		*(int64_t *)p = n;
		break;

	case FLAG:
		*(bool *)p = true;
		break;

	case RING_ONLY:
		cfg->user = USER_LISTENS;
		break;

	default:
		if (o->kind == DECLINE)
			cfg->user = USER_DECLINES;
		*(uint32_t *)p = (uint32_t)n;
		break;
	}

	return 0;
}


static int check(const struct phone_cfg *cfg)
{
	for (size_t i = 0; i < ARRAY_SIZE(opts); i++) {
		const void *p = (const char *)cfg + opts[i].off;

		if (opts[i].needed && !*(const char *const *)p) {
			(void)fprintf(stderr, "demo-phone: --%s is needed\n",
				      opts[i].name);
			return EX_USAGE;
		}
	}
	if (strcmp(cfg->platform, "ios") && strcmp(cfg->platform, "android")) {
		(void)fprintf(stderr,
			      "demo-phone: --platform is ios or android\n");
		return EX_USAGE;
	}

	return 0;
}


int phone_options(struct phone_cfg *cfg, int argc, char *argv[])
{
	struct option longopts[ARRAY_SIZE(opts) + 1] = { { 0 } };
	int i, c;

	for (i = 0; i < (int)ARRAY_SIZE(opts); i++) {
		longopts[i].name = opts[i].name;
		longopts[i].has_arg =
			opts[i].kind != FLAG && opts[i].kind != RING_ONLY;
		longopts[i].val = 256 + i;
	}
	while ((c = getopt_long(argc, argv, "", longopts, NULL)) != -1) {
		if (c < 256 || apply(cfg, &opts[c - 256], optarg)) {
			(void)fputs("demo-phone: see tests/fake/README.md\n",
				    stderr);
			return EX_USAGE;
		}
	}
	if (optind < argc)
		return EX_USAGE;
	if (!cfg->topic)
		cfg->topic = cfg->app;

	return check(cfg);
}


static void signalled(int sig, void *arg)
{
	struct phone **php = arg;

	if (sig != SIGHUP && *php)
		phone_stop(*php);
}


static void stdin_ready(int flags, void *arg)
{
	struct phone **php = arg;
	char buf[256];
	(void)flags;

	if (read(STDIN_FILENO, buf, sizeof(buf)) > 0)
		return;
	fd_close(STDIN_FILENO);
	phone_stop(*php);
}


static int run(const struct phone_cfg *cfg)
{
	struct daemon_signals *sigs = NULL;
	struct phone *ph = NULL;
	int err, code = EX_OSERR;

	err = daemon_signals_alloc(&sigs, signalled, &ph);
	if (!err)
		err = phone_alloc(&ph, cfg);
	if (!err && cfg->stdin_life)
		err = fd_listen(STDIN_FILENO, FD_READ, stdin_ready, &ph);
	if (!err)
		err = re_main(NULL);
	if (cfg->stdin_life)
		fd_close(STDIN_FILENO);
	if (err)
		(void)fprintf(stderr, "demo-phone: %s\n", strerror(err));
	else
		code = phone_exit_code(ph);
	mem_deref(ph);
	mem_deref(sigs);

	return code;
}


int main(int argc, char *argv[])
{
	struct phone_cfg cfg = { .environment = "production",
				 .sip_listen = "127.0.0.1",
				 .user_ms = 1000,
				 .hangup_ms = -1,
				 .expires_s = 300 };
	int code = phone_options(&cfg, argc, argv);

	if (code)
		return code;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) || libre_init())
		return EX_OSERR;
	code = tmrheap_check() ? EX_SOFTWARE : run(&cfg);
	libre_close();
	curl_global_cleanup();

	return code;
}
