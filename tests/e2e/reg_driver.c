/**
 * @file reg_driver.c  The registration machine on its own, for its tests
 *
 * One PBX profile from the command line, accounts and goals from stdin, one
 * JSON line for each change and answer on stdout.  It is what sipis does with
 * sipis/reg and sipis/sip, without calls, phones and API.
 *
 *     reg-driver [key=value ...]     see options[] below
 *
 * secret=N is the key that seals the passwords; its id stays the same.
 *
 * speed=N makes time run N times as fast for everything but the network, so
 * that hours of a registrar's bad days fit into a test.
 *
 * Commands: clock | add USER [PASSWORD] | want USER 0|1 | password USER
 * PASSWORD | look USER | unregister USER | remove USER | leave USER | probe
 * USER PASSWORD | counts | metric NAME | target N | quit.  Many accounts at
 * once: add PREFIX FIRST COUNT.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#include <re/re.h>
#include "common/clock.h"
#include "common/ident.h"
#include "common/log.h"
#include "common/secret.h"
#include "common/tmr_heap.h"
#include "sipis/reg/reg.h"
#include "sipis/sip/cred.h"
#include "sipis/sip/pbx.h"
#include "sipis/store/store.h"

enum { LINE_MAX_ = 4096, DOMAINS = 4, WAKE_MS = 2 };

int __real_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);

/* The linker leads our own calls here (--wrap), libre's timers with them */
static struct {
	int64_t speed, begin_ns;
} fast = { 1, 0 };


static int64_t to_ns(const struct timespec *ts)
{
	return (int64_t)ts->tv_sec * 1000000000 + ts->tv_nsec;
}


int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	int err = __real_clock_gettime(id, ts);

	if (!err && fast.speed > 1 &&
	    (id == CLOCK_MONOTONIC || id == CLOCK_BOOTTIME)) {
		struct timespec base;
		int64_t ns;

		(void)__real_clock_gettime(CLOCK_MONOTONIC, &base);
		ns = to_ns(ts) +
		     (to_ns(&base) - fast.begin_ns) * (fast.speed - 1);
		ts->tv_sec = ns / 1000000000;
		ts->tv_nsec = ns % 1000000000;
	}

	return err;
}

struct driver {
	struct pbx_cfg cfg;
	char *domainv[DOMAINS];
	char *store_path, *dns;
	uint32_t rate, speed, secret;
	int timer;
	struct cred_key key;
	struct dnsc *dnsc;
	struct metrics *metrics;
	struct store *store;
	struct pbx *pbx;
	struct reg *reg;
	char in[LINE_MAX_];
	size_t in_len;
};

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));


static void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vprintf(fmt, ap);
	va_end(ap);
	(void)putchar('\n');
	(void)fflush(stdout);
}


static void change_handler(struct acct *acct, enum reg_state state,
			   uint16_t scode, const char *reason, void *arg)
{
	(void)reason;
	(void)arg;

	say("{\"change\":\"%s\",\"user\":\"%s\",\"scode\":%u,\"due_in\":%u}",
	    reg_state_name(state), acct_user(acct), scode, acct_due_in(acct));
}


static struct acct *acct_handler(struct pbx *pbx, const uint8_t contact[16],
				 void *arg)
{
	struct driver *d = arg;

	return reg_find_contact(d->reg, pbx, contact);
}


static bool invite_handler(struct pbx *pbx, struct acct *acct,
			   const struct sip_msg *msg, void *arg)
{
	(void)arg;

	say("{\"invite\":\"%s\"}", acct_user(acct));
	(void)sip_treply(NULL, pbx_sip(pbx), msg, 480,
			 "Temporarily Unavailable");

	return true;
}


struct asked {
	char what[16], user[128];
};


static void answer_handler(const struct reg_answer *ans, void *arg)
{
	struct asked *a = arg;

	say("{\"answer\":\"%s\",\"user\":\"%s\",\"err\":%d,\"scode\":%u,"
	    "\"ours\":%s,\"others\":%u,\"other\":\"%s\",\"realm\":\"%s\","
	    "\"alg\":%d,\"retry_after\":%u}",
	    a->what, a->user, ans->err, ans->scode,
	    ans->ours ? "true" : "false", ans->others, ans->other, ans->realm,
	    (int)ans->alg, ans->retry_after_s);
	mem_deref(a);
}


