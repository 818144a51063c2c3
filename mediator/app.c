/**
 * @file mediator/app.c  Connects the parts of the mediator
 *
 * The story of one push: a frame comes in at server/ses.c and goes through
 * push_handler() to route/pushes.c, which opens its handle and asks
 * route/site.c for the way.  drv/dest.c queues it, drv/send.c makes a request
 * of it, net/conn.c sends it, drv/settle.c reads the answer.  The result goes
 * back through route/pushes.c and reply_handler() to the session, and a line
 * in the log with the trace of the call tells all of it.
 */

#include <errno.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/log.h"
#include "mediator/admin.h"
#include "mediator/app.h"
#include "mediator/route/enrol.h"
#include "mediator/route/pushes.h"
#include "mediator/server/server.h"

enum { DRAIN_TICK_MS = 50 };

struct app {
	char *path;
	struct metrics *metrics;
	struct metric stale;
	struct signer *signer;
	struct pushes *pushes;
	struct site *site;
	struct server *server;
	struct admin *admin;
	struct tmr tmr;
	uint64_t drain_until;
	uint64_t quiet_since;
};


static void destructor(void *arg)
{
	struct app *a = arg;

	tmr_cancel(&a->tmr);
	mem_deref(a->admin);
	mem_deref(a->server);
	mem_deref(a->pushes);
	mem_deref(a->site);
	mem_deref(a->signer);
	mem_deref(a->metrics);
	mem_deref(a->path);
}


static struct tenant *tenant_handler(const char *name, void *arg)
{
	const struct app *a = arg;

	return site_tenant(a->site, name);
}


static void push_handler(struct ses *ses, const Wire__Push *push,
			 int64_t received_us, void *arg)
{
	struct app *a = arg;

	pushes_take(a->pushes, a->site, ses_tenant(ses), ses, push,
		    received_us);
}


static void enrol_handler(struct ses *ses, const Wire__Enrol *frame, void *arg)
{
	Wire__Envelope env = WIRE__ENVELOPE__INIT;
	Wire__Enrolled done = WIRE__ENROLLED__INIT;
	const struct app *a = arg;
	struct enrol_result res;

	enrol(&res, a->site, ses_tenant(ses), frame, clock_wall_ms());
	log_info("enrol", frame->trace,
		 "app=%s provider=%s tenant=%s outcome=%s reason=\"%s\"",
		 frame->app, frame->provider, ses_tenant(ses)->name,
		 wire_outcome_name(res.outcome), res.reason);

	done.id = frame->id;
	done.outcome = res.outcome;
	done.reason = (char *)res.reason;
	done.handle.data = res.handle;
	done.handle.len = res.handle_len;
	env.body_case = WIRE__ENVELOPE__BODY_ENROLLED;
	env.enrolled = &done;
	ses_answer(ses, &env);
}


/* Whoever asked is gone: another connection of the tenant shall hear that a
   token is dead, or its phone would be tried for ever */
static void gone_tell(const struct app *a, const struct ses *ses,
		      const struct pushes_reply *r)
{
	struct ses *other = server_find(a->server, ses_tenant(ses));
	Wire__Envelope env = WIRE__ENVELOPE__INIT;
	Wire__TokenGone gone = WIRE__TOKEN_GONE__INIT;

	if (!other || r->res->outcome != WIRE__OUTCOME__TOKEN_GONE)
		return;

	gone.handle.data = (uint8_t *)r->handle;
	gone.handle.len = r->handle_len;
	gone.reason = (char *)r->res->reason;
	env.body_case = WIRE__ENVELOPE__BODY_TOKEN_GONE;
	env.token_gone = &gone;
	ses_tell(other, &env);
}


