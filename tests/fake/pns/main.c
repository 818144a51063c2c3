/**
 * @file main.c  fake-pns: options, ready line, loop
 */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>
#include "pns.h"
#include "common/tmr_heap.h"

enum {
	O_LISTEN = 256,
	O_CERT,
	O_KEY,
	O_CLIENT_CA,
	O_CONTROL,
	O_LOG,
	O_APNS_KEY,
	O_APNS_KEY_ID,
	O_APNS_TEAM,
	O_APNS_TOPIC,
	O_APNS_ENV,
	O_FCM_SA,
	O_FCM_AUD,
	O_ANY_TOKEN,
	O_RESET_RATE,
	O_NO_WATCH,
	O_SET,
	O_STDIN_LIFE,
	O_HELP,
};

static const struct option longopts[] = {
	{ "listen", 1, NULL, O_LISTEN },
	{ "cert", 1, NULL, O_CERT },
	{ "key", 1, NULL, O_KEY },
	{ "client-ca", 1, NULL, O_CLIENT_CA },
	{ "control", 1, NULL, O_CONTROL },
	{ "log", 1, NULL, O_LOG },
	{ "apns-key", 1, NULL, O_APNS_KEY },
	{ "apns-key-id", 1, NULL, O_APNS_KEY_ID },
	{ "apns-team", 1, NULL, O_APNS_TEAM },
	{ "apns-topic", 1, NULL, O_APNS_TOPIC },
	{ "apns-key-environment", 1, NULL, O_APNS_ENV },
	{ "fcm-service-account", 1, NULL, O_FCM_SA },
	{ "fcm-audience", 1, NULL, O_FCM_AUD },
	{ "accept-any-token", 0, NULL, O_ANY_TOKEN },
	{ "default-reset-rate", 0, NULL, O_RESET_RATE },
	{ "no-voip-watch", 0, NULL, O_NO_WATCH },
	{ "set", 1, NULL, O_SET },
	{ "stdin-life", 0, NULL, O_STDIN_LIFE },
	{ "help", 0, NULL, O_HELP },
	{ NULL, 0, NULL, 0 },
};

#define LISTEN_MAX 16

struct args {
	const char *listen[LISTEN_MAX];
	unsigned listenc;
	const char *cert, *key, *control, *log;
	struct pns_cred *cred;
	bool stdin_life;
};


static int usage(FILE *f, int code)
{
	(void)fputs("fake-pns --listen [ROLE=]ADDR:PORT --cert FILE --key FILE"
		    " --control ADDR:PORT [options]\n"
		    "tests/fake/README.md has them all\n",
		    f);

	return code;
}


static int complain(const char *what, const char *value, int code)
{
	(void)fprintf(stderr, "fake-pns: %s: %s\n", what, value);

	return code;
}


static int set_option(struct pns *pns, const char *arg)
{
	const char *eq = strchr(arg, '=');
	char name[64];

	if (!eq || (size_t)(eq - arg) >= sizeof(name))
		return EINVAL;
	str_ncpy(name, arg, (size_t)(eq - arg) + 1);

	return pns_set_text(pns->setv, name, eq + 1);
}


static int cred_option(struct args *args, int opt, const char *v)
{
	struct pns_cred *cred = args->cred;

	if (!cred)
		return complain("needs --apns-key before it", v, EX_USAGE);

	switch (opt) {

	case O_APNS_KEY_ID:
		str_ncpy(cred->kid, v, sizeof(cred->kid));
		return 0;

	case O_APNS_TEAM:
		str_ncpy(cred->team, v, sizeof(cred->team));
		return 0;

	case O_APNS_TOPIC:
		return pns_cred_topic(cred, v) ? EX_OSERR : 0;

	default:
		cred->production = !strcmp(v, "production");
		cred->sandbox = !cred->production;
		return 0;
	}
}


static int flag_option(struct pns *pns, struct args *args, int opt)
{
	switch (opt) {

	case O_ANY_TOKEN:
		pns->setv[SET_ACCEPT_ANY_TOKEN] = 1;
		return 0;

	case O_RESET_RATE:
		pns->default_reset_rate = true;
		return 0;

	case O_NO_WATCH:
		pns->voip_watch = false;
		return 0;

	case O_STDIN_LIFE:
		args->stdin_life = true;
		return 0;

	default:
		return usage(stderr, EX_USAGE);
	}
}


