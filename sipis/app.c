/**
 * @file sipis/app.c  Who knows whom
 *
 * The one place that allocates every module and connects their handlers.
 * docs/ARCHITECTURE.md tells the story of a call along these lines:
 *
 *   PBX --INVITE--> pbx --inviteh--> calls --push--> med --24998--> mediator
 *                    |                 |
 *                    |accth            |look, un-REGISTER
 *                    v                 v
 *                   reg <---want--- inst <---mail--- api <--HTTPS-- app
 *                    |                 |               (own thread)
 *                    +----> store <----+   (two threads of its own)
 *
 *   phone --SIP--> edge --relay, passage--> pbx (docs/EDGE.md)
 */

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>
#include <openssl/crypto.h>
#include <re/re.h>
#include "common/log.h"
#include "common/metrics.h"
#include "common/nameserv.h"
#include "sipis/api/api.h"
#include "sipis/app.h"
#include "sipis/call/calls.h"
#include "sipis/edge/edge.h"
#include "sipis/inst/import.h"
#include "sipis/inst/inst.h"
#include "sipis/med/med.h"
#include "sipis/reg/reg.h"
#include "sipis/sip/cred.h"
#include "sipis/sip/pbx.h"
#include "sipis/store/store.h"

struct app {
	const struct sipis_cfg *cfg;
	struct cred_key key;
	struct metrics *metrics;
	struct nameserv *nameserv;
	struct dnsc *dnsc;
	struct store *store;
	struct med *med;
	struct reg *reg;
	struct calls *calls;
	struct inst *inst;
	struct edge *edge; /**< NULL: there is none */
	struct api *api;
	struct pbx **pbxv;
	uint32_t accounts; /**< in the store */
	uint32_t orphans; /**< of a PBX or domain that is configured no more */
	uint32_t foreign; /**< sealed under another key */
	char node[HOST_NAME_MAX + 1];
};


static struct acct *acct_handler(struct pbx *pbx, const uint8_t contact[16],
				 void *arg)
{
	struct app *app = arg;

	return reg_find_contact(app->reg, pbx, contact);
}


static bool invite_handler(struct pbx *pbx, struct acct *acct,
			   const struct sip_msg *msg, void *arg)
{
	struct app *app = arg;

	return edge_stops(app->edge, pbx, msg, false) ||
	       calls_invite(app->calls, acct, msg);
}


static bool dialog_handler(struct pbx *pbx, struct acct *acct,
			   const struct sip_msg *msg, void *arg)
{
	struct app *app = arg;
	(void)pbx;

	return calls_dialog(app->calls, acct, msg);
}


static void nobody_handler(struct pbx *pbx, const struct sip_msg *msg,
			   void *arg)
{
	struct app *app = arg;

	calls_unknown(app->calls, pbx, msg);
}


static void cancel_handler(struct pbx *pbx, const struct pl *callid,
			   const struct pl *branch, const struct pl *reason,
			   void *arg)
{
	struct app *app = arg;
	(void)pbx;

	calls_cancel(app->calls, callid, branch, reason);
}


static bool message_handler(struct pbx *pbx, struct acct *acct,
			    const struct sip_msg *msg, void *arg)
{
	struct app *app = arg;

	return edge_stops(app->edge, pbx, msg, false) ||
	       edge_offer(app->edge, pbx, acct_id(acct), msg);
}


static bool pass_handler(struct pbx *pbx, const struct sip_msg *msg, void *arg)
{
	struct app *app = arg;

	return edge_pass(app->edge, pbx, msg);
}


static void gone_handler(const uint8_t *handle, size_t len, const char *reason,
			 void *arg)
{
	struct app *app = arg;

	inst_token_gone(app->inst, handle, len, reason);
}


static void renewed_handler(const uint8_t *handle, size_t len,
			    const uint8_t *renewed, size_t renewed_len,
			    void *arg)
{
	struct app *app = arg;

	inst_handle_renewed(app->inst, handle, len, renewed, renewed_len);
}


static struct pbx *pbx_find(const struct app *app, const char *name)
{
	for (uint32_t i = 0; i < app->cfg->pbx_count; i++)
		if (!strcmp(app->cfg->pbx[i].name, name))
			return app->pbxv[i];