static void reply_handler(void *origin, const struct pushes_reply *r,
			  void *arg)
{
	Wire__Envelope env = WIRE__ENVELOPE__INIT;
	Wire__Result res = WIRE__RESULT__INIT;
	struct ses *ses = origin;

	if (!ses_open(ses))
		gone_tell(arg, ses, r);

	res.id.data = (uint8_t *)r->id;
	res.id.len = WIRE_ID_LEN;
	res.outcome = r->res->outcome;
	res.status = r->res->status;
	res.reason = (char *)r->res->reason;
	res.provider_id = (char *)r->res->provider_id;
	res.received_us = r->res->received_us;
	res.sent_us = r->res->sent_us;
	res.answered_us = r->res->answered_us;
	res.retry_after_ms = r->res->retry_after_ms;
	res.handle.data = (uint8_t *)r->handle;
	res.handle.len = r->handle_len;
	res.renewed.data = (uint8_t *)r->renewed;
	res.renewed.len = r->renewed_len;
	env.body_case = WIRE__ENVELOPE__BODY_RESULT;
	env.result = &res;
	ses_answer(ses, &env);
}


static int site_make(struct site **sp, const struct app *a, struct mcfg *cfg,
		     const char *path, struct signer *signer,
		     struct cfgfile_err *e)
{
	struct site_prm prm = {
		.path = path,
		.signer = signer,
		.counters = a ? pushes_counters(a->pushes) : NULL,
		.resulth = pushes_result,
		.arg = a ? a->pushes : NULL,
	};

	return site_alloc(sp, cfg, a ? a->site : NULL, &prm, e);
}


int app_check(const char *path, struct cfgfile_err *e)
{
	struct signer *signer = NULL;
	struct site *site = NULL;
	struct mcfg *cfg = NULL;
	int err = mcfg_load(&cfg, path, e);

	if (err)
		return err;

	err = signer_alloc(&signer);
	if (err) {
		mcfg_free(cfg);
		e->exit_code = EX_OSERR;
		(void)re_snprintf(e->text, sizeof(e->text), "%s",
				  strerror(err));
		return err;
	}

	err = site_make(&site, NULL, cfg, path, signer, e);
	mem_deref(site);
	mem_deref(signer);
	return err;
}


static const char *node_name(const struct mcfg *cfg, char *buf, size_t size)
{
	if (cfg->node)
		return cfg->node;
	if (gethostname(buf, size))
		return "mediator";

	buf[size - 1] = '\0';
	return buf;
}


static int tenants_handler(struct re_printf *pf, void *arg)
{
	const struct app *a = arg;

	return site_metrics(pf, a->site);
}


static int server_make(struct app *a, struct cfgfile_err *e)
{
	const struct mcfg *cfg = site_cfg(a->site);
	char host[64], reason[256] = "";
	const struct server_prm prm = {
		.node = node_name(cfg, host, sizeof(host)),
		.metrics = a->metrics,
		.tenanth = tenant_handler,
		.pushh = push_handler,
		.enrolh = enrol_handler,
		.arg = a,
	};
	int err = server_alloc(&a->server, &prm);

	if (!err)
		err = server_configure(a->server, &cfg->server,
				       site_tls(a->site), reason,
				       sizeof(reason));
	if (!err && cfg->admin.listen)
		err = admin_alloc(&a->admin, cfg->admin.listen, a->metrics,
				  tenants_handler, a, reason, sizeof(reason));
	if (err && reason[0]) {
		e->exit_code = EX_UNAVAILABLE;
		(void)re_snprintf(e->text, sizeof(e->text), "%s: %s", a->path,
				  reason);
	}

	return err;
}


int app_alloc(struct app **ap, struct mcfg *cfg, const char *path,
	      struct cfgfile_err *e)
{
	struct app *a;
	int err;

	if (!ap || !cfg || !path || !e)
		return EINVAL;

	e->exit_code = EX_OSERR;
	e->text[0] = '\0';
	a = mem_zalloc(sizeof(*a), destructor);
	if (!a) {
		mcfg_free(cfg);
		return ENOMEM;
	}

