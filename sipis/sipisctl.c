/**
 * @file sipisctl.c  The operator's question put to a running sipis
 *
 * Asks the admin listener over HTTP on loopback and prints what a person can
 * read; --json passes the answer through.
 */

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <curl/curl.h>
#include <jansson.h>
#include "sipis/cfg.h"

#define ANSWER_MAX (64u << 20)
#define PAGE       200
#define CALLS_MAX  1000 /**< in one answer */

struct ctl {
	CURL *curl;
	char *base;   /**< http://address:port */
	bool json;    /**< print answers as they came */
	unsigned max; /**< calls to list */
	const char *what;
	char *body;
	size_t len;
};

struct command {
	const char *name, *args, *help;
	int (*run)(struct ctl *ctl, const char *arg);
	bool needs_arg;
};


static size_t body_add(char *p, size_t size, size_t n, void *arg)
{
	struct ctl *ctl = arg;
	size_t len = size * n;
	char *body;

	if (ctl->len + len > ANSWER_MAX)
		return 0;

	body = realloc(ctl->body, ctl->len + len + 1);
	if (!body)
		return 0;

	memcpy(body + ctl->len, p, len);
	ctl->body = body;
	ctl->len += len;
	body[ctl->len] = 0;
	return len;
}


static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}


static long long number(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}


/** 0 and *rootp, or an exit code of sysexits.h with the reason printed */
static int ask(struct ctl *ctl, json_t **rootp, const char *path)
{
	char url[2048];
	json_error_t je;
	json_t *root;
	long status = 0;
	CURLcode rc;

	ctl->len = 0;
	(void)snprintf(url, sizeof(url), "%s%s", ctl->base, path);
	curl_easy_setopt(ctl->curl, CURLOPT_URL, url);
	rc = curl_easy_perform(ctl->curl);
	if (rc != CURLE_OK) {
		fprintf(stderr,
			"sipisctl: no answer from %s: %s; is sipis running, "
			"and is this its admin listener?\n",
			ctl->base, curl_easy_strerror(rc));
		return EX_UNAVAILABLE;
	}

	curl_easy_getinfo(ctl->curl, CURLINFO_RESPONSE_CODE, &status);
	root = json_loads(ctl->body ? ctl->body : "", 0, &je);
	if (!root) {
		fprintf(stderr, "sipisctl: %s did not answer with JSON\n",
			ctl->base);
		return EX_PROTOCOL;
	}

	if (status != 200) {
		const char *detail = text(root, "detail");

		fprintf(stderr, "sipisctl: %s: %s\n", ctl->what,
			*detail ? detail : text(root, "title"));
		json_decref(root);
		return status == 404 || status == 409 ? EX_DATAERR
						      : EX_UNAVAILABLE;
	}

	*rootp = root;
	return 0;
}


static int escaped(struct ctl *ctl, char *dst, size_t size, const char *prefix,
		   const char *arg)
{
	char *esc = curl_easy_escape(ctl->curl, arg, 0);
	int n;

	if (!esc)
		return EX_OSERR;

	n = snprintf(dst, size, "%s%s", prefix, esc);
	curl_free(esc);
	return n < 0 || (size_t)n >= size ? EX_USAGE : 0;
}


/* The server's library resolves dots also where they were escaped: such an id
   would name another page.  No call is found by one; its UUID works */
static bool is_way(const char *id)
{
	while (*id) {
		const size_t n = strcspn(id, "/");

		if (!n || (n <= 2 && strspn(id, ".") >= n))
			return true;
		id += n;
		if (*id && !*++id)
			return true;
	}

	return false;
}


static void event_print(const json_t *ev, long long first_us, long long at_us)
{
	printf("%+10.1f ms  %-9s %-22s %s\n",
	       (double)(at_us - first_us) / 1000.0, text(ev, "who"),
	       text(ev, "what"), text(ev, "detail"));
}


static void timeline_print(const json_t *call)
{
	const json_t *events = json_object_get(call, "events");
	long long first = 0;
	size_t i;
	json_t *ev;

	printf("call      %s\n", text(call, "call"));
	if (*text(call, "account"))
		printf("account   %s\n", text(call, "account"));
	if (*text(call, "from"))
		printf("from      %s %s\n", text(call, "display_name"),
		       text(call, "from"));
	if (*text(call, "received_at"))
		printf("received  %s\n", text(call, "received_at"));
	printf("ended     %s\n\n",
	       *text(call, "ended") ? text(call, "ended") : "(waiting)");

	json_array_foreach(events, i, ev)
	{
		long long at = number(ev, "at_us");

		if (!i)
			first = at;
		event_print(ev, first, at);
	}
}


static int run_call(struct ctl *ctl, const char *arg)
{
	char path[1024];
	json_t *root;
	int err;

	if (is_way(arg)) {
		fprintf(stderr, "sipisctl: \"%s\" is no id of a call\n", arg);
		return EX_DATAERR;
	}

	err = escaped(ctl, path, sizeof(path), "/admin/calls/", arg);
	if (!err)
		err = ask(ctl, &root, path);
	if (err)
		return err;

	if (ctl->json)
		puts(ctl->body);
	else
		timeline_print(root);

	json_decref(root);
	return 0;
}


