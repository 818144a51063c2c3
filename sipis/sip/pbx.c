/**
 * @file pbx.c  One PBX profile at run time: making and closing
 */

#include <errno.h>
#include <string.h>
#include <openssl/ssl.h>
#include "common/clock.h"
#include "common/log.h"
#include "common/tlsctx.h"
#include "sipis/sip/priv.h"


enum {
	CTRANS_SIZE = 4096, /* libre's tables never grow */
	STRANS_SIZE = 8192,
	CONN_SIZE = 256,
};


static void path_none(struct pbx *pbx, const struct sa *addr,
		      enum sip_transp tp, int err, void *arg)
{
	(void)pbx;
	(void)addr;
	(void)tp;
	(void)err;
	(void)arg;
}


static void destructor(void *data)
{
	struct pbx *pbx = data;

	pbx_close(pbx);
	mem_deref(pbx->sip);
	mem_deref(pbx->tally);
}


static bool allow_handler(const struct sa *src, const struct mbuf *mb,
			  void *arg)
{
	struct pbx *pbx = arg;
	const bool ok = trust_has(pbx->trust, src, clock_mono_ms());

	if (!ok) {
		tally_inc(pbx->tally, TALLY_STRANGER);
		stranger_datagram(pbx->stranger, src, mb);
	}

	return ok;
}


static bool recv_handler(const struct mbuf *mb, void *arg)
{
	struct pbx *pbx = arg;

	return utrans_recv(pbx->utrans, mb);
}


static void stranger_handler(const struct sa *peer, void *arg)
{
	struct pbx *pbx = arg;

	tally_inc(pbx->tally, TALLY_CONNECTION);
	stranger_connection(pbx->stranger, peer);
}


bool pbx_trusts(const struct pbx *pbx, const struct sip_msg *msg)
{
	if (!pbx || !msg)
		return false;

	return trust_has(pbx->trust, &msg->src, clock_mono_ms()) ||
	       flows_has(pbx->flows, msg);
}


bool pbx_is_peer(const struct pbx *pbx, const struct sa *addr)
{
	return pbx && addr && trust_has(pbx->trust, addr, clock_mono_ms());
}


static void lost_handler(const struct sa *peer, enum sip_transp tp, int err,
			 void *arg)
{
	struct pbx *pbx = arg;

	log_info("sip", "-", "connection lost pbx=%s transport=%s: %s",
		 pbx->cfg->name, sip_transp_name(tp), strerror(err));
	pbx->pathh(pbx, peer, tp, err, pbx->path_arg);
}


void pbx_path_handler(struct pbx *pbx, pbx_path_h *h, void *arg)
{
	if (!pbx)
		return;

	pbx->pathh = h ? h : path_none;
	pbx->path_arg = arg;
}


int pbx_local(struct pbx *pbx, enum sip_transp tp, const struct sa *dst,
	      struct sa *laddr)
{
	if (!pbx || !dst || !laddr || pbx->closed)
		return EINVAL;

	return stack_address(pbx->stack, tp, dst, laddr);
}


static int tls_make(struct tls **tlsp, const struct pbx_cfg *cfg,
		    const char *host, char *reason, size_t reason_sz)
{
	const struct tlsctx_prm prm = {
		.cert = cfg->certificate,
		.key = cfg->key,
		.ca = cfg->ca,
		.min_version = TLS1_2_VERSION,
		.peer_name = cfg->tls_name ? cfg->tls_name : host,
	};

	return tlsctx_alloc(tlsp, &prm, reason, reason_sz);
}


int pbx_renew(struct pbx *pbx, char *reason, size_t reason_sz)
{
	struct tls *fresh = NULL;
	int err;

	if (!pbx || !pbx->tls)
		return 0;

	/* the name to prove stays that of the context in use */
	err = tls_make(&fresh, pbx->cfg, "peer.invalid", reason, reason_sz);
	if (!err)
		err = tlsctx_renew(pbx->tls, fresh);
	mem_deref(fresh);
	return err;
}


static int trust_make(struct pbx *pbx)
{
	const struct pbx_cfg *cfg = pbx->cfg;
	int err = trust_alloc(&pbx->trust);

	for (uint32_t i = 0; !err && i < cfg->addresses_count; i++) {
		struct cidr c;

		err = cidr_decode(&c, cfg->addresses[i]);
		err = err ? err : trust_add_range(pbx->trust, &c);
	}

	return err;
}


static int stack_make(struct pbx *pbx)
{
	struct stack_prm prm = {
		.tls = pbx->tls,
		.local_address = pbx->cfg->local_address,
		.public_address = pbx->cfg->public_address,
		.local_port = pbx->cfg->local_port,
		.allowh = allow_handler,
		.recvh = recv_handler,
		.trust = pbx->trust,
		.strangerh = stranger_handler,
		.arg = pbx,
	};
	int err = sip_alloc(&pbx->sip, NULL, CTRANS_SIZE, STRANS_SIZE,
			    CONN_SIZE, "sipis/" SIPIS_VERSION, NULL, NULL);

	prm.sip = pbx->sip;
	err = err ? err : stack_alloc(&pbx->stack, &prm);
	if (!err)
		err = utrans_table_alloc(&pbx->utrans);
	if (!err)
		err = flows_alloc(&pbx->flows, pbx->sip, pbx->cfg->keepalive_s,
				  lost_handler, pbx);

	return err ? err : door_open(pbx);
}