	return NULL;
}


/* One account that cannot be carried must not keep the others from their
   calls; only what concerns all of them ends the start. */
static int load_acct(const struct acct_row *row, void *arg)
{
	struct app *app = arg;
	struct pbx *pbx = pbx_find(app, row->pbx);
	struct acct_row wanted = *row;
	int err;

	++app->accounts;
	edge_learn(app->edge, row);
	if (!cred_sealed_under(&app->key, row->sealed, row->sealed_len)) {
		++app->foreign;
		return 0;
	}

	if (pbx)
		wanted.want = reg_wanted(pbx, row);
	err = pbx ? reg_add(NULL, app->reg, pbx, &wanted, false) : ENOENT;
	if (!err || err == ENOMEM)
		return err;

	++app->orphans;
	log_debug("app", NULL, "account %s@%s of pbx %s rests: %s", row->user,
		  row->domain, row->pbx, strerror(err));
	return 0;
}


/** Are these accounts ours to use?  A store under another key would make
    every one of them fail at its PBX */
static int load_check(const struct app *app, char *reason, size_t reason_sz)
{
	if (app->foreign && app->foreign == app->accounts) {
		(void)snprintf(reason, reason_sz,
			       "the store was sealed under another key than "
			       "key_file %s; give the one it was made with",
			       app->cfg->key_file);
		return EINVAL;
	}

	if (app->foreign)
		log_error("app", NULL,
			  "%u of %u accounts were sealed under another key; "
			  "they rest until their phones give the password "
			  "again",
			  app->foreign, app->accounts);
	if (app->orphans)
		log_warning("app", NULL,
			    "%u accounts belong to a pbx or domain that is "
			    "configured no more; they rest",
			    app->orphans);
	return 0;
}


static int load_call(const struct call_row *row, void *arg)
{
	struct app *app = arg;
	struct acct *acct = reg_find(app->reg, row->acct);
	int err;

	if (!acct) {
		log_warning("app", row->id,
			    "a waiting call has lost its account; dropped");
		return 0;
	}

	err = calls_restore(app->calls, acct, row);
	if (err)
		log_warning("app", row->id,
			    "cannot take up the waiting call: %s",
			    strerror(err));
	return 0;
}


static int load(struct app *app, char *reason, size_t reason_sz)
{
	const char *what = "accounts";
	int err = store_load_accts(app->store, load_acct, app);

	if (!err) {
		err = load_check(app, reason, reason_sz);
		if (err)
			return err;
		what = "waiting calls";
		err = store_load_calls(app->store, load_call, app);
	}
	if (err)
		(void)snprintf(reason, reason_sz,
			       "cannot read the %s from the store: %s", what,
			       strerror(err));
	return err;
}


static int dns_alloc(struct app *app, char *reason, size_t reason_sz)
{
	int err = nameserv_alloc(&app->nameserv, &app->dnsc);

	if (err)
		(void)snprintf(reason, reason_sz,
			       "cannot open the DNS client: %s",
			       strerror(err));
	return err;
}


static int pbx_open(struct app *app, uint32_t i, char *reason,
		    size_t reason_sz)
{
	const struct pbx_prm prm = {
		.cfg = &app->cfg->pbx[i],
		.dnsc = app->dnsc,
		.nameserv = app->nameserv,
		.metrics = app->metrics,
		.accth = acct_handler,
		.inviteh = invite_handler,
		.dialogh = dialog_handler,
		.nobodyh = nobody_handler,
		.cancelh = cancel_handler,
		.passh = pass_handler,
		.messageh =
			app->cfg->edge.listen_count ? message_handler : NULL,
		.arg = app,
	};

	return pbx_alloc(&app->pbxv[i], &prm, reason, reason_sz);
}


static int store_open(struct app *app, char *reason, size_t reason_sz)
{
	struct store_prm prm = {
		.keep_s = app->cfg->keep_days * 86400,
		.metrics = app->metrics,
	};
	char path[1200];

	(void)snprintf(path, sizeof(path), "%s/sipis.db", app->cfg->state_dir);
	prm.path = path;
	return store_alloc(&app->store, &prm, reason, reason_sz);
}


