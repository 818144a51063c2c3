/**
 * @file sipis/cfg.c  The configuration of sipis: schema and numbers
 *
 * The schema tables say which keys exist; the number tables give each number
 * its default and its range.  The rules between keys are in cfg_check.c.
 */

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include "common/cfgnum.h"
#include "sipis/cfg.h"
#include "sipis/cfg_check.h"

#define TEXT_MAX 1024

static const cyaml_strval_t transports[] = {
	{ "auto", CFG_TP_AUTO },
	{ "udp", CFG_TP_UDP },
	{ "tcp", CFG_TP_TCP },
	{ "tls", CFG_TP_TLS },
};

static const cyaml_strval_t modes[] = {
	{ "standard", CFG_MODE_STANDARD },
	{ "continuous", CFG_MODE_CONTINUOUS },
};

static const cyaml_strval_t handovers[] = {
	{ "fork", CFG_HANDOVER_FORK },
	{ "redirect", CFG_HANDOVER_REDIRECT },
	{ "relay", CFG_HANDOVER_RELAY },
};

static const cyaml_strval_t declines[] = {
	{ "phone", CFG_DECLINE_PHONE },
	{ "account", CFG_DECLINE_ACCOUNT },
};

static const cyaml_strval_t challenges[] = {
	{ "pass", CFG_CHALLENGES_PASS },
	{ "answer", CFG_CHALLENGES_ANSWER },
};

static const cyaml_strval_t auto_180s[] = {
	{ "accepted", CFG_180_ACCEPTED },
	{ "off", CFG_180_OFF },
	{ "immediate", CFG_180_IMMEDIATE },
};

static const cyaml_strval_t nonces[] = {
	{ "shared", CFG_NONCE_SHARED },
	{ "none", CFG_NONCE_NONE },
};

static const cyaml_schema_value_t text_schema = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, TEXT_MAX),
};

#define OPTIONAL_TEXT(key, type, member)                                      \
	CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, \
			       type, member, 1, TEXT_MAX)
#define TEXT(key, type, member)                                          \
	CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER, type, member, 1, \
			       TEXT_MAX)
#define NUMBER(key, type, member) \
	CYAML_FIELD_UINT(key, CYAML_FLAG_OPTIONAL, type, member)
#define CHOICE(key, type, member, values)                                    \
	CYAML_FIELD_ENUM(key, CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, type, \
			 member, values, CYAML_ARRAY_LEN(values))

static const cyaml_strval_t medias[] = {
	{ "proceed", CFG_MEDIA_PROCEED },
	{ "fail", CFG_MEDIA_FAIL },
};

