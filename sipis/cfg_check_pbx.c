/**
 * @file sipis/cfg_check_pbx.c  The rules of one PBX
 */

#include <string.h>
#include <strings.h>
#include <openssl/ssl.h>
#include <re/re.h>
#include "sipis/cfg_check_priv.h"
#include "sipis/sip/cidr.h"


/* It would end a call that rings before the phone has had its time to wake */
static int times_check(const struct check *c, uint32_t i)
{
	const struct pbx_cfg *pbx = &c->cfg->pbx[i];

	if (pbx->ring_timeout_s >= pbx->wake_timeout_s)
		return 0;

	return cfgfile_fail(c->e, c->path,
			    cfg_check_at("pbx[%u].ring_timeout_s", i).text,
			    "%u is less than the wake_timeout_s of %u; give "
			    "at least as much",
			    pbx->ring_timeout_s, pbx->wake_timeout_s);
}


static const struct pbx_cfg *domain_owner(const struct sipis_cfg *cfg,
					  uint32_t before, const char *domain)
{
	for (uint32_t j = 0; j < before; j++)
		for (uint32_t k = 0; k < cfg->pbx[j].domains_count; k++)
			if (!strcasecmp(domain, cfg->pbx[j].domains[k]))
				return &cfg->pbx[j];

	return NULL;
}


static int domains_check(const struct check *c, uint32_t i)
{
	const struct pbx_cfg *pbx = &c->cfg->pbx[i];

	for (uint32_t d = 0; d < pbx->domains_count; d++) {
		const struct where key =
			cfg_check_at("pbx[%u].domains[%u]", i, d);
		const struct pbx_cfg *owner =
			domain_owner(c->cfg, i, pbx->domains[d]);
		int err;

		for (uint32_t k = 0; k < d; k++)
			if (!strcasecmp(pbx->domains[k], pbx->domains[d]))
				return cfgfile_fail(
					c->e, c->path, key.text,
					"\"%s\" stands here twice; letter "
					"case "
					"makes no difference, leave one",
					pbx->domains[d]);

		if (owner)
			return cfgfile_fail(c->e, c->path, key.text,
					    "\"%s\" is a domain of pbx \"%s\" "
					    "already; a domain belongs to one "
					    "pbx",
					    pbx->domains[d], owner->name);

		err = cfg_check_host(c, key, pbx->domains[d]);
		if (err)
			return err;
	}

	return 0;
}


/* Bindings at the PBX name this port and outlive us: it must be the same at
   the next start, so there is no "any" */
static int port_check(const struct check *c, uint32_t i)
{
	const struct where key = cfg_check_at("pbx[%u].local_port", i);
	const struct pbx_cfg *pbx = &c->cfg->pbx[i];

	if (!pbx->local_port || pbx->local_port == UINT16_MAX)
		return cfgfile_fail(c->e, c->path, key.text,
				    "%u cannot be used; give a free port that "
				    "stays the same, from 1 to 65534 (TLS "
				    "listens one above)",
				    pbx->local_port);

	for (uint32_t j = 0; j < i; j++) {
		const struct pbx_cfg *other = &c->cfg->pbx[j];
		int apart = (int)pbx->local_port - (int)other->local_port;

		if (pbx->local_address && other->local_address &&
		    strcmp(pbx->local_address, other->local_address))
			continue;
		if (apart >= -1 && apart <= 1)
			return cfgfile_fail(
				c->e, c->path, key.text,
				"%u is too close to the %u of pbx \"%s\"; "
				"keep them two apart, TLS listens one above",
				pbx->local_port, other->local_port,
				other->name);
	}

	return 0;
}


static int pbx_tls_check(const struct check *c, uint32_t i)
{
	const struct pbx_cfg *pbx = &c->cfg->pbx[i];
	const struct tlsctx_prm prm = {
		.cert = pbx->certificate,
		.key = pbx->key,
		.ca = pbx->ca,
		.min_version = TLS1_2_VERSION,
		.peer_name = CFG_CHECK_ANY_NAME,
	};
	int err;

	if (!pbx->certificate != !pbx->key)
		return cfgfile_fail(
			c->e, c->path,
			cfg_check_at("pbx[%u].certificate", i).text,
			"certificate and key go together; give "
			"both or neither");

	err = cfg_check_file(c, cfg_check_at("pbx[%u].ca", i), pbx->ca);
	if (!err)
		err = cfg_check_file(c, cfg_check_at("pbx[%u].certificate", i),
				     pbx->certificate);
	if (!err)
		err = cfg_check_file(c, cfg_check_at("pbx[%u].key", i),
				     pbx->key);
	if (!err && (pbx->ca || pbx->certificate))
		err = cfg_check_tls(
			c,
			cfg_check_at("pbx[%u].%s", i,
				     pbx->certificate ? "certificate" : "ca"),
			&prm);
	return err;
}


static int public_check(const struct check *c, uint32_t i)
{
	const struct pbx_cfg *pbx = &c->cfg->pbx[i];
	const struct where key = cfg_check_at("pbx[%u].public_address", i);
	struct sa sa, own;

	if (!pbx->public_address)
		return 0;

	if (sa_set_str(&sa, pbx->public_address, 0) || sa_is_any(&sa))
		return cfgfile_fail(c->e, c->path, key.text,
				    "\"%s\" is no address; give the one that "
				    "NAT maps to this host, without a port",
				    pbx->public_address);

	if (pbx->local_address && !sa_set_str(&own, pbx->local_address, 0) &&
	    sa_af(&own) != sa_af(&sa))
		return cfgfile_fail(c->e, c->path, key.text,
				    "\"%s\" cannot stand for the "
				    "local_address %s; give two of IPv4 or "
				    "two of IPv6",
				    pbx->public_address, pbx->local_address);

	return 0;
}


