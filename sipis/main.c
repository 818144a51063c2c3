/**
 * @file sipis/main.c  The daemon: arguments, configuration, loop
 */

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>
#include <curl/curl.h>
#include <libwebsockets.h>
#include <openssl/crypto.h>
#include <sqlite3.h>
#include <re/re.h>
#include "common/daemon.h"
#include "common/log.h"
#include "common/ntop.h"
#include "common/pattern.h"
#include "common/rand_pool.h"
#include "common/tmr_heap.h"
#include "sipis/app.h"
#include "sipis/cfg.h"
#include "sipis/sip/decode.h"

struct args {
	const char *config;
	const char *import;
	bool check;
};


static void usage(FILE *f)
{
	fputs("usage: sipis [-c FILE] [--check-config | --import FILE]\n\n"
	      "Registers at PBXs in the place of sleeping phones and wakes "
	      "them for calls.\n\n"
	      "  -c, --config FILE   default /etc/sipis/sipis.yaml\n"
	      "      --check-config  read the configuration, say what is "
	      "wrong, start nothing\n"
	      "      --import FILE   fill the store from JSON lines, while "
	      "the daemon is stopped\n"
	      "  -h, --help          this text\n"
	      "  -V, --version       versions of sipis and its libraries\n",
	      f);
}


static void versions(void)
{
	printf("sipis %s (libre %s, libwebsockets %s, %s, SQLite %s)\n",
	       SIPIS_VERSION, sys_libre_version_get(),
	       lws_get_library_version(), OpenSSL_version(OPENSSL_VERSION),
	       sqlite3_libversion());
}


/** -1: go on, else the exit code */
static int args_read(struct args *args, int argc, char **argv)
{
	enum { OPT_CHECK = 256, OPT_IMPORT };
	static const struct option longopts[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "check-config", no_argument, NULL, OPT_CHECK },
		{ "import", required_argument, NULL, OPT_IMPORT },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "c:hV", longopts, NULL)) != -1)
		switch (c) {
		case 'c':
			args->config = optarg;
			break;
		case OPT_CHECK:
			args->check = true;
			break;
		case OPT_IMPORT:
			args->import = optarg;
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

	if (optind < argc) {
		fprintf(stderr, "sipis: \"%s\" is not an option\n",
			argv[optind]);
		return EX_USAGE;
	}

	return -1;
}


static int lock_state(const struct sipis_cfg *cfg, int *fdp)
{
	char path[1200];
	int err;

	if (mkdir(cfg->state_dir, 0700) && errno != EEXIST) {
		fprintf(stderr, "sipis: cannot make state_dir %s: %s\n",
			cfg->state_dir, strerror(errno));
		return EX_CANTCREAT;
	}

	(void)snprintf(path, sizeof(path), "%s/sipis.lock", cfg->state_dir);
	err = daemon_lock(fdp, path);
	if (err == EWOULDBLOCK) {
		fprintf(stderr,
			"sipis: another sipis uses %s; stop it first, or give "
			"this one a state_dir of its own\n",
			cfg->state_dir);
		return EX_TEMPFAIL;
	}
	if (err) {
		fprintf(stderr, "sipis: cannot lock %s: %s\n", path,
			strerror(err));
		return EX_CANTCREAT;
	}

	return 0;
}


static void signal_handler(int sig, void *arg)
{
	struct app **appp = arg;

	if (sig == SIGHUP) {
		log_info("main", NULL,
			 "SIGHUP: certificates are read again; for the "
			 "configuration restart: bindings stay, calls that "
			 "are up or wait go on");
		if (*appp)
			app_renew(*appp);
		return;
	}

	log_info("main", NULL, "signal %d, stopping", sig);
	re_cancel();
}


static int serve(const struct sipis_cfg *cfg)
{
	struct daemon_signals *signals = NULL;
	struct app *app = NULL;
	char reason[512] = "";
	int rc = 0, err;

	err = daemon_signals_alloc(&signals, signal_handler, &app);
	if (err) {
		fprintf(stderr, "sipis: cannot take signals: %s\n",
			strerror(err));
		return EX_OSERR;
	}

	err = app_alloc(&app, cfg, reason, sizeof(reason), &rc);
	if (err) {
		fprintf(stderr, "sipis: %s\n", reason);
		mem_deref(signals);
		return rc ? rc : EX_OSERR;
	}

	log_info("main", NULL, "ready");
	err = re_main(NULL);
	if (err)
		log_error("main", NULL, "loop ended: %s", strerror(err));

	app_close(app);
	mem_deref(signals);
	log_info("main", NULL, "stopped; bindings stay at the PBXs");
	return err ? EX_OSERR : 0;
}


static int run(const struct args *args, const struct sipis_cfg *cfg)
{
	int lock = -1, rc, err;
	char reason[512] = "";

	if (cfg->log_level) {
		enum log_level level;

		if (!log_level_decode(&level, cfg->log_level))
			log_set_level(level);
	}

	rc = lock_state(cfg, &lock);
	if (rc)
		return rc;

	if (args->import) {
		err = app_import(cfg, args->import, reason, sizeof(reason),
				 &rc);
		if (err)
			fprintf(stderr, "sipis: %s\n", reason);
	}
	else {
		rc = serve(cfg);
	}

	(void)close(lock);
	return rc;
}


static int start(const struct args *args, const struct sipis_cfg *cfg)
{
	int err = daemon_harden();
	int rc;

	if (!err)
		err = libre_init();
	if (err) {
		fprintf(stderr, "sipis: cannot start: %s\n", strerror(err));
		return EX_OSERR;
	}

	if (tmrheap_check() || pattern_check() || randpool_check() ||
	    decode_check() || ntop_check()) {
		fputs("sipis: this build uses libre's own timers, which do "
		      "not carry many accounts, or its own patterns, decoder "
		      "or random numbers; link it as CMakeLists.txt does\n",
		      stderr);
		rc = EX_SOFTWARE;
		goto out;
	}

	err = daemon_files(cfg->files);
	if (err)
		log_warning("main", NULL,
			    "cannot get %u file descriptors: %s; going on "
			    "with what there is; raise the limit or lower "
			    "files",
			    cfg->files, strerror(err));
	log_capture_re();
	err = log_gather();
	if (err)
		log_warning("main", NULL, "every line is written alone: %s",
			    strerror(err));
	rc = run(args, cfg);
out:
	libre_close();
	return rc;
}


int main(int argc, char **argv)
{
	struct args args = { .config = "/etc/sipis/sipis.yaml" };
	struct sipis_cfg *cfg = NULL;
	struct cfgfile_err e;
	int rc = args_read(&args, argc, argv);

	if (rc >= 0)
		return rc;

	if (cfg_load(&cfg, args.config, &e)) {
		fprintf(stderr, "sipis: %s\n", e.text);
		return e.exit_code;
	}

	if (args.check) {
		printf("%s: OK, %u PBX\n", args.config, cfg->pbx_count);
		rc = 0;
	}
	else {
		rc = start(&args, cfg);
	}

	cfg_free(cfg);
	return rc;
}