static int file_option(struct pns *pns, struct args *args, int opt,
		       const char *v)
{
	switch (opt) {

	case O_CERT:
		args->cert = v;
		return 0;

	case O_KEY:
		args->key = v;
		return 0;

	case O_CLIENT_CA:
		str_ncpy(pns->client_ca, v, sizeof(pns->client_ca));
		return 0;

	case O_LOG:
		args->log = v;
		return 0;

	case O_APNS_KEY:
		return pns_cred_add(&args->cred, pns, v)
			       ? complain("no ES256 key", v, EX_NOINPUT)
			       : 0;

	default:
		return pns_sa_add(pns, v)
			       ? complain("no service account", v, EX_NOINPUT)
			       : 0;
	}
}


static int option(struct pns *pns, struct args *args, int opt, const char *v)
{
	switch (opt) {

	case O_LISTEN:
		if (args->listenc >= LISTEN_MAX)
			return complain("too many listeners", v, EX_USAGE);
		args->listen[args->listenc++] = v;
		return 0;

	case O_CONTROL:
		args->control = v;
		return 0;

	case O_FCM_AUD:
		str_ncpy(pns->audience, v, sizeof(pns->audience));
		return 0;

	case O_SET:
		return set_option(pns, v)
			       ? complain("no such setting", v, EX_USAGE)
			       : 0;

	case O_CERT:
	case O_KEY:
	case O_CLIENT_CA:
	case O_LOG:
	case O_APNS_KEY:
	case O_FCM_SA:
		return file_option(pns, args, opt, v);

	case O_APNS_KEY_ID:
	case O_APNS_TEAM:
	case O_APNS_TOPIC:
	case O_APNS_ENV:
		return cred_option(args, opt, v);

	default:
		return flag_option(pns, args, opt);
	}
}


static int options(struct pns *pns, struct args *args, int argc, char **argv)
{
	int opt, code;

	while ((opt = getopt_long(argc, argv, "", longopts, NULL)) != -1) {
		if (opt == O_HELP)
			exit(usage(stdout, 0));
		code = option(pns, args, opt, optarg ? optarg : "");
		if (code)
			return code;
	}
	if (optind < argc || !args->listenc || !args->cert || !args->key ||
	    !args->control)
		return usage(stderr, EX_USAGE);

	return 0;
}


static int start(struct pns *pns, const struct args *args)
{
	int err;

	err = pns_reqlog_alloc(&pns->log, pns, args->log);
	if (err)
		return complain("cannot write", args->log, EX_CANTCREAT);
	if (pns_tls_load(pns, args->cert, args->key))
		return complain("cannot use certificate and key", args->cert,
				EX_NOINPUT);
	for (unsigned i = 0; i < args->listenc; i++) {
		if (pns_listener_add(pns, args->listen[i]))
			return complain("cannot listen", args->listen[i],
					EX_OSERR);
	}
	if (pns_ctl_listen(pns, args->control))
		return complain("cannot listen on loopback", args->control,
				EX_OSERR);

	return 0;
}


static void say_ready(const struct pns *pns)
{
	json_t *o = json_pack("{sbsisiso}", "ready", 1, "pid", (int)getpid(),
			      "control", (int)pns_ctl_port(pns), "ports",
			      pns_listener_ports(pns));

	(void)json_dumpf(o, stdout, JSON_COMPACT);
	(void)fputc('\n', stdout);
	(void)fflush(stdout);
	json_decref(o);
}


static void stdin_ready(int flags, void *arg)
{
	char buf[256];
	(void)flags;
	(void)arg;

	if (read(STDIN_FILENO, buf, sizeof(buf)) <= 0)
		re_cancel();
}


static void on_signal(int sig)
{
	(void)sig;
	re_cancel();
}


static void raise_files(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl))
		return;
	rl.rlim_cur = rl.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &rl);
	(void)fd_setsize((int)min(rl.rlim_cur, (rlim_t)65536));
}


int main(int argc, char *argv[])
{
	struct args args = { 0 };
	struct pns *pns = NULL;
	int code = EX_OSERR;

	(void)signal(SIGPIPE, SIG_IGN);
	if (libre_init() || tmrheap_check())
		return code;
	raise_files();
	if (!pns_alloc(&pns))
		code = options(pns, &args, argc, argv);
	if (!code)
		code = start(pns, &args);
	if (!code && args.stdin_life)
		code = fd_listen(STDIN_FILENO, FD_READ, stdin_ready, NULL)
			       ? EX_OSERR
			       : 0;
	if (!code) {
		say_ready(pns);
		(void)re_main(on_signal);
		if (args.stdin_life)
			fd_close(STDIN_FILENO);
	}

	mem_deref(pns);
	libre_close();

	return code;
}