static struct asked *ask(const char *what, const char *user)
{
	struct asked *a = mem_zalloc(sizeof(*a), NULL);

	if (!a)
		abort();
	str_ncpy(a->what, what, sizeof(a->what));
	str_ncpy(a->user, user, sizeof(a->user));

	return a;
}


/* Ids and contacts from the name: the same at each start */
static void fill_row(struct acct_row *row, const struct driver *d,
		     const char *user)
{
	uint8_t md[32];

	memset(row, 0, sizeof(*row));
	(void)secret_sha256(md, user, strlen(user));
	memcpy(&row->id, md, sizeof(row->id));
	row->id >>= 1;
	memcpy(row->contact, md + 8, STORE_CONTACT);
	row->pbx = d->cfg.name;
	row->user = user;
	row->auth_user = user;
	row->domain = d->domainv[0];
	row->transport = -1;
	row->want = true;
}


static struct acct *find(struct driver *d, const char *user)
{
	struct acct_row row;

	fill_row(&row, d, user);

	return reg_find(d->reg, row.id);
}


/* One sleeping phone, so that the account is wanted at the next start */
static void keep(struct driver *d, const struct acct_row *row)
{
	char id[STORE_ID_LEN + 1];
	const struct inst_row inst = {
		.id = id,
		.acct = row->id,
		.app = "app",
		.installation = row->user,
		.label = "",
		.platform = "ios",
		.state = INST_INACTIVE,
		.options = "{}",
		.push_enabled = true,
		.push = { { .uses = ~0u,
			    .provider = "apns",
			    .topic = "",
			    .environment = "",
			    .handle = (const uint8_t *)"h",
			    .handle_len = 1 } },
		.push_count = 1,
	};

	if (!d->store)
		return;

	ident_hex(id, row->contact, STORE_CONTACT);
	id[0] = '0'; /* ids are positive numbers in there */
	if (store_inst_put(d->store, row, &inst, NULL, NULL))
		say("{\"error\":\"store %s\"}", row->user);
}


static void add(struct driver *d, const char *user, const char *password,
		bool update)
{
	uint8_t sealed[CRED_SEALED_MAX];
	struct acct_row row;
	size_t len = sizeof(sealed);
	int err;

	fill_row(&row, d, user);
	err = cred_seal(&d->key, &row, password, strlen(password), sealed,
			&len);
	row.sealed = sealed;
	row.sealed_len = len;
	if (!err)
		keep(d, &row);
	if (!err)
		err = update ? reg_update(reg_find(d->reg, row.id), &row)
			     : reg_add(NULL, d->reg, d->pbx, &row, true);
	if (err)
		say("{\"error\":\"%s %s: %s\"}", update ? "update" : "add",
		    user, strerror(err));
}


static void add_many(struct driver *d, const char *prefix, int first, int n)
{
	char user[64], password[80];

	for (int i = first; i < first + n; i++) {
		(void)snprintf(user, sizeof(user), "%s%d", prefix, i);
		(void)snprintf(password, sizeof(password), "pw-%s", user);
		add(d, user, password, false);
	}
}


static void counts(const struct driver *d)
{
	uint32_t v[7];

	reg_counts(d->reg, v);
	say("{\"counts\":{\"idle\":%u,\"registering\":%u,\"registered\":%u,"
	    "\"unregistering\":%u,\"waiting\":%u,\"auth_failed\":%u,"
	    "\"rejected\":%u}}",
	    v[REG_IDLE], v[REG_REGISTERING], v[REG_REGISTERED],
	    v[REG_UNREGISTERING], v[REG_WAITING], v[REG_AUTH_FAILED],
	    v[REG_REJECTED]);
}