	tmr_init(&a->tmr);
	a->stale = (struct metric){
		.name = "mediator_config_stale",
		.help = "1: the last SIGHUP found a file that is not good",
		.type = METRIC_GAUGE,
	};
	err = str_dup(&a->path, path);
	if (!err)
		err = metrics_alloc(&a->metrics);
	if (!err)
		err = metrics_add(a->metrics, &a->stale, 1);
	if (!err)
		err = signer_alloc(&a->signer);
	if (!err)
		err = pushes_alloc(&a->pushes, &cfg->queue, a->metrics,
				   reply_handler, a);
	if (err) {
		mcfg_free(cfg);
		goto out;
	}

	err = site_make(&a->site, a, cfg, path, a->signer, e);
	if (!err)
		err = server_make(a, e);
	if (!err)
		site_grant(a->site);

out:
	if (err && !e->text[0])
		(void)re_snprintf(e->text, sizeof(e->text), "%s",
				  strerror(err));
	if (err) {
		mem_deref(a);
	}
	else {
		log_info("main", "-", "ready on port %u",
			 server_port(a->server));
		*ap = a;
	}

	return err;
}


/* What a running process cannot change goes on as it was, and is told */
static void restart_hint(const struct mcfg *old, const struct mcfg *new)
{
	bool admin = !old->admin.listen != !new->admin.listen ||
		     (old->admin.listen &&
		      strcmp(old->admin.listen, new->admin.listen));

	if (admin || strcmp(old->state_dir, new->state_dir) ||
	    old->files != new->files ||
	    memcmp(&old->queue, &new->queue, sizeof(old->queue)))
		log_warning("main", "-",
			    "admin, state_dir, files and queue change with "
			    "the next restart only");
}


static int reload(struct app *a, struct cfgfile_err *e)
{
	struct mcfg *cfg = NULL;
	struct site *site = NULL;
	char reason[256] = "";
	enum log_level level;
	int err = mcfg_load(&cfg, a->path, e);

	if (!err)
		err = site_make(&site, a, cfg, a->path, a->signer, e);
	if (err)
		return err;

	err = server_configure(a->server, &site_cfg(site)->server,
			       site_tls(site), reason, sizeof(reason));
	if (err) {
		(void)re_snprintf(e->text, sizeof(e->text), "%s: %s", a->path,
				  reason);
		mem_deref(site);
		return err;
	}

	/* Nothing fails any more */
	restart_hint(site_cfg(a->site), site_cfg(site));
	site_grant(site);
	mem_deref(a->site);
	a->site = site;
	if (site_cfg(site)->log_level &&
	    !log_level_decode(&level, site_cfg(site)->log_level))
		log_set_level(level);
	server_prune(a->server);
	return 0;
}


void app_reload(struct app *a)
{
	struct cfgfile_err e = { 0 };
	int err;

	if (a->drain_until)
		return;

	err = reload(a, &e);
	metric_set(&a->stale, err != 0);
	if (err)
		log_error("main", "-",
			  "ALERT the configuration stays the old one: %s",
			  e.text);
	else
		log_info("main", "-", "new configuration from %s", a->path);
}


/* Over when nothing is under way, and peers had the time to hear of it */
static void drain_handler(void *arg)
{
	struct app *a = arg;
	uint64_t now = clock_mono_ms();

	if (pushes_inflight(a->pushes))
		a->quiet_since = now;
	if (now >= a->drain_until || !server_sessions(a->server) ||
	    now >= a->quiet_since + 10 * DRAIN_TICK_MS) {
		log_info("main", "-", "drained, %u pushes given up",
			 pushes_inflight(a->pushes));
		re_cancel();
		return;
	}

	tmr_start(&a->tmr, DRAIN_TICK_MS, drain_handler, a);
}


void app_drain(struct app *a)
{
	uint32_t grace = site_cfg(a->site)->server.drain_ms;

	if (a->drain_until) {
		re_cancel();
		return;
	}

	log_info("main", "-", "stopping, grace %u ms", grace);
	a->quiet_since = clock_mono_ms();
	a->drain_until = a->quiet_since + grace;
	server_drain(a->server, grace);
	drain_handler(a);
}
