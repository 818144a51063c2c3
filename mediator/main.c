/**
 * @file mediator/main.c  The daemon: arguments, configuration, loop
 */

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>
#include <curl/curl.h>
#include <openssl/crypto.h>
#include <re/re.h>
#include "common/daemon.h"
#include "common/log.h"
#include "common/pattern.h"
#include "common/rand_pool.h"
#include "common/tmr_heap.h"
#include "mediator/app.h"

struct args {
	const char *config;
	bool check;
};


static void usage(FILE *f)
{
	fputs("usage: mediator [-c FILE] [--check-config]\n\n"
	      "Takes pushes from sipis and hands them to APNs and FCM.\n\n"
	      "  -c, --config FILE   default /etc/sipis/mediator.yaml\n"
	      "      --check-config  read the configuration and the keys, say "
	      "what is\n"
	      "                      wrong, start nothing\n"
	      "  -h, --help          this text\n"
	      "  -V, --version       versions of the mediator and its "
	      "libraries\n",
	      f);
}


static void versions(void)
{
	printf("mediator %s (libre %s, %s, %s)\n", SIPIS_VERSION,
	       sys_libre_version_get(), curl_version(),
	       OpenSSL_version(OPENSSL_VERSION));
}


/** -1: go on, else the exit code */
static int args_read(struct args *args, int argc, char **argv)
{
	enum { OPT_CHECK = 256 };
	static const struct option longopts[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "check-config", no_argument, NULL, OPT_CHECK },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "c:hV", longopts, NULL)) != -1) {
		switch (c) {

		case 'c':
			args->config = optarg;
			break;
		case OPT_CHECK:
			args->check = true;
			break;
		case 'h':
			usage(stdout);
			return 0;
		case 'V':
			versions();
			return 0;
		default:
			usage(stderr);
			return EX_USAGE;
		}
	}

	if (optind < argc) {
		fprintf(stderr, "mediator: \"%s\" is not an option\n",
			argv[optind]);
		return EX_USAGE;
	}

	return -1;
}


static int state_lock(const struct mcfg *cfg, int *fdp)
{
	char path[1200];
	int err;

	if (mkdir(cfg->state_dir, 0700) && errno != EEXIST) {
		fprintf(stderr, "mediator: cannot make state_dir %s: %s\n",
			cfg->state_dir, strerror(errno));
		return EX_CANTCREAT;
	}

	(void)snprintf(path, sizeof(path), "%s/mediator.lock", cfg->state_dir);
	err = daemon_lock(fdp, path);
	if (err == EWOULDBLOCK) {
		fprintf(stderr,
			"mediator: another mediator uses %s; stop it first, "
			"or give this one a state_dir of its own\n",
			cfg->state_dir);
		return EX_TEMPFAIL;
	}
	if (err) {
		fprintf(stderr, "mediator: cannot lock %s: %s\n", path,
			strerror(err));
		return EX_CANTCREAT;
	}

	return 0;
}


static void signal_handler(int sig, void *arg)
{
	struct app **ap = arg;

	if (!*ap)
		re_cancel();
	else if (sig == SIGHUP)
		app_reload(*ap);
	else
		app_drain(*ap);
}


/* Takes cfg over */
static int serve(const struct args *args, struct mcfg *cfg)
{
	struct daemon_signals *signals = NULL;
	struct app *app = NULL;
	struct cfgfile_err e = { 0 };
	int err = daemon_signals_alloc(&signals, signal_handler, &app);

	if (err) {
		mcfg_free(cfg);
		fprintf(stderr, "mediator: signals: %s\n", strerror(err));
		return EX_OSERR;
	}

	err = app_alloc(&app, cfg, args->config, &e);
	if (err) {
		fprintf(stderr, "mediator: %s\n", e.text);
		mem_deref(signals);
		return e.exit_code;
	}

	err = re_main(NULL);
	if (err)
		log_error("main", "-", "loop ended: %s", strerror(err));
	mem_deref(app);
	mem_deref(signals);
	log_info("main", "-", "stopped");
	return err ? EX_OSERR : 0;
}


static int run(const struct args *args, struct mcfg *cfg)
{
	enum log_level level;
	int lock = -1, rc, err;

	if (cfg->log_level && !log_level_decode(&level, cfg->log_level))
		log_set_level(level);
	err = log_gather();
	if (err)
		log_warning("main", "-", "every line is written alone: %s",
			    strerror(err));
	err = daemon_files(cfg->files);
	if (err)
		log_warning("main", "-",
			    "cannot get %u file descriptors: %s; raise the "
			    "limit or lower files",
			    cfg->files, strerror(err));

	rc = state_lock(cfg, &lock);
	if (rc) {
		mcfg_free(cfg);
		return rc;
	}

	rc = serve(args, cfg);
	(void)close(lock);
	return rc;
}


/* What both kinds of start need */
static int process_init(void)
{
	int err = daemon_harden();

	if (!err)
		err = libre_init();
	if (!err && curl_global_init(CURL_GLOBAL_DEFAULT))
		err = EIO;
	if (err) {
		fprintf(stderr, "mediator: cannot start: %s\n", strerror(err));
		return EX_OSERR;
	}

	if (tmrheap_check() || pattern_check() || randpool_check()) {
		fputs("mediator: this build uses libre's own timers, which "
		      "follow the wall clock, or its own patterns or "
		      "random numbers; link it as CMakeLists.txt does\n",
		      stderr);
		return EX_SOFTWARE;
	}

	log_capture_re();
	return 0;
}


int main(int argc, char **argv)
{
	struct args args = { .config = "/etc/sipis/mediator.yaml" };
	struct mcfg *cfg = NULL;
	struct cfgfile_err e = { 0 };
	int rc = args_read(&args, argc, argv);

	if (rc >= 0)
		return rc;
	rc = process_init();
	if (rc)
		return rc;

	if (args.check ? app_check(args.config, &e)
		       : mcfg_load(&cfg, args.config, &e)) {
		fprintf(stderr, "mediator: %s\n", e.text);
		rc = e.exit_code;
	}
	else if (args.check) {
		printf("%s: OK\n", args.config);
	}
	else {
		rc = run(&args, cfg);
	}

	curl_global_cleanup();
	libre_close();
	return rc;
}