static const cyaml_schema_field_t media_fields[] = {
	CYAML_FIELD_SEQUENCE("rtpengine", CYAML_FLAG_POINTER, struct media_cfg,
			     rtpengine, &text_schema, 1, 8),
	CHOICE("when_unreachable", struct media_cfg, when_unreachable, medias),
	NUMBER("timeout_ms", struct media_cfg, timeout_ms),
	OPTIONAL_TEXT("phone_interface", struct media_cfg, phone_interface),
	OPTIONAL_TEXT("pbx_interface", struct media_cfg, pbx_interface),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t pbx_fields[] = {
	TEXT("name", struct pbx_cfg, name),
	CYAML_FIELD_SEQUENCE("domains", CYAML_FLAG_POINTER, struct pbx_cfg,
			     domains, &text_schema, 1, CFG_DOMAINS_MAX),
	OPTIONAL_TEXT("outbound_proxy", struct pbx_cfg, outbound_proxy),
	CHOICE("transport", struct pbx_cfg, transport, transports),
	OPTIONAL_TEXT("local_address", struct pbx_cfg, local_address),
	CYAML_FIELD_UINT("local_port", CYAML_FLAG_DEFAULT, struct pbx_cfg,
			 local_port),
	OPTIONAL_TEXT("public_address", struct pbx_cfg, public_address),
	CYAML_FIELD_SEQUENCE("addresses",
			     CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
			     struct pbx_cfg, addresses, &text_schema, 0, 256),
	OPTIONAL_TEXT("ca", struct pbx_cfg, ca),
	OPTIONAL_TEXT("tls_name", struct pbx_cfg, tls_name),
	OPTIONAL_TEXT("certificate", struct pbx_cfg, certificate),
	OPTIONAL_TEXT("key", struct pbx_cfg, key),
	CHOICE("mode", struct pbx_cfg, mode, modes),
	CHOICE("handover", struct pbx_cfg, handover, handovers),
	CHOICE("decline", struct pbx_cfg, decline, declines),
	CHOICE("challenges", struct pbx_cfg, challenges, challenges),
	CHOICE("auto_180", struct pbx_cfg, auto_180, auto_180s),
	CHOICE("nonce", struct pbx_cfg, nonce, nonces),
	CYAML_FIELD_MAPPING("media", CYAML_FLAG_OPTIONAL, struct pbx_cfg,
			    media, media_fields),
	NUMBER("refresh_s", struct pbx_cfg, refresh_s),
	NUMBER("wake_timeout_s", struct pbx_cfg, wake_timeout_s),
	NUMBER("ring_timeout_s", struct pbx_cfg, ring_timeout_s),
	NUMBER("gather_ms", struct pbx_cfg, gather_ms),
	NUMBER("lease_s", struct pbx_cfg, lease_s),
	NUMBER("inactivity_days", struct pbx_cfg, inactivity_days),
	CYAML_FIELD_BOOL("push_after_exit", CYAML_FLAG_OPTIONAL,
			 struct pbx_cfg, push_after_exit),
	NUMBER("register_rate", struct pbx_cfg, register_rate),
	NUMBER("register_inflight", struct pbx_cfg, register_inflight),
	NUMBER("auth_failures", struct pbx_cfg, auth_failures),
	NUMBER("call_pushes_per_min", struct pbx_cfg, call_pushes_per_min),
	NUMBER("look_rate", struct pbx_cfg, look_rate),
	NUMBER("keepalive_s", struct pbx_cfg, keepalive_s),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t pbx_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct pbx_cfg, pbx_fields),
};