static int modules_alloc(struct app *app)
{
	const struct reg_prm regprm = {
		.store = app->store,
		.key = &app->key,
		.metrics = app->metrics,
		.rate = app->cfg->register_rate,
	};
	struct calls_prm callprm = {
		.store = app->store,
		.med = app->med,
		.metrics = app->metrics,
	};
	struct inst_prm instprm = {
		.store = app->store,
		.med = app->med,
		.key = &app->key,
		.cfg = &app->cfg->api,
		.pbxv = app->pbxv,
		.pbxc = app->cfg->pbx_count,
		.metrics = app->metrics,
	};
	int err = reg_alloc(&app->reg, &regprm);

	for (uint32_t i = 0; !err && i < app->cfg->pbx_count; i++)
		err = reg_pbx(app->reg, app->pbxv[i]);
	if (err)
		return err;

	callprm.reg = instprm.reg = app->reg;
	err = calls_alloc(&app->calls, &callprm);
	if (err)
		return err;

	instprm.calls = app->calls;
	return inst_alloc(&app->inst, &instprm);
}


static int edge_open(struct app *app, char *reason, size_t reason_sz)
{
	const struct edge_prm prm = {
		.cfg = &app->cfg->edge,
		.files = app->cfg->files,
		.store = app->store,
		.reg = app->reg,
		.calls = app->calls,
		.inst = app->inst,
		.med = app->med,
		.key = &app->key,
		.pbxv = app->pbxv,
		.pbxc = app->cfg->pbx_count,
		.metrics = app->metrics,
	};

	if (!app->cfg->edge.listen_count)
		return 0;

	return edge_alloc(&app->edge, &prm, reason, reason_sz);
}


static int api_open(struct app *app, char *reason, size_t reason_sz)
{
	struct api_prm prm = {
		.cfg = &app->cfg->api,
		.admin = &app->cfg->admin,
		.edge = &app->cfg->edge,
		.node = app->node,
		.inst = app->inst,
		.store = app->store,
		.reg = app->reg,
		.calls = app->calls,
		.med = app->med,
		.metrics = app->metrics,
	};

	edge_sight(app->edge, &prm.sight);
	return api_alloc(&app->api, &prm, reason, reason_sz);
}


/** Which exit code tells an operator what kind of trouble this is */
static int exit_code_of(int err)
{
	switch (err) {
	case EBADMSG:
		return EX_DATAERR;
	case EADDRINUSE:
	case EADDRNOTAVAIL:
		return EX_UNAVAILABLE;
	case EACCES:
	case EPERM:
		return EX_NOPERM;
	case ENOENT:
		return EX_NOINPUT;
	case EINVAL:
		return EX_CONFIG;
	default:
		return EX_OSERR;
	}
}


static int key_open(struct app *app, char *reason, size_t reason_sz)
{
	int err = cred_key_read(&app->key, app->cfg->key_file);

	if (err)
		(void)snprintf(reason, reason_sz,
			       "cannot use key_file %s: %s; it holds 32 bytes "
			       "or 64 hex digits and nobody else may read it",
			       app->cfg->key_file, strerror(err));
	return err;
}


static int open_all(struct app *app, char *reason, size_t reason_sz)
{
	const struct sipis_cfg *cfg = app->cfg;
	int err = metrics_alloc(&app->metrics);

	if (!err)
		err = key_open(app, reason, reason_sz);
	if (!err)
		err = dns_alloc(app, reason, reason_sz);
	if (!err)
		err = store_open(app, reason, reason_sz);
	for (uint32_t i = 0; !err && i < cfg->pbx_count; i++)
		err = pbx_open(app, i, reason, reason_sz);
	if (!err)
		err = med_alloc(&app->med, &cfg->mediator, app->node,
				app->metrics, gone_handler, app, reason,
				reason_sz);
	if (!err) {
		med_renewed_handler(app->med, renewed_handler);
		err = modules_alloc(app);
	}
	if (!err)
		err = edge_open(app, reason, reason_sz);
	if (!err)
		err = load(app, reason, reason_sz);
	if (!err)
		err = api_open(app, reason, reason_sz);

	return err;
}