/** Silence would look like an answer.  With an argument it is an error */
static int nothing(const char *what, const char *arg)
{
	fprintf(stderr, "sipisctl: no %s %s\n", what, arg ? arg : "anybody");
	return arg ? EX_DATAERR : 0;
}


static int run_calls(struct ctl *ctl, const char *arg)
{
	char account[900] = "", path[1024];
	json_t *root, *call;
	size_t i;
	int err = 0;

	if (arg)
		err = escaped(ctl, account, sizeof(account), "&account=",
			      strncmp(arg, "sip:", 4) ? arg : arg + 4);
	if (err)
		return err;

	(void)snprintf(path, sizeof(path), "/admin/calls?max=%u%s", ctl->max,
		       account);
	err = ask(ctl, &root, path);
	if (err)
		return err;

	if (ctl->json) {
		puts(ctl->body);
	}
	else {
		json_array_foreach(json_object_get(root, "calls"), i, call)
			printf("%s  %s  %-28s %-28s %s\n",
			       text(call, "received_at"), text(call, "call"),
			       text(call, "account"), text(call, "from"),
			       *text(call, "ended") ? text(call, "ended")
						    : "(waiting)");
		if (!i)
			err = nothing("call to", arg);
	}

	json_decref(root);
	return err;
}


static void flow_print(const json_t *flow)
{
	printf("        here over %s %s since %s, bound until %s\n",
	       text(flow, "transport"), text(flow, "address"),
	       text(flow, "since"), text(flow, "until"));
}


static void refused_print(const json_t *ref)
{
	printf("        refused %s: %lld %s, from %s %s\n", text(ref, "at"),
	       number(ref, "status"), text(ref, "why"), text(ref, "transport"),
	       text(ref, "address"));
}


/** Is it here?  If not, did it come? */
static void edge_print(const json_t *inst)
{
	const json_t *edge = json_object_get(inst, "edge");
	const json_t *ref = json_object_get(edge, "refused");
	json_t *flow;
	size_t i;

	json_array_foreach(json_object_get(edge, "flows"), i, flow)
		flow_print(flow);
	if (json_is_object(edge) && !i)
		printf("        not here; last heard of %s\n",
		       text(inst, "seen_at"));
	if (json_is_object(ref))
		refused_print(ref);
}


/** Phones that the API does not know */
static void others_print(const json_t *acct)
{
	const json_t *others = json_object_get(acct, "others");
	json_t *o;
	size_t i;

	json_array_foreach(json_object_get(others, "flows"), i, o)
	{
		printf("    %s  %s\n", text(o, "phone"), text(o, "contact"));
		flow_print(o);
	}
	json_array_foreach(json_object_get(others, "refused"), i, o)
	{
		printf("    %s\n", text(o, "phone"));
		refused_print(o);
	}
}


static void account_print(const json_t *acct)
{
	const json_t *insts = json_object_get(acct, "instances");
	json_t *inst, *tok;
	size_t i, k;

	printf("%-34s %-10s %-14s %s\n", text(acct, "account"),
	       text(acct, "pbx"), text(acct, "registration"),
	       text(acct, "why"));

	json_array_foreach(insts, i, inst)
	{
		printf("    %s  %-9s %-8s %s\n", text(inst, "instance"),
		       text(inst, "state"), text(inst, "platform"),
		       text(inst, "why"));
		edge_print(inst);
		json_array_foreach(
			json_object_get(inst, "push"), k,
			tok) if (json_is_true(json_object_get(tok, "gone")))
			printf("        %s token is dead: %s\n",
			       text(tok, "provider"), text(tok, "reason"));
	}
	others_print(acct);
}


static void mediator_print(const json_t *med)
{
	const char *state = text(med, "state"), *error = text(med, "error");

	if (!strcmp(state, "waiting") || !strcmp(state, "connecting"))
		state = "down";

	printf("mediator %-25s %-10s since %s", text(med, "mediator"), state,
	       text(med, "since"));
	if (json_is_true(json_object_get(med, "up")))
		printf("  clock %+lld ms", number(med, "clock_offset_ms"));
	putchar('\n');
	if (*error)
		printf("    last error %s: %s\n", text(med, "error_at"),
		       error);
}


static void mediators_print(const json_t *root)
{
	const json_t *med;
	size_t i;

	json_array_foreach(json_object_get(root, "mediators"), i, med)
		mediator_print(med);
	if (i)
		putchar('\n');
}


static int run_status(struct ctl *ctl, const char *arg)
{
	char filter[900] = "", path[1024];
	size_t n, all = 0;
	int err = 0;

	if (arg)
		err = escaped(ctl, filter, sizeof(filter), "", arg);

	for (unsigned offset = 0; !err; offset += PAGE) {
		json_t *root, *acct;
		size_t i;

		(void)snprintf(path, sizeof(path),
			       "/admin/status?filter=%s&offset=%u&max=%u",
			       filter, offset, PAGE);
		err = ask(ctl, &root, path);
		if (err)
			break;

		n = json_array_size(json_object_get(root, "accounts"));
		if (ctl->json) {
			puts(ctl->body);
		}
		else {
			if (!arg && !offset)
				mediators_print(root);
			json_array_foreach(json_object_get(root, "accounts"),
					   i, acct) account_print(acct);
		}
		json_decref(root);
		all += n;
		if (n < PAGE)
			break;
	}

	if (!err && !all && !ctl->json)
		err = nothing("account of", arg);
	return err;
}