static void metric(const struct driver *d, const char *name)
{
	char *text, *at;
	size_t len;

	if (metrics_print(d->metrics, &text, &len))
		return;
	at = len ? strstr(text, name) : NULL;
	say("{\"metric\":%d}", at ? atoi(at + strlen(name)) : -1);
	free(text);
}


static void target(const struct driver *d, unsigned n)
{
	enum sip_transp tp;
	char buf[64] = "";
	struct sa sa;
	int err = pbx_target(d->pbx, NULL, -1, n, &sa, &tp);

	if (!err)
		(void)re_snprintf(buf, sizeof(buf), "%J", &sa);
	say("{\"target\":%u,\"err\":%d,\"addr\":\"%s\",\"tp\":\"%s\"}", n, err,
	    buf, err ? "" : sip_transp_name(tp));
}


static void probe(struct driver *d, const char *user, const char *password)
{
	const struct reg_probe_prm prm = {
		.user = user,
		.domain = d->domainv[0],
		.transport = -1,
		.password = password,
	};
	struct asked *a = ask("probe", user);
	int err = reg_probe(d->reg, d->pbx, &prm, answer_handler, a);

	if (err) {
		const struct reg_answer ans = { .err = err };

		answer_handler(&ans, a);
	}
}


static void on_acct(struct driver *d, struct acct *acct, char *const w[4])
{
	if (!strcmp(w[0], "want"))
		reg_want(acct, atoi(w[2]));
	else if (!strcmp(w[0], "password"))
		add(d, w[1], w[2], true);
	else if (!strcmp(w[0], "look"))
		(void)reg_look(acct, answer_handler, ask(w[0], w[1]));
	else if (!strcmp(w[0], "unregister"))
		(void)reg_unregister(acct, answer_handler, ask(w[0], w[1]));
	else if (!strcmp(w[0], "remove"))
		reg_remove(acct);
	else if (!strcmp(w[0], "leave"))
		reg_leave(acct);
	else
		say("{\"error\":\"unknown command %s\"}", w[0]);
}


static void command(struct driver *d, char *line)
{
	char empty[] = "", *w[4] = { empty, empty, empty, empty };
	char *save = NULL, *word = strtok_r(line, " ", &save);
	struct acct *acct;

	for (int i = 0; i < 4 && word; i++) {
		w[i] = word;
		word = strtok_r(NULL, " ", &save);
	}

	if (!strcmp(w[0], "quit"))
		re_cancel();
	else if (!strcmp(w[0], "clock"))
		say("{\"clock_ms\":%llu}",
		    (unsigned long long)clock_mono_ms());
	else if (!strcmp(w[0], "counts"))
		counts(d);
	else if (!strcmp(w[0], "metric"))
		metric(d, w[1]);
	else if (!strcmp(w[0], "target"))
		target(d, (unsigned)atoi(w[1]));
	else if (!strcmp(w[0], "probe"))
		probe(d, w[1], w[2]);
	else if (!strcmp(w[0], "add") && *w[3])
		add_many(d, w[1], atoi(w[2]), atoi(w[3]));
	else if (!strcmp(w[0], "add"))
		add(d, w[1], w[2], false);
	else if ((acct = find(d, w[1])))
		on_acct(d, acct, w);
	else
		say("{\"error\":\"no account %s\"}", w[1]);
}


static void in_handler(int flags, void *arg)
{
	struct driver *d = arg;
	ssize_t n = read(0, d->in + d->in_len, sizeof(d->in) - d->in_len - 1);
	char *lf;
	(void)flags;

	if (n <= 0) {
		if (!n || errno != EAGAIN)
			re_cancel();
		return;
	}

	d->in_len += (size_t)n;
	d->in[d->in_len] = '\0';
	while ((lf = memchr(d->in, '\n', d->in_len))) {
		const size_t l = (size_t)(lf - d->in) + 1;

		*lf = '\0';
		command(d, d->in);
		d->in_len -= l;
		memmove(d->in, d->in + l, d->in_len + 1);
	}
}


static int load_handler(const struct acct_row *row, void *arg)
{
	struct driver *d = arg;

	return reg_add(NULL, d->reg, d->pbx, row, false);
}


