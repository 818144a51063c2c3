/**
 * @file mediator/cfg.c  The configuration of the mediator: schema and numbers
 *
 * The schema tables say which keys exist, the number tables give each number
 * its default and its range.  The rules between keys are in cfg_check.c.
 */

#include <errno.h>
#include <stddef.h>
#include <re/re.h>
#include "common/cfgnum.h"
#include "mediator/cfg.h"
#include "mediator/cfg_check.h"

enum { TEXT_MAX = 1024, LIST_MAX = 10000, ENDPOINTS_MAX = 256 };

static const cyaml_schema_value_t text_schema = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, TEXT_MAX),
};

#define OPTIONAL_TEXT(key, type, member)                                      \
	CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, \
			       type, member, 1, TEXT_MAX)
#define TEXT(key, type, member)                                          \
	CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER, type, member, 1, \
			       TEXT_MAX)
#define NUMBER(type, member) \
	CYAML_FIELD_UINT(#member, CYAML_FLAG_OPTIONAL, type, member)
#define SECTION(type, member, fields) \
	CYAML_FIELD_MAPPING(#member, CYAML_FLAG_OPTIONAL, type, member, fields)
#define CHOICE(type, member, fields)                                      \
	CYAML_FIELD_MAPPING_PTR(#member,                                  \
				CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, \
				type, member, fields)

static const cyaml_schema_field_t server_fields[] = {
	CYAML_FIELD_SEQUENCE("listen", CYAML_FLAG_POINTER, struct mcfg_server,
			     listen, &text_schema, 1, 16),
	TEXT("certificate", struct mcfg_server, certificate),
	OPTIONAL_TEXT("key", struct mcfg_server, key),
	TEXT("client_ca", struct mcfg_server, client_ca),
	NUMBER(struct mcfg_server, window),
	NUMBER(struct mcfg_server, ping_ms),
	NUMBER(struct mcfg_server, handshake_ms),
	NUMBER(struct mcfg_server, unauthenticated),
	NUMBER(struct mcfg_server, drain_ms),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t admin_fields[] = {
	OPTIONAL_TEXT("listen", struct mcfg_admin, listen),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t queue_fields[] = {
	NUMBER(struct mcfg_queue, wait_ms),
	NUMBER(struct mcfg_queue, remember_s),
	NUMBER(struct mcfg_queue, remember_max),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t limits_fields[] = {
	NUMBER(struct mcfg_limits, rate),
	NUMBER(struct mcfg_limits, burst),
	NUMBER(struct mcfg_limits, depth),
	NUMBER(struct mcfg_limits, connections),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t tenant_fields[] = {
	TEXT("name", struct mcfg_tenant, name),
	CYAML_FIELD_SEQUENCE("apps", CYAML_FLAG_POINTER, struct mcfg_tenant,
			     apps, &text_schema, 1, LIST_MAX),
	SECTION(struct mcfg_tenant, limits, limits_fields),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t tenant_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct mcfg_tenant,
			    tenant_fields),
};

static const cyaml_schema_field_t app_apns_fields[] = {
	TEXT("credential", struct mcfg_app_apns, credential),
	TEXT("topic", struct mcfg_app_apns, topic),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t app_fcm_fields[] = {
	TEXT("credential", struct mcfg_app_fcm, credential),
	OPTIONAL_TEXT("package", struct mcfg_app_fcm, package),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t app_webpush_fields[] = {
	TEXT("credential", struct mcfg_app_webpush, credential),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t app_fields[] = {
	TEXT("name", struct mcfg_app, name),
	CHOICE(struct mcfg_app, apns, app_apns_fields),
	CHOICE(struct mcfg_app, fcm, app_fcm_fields),
	CHOICE(struct mcfg_app, webpush, app_webpush_fields),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t app_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct mcfg_app, app_fields),
};

static const cyaml_schema_field_t link_fields[] = {
	OPTIONAL_TEXT("ca", struct mcfg_link, ca),
	NUMBER(struct mcfg_link, connections),
	NUMBER(struct mcfg_link, streams),
	NUMBER(struct mcfg_link, call_timeout_ms),
	NUMBER(struct mcfg_link, timeout_ms),
	NUMBER(struct mcfg_link, connect_timeout_ms),
	NUMBER(struct mcfg_link, user_timeout_ms),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t apns_fields[] = {
	TEXT("team_id", struct mcfg_apns, team_id),
	TEXT("key_id", struct mcfg_apns, key_id),
	TEXT("key_file", struct mcfg_apns, key_file),
	OPTIONAL_TEXT("production_url", struct mcfg_apns, production_url),
	OPTIONAL_TEXT("sandbox_url", struct mcfg_apns, sandbox_url),
	SECTION(struct mcfg_apns, link, link_fields),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t fcm_fields[] = {
	TEXT("service_account_file", struct mcfg_fcm, service_account_file),
	OPTIONAL_TEXT("url", struct mcfg_fcm, url),
	SECTION(struct mcfg_fcm, link, link_fields),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t webpush_fields[] = {
	TEXT("key_file", struct mcfg_webpush, key_file),
	TEXT("subject", struct mcfg_webpush, subject),
	CYAML_FIELD_SEQUENCE("endpoints",
			     CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
			     struct mcfg_webpush, endpoints, &text_schema, 0,
			     ENDPOINTS_MAX),
	CYAML_FIELD_BOOL("private_addresses", CYAML_FLAG_OPTIONAL,
			 struct mcfg_webpush, private_addresses),
	SECTION(struct mcfg_webpush, link, link_fields),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t credential_fields[] = {
	TEXT("name", struct mcfg_credential, name),
	CHOICE(struct mcfg_credential, apns, apns_fields),
	CHOICE(struct mcfg_credential, fcm, fcm_fields),
	CHOICE(struct mcfg_credential, webpush, webpush_fields),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t credential_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct mcfg_credential,
			    credential_fields),
};

static const cyaml_schema_field_t top_fields[] = {
	OPTIONAL_TEXT("node", struct mcfg, node),
	OPTIONAL_TEXT("log_level", struct mcfg, log_level),
	TEXT("state_dir", struct mcfg, state_dir),
	TEXT("handle_key_file", struct mcfg, handle_key_file),
	CYAML_FIELD_SEQUENCE("old_handle_key_files",
			     CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
			     struct mcfg, old_handle_key_files, &text_schema,
			     0, MCFG_OLD_KEYS_MAX),
	NUMBER(struct mcfg, files),
	CYAML_FIELD_MAPPING("server", CYAML_FLAG_DEFAULT, struct mcfg, server,
			    server_fields),
	SECTION(struct mcfg, admin, admin_fields),
	SECTION(struct mcfg, queue, queue_fields),
	SECTION(struct mcfg, limits, limits_fields),
	CYAML_FIELD_SEQUENCE("tenants", CYAML_FLAG_POINTER, struct mcfg,
			     tenants, &tenant_schema, 1, LIST_MAX),
	CYAML_FIELD_SEQUENCE("apps", CYAML_FLAG_POINTER, struct mcfg, apps,
			     &app_schema, 1, LIST_MAX),
	CYAML_FIELD_SEQUENCE("credentials", CYAML_FLAG_POINTER, struct mcfg,
			     credentials, &credential_schema, 1, LIST_MAX),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t top_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct mcfg, top_fields),
};

static const struct cfgnum top_numbers[] = {
	CFGNUM(struct mcfg, files, 4096, 256, 1048576),
};

static const struct cfgnum server_numbers[] = {
	CFGNUM(struct mcfg_server, window, 512, 1, 65536),
	CFGNUM(struct mcfg_server, ping_ms, 3000, 100, 60000),
	CFGNUM(struct mcfg_server, handshake_ms, 5000, 100, 60000),
	CFGNUM(struct mcfg_server, unauthenticated, 256, 1, 100000),
	CFGNUM(struct mcfg_server, drain_ms, 3000, 1, 60000),
};

static const struct cfgnum queue_numbers[] = {
	CFGNUM(struct mcfg_queue, wait_ms, 3000, 100, 20000),
	CFGNUM(struct mcfg_queue, remember_s, 60, 1, 3600),
	CFGNUM(struct mcfg_queue, remember_max, 500000, 1, 100000000),
};

static const struct cfgnum limits_numbers[] = {
	CFGNUM(struct mcfg_limits, rate, 50, 1, 1000000),
	CFGNUM(struct mcfg_limits, burst, 500, 1, 10000000),
	CFGNUM(struct mcfg_limits, depth, 1000, 1, 10000000),
	CFGNUM(struct mcfg_limits, connections, 8, 1, 10000),
};

/* Two to four connections for Apple; 100 streams on Google's are the most */
static const struct cfgnum apns_numbers[] = {
	CFGNUM(struct mcfg_link, connections, 2, 1, 64),
	CFGNUM(struct mcfg_link, streams, 500, 1, 5000),
};

static const struct cfgnum fcm_numbers[] = {
	CFGNUM(struct mcfg_link, connections, 4, 1, 64),
	CFGNUM(struct mcfg_link, streams, 100, 1, 5000),
};

/* To each origin, of which there may be many */
static const struct cfgnum webpush_numbers[] = {
	CFGNUM(struct mcfg_link, connections, 2, 1, 8),
	CFGNUM(struct mcfg_link, streams, 100, 1, 5000),
};

static const struct cfgnum link_numbers[] = {
	CFGNUM(struct mcfg_link, call_timeout_ms, 2000, 100, 20000),
	CFGNUM(struct mcfg_link, timeout_ms, 10000, 100, 120000),
	CFGNUM(struct mcfg_link, connect_timeout_ms, 2000, 100, 60000),
	CFGNUM(struct mcfg_link, user_timeout_ms, 4000, 100, 120000),
};

#define LEN(v) (sizeof(v) / sizeof((v)[0]))


static const struct cfgnum_group groups[] = {
	{ "", top_numbers, CYAML_ARRAY_LEN(top_numbers) },
	{ "server.", server_numbers, CYAML_ARRAY_LEN(server_numbers) },
	{ "queue.", queue_numbers, CYAML_ARRAY_LEN(queue_numbers) },
	{ "limits.", limits_numbers, CYAML_ARRAY_LEN(limits_numbers) },
	{ "tenants[].limits.", limits_numbers,
	  CYAML_ARRAY_LEN(limits_numbers) },
	{ "credentials[].apns.link.", apns_numbers,
	  CYAML_ARRAY_LEN(apns_numbers) },
	{ "credentials[].fcm.link.", fcm_numbers,
	  CYAML_ARRAY_LEN(fcm_numbers) },
	{ "credentials[].webpush.link.", webpush_numbers,
	  CYAML_ARRAY_LEN(webpush_numbers) },
	{ "credentials[].apns.link.", link_numbers,
	  CYAML_ARRAY_LEN(link_numbers) },
	{ "credentials[].fcm.link.", link_numbers,
	  CYAML_ARRAY_LEN(link_numbers) },
	{ "credentials[].webpush.link.", link_numbers,
	  CYAML_ARRAY_LEN(link_numbers) },
};


static int link_numbers_apply(struct mcfg_link *link, const char *kind,
			      const struct cfgnum *own, size_t n, uint32_t i,
			      const char *path, struct cfgfile_err *e)
{
	char where[64];
	int err;

	(void)re_snprintf(where, sizeof(where), "credentials[%u].%s.link.", i,
			  kind);
	err = cfgnum_apply(link, own, n, where, path, e);
	if (err)
		return err;

	return cfgnum_apply(link, link_numbers, LEN(link_numbers), where, path,
			    e);
}


static int credential_numbers_apply(struct mcfg_credential *c, uint32_t i,
				    const char *path, struct cfgfile_err *e)
{
	int err = 0;

	if (c->apns)
		err = link_numbers_apply(&c->apns->link, "apns", apns_numbers,
					 LEN(apns_numbers), i, path, e);
	if (!err && c->fcm)
		err = link_numbers_apply(&c->fcm->link, "fcm", fcm_numbers,
					 LEN(fcm_numbers), i, path, e);
	if (!err && c->webpush)
		err = link_numbers_apply(&c->webpush->link, "webpush",
					 webpush_numbers, LEN(webpush_numbers),
					 i, path, e);

	return err;
}


static int tenant_numbers_apply(struct mcfg *cfg, uint32_t i, const char *path,
				struct cfgfile_err *e)
{
	struct mcfg_limits *l = &cfg->tenants[i].limits;
	char where[64];

	if (!l->rate)
		l->rate = cfg->limits.rate;
	if (!l->burst)
		l->burst = cfg->limits.burst;
	if (!l->depth)
		l->depth = cfg->limits.depth;
	if (!l->connections)
		l->connections = cfg->limits.connections;

	(void)re_snprintf(where, sizeof(where), "tenants[%u].limits.", i);
	return cfgnum_apply(l, limits_numbers, LEN(limits_numbers), where,
			    path, e);
}


static int all_numbers_apply(struct mcfg *cfg, const char *path,
			     struct cfgfile_err *e)
{
	int err =
		cfgnum_apply(cfg, top_numbers, LEN(top_numbers), "", path, e);

	if (!err)
		err = cfgnum_apply(&cfg->server, server_numbers,
				   LEN(server_numbers), "server.", path, e);
	if (!err)
		err = cfgnum_apply(&cfg->queue, queue_numbers,
				   LEN(queue_numbers), "queue.", path, e);
	if (!err)
		err = cfgnum_apply(&cfg->limits, limits_numbers,
				   LEN(limits_numbers), "limits.", path, e);
	for (uint32_t i = 0; !err && i < cfg->tenants_count; i++)
		err = tenant_numbers_apply(cfg, i, path, e);
	for (uint32_t i = 0; !err && i < cfg->credentials_count; i++)
		err = credential_numbers_apply(&cfg->credentials[i], i, path,
					       e);

	return err;
}


int mcfg_load(struct mcfg **cfgp, const char *path, struct cfgfile_err *e)
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

	err = all_numbers_apply(data, path, e);
	if (!err)
		err = mcfg_check(data, path, e);
	if (err)
		mcfg_free(data);
	else
		*cfgp = data;

	return err;
}


void mcfg_free(struct mcfg *cfg)
{
	cfgfile_free(cfg, &top_schema);
}