static const struct command commands[] = {
	{ "call", "ID", "the timeline of one call: why did it (not) ring?",
	  run_call, true },
	{ "calls", "[USER[@DOMAIN]]",
	  "the calls of late, to one account or to all, newest first",
	  run_calls, false },
	{ "status", "[PART-OF-AOR]",
	  "accounts, phones, registrations, and why; links to mediators",
	  run_status, false },
};


static void usage(FILE *f)
{
	fprintf(f, "usage: sipisctl [-c FILE | -a ADDRESS:PORT] [--json] "
		   "COMMAND [ARG]\n\n");
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		fprintf(f, "  %-7s %-15s %s\n", commands[i].name,
			commands[i].args, commands[i].help);
	fprintf(f, "\n  -c, --config FILE   find the admin listener in this "
		   "configuration\n"
		   "                      (default /etc/sipis/sipis.yaml)\n"
		   "  -a, --admin ADDR    or name it\n"
		   "  -n, --max N         list N calls, at most 1000 "
		   "(default 100)\n"
		   "  -j, --json          the answer as it came\n"
		   "  -h, --help          this text\n"
		   "  -V, --version       the version\n");
}


static int base_set(struct ctl *ctl, const char *admin, const char *config)
{
	struct sipis_cfg *cfg = NULL;
	struct cfgfile_err e;
	int err = 0;

	if (!admin) {
		err = cfg_read(&cfg, config, &e);
		if (err) {
			fprintf(stderr, "sipisctl: %s\n", e.text);
			return e.exit_code;
		}
		admin = cfg->admin.listen;
	}

	if (!admin) {
		fprintf(stderr,
			"sipisctl: %s has no admin listener; add\n"
			"admin:\n  listen: \"127.0.0.1:8480\"\n",
			config);
		err = EX_CONFIG;
	}
	else if (asprintf(&ctl->base, "http://%s", admin) < 0) {
		ctl->base = NULL;
		err = EX_OSERR;
	}

	cfg_free(cfg);
	return err;
}


static int max_set(struct ctl *ctl, const char *arg)
{
	char *end;
	const unsigned long n = strtoul(arg, &end, 10);

	if (*arg < '1' || *arg > '9' || *end || n > CALLS_MAX)
		return EINVAL;

	ctl->max = (unsigned)n;
	return 0;
}


static const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];

	return NULL;
}


static int command_run(struct ctl *ctl, int argc, char **argv)
{
	const struct command *cmd = argc ? command_find(argv[0]) : NULL;

	if (!cmd || (cmd->needs_arg && argc < 2) || argc > 2) {
		usage(stderr);
		return EX_USAGE;
	}

	ctl->what = argc > 1 ? argv[1] : cmd->name;
	return cmd->run(ctl, argc > 1 ? argv[1] : NULL);
}


int main(int argc, char **argv)
{
	static const struct option longopts[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "admin", required_argument, NULL, 'a' },
		{ "json", no_argument, NULL, 'j' },
		{ "max", required_argument, NULL, 'n' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	const char *config = "/etc/sipis/sipis.yaml", *admin = NULL;
	struct ctl ctl = { .what = "", .max = 100 };
	int c, rc;

	while ((c = getopt_long(argc, argv, "c:a:jn:hV", longopts, NULL)) !=
	       -1)
		switch (c) {
		case 'c':
			config = optarg;
			break;
		case 'a':
			admin = optarg;
			break;
		case 'j':
			ctl.json = true;
			break;
		case 'n':
			if (max_set(&ctl, optarg)) {
				usage(stderr);
				return EX_USAGE;
			}
			break;
		case 'h':
			usage(stdout);
			return 0;
		case 'V':
			puts("sipisctl " SIPIS_VERSION);
			return 0;
		default:
			usage(stderr);
			return EX_USAGE;
		}

	rc = base_set(&ctl, admin, config);
	if (rc)
		goto out;

	ctl.curl = curl_easy_init();
	if (!ctl.curl) {
		rc = EX_OSERR;
		goto out;
	}
	curl_easy_setopt(ctl.curl, CURLOPT_WRITEFUNCTION, body_add);
	curl_easy_setopt(ctl.curl, CURLOPT_WRITEDATA, &ctl);
	curl_easy_setopt(ctl.curl, CURLOPT_TIMEOUT, 10L);
	curl_easy_setopt(ctl.curl, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(ctl.curl, CURLOPT_PATH_AS_IS, 1L);
	rc = command_run(&ctl, argc - optind, argv + optind);

out:
	curl_easy_cleanup(ctl.curl);
	free(ctl.body);
	free(ctl.base);
	return rc;
}