static int ranges_check(const struct check *c, uint32_t i)
{
	const struct pbx_cfg *pbx = &c->cfg->pbx[i];

	for (uint32_t k = 0; k < pbx->addresses_count; k++) {
		const struct where key =
			cfg_check_at("pbx[%u].addresses[%u]", i, k);
		const char *text = pbx->addresses[k];
		struct cidr cidr;
		const int err = cidr_decode(&cidr, text);

		if (err)
			return cfgfile_fail(
				c->e, c->path, key.text,
				"\"%s\" %s; give an address or a range like "
				"192.0.2.0/24",
				text,
				err == EDOM ? "has bits behind its prefix"
				: err == ERANGE
					? "is everybody, and would let "
					  "anybody ring the phones"
					: "is no range of addresses");
	}

	return 0;
}


static int relay_check(const struct check *c, uint32_t i)
{
	const struct pbx_cfg *pbx = &c->cfg->pbx[i];

	if (pbx->handover != CFG_HANDOVER_RELAY)
		return 0;

	/* what is said in a call may come over a connection of the PBX's */
	if (pbx->transport == CFG_TP_TLS && !pbx->certificate)
		return cfgfile_fail(
			c->e, c->path,
			cfg_check_at("pbx[%u].certificate", i).text,
			"the PBX opens TLS connections to us in a relayed "
			"call; give certificate and key");

	if (c->cfg->edge.listen_count)
		return 0;

	return cfgfile_fail(c->e, c->path,
			    cfg_check_at("pbx[%u].%s", i,
					 pbx->mode == CFG_MODE_CONTINUOUS
						 ? "mode"
						 : "handover")
				    .text,
			    "phones get their calls over the edge; give it a "
			    "listener under edge");
}


static int challenges_check(const struct check *c, uint32_t i)
{
	if (c->cfg->pbx[i].challenges == CFG_CHALLENGES_PASS ||
	    c->cfg->edge.listen_count)
		return 0;

	return cfgfile_fail(c->e, c->path,
			    cfg_check_at("pbx[%u].challenges", i).text,
			    "what phones ask of the PBX passes the edge; "
			    "give it a listener under edge");
}


static int media_check(const struct check *c, uint32_t i)
{
	const struct media_cfg *media = &c->cfg->pbx[i].media;

	for (uint32_t k = 0; k < media->rtpengine_count; k++) {
		const struct where key =
			cfg_check_at("pbx[%u].media.rtpengine[%u]", i, k);
		const char *text = media->rtpengine[k];
		struct sa sa;
		int err = cfg_check_listen(c, key, text, false);

		if (err)
			return err;
		if (sa_decode(&sa, text, strlen(text)) || !sa_port(&sa) ||
		    sa_is_any(&sa))
			return cfgfile_fail(c->e, c->path, key.text,
					    "\"%s\" cannot be asked; give the "
					    "address and port of its "
					    "listen-ng",
					    text);
	}

	if (!media->phone_interface != !media->pbx_interface)
		return cfgfile_fail(
			c->e, c->path,
			cfg_check_at("pbx[%u].media.phone_interface", i).text,
			"phone_interface and pbx_interface go "
			"together; give both or neither");

	if (!media->rtpengine_count || c->cfg->edge.listen_count)
		return 0;

	return cfgfile_fail(c->e, c->path,
			    cfg_check_at("pbx[%u].media", i).text,
			    "media is relayed for calls over the edge; give "
			    "it a listener under edge");
}


int cfg_check_pbx(const struct check *c, uint32_t i)
{
	const struct pbx_cfg *pbx = &c->cfg->pbx[i];
	struct sa sa;
	int err =
		cfgfile_name(c->e, c->path,
			     cfg_check_at("pbx[%u].name", i).text, pbx->name);

	if (err)
		return err;

	for (uint32_t j = 0; j < i; j++)
		if (!strcmp(pbx->name, c->cfg->pbx[j].name))
			return cfgfile_fail(
				c->e, c->path,
				cfg_check_at("pbx[%u].name", i).text,
				"two pbx are called \"%s\"; give "
				"each a name of its own",
				pbx->name);

	if (pbx->local_address &&
	    (sa_set_str(&sa, pbx->local_address, 0) || sa_is_any(&sa)))
		return cfgfile_fail(
			c->e, c->path,
			cfg_check_at("pbx[%u].local_address", i).text,
			"\"%s\" is no address that the PBX can "
			"answer to; give one of this host's, "
			"without a port, or leave it out",
			pbx->local_address);

	err = times_check(c, i);
	err = err ? err : public_check(c, i);
	err = err ? err : ranges_check(c, i);
	err = err ? err : relay_check(c, i);
	err = err ? err : media_check(c, i);
	err = err ? err : challenges_check(c, i);
	err = err ? err : domains_check(c, i);
	if (!err && pbx->outbound_proxy)
		err = cfg_check_host(c,
				     cfg_check_at("pbx[%u].outbound_proxy", i),
				     pbx->outbound_proxy);
	if (!err)
		err = port_check(c, i);
	return err ? err : pbx_tls_check(c, i);
}