/* A port that is taken should stop the start, not show up hours later */
static int open_first(struct pbx *pbx)
{
	struct resolve_hop hop;
	struct sa sa;

	if (!resolve_hop(pbx->main, 0, 0, &hop))
		return stack_open(pbx->stack, hop.tp, &hop.addr);

	if (!pbx->cfg->local_address || pbx->cfg->transport == CFG_TP_AUTO ||
	    sa_set_str(&sa, pbx->cfg->local_address, SIP_PORT))
		return 0;

	return stack_open(pbx->stack,
			  pbx->cfg->transport == CFG_TP_UDP   ? SIP_TRANSP_UDP
			  : pbx->cfg->transport == CFG_TP_TCP ? SIP_TRANSP_TCP
							      : SIP_TRANSP_TLS,
			  &sa);
}


static int build(struct pbx *pbx, const struct pbx_prm *prm, char *reason,
		 size_t reason_sz)
{
	const struct pbx_cfg *cfg = prm->cfg;
	char host[256];
	uint16_t port;
	int err;

	err = resolve_split(cfg->outbound_proxy ? cfg->outbound_proxy
						: cfg->domains[0],
			    host, sizeof(host), &port);
	if (err) {
		(void)re_snprintf(reason, reason_sz,
				  "pbx %s: bad outbound proxy or domain",
				  cfg->name);
		return err;
	}

	if (cfg->transport == CFG_TP_TLS || cfg->transport == CFG_TP_AUTO) {
		err = tls_make(&pbx->tls, cfg, host, reason, reason_sz);
		if (err)
			return err;
	}

	err = trust_make(pbx);
	err = err ? err : stranger_alloc(&pbx->stranger, pbx);
	err = err ? err : tally_alloc(&pbx->tally, cfg->name, prm->metrics);
	err = err ? err : stack_make(pbx);
	err = err ? err : way_open(pbx, host, port);
	if (err) {
		(void)re_snprintf(reason, reason_sz, "pbx %s: %m", cfg->name,
				  err);
		return err;
	}

	err = open_first(pbx);
	if (err)
		(void)re_snprintf(reason, reason_sz,
				  "pbx %s: cannot listen on %s port %u: %m",
				  cfg->name,
				  cfg->local_address ? cfg->local_address
						     : "the own address",
				  cfg->local_port, err);

	return err;
}


int pbx_alloc(struct pbx **pbxp, const struct pbx_prm *prm, char *reason,
	      size_t reason_sz)
{
	struct pbx *pbx;
	int err;

	if (!pbxp || !prm || !prm->cfg || !prm->cfg->domains_count || !reason)
		return EINVAL;

	pbx = mem_zalloc(sizeof(*pbx), destructor);
	if (!pbx)
		return ENOMEM;

	pbx->cfg = prm->cfg;
	pbx->dnsc = mem_ref(prm->dnsc);
	pbx->nameserv = mem_ref(prm->nameserv);
	pbx->accth = prm->accth;
	pbx->inviteh = prm->inviteh;
	pbx->dialogh = prm->dialogh;
	pbx->messageh = prm->messageh;
	pbx->nobodyh = prm->nobodyh;
	pbx->cancelh = prm->cancelh;
	pbx->passh = prm->passh;
	pbx->arg = prm->arg;
	pbx->pathh = path_none;

	err = build(pbx, prm, reason, reason_sz);
	if (err)
		mem_deref(pbx);
	else
		*pbxp = pbx;

	return err;
}


void pbx_close(struct pbx *pbx)
{
	if (!pbx || pbx->closed)
		return;

	pbx->closed = true;
	pbx->pathh = path_none;

	/* The filters first: a socket outlives its transport as long as
	   somebody holds a message of it */
	pbx->stack = mem_deref(pbx->stack);

	/* Without a transport nothing that is dropped now can speak.  libre's
	   stack itself stays until the profile is freed: it would take the
	   transactions along, and their owners would drop them once more */
	sip_transp_flush(pbx->sip);
	sip_close(pbx->sip, true);

	way_close(pbx);
	pbx->flows = mem_deref(pbx->flows);
	pbx->utrans = mem_deref(pbx->utrans);
	pbx->gate = mem_deref(pbx->gate);
	pbx->door = mem_deref(pbx->door);
	pbx->resp = mem_deref(pbx->resp);
	pbx->trust = mem_deref(pbx->trust);
	pbx->stranger = mem_deref(pbx->stranger);
	pbx->tls = mem_deref(pbx->tls);
	pbx->dnsc = mem_deref(pbx->dnsc);
	pbx->nameserv = mem_deref(pbx->nameserv);
}


const struct pbx_cfg *pbx_cfg(const struct pbx *pbx)
{
	return pbx ? pbx->cfg : NULL;
}


struct sip *pbx_sip(const struct pbx *pbx)
{
	return pbx && !pbx->closed ? pbx->sip : NULL;
}


bool pbx_has_domain(const struct pbx *pbx, const char *domain)
{
	if (!pbx || !domain)
		return false;

	for (uint32_t i = 0; i < pbx->cfg->domains_count; i++) {
		if (!str_casecmp(pbx->cfg->domains[i], domain))
			return true;
	}

	return false;
}