/* --- command line --- */

enum kind { K_STR, K_U32, K_U16, K_TP, K_NONCE, K_HANDOVER, K_DOMAINS };

struct option {
	const char *key;
	enum kind kind;
	size_t off;
};

#define OFF(m) offsetof(struct driver, m)

static const struct option options[] = {
	{ "domains", K_DOMAINS, 0 },
	{ "proxy", K_STR, OFF(cfg.outbound_proxy) },
	{ "transport", K_TP, OFF(cfg.transport) },
	{ "local_address", K_STR, OFF(cfg.local_address) },
	{ "local_port", K_U16, OFF(cfg.local_port) },
	{ "ca", K_STR, OFF(cfg.ca) },
	{ "tls_name", K_STR, OFF(cfg.tls_name) },
	{ "certificate", K_STR, OFF(cfg.certificate) },
	{ "key", K_STR, OFF(cfg.key) },
	{ "nonce", K_NONCE, OFF(cfg.nonce) },
	{ "handover", K_HANDOVER, OFF(cfg.handover) },
	{ "refresh", K_U32, OFF(cfg.refresh_s) },
	{ "register_rate", K_U32, OFF(cfg.register_rate) },
	{ "inflight", K_U32, OFF(cfg.register_inflight) },
	{ "auth_failures", K_U32, OFF(cfg.auth_failures) },
	{ "look_rate", K_U32, OFF(cfg.look_rate) },
	{ "rate", K_U32, OFF(rate) },
	{ "speed", K_U32, OFF(speed) },
	{ "secret", K_U32, OFF(secret) },
	{ "store", K_STR, OFF(store_path) },
	{ "dns", K_STR, OFF(dns) },
};


static enum cfg_transport transport(const char *s)
{
	return !strcmp(s, "udp")   ? CFG_TP_UDP
	       : !strcmp(s, "tcp") ? CFG_TP_TCP
	       : !strcmp(s, "tls") ? CFG_TP_TLS
				   : CFG_TP_AUTO;
}


static void set_domains(struct driver *d, char *s)
{
	char *save = NULL;

	d->cfg.domains_count = 0;
	for (s = strtok_r(s, ",", &save); s && d->cfg.domains_count < DOMAINS;
	     s = strtok_r(NULL, ",", &save))
		d->domainv[d->cfg.domains_count++] = s;
}


static int set_option(struct driver *d, char *arg)
{
	char *val = strchr(arg, '=');

	if (!val)
		return EINVAL;
	*val++ = '\0';

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		void *p = (char *)d + options[i].off;

		if (strcmp(options[i].key, arg))
			continue;
		switch (options[i].kind) {
		case K_STR:
			*(char **)p = val;
			break;
		case K_U32:
			*(uint32_t *)p = (uint32_t)strtoul(val, NULL, 10);
			break;
		case K_U16:
			*(uint16_t *)p = (uint16_t)strtoul(val, NULL, 10);
			break;
		case K_TP:
			*(enum cfg_transport *)p = transport(val);
			break;
		case K_NONCE:
			*(enum cfg_nonce *)p = strcmp(val, "none")
						       ? CFG_NONCE_SHARED
						       : CFG_NONCE_NONE;
			break;
		case K_HANDOVER:
			*(enum cfg_handover *)p =
				strcmp(val, "redirect")
					? CFG_HANDOVER_FORK
					: CFG_HANDOVER_REDIRECT;
			break;
		case K_DOMAINS:
			set_domains(d, val);
			break;
		}
		return 0;
	}

	return ENOENT;
}


