/**
 * @file tests/unit/lib/site.c  A site in a process: all of sipis below its
 *                              door
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <re/re.h>
#include "common/ident.h"
#include "common/log.h"
#include "tests/unit/tmpdir.h"
#include "tests/unit/common/unit.h"
#include "tests/unit/common/loop.h"
#include "tests/unit/lib/site.h"


int site_group_open(void **state)
{
	struct testcerts *certs;

	log_set_level(LOG_ERROR_);
	if (libre_init() || medserver_certs(&certs))
		return -1;
	*state = certs;

	return 0;
}


int site_group_close(void **state)
{
	testcerts_close(*state);
	libre_close();

	return 0;
}


/* --- the parts, as app.c connects them --- */

static struct acct *acct_handler(struct pbx *pbx, const uint8_t contact[16],
				 void *arg)
{
	struct site *s = arg;

	return reg_find_contact(s->reg, pbx, contact);
}


static bool invite_handler(struct pbx *pbx, struct acct *acct,
			   const struct sip_msg *msg, void *arg)
{
	struct site *s = arg;
	(void)pbx;

	return calls_invite(s->calls, acct, msg);
}


static bool dialog_handler(struct pbx *pbx, struct acct *acct,
			   const struct sip_msg *msg, void *arg)
{
	struct site *s = arg;
	(void)pbx;

	return calls_dialog(s->calls, acct, msg);
}


static void nobody_handler(struct pbx *pbx, const struct sip_msg *msg,
			   void *arg)
{
	struct site *s = arg;

	calls_unknown(s->calls, pbx, msg);
}


static void cancel_handler(struct pbx *pbx, const struct pl *callid,
			   const struct pl *branch, const struct pl *reason,
			   void *arg)
{
	struct site *s = arg;
	(void)pbx;

	calls_cancel(s->calls, callid, branch, reason);
}


static bool pass_handler(struct pbx *pbx, const struct sip_msg *msg, void *arg)
{
	struct site *s = arg;

	return s->passh && s->passh(pbx, msg, s->pass_arg);
}