/* From the outside inwards: nobody is told of a thing that is gone.  The
   store comes last, so that what the others still wrote is committed. */
static void destructor(void *arg)
{
	struct app *app = arg;

	api_close(app->api);
	inst_close(app->inst);
	calls_give_up(app->calls);
	edge_mute(app->edge);
	calls_close(app->calls);
	edge_close(app->edge);
	reg_close(app->reg);
	med_close(app->med);
	for (uint32_t i = 0; app->pbxv && i < app->cfg->pbx_count; i++)
		pbx_close(app->pbxv[i]);
	store_close(app->store);

	mem_deref(app->api);
	mem_deref(app->edge);
	mem_deref(app->inst);
	mem_deref(app->calls);
	mem_deref(app->reg);
	mem_deref(app->med);
	for (uint32_t i = 0; app->pbxv && i < app->cfg->pbx_count; i++)
		mem_deref(app->pbxv[i]);
	mem_deref(app->pbxv);
	mem_deref(app->store);
	mem_deref(app->dnsc);
	mem_deref(app->nameserv);
	mem_deref(app->metrics);
	OPENSSL_cleanse(&app->key, sizeof(app->key));
}


int app_alloc(struct app **appp, const struct sipis_cfg *cfg, char *reason,
	      size_t reason_sz, int *exit_code)
{
	struct app *app;
	int err = 0;

	if (!appp || !cfg || !reason || !reason_sz || !exit_code)
		return EINVAL;

	reason[0] = 0;
	app = mem_zalloc(sizeof(*app), destructor);
	if (!app)
		return ENOMEM;

	app->cfg = cfg;
	if (cfg->node)
		(void)snprintf(app->node, sizeof(app->node), "%s", cfg->node);
	else if (gethostname(app->node, sizeof(app->node) - 1))
		(void)snprintf(app->node, sizeof(app->node), "sipis");

	app->pbxv = mem_zalloc(cfg->pbx_count * sizeof(*app->pbxv), NULL);
	if (!app->pbxv)
		err = ENOMEM;
	else
		err = open_all(app, reason, reason_sz);
	if (err) {
		*exit_code = exit_code_of(err);
		if (!reason[0])
			(void)snprintf(reason, reason_sz, "cannot start: %s",
				       strerror(err));
		mem_deref(app);
		return err;
	}

	*appp = app;
	return 0;
}


static void renewed(const char *what, int err, const char *reason)
{
	if (err)
		log_error("app", NULL,
			  "%s goes on with the old certificates: %s", what,
			  *reason ? reason : strerror(err));
	else
		log_info("app", NULL, "%s: certificates read again", what);
}


void app_renew(struct app *app)
{
	char reason[512] = "";
	int err = api_renew(app->api, reason, sizeof(reason));

	renewed("api", err, reason);
	reason[0] = '\0';
	err = med_renew(app->med, reason, sizeof(reason));
	renewed("mediator", err, reason);
	for (uint32_t i = 0; i < app->cfg->pbx_count; i++) {
		reason[0] = '\0';
		err = pbx_renew(app->pbxv[i], reason, sizeof(reason));
		renewed(app->cfg->pbx[i].name, err, reason);
	}
}


void app_close(struct app *app)
{
	mem_deref(app);
}


int app_import(const struct sipis_cfg *cfg, const char *file, char *reason,
	       size_t reason_sz, int *exit_code)
{
	struct import_result res = { 0 };
	struct cred_key key;
	char path[1200];
	int err = cred_key_read(&key, cfg->key_file);

	if (err) {
		(void)snprintf(reason, reason_sz, "cannot use key_file %s: %s",
			       cfg->key_file, strerror(err));
		*exit_code = exit_code_of(err);
		return err;
	}

	(void)snprintf(path, sizeof(path), "%s/sipis.db", cfg->state_dir);
	err = import_file(&res, cfg, &key, path, file, reason, reason_sz);
	OPENSSL_cleanse(&key, sizeof(key));
	if (err) {
		*exit_code = exit_code_of(err);
		return err;
	}

	printf("%llu accounts, %llu instances from %llu lines\n",
	       (unsigned long long)res.accounts,
	       (unsigned long long)res.instances,
	       (unsigned long long)res.lines);
	return 0;
}