static int start(struct driver *d)
{
	const struct pbx_prm pprm = {
		.cfg = &d->cfg,
		.dnsc = d->dnsc,
		.metrics = d->metrics,
		.accth = acct_handler,
		.inviteh = invite_handler,
		.arg = d,
	};
	char reason[512] = "";
	int err;

	if (d->store_path) {
		const struct store_prm sprm = { .path = d->store_path };

		err = store_alloc(&d->store, &sprm, reason, sizeof(reason));
		if (err)
			goto out;
	}

	{
		const struct reg_prm rprm = {
			.store = d->store,
			.key = &d->key,
			.metrics = d->metrics,
			.rate = d->rate,
			.changeh = change_handler,
			.arg = d,
		};

		err = reg_alloc(&d->reg, &rprm);
	}
	err = err ? err : pbx_alloc(&d->pbx, &pprm, reason, sizeof(reason));
	err = err ? err : reg_pbx(d->reg, d->pbx);
	if (!err && d->store)
		err = store_load_accts(d->store, load_handler, d);

out:
	if (err)
		(void)fprintf(stderr, "reg-driver: %s: %s\n", strerror(err),
			      reason);

	return err;
}


static void wake_handler(int flags, void *arg)
{
	const struct driver *d = arg;
	uint64_t n;
	(void)flags;

	(void)!read(d->timer, &n, sizeof(n));
}


/* epoll counts in real time: it has to be woken to see the fast one */
static int speed_up(struct driver *d)
{
	const struct itimerspec its = {
		.it_interval.tv_nsec = WAKE_MS * 1000000,
		.it_value.tv_nsec = WAKE_MS * 1000000,
	};
	struct timespec ts;

	if (d->speed < 2)
		return 0;

	(void)__real_clock_gettime(CLOCK_MONOTONIC, &ts);
	fast.begin_ns = to_ns(&ts);
	fast.speed = d->speed;
	d->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (d->timer < 0 || timerfd_settime(d->timer, 0, &its, NULL))
		return errno;

	return fd_listen(d->timer, FD_READ, wake_handler, d);
}


static int dns_start(struct driver *d)
{
	struct sa sa;

	if (!d->dns)
		return 0;
	if (sa_decode(&sa, d->dns, strlen(d->dns)))
		return EINVAL;

	return dnsc_alloc(&d->dnsc, NULL, &sa, 1);
}


int main(int argc, char *argv[])
{
	struct driver *d = mem_zalloc(sizeof(*d), NULL);
	char name[] = "test", domain[] = "demo.test";
	int err;

	if (!d)
		return 1;

	d->cfg.name = name;
	d->cfg.domains = d->domainv;
	d->cfg.transport = CFG_TP_UDP;
	d->cfg.refresh_s = 600;
	d->cfg.register_rate = 100;
	d->cfg.register_inflight = 256;
	d->cfg.auth_failures = 2;
	d->cfg.look_rate = 50;
	d->rate = 100000;
	set_domains(d, domain);
	d->secret = 7;
	d->key.id = 7;

	for (int i = 1; i < argc; i++) {
		if (set_option(d, argv[i])) {
			(void)fprintf(stderr, "reg-driver: bad option %s\n",
				      argv[i]);
			return 64;
		}
	}

	memset(d->key.key, (uint8_t)d->secret, sizeof(d->key.key));

	err = libre_init();
	if (err)
		return 1;
	log_set_level(getenv("REG_QUIET") ? LOG_WARNING_ : LOG_DEBUG_);
	err = tmrheap_check();
	err = err ? err : fd_setsize(4096);
	err = err ? err : speed_up(d);
	err = err ? err : dns_start(d);
	err = err ? err : metrics_alloc(&d->metrics);
	err = err ? err : start(d);
	(void)fcntl(0, F_SETFL, O_NONBLOCK);
	err = err ? err : fd_listen(0, FD_READ, in_handler, d);
	if (!err) {
		say("{\"ready\":true,\"pid\":%d}", (int)getpid());
		err = re_main(NULL);
	}

	fd_close(0);
	if (d->timer > 0) {
		fd_close(d->timer);
		(void)close(d->timer);
	}
	reg_close(d->reg);
	pbx_close(d->pbx);
	mem_deref(d->reg);
	mem_deref(d->pbx);
	mem_deref(d->store);
	mem_deref(d->metrics);
	mem_deref(d->dnsc);
	mem_deref(d);
	libre_close();
	tmr_debug();
	mem_debug();

	return err ? 1 : 0;
}