static void store_open(struct site *s)
{
	struct store_prm prm = { .path = s->path };
	char reason[256] = "";

	(void)snprintf(s->dir, sizeof(s->dir), "/tmp/sipis-site-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	(void)snprintf(s->path, sizeof(s->path), "%s/s.db", s->dir);
	assert_int_equal(store_alloc(&s->store, &prm, reason, sizeof(reason)),
			 0);
}


static void pbx_open(struct site *s, const struct pbx_cfg *cfg)
{
	const struct pbx_prm prm = {
		.cfg = &s->cfg,
		.dnsc = s->dnsc,
		.accth = acct_handler,
		.inviteh = invite_handler,
		.dialogh = dialog_handler,
		.nobodyh = nobody_handler,
		.cancelh = cancel_handler,
		.passh = pass_handler,
		.arg = s,
	};
	char reason[256] = "";

	(void)re_snprintf(s->proxy, sizeof(s->proxy), "%J", &s->peer.addr);
	s->domains[0] = (char *)SITE_DOMAIN;
	s->cfg = *cfg;
	s->cfg.name = (char *)"p";
	s->cfg.domains = s->domains;
	s->cfg.domains_count = 1;
	s->cfg.outbound_proxy = s->proxy;
	s->cfg.transport = CFG_TP_UDP;
	s->cfg.local_address = (char *)"127.0.0.1";
	s->cfg.refresh_s = 300;
	s->cfg.lease_s = 600;
	s->cfg.register_rate = 1000;
	s->cfg.register_inflight = 100;
	s->cfg.look_rate = 1000;
	assert_int_equal(pbx_alloc(&s->pbx, &prm, reason, sizeof(reason)), 0);
}


static void reg_open(struct site *s)
{
	const struct reg_prm prm = { .rate = 1000,
				     .store = s->store,
				     .key = &s->key };

	assert_int_equal(reg_alloc(&s->reg, &prm), 0);
}


static void med_open(struct site *s)
{
	char reason[256] = "";

	(void)re_snprintf(s->med_addr, sizeof(s->med_addr), "%J", &s->sv.addr);
	s->addresses[0] = s->med_addr;
	s->medcfg = (struct med_cfg){
		.addresses = s->addresses,
		.addresses_count = 1,
		.ca = (char *)testcerts_path(s->certs, "ca"),
		.certificate = (char *)testcerts_path(s->certs, "client"),
		.push_timeout_ms = SITE_PUSH_MS,
	};
	assert_int_equal(med_alloc(&s->med, &s->medcfg, "n", NULL, NULL, NULL,
				   reason, sizeof(reason)),
			 0);
}


void site_calls_open(struct site *s)
{
	const struct calls_prm prm = {
		.store = s->store,
		.med = s->med,
		.reg = s->reg,
	};

	assert_int_equal(calls_alloc(&s->calls, &prm), 0);
}


void site_calls_kill(struct site *s)
{
	assert_true(s->deadc < ARRAY_SIZE(s->dead));
	calls_close(s->calls);
	s->dead[s->deadc++] = s->calls;
	s->calls = NULL;
}


static int restore_handler(const struct call_row *row, void *arg)
{
	struct site *s = arg;

	++s->restored;
	return calls_restore(s->calls, s->acct, row);
}


void site_calls_load(struct site *s)
{
	s->restored = 0;
	assert_int_equal(store_load_calls(s->store, restore_handler, s), 0);
}


static void stored_handler(int err, void *arg)
{
	assert_int_equal(err, 0);
	*(bool *)arg = true;
}


static bool is_set(void *arg)
{
	return *(bool *)arg;
}


/* A later write says that those before it are done */
void site_crash(struct site *s)
{
	bool stored = false;

	assert_int_equal(
		store_meta_put(s->store, "crash", 1, stored_handler, &stored),
		0);
	until(&stored, is_set);
	site_calls_kill(s);
	site_calls_open(s);
	site_calls_load(s);
}


void site_open(struct site *s, struct testcerts *certs,
	       const struct pbx_cfg *cfg)
{
	memset(s, 0, sizeof(*s));
	s->certs = certs;
	medserver_open(&s->sv, s->certs, "server");
	rawpbx_open(&s->peer);
	assert_int_equal(dnsc_alloc(&s->dnsc, NULL, NULL, 0), 0);
	store_open(s);
	pbx_open(s, cfg);
	reg_open(s);
	med_open(s);
	site_calls_open(s);
}


/* --- who lives there --- */

struct put {
	struct site *site;
	bool over;
};


void site_account(struct site *s)
{
	static uint8_t sealed[CRED_SEALED_MAX];
	size_t len = sizeof(sealed);

	s->row = (struct acct_row){
		.id = store_id_new(),
		.pbx = "p",
		.user = "100",
		.domain = SITE_DOMAIN,
		.auth_user = "100",
		.transport = -1,
		.proven = true,
	};
	assert_int_equal(ident_random(s->row.contact, sizeof(s->row.contact)),
			 0);
	assert_int_equal(
		cred_seal(&s->key, &s->row, "secret", 6, sealed, &len), 0);
	s->row.sealed = sealed;
	s->row.sealed_len = len;
}


static void put_handler(int err, const struct inst_row *inst,
			const struct acct_row *acct, void *arg)
{
	struct put *put = arg;
	struct site *s = put->site;

	assert_int_equal(err, 0);
	put->over = true;
	assert_true(s->instc < SITE_PHONES);
	str_ncpy(s->inst[s->instc++], inst->id, sizeof(s->inst[0]));
	memcpy(s->row.contact, acct->contact, sizeof(s->row.contact));
}


static bool is_put(void *arg)
{
	return ((struct put *)arg)->over;
}


void site_phone(struct site *s, char name)
{
	char installation[2] = { name, 0 };
	char call[8], ended[8];
	struct put put = { .site = s };
	struct inst_row row = {
		.app = "app",
		.installation = installation,
		.label = "",
		.platform = "ios",
		.state = INST_INACTIVE,
		.options = "{}",
		.push_enabled = true,
		.push_count = 2,
		.push = {
			{ .uses = 1u << WIRE__USE__USE_CALL,
			  .provider = "apns",
			  .topic = "t.voip",
			  .environment = "production",
			  .handle = (uint8_t *)call,
			  .handle_len = 6,
			  .gone_reason = "" },
			{ .uses = 1u << WIRE__USE__USE_ENDED,
			  .provider = "apns",
			  .topic = "t",
			  .environment = "production",
			  .handle = (uint8_t *)ended,
			  .handle_len = 7,
			  .gone_reason = "" },
		},
	};

	(void)snprintf(call, sizeof(call), "call-%c", name);
	(void)snprintf(ended, sizeof(ended), "ended-%c", name);
	assert_int_equal(
		store_inst_put(s->store, &s->row, &row, put_handler, &put), 0);
	until(&put, is_put);
}


void site_settle(struct site *s)
{
	assert_int_equal(reg_add(&s->acct, s->reg, s->pbx, &s->row, true), 0);
	reg_want(s->acct, true);
	until(s, site_is_registered);
	until(s, site_med_is_up);
}


int site_close(struct site *s)
{
	for (unsigned i = 0; i < s->deadc; i++)
		mem_deref(s->dead[i]);
	calls_close(s->calls);
	reg_close(s->reg);
	med_close(s->med);
	pbx_close(s->pbx);
	store_close(s->store);
	s->calls = mem_deref(s->calls);
	s->reg = mem_deref(s->reg);
	s->med = mem_deref(s->med);
	s->pbx = mem_deref(s->pbx);
	s->store = mem_deref(s->store);
	s->dnsc = mem_deref(s->dnsc);
	rawpbx_close(&s->peer);
	medserver_free(&s->sv);

	return tmpdir_remove(s->dir);
}


bool site_is_registered(void *site)
{
	const struct site *s = site;

	return acct_state(s->acct) == REG_REGISTERED && s->peer.ours[0];
}


bool site_med_is_up(void *site)
{
	const struct site *s = site;

	return med_up(s->med) > 0;
}


bool site_med_is_down(void *site)
{
	return !site_med_is_up(site);
}