static const cyaml_schema_field_t api_fields[] = {
	CYAML_FIELD_SEQUENCE("listen", CYAML_FLAG_POINTER, struct api_cfg,
			     listen, &text_schema, 1, 16),
	TEXT("certificate", struct api_cfg, certificate),
	TEXT("key", struct api_cfg, key),
	NUMBER("connections", struct api_cfg, connections),
	NUMBER("connections_per_address", struct api_cfg,
	       connections_per_address),
	NUMBER("requests_per_second", struct api_cfg, requests_per_second),
	NUMBER("bad_secrets_per_min", struct api_cfg, bad_secrets_per_min),
	NUMBER("creates_per_hour", struct api_cfg, creates_per_hour),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t admin_fields[] = {
	OPTIONAL_TEXT("listen", struct admin_cfg, listen),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t mediator_fields[] = {
	CYAML_FIELD_SEQUENCE("addresses", CYAML_FLAG_POINTER, struct med_cfg,
			     addresses, &text_schema, 1, 8),
	OPTIONAL_TEXT("name", struct med_cfg, name),
	TEXT("ca", struct med_cfg, ca),
	TEXT("certificate", struct med_cfg, certificate),
	TEXT("key", struct med_cfg, key),
	NUMBER("push_timeout_ms", struct med_cfg, push_timeout_ms),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t edge_push_fields[] = {
	TEXT("app", struct edge_push_cfg, app),
	OPTIONAL_TEXT("apns", struct edge_push_cfg, apns),
	OPTIONAL_TEXT("fcm", struct edge_push_cfg, fcm),
	OPTIONAL_TEXT("webpush", struct edge_push_cfg, webpush),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t edge_push_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct edge_push_cfg,
			    edge_push_fields),
};

static const cyaml_schema_field_t edge_fields[] = {
	CYAML_FIELD_SEQUENCE("listen", CYAML_FLAG_POINTER, struct edge_cfg,
			     listen, &text_schema, 1, 16),
	OPTIONAL_TEXT("host", struct edge_cfg, host),
	OPTIONAL_TEXT("certificate", struct edge_cfg, certificate),
	OPTIONAL_TEXT("key", struct edge_cfg, key),
	CYAML_FIELD_SEQUENCE("push", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
			     struct edge_cfg, push, &edge_push_schema, 0, 100),
	NUMBER("expires_s", struct edge_cfg, expires_s),
	NUMBER("flow_timer_s", struct edge_cfg, flow_timer_s),
	NUMBER("connections_per_address", struct edge_cfg,
	       connections_per_address),
	NUMBER("requests_per_second", struct edge_cfg, requests_per_second),
	NUMBER("bad_secrets_per_min", struct edge_cfg, bad_secrets_per_min),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t top_fields[] = {
	OPTIONAL_TEXT("node", struct sipis_cfg, node),
	TEXT("state_dir", struct sipis_cfg, state_dir),
	TEXT("key_file", struct sipis_cfg, key_file),
	OPTIONAL_TEXT("log_level", struct sipis_cfg, log_level),
	NUMBER("register_rate", struct sipis_cfg, register_rate),
	NUMBER("files", struct sipis_cfg, files),
	NUMBER("keep_days", struct sipis_cfg, keep_days),
	CYAML_FIELD_MAPPING("api", CYAML_FLAG_DEFAULT, struct sipis_cfg, api,
			    api_fields),
	CYAML_FIELD_MAPPING("admin", CYAML_FLAG_OPTIONAL, struct sipis_cfg,
			    admin, admin_fields),
	CYAML_FIELD_MAPPING("mediator", CYAML_FLAG_DEFAULT, struct sipis_cfg,
			    mediator, mediator_fields),
	CYAML_FIELD_MAPPING("edge", CYAML_FLAG_OPTIONAL, struct sipis_cfg,
			    edge, edge_fields),
	CYAML_FIELD_SEQUENCE("pbx", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
			     struct sipis_cfg, pbx, &pbx_schema, 0, 1000),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t top_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct sipis_cfg, top_fields),
};

static const struct cfgnum pbx_numbers[] = {
	CFGNUM(struct pbx_cfg, refresh_s, 3600, 60, 7200),
	CFGNUM(struct pbx_cfg, wake_timeout_s, 15, 1, 20),
	CFGNUM(struct pbx_cfg, ring_timeout_s, 120, 5, 600),
	CFGNUM(struct pbx_cfg, gather_ms, 2000, 1, 10000),
	CFGNUM(struct pbx_cfg, lease_s, 600, 10, 86400),
	CFGNUM(struct pbx_cfg, inactivity_days, 10, 1, 3650),
	CFGNUM(struct pbx_cfg, register_rate, 100, 1, 100000),
	CFGNUM(struct pbx_cfg, register_inflight, 256, 1, 10000),
	CFGNUM(struct pbx_cfg, auth_failures, 2, 1, 1000),
	CFGNUM(struct pbx_cfg, call_pushes_per_min, 10, 1, 6000),
	CFGNUM(struct pbx_cfg, look_rate, 50, 1, 10000),
	CFGNUM(struct pbx_cfg, keepalive_s, 60, 5, 600),
};

static const struct cfgnum media_numbers[] = {
	CFGNUM(struct media_cfg, timeout_ms, 500, 50, 5000),
};

static const struct cfgnum api_numbers[] = {
	CFGNUM(struct api_cfg, connections, 2000, 1, 100000),
	CFGNUM(struct api_cfg, connections_per_address, 32, 1, 100000),
	CFGNUM(struct api_cfg, requests_per_second, 50, 1, 1000000),
	CFGNUM(struct api_cfg, bad_secrets_per_min, 10, 1, 100000),
	CFGNUM(struct api_cfg, creates_per_hour, 60, 1, 10000000),
};

static const struct cfgnum med_numbers[] = {
	CFGNUM(struct med_cfg, push_timeout_ms, 4000, 100, 20000),
};

static const struct cfgnum edge_numbers[] = {
	CFGNUM(struct edge_cfg, expires_s, 604800, 60, 31536000),
	CFGNUM(struct edge_cfg, flow_timer_s, 120, 10, 840),
	CFGNUM(struct edge_cfg, connections_per_address, 500, 1, 1000000),
	CFGNUM(struct edge_cfg, requests_per_second, 50, 1, 1000000),
	CFGNUM(struct edge_cfg, bad_secrets_per_min, 10, 1, 100000),
};

static const struct cfgnum top_numbers[] = {
	CFGNUM(struct sipis_cfg, register_rate, 500, 1, 1000000),
	CFGNUM(struct sipis_cfg, files, 65536, 256, 1048576),
	CFGNUM(struct sipis_cfg, keep_days, 30, 1, 3650),
};


static const struct cfgnum_group groups[] = {
	{ "", top_numbers, CYAML_ARRAY_LEN(top_numbers) },
	{ "api.", api_numbers, CYAML_ARRAY_LEN(api_numbers) },
	{ "mediator.", med_numbers, CYAML_ARRAY_LEN(med_numbers) },
	{ "edge.", edge_numbers, CYAML_ARRAY_LEN(edge_numbers) },
	{ "pbx[].", pbx_numbers, CYAML_ARRAY_LEN(pbx_numbers) },
	{ "pbx[].media.", media_numbers, CYAML_ARRAY_LEN(media_numbers) },
};


/* As the API and the edge spell those of addresses: what is sealed to an
   account is sealed to its letters */
static void domains_lower(const struct pbx_cfg *pbx)
{
	for (uint32_t i = 0; i < pbx->domains_count; i++)
		for (char *p = pbx->domains[i]; *p; p++)
			*p = (char)tolower((unsigned char)*p);
}


static int defaults_apply(struct sipis_cfg *cfg, const char *path,
			  struct cfgfile_err *e)
{
	int err = cfgnum_apply(cfg, top_numbers, CYAML_ARRAY_LEN(top_numbers),
			       "", path, e);

	if (!err)
		err = cfgnum_apply(&cfg->api, api_numbers,
				   CYAML_ARRAY_LEN(api_numbers), "api.", path,
				   e);
	if (!err)
		err = cfgnum_apply(&cfg->mediator, med_numbers,
				   CYAML_ARRAY_LEN(med_numbers), "mediator.",
				   path, e);
	if (!err)
		err = cfgnum_apply(&cfg->edge, edge_numbers,
				   CYAML_ARRAY_LEN(edge_numbers), "edge.",
				   path, e);
	for (uint32_t i = 0; !err && i < cfg->pbx_count; i++) {
		char where[32];

		/* calls go through us: there is no other way to the phone */
		if (cfg->pbx[i].mode == CFG_MODE_CONTINUOUS)
			cfg->pbx[i].handover = CFG_HANDOVER_RELAY;

		domains_lower(&cfg->pbx[i]);
		(void)snprintf(where, sizeof(where), "pbx[%u].", i);
		err = cfgnum_apply(&cfg->pbx[i], pbx_numbers,
				   CYAML_ARRAY_LEN(pbx_numbers), where, path,
				   e);
		if (err)
			break;
		(void)snprintf(where, sizeof(where), "pbx[%u].media.", i);
		err = cfgnum_apply(&cfg->pbx[i].media, media_numbers,
				   CYAML_ARRAY_LEN(media_numbers), where, path,
				   e);
	}

	return err;
}


int cfg_read(struct sipis_cfg **cfgp, const char *path, struct cfgfile_err *e)
{
	void *data = NULL;
	int err;

	if (!cfgp || !path || !e)
		return EINVAL;

	err = cfgfile_load(&data, path, &top_schema, e);
	if (err) {
		cfgnum_tell(e, path, groups, CYAML_ARRAY_LEN(groups));
		return err;
	}

	err = defaults_apply(data, path, e);
	if (err)
		cfg_free(data);
	else
		*cfgp = data;

	return err;
}


int cfg_load(struct sipis_cfg **cfgp, const char *path, struct cfgfile_err *e)
{
	struct sipis_cfg *cfg;
	int err = cfgp ? cfg_read(&cfg, path, e) : EINVAL;

	if (err)
		return err;

	err = cfg_check(cfg, path, e);
	if (err)
		cfg_free(cfg);
	else
		*cfgp = cfg;

	return err;
}


void cfg_free(struct sipis_cfg *cfg)
{
	cfgfile_free(cfg, &top_schema);
}
