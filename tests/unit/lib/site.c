/**
 * @file tests/unit/lib/site.c  A site in a process: all of sipis below its
 *                              door
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <re/re.h>
#include "common/log.h"
#include "tests/unit/tmpdir.h"
#include "tests/unit/common/unit.h"
#include "tests/unit/lib/site.h"


int site_group_open(struct site *s)
{
	log_set_level(LOG_ERROR_);

	return libre_init() || medserver_certs(&s->certs) ? -1 : 0;
}


void site_group_close(struct site *s)
{
	testcerts_close(s->certs);
	libre_close();
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


static void pbx_open(struct site *s, const struct pbx_cfg *cfg,
		     const struct pbx_prm *h)
{
	struct pbx_prm prm = *h;
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
	prm.cfg = &s->cfg;
	prm.dnsc = s->dnsc;
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


void site_open(struct site *s, const struct pbx_cfg *cfg,
	       const struct pbx_prm *h)
{
	struct testcerts *certs = s->certs;

	memset(s, 0, sizeof(*s));
	s->certs = certs;
	medserver_open(&s->sv, s->certs, "server");
	rawpbx_open(&s->peer);
	assert_int_equal(dnsc_alloc(&s->dnsc, NULL, NULL, 0), 0);
	store_open(s);
	pbx_open(s, cfg, h);
	reg_open(s);
	med_open(s);
	site_calls_open(s);
}


int site_close(struct site *s)
{
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


bool site_med_is_up(void *site)
{
	const struct site *s = site;

	return med_up(s->med) > 0;
}


bool site_med_is_down(void *site)
{
	return !site_med_is_up(site);
}
