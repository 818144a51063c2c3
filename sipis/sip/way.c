/**
 * @file way.c  The next hops of a profile, and of accounts with their own
 *
 * One resolver for the profile, one more for each proxy or transport that an
 * account brings along.  What they find is trusted, and a port towards it
 * opened.
 */

#include <errno.h>
#include <string.h>
#include "common/clock.h"
#include "common/log.h"
#include "sipis/sip/priv.h"


enum { PROXY_BUCKETS = 64 };

/* A next hop that an account brings along */
struct way {
	struct le he;
	struct resolve *r;
};


static void way_destructor(void *data)
{
	struct way *w = data;

	hash_unlink(&w->he);
	mem_deref(w->r);
}


static void trust_hops(struct pbx *pbx, const struct resolve *r)
{
	const uint64_t until = resolve_good_until(r);
	struct resolve_hop hop;

	for (unsigned n = 0; !resolve_hop(r, n, 0, &hop); n++)
		trust_add(pbx->trust, &hop.addr, until);
	for (unsigned n = 0; !resolve_hop(r, n, UINT64_MAX, &hop); n++)
		trust_add(pbx->trust, &hop.addr, until);
}


/* The port must be open before the first call of the PBX, not before our
   first REGISTER */
static void open_hops(struct pbx *pbx, const struct resolve *r)
{
	struct resolve_hop hop;

	for (unsigned n = 0; !resolve_hop(r, n, UINT64_MAX, &hop); n++)
		(void)stack_open(pbx->stack, hop.tp, &hop.addr);
}


static void resolve_handler(struct resolve *r, void *arg)
{
	struct pbx *pbx = arg;

	trust_hops(pbx, r);
	open_hops(pbx, r);
	pbx->pathh(pbx, NULL, SIP_TRANSP_NONE, 0, pbx->path_arg);
}


static int resolve_new(struct resolve **rp, struct pbx *pbx, const char *host,
		       uint16_t port, enum cfg_transport tp)
{
	const struct resolve_prm prm = {
		.dnsc = pbx->dnsc,
		.nameserv = pbx->nameserv,
		.host = host,
		.port = port,
		.tp = tp,
		.h = resolve_handler,
		.arg = pbx,
	};
	int err = resolve_alloc(rp, &prm);

	if (!err)
		trust_hops(pbx, *rp);

	return err;
}


static struct resolve *way_find(struct pbx *pbx, const char *host,
				uint16_t port, enum cfg_transport tp)
{
	const uint32_t key = hash_joaat_str_ci(host);
	struct le *le = list_head(hash_list(pbx->ht_proxy, key));
	struct way *w;

	for (; le; le = le->next) {
		w = le->data;
		if (resolve_is(w->r, host, port, tp))
			return w->r;
	}

	w = mem_zalloc(sizeof(*w), way_destructor);
	if (!w)
		return NULL;

	if (resolve_new(&w->r, pbx, host, port, tp)) {
		mem_deref(w);
		return NULL;
	}

	hash_append(pbx->ht_proxy, key, &w->he, w);

	return w->r;
}


static struct resolve *way_of(struct pbx *pbx, const char *proxy,
			      int transport)
{
	const enum cfg_transport tp = transport < 0
					      ? pbx->cfg->transport
					      : (enum cfg_transport)transport;
	char host[256];
	uint16_t port;

	if (!str_isset(proxy) && tp == pbx->cfg->transport)
		return pbx->main;

	if (!str_isset(proxy))
		proxy = pbx->cfg->outbound_proxy ? pbx->cfg->outbound_proxy
						 : pbx->cfg->domains[0];

	return resolve_split(proxy, host, sizeof(host), &port)
		       ? NULL
		       : way_find(pbx, host, port, tp);
}


bool pbx_allows_proxy(const struct pbx *pbx, const char *proxy)
{
	const struct pbx_cfg *cfg = pbx ? pbx->cfg : NULL;
	char host[256], own[256] = "";
	uint16_t port, own_port = 0;

	if (!cfg || resolve_split(proxy, host, sizeof(host), &port))
		return false;

	if (cfg->outbound_proxy)
		(void)resolve_split(cfg->outbound_proxy, own, sizeof(own),
				    &own_port);

	if (port && port != SIP_PORT && port != SIP_PORT_TLS &&
	    (port != own_port || str_casecmp(host, own)))
		return false;

	return !str_casecmp(host, own) || pbx_has_domain(pbx, host);
}


int pbx_target(struct pbx *pbx, const char *proxy, int transport, unsigned n,
	       struct sa *addr, enum sip_transp *tp)
{
	struct resolve_hop hop;
	struct resolve *r;
	int err;

	if (!pbx || !addr || !tp || pbx->closed)
		return EINVAL;

	r = way_of(pbx, proxy, transport);
	if (!r)
		return EINVAL;

	err = resolve_hop(r, n, clock_mono_ms(), &hop);
	if (err)
		return err;

	err = stack_open(pbx->stack, hop.tp, &hop.addr);
	if (err) {
		log_warning("sip", "-", "cannot send to the PBX pbx=%s: %s",
			    pbx->cfg->name, strerror(err));
		return err;
	}

	*addr = hop.addr;
	*tp = hop.tp;

	return 0;
}


void pbx_target_down(struct pbx *pbx, const struct sa *addr,
		     enum sip_transp tp, uint32_t for_s)
{
	const uint64_t until = clock_mono_ms() + (uint64_t)for_s * 1000;

	if (!pbx || !addr || pbx->closed)
		return;

	resolve_down(pbx->main, addr, tp, until);

	for (uint32_t i = 0; i < hash_bsize(pbx->ht_proxy); i++) {
		struct le *le = list_head(hash_list(pbx->ht_proxy, i));

		for (; le; le = le->next) {
			struct way *w = le->data;

			resolve_down(w->r, addr, tp, until);
		}
	}
}


uint64_t pbx_target_wait(struct pbx *pbx, const char *proxy, int transport)
{
	if (!pbx || pbx->closed)
		return 0;

	return resolve_wait(way_of(pbx, proxy, transport), clock_mono_ms());
}


int way_open(struct pbx *pbx, const char *host, uint16_t port)
{
	int err = hash_alloc(&pbx->ht_proxy, PROXY_BUCKETS);

	return err ? err
		   : resolve_new(&pbx->main, pbx, host, port,
				 pbx->cfg->transport);
}


void way_close(struct pbx *pbx)
{
	pbx->main = mem_deref(pbx->main);
	hash_flush(pbx->ht_proxy);
	pbx->ht_proxy = mem_deref(pbx->ht_proxy);
}
