/**
 * @file listen.c  The addresses to listen on, as virtual hosts of lws
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <libwebsockets.h>
#include "sipis/api/http.h"

#define LWS_LONG_S 3600 /**< the deadlines are ours */


/** "host:port" or "[host]:port" */
static int listen_parse(char *host, size_t size, int *port, const char *text)
{
	const char *colon = strrchr(text, ':');
	const char *from = text, *to = colon;
	char *end;
	long n;

	if (!colon || !colon[1])
		return EINVAL;
	if (*from == '[') {
		++from;
		--to;
		if (to <= from || *to != ']')
			return EINVAL;
	}
	if (to < from || (size_t)(to - from) >= size)
		return EINVAL;

	n = strtol(colon + 1, &end, 10);
	if (*end || n < 0 || n > 65535)
		return EINVAL;

	memcpy(host, from, (size_t)(to - from));
	host[to - from] = 0;
	*port = (int)n;
	return 0;
}


static void vhost_tls(struct lws_context_creation_info *info,
		      const struct api_cfg *cfg)
{
	/* without this option lws would go on in the clear */
	info->options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT |
			 LWS_SERVER_OPTION_DISABLE_OS_CA_CERTS;
	info->ssl_cert_filepath = cfg->certificate;
	info->ssl_private_key_filepath = cfg->key;
	info->alpn = "http/1.1";
	info->ssl_cipher_list = "ECDHE+AESGCM:ECDHE+CHACHA20";
}


static bool has_tls(struct lws_vhost *vhost)
{
	union lws_tls_cert_info_results res;

	return !lws_tls_vhost_cert_info(vhost, LWS_TLS_CERT_INFO_VALIDITY_TO,
					&res, 0);
}


/** lws has pages of its own for what it cannot decode.  With a header that
    does not fit into its buffer it gives up and closes; our answers are not
    made of its headers */
static const struct lws_protocol_vhost_options *no_pages(struct server *s)
{
	memset(s->too_long, 'x', sizeof(s->too_long) - 1);
	s->no_pages.name = "x:";
	s->no_pages.value = s->too_long;
	return &s->no_pages;
}


static int vhost_open(struct server *s, struct lws_vhost **vhp,
		      const char *address, bool tls, char *reason,
		      size_t reason_sz)
{
	struct lws_context_creation_info info;
	char host[128];
	bool any;

	memset(&info, 0, sizeof(info));
	if (listen_parse(host, sizeof(host), &info.port, address)) {
		(void)snprintf(reason, reason_sz,
			       "cannot listen on \"%s\": not an address with "
			       "a port; write \"192.0.2.1:443\" or "
			       "\"[2001:db8::1]:443\"",
			       address);
		return EINVAL;
	}

	any = !*host || !strcmp(host, "0.0.0.0") || !strcmp(host, "::");
	info.iface = any ? NULL : host;
	info.protocols = s->protocols;
	info.vhost_name = address;
	info.keepalive_timeout = LWS_LONG_S;
	info.timeout_secs_ah_idle = LWS_LONG_S;
	info.options = LWS_SERVER_OPTION_FAIL_UPON_UNABLE_TO_BIND;
	/* else an unknown method gets a page of lws */
	info.options |=
		LWS_SERVER_OPTION_FALLBACK_TO_APPLY_LISTEN_ACCEPT_CONFIG;
	info.listen_accept_role = "raw-skt";
	info.listen_accept_protocol = s->protocols[0].name;
	info.headers = no_pages(s);
	if (!strchr(host, ':'))
		info.options |= LWS_SERVER_OPTION_DISABLE_IPV6;
	if (tls)
		vhost_tls(&info, s->api->prm.cfg);

	errno = 0;
	*vhp = lws_create_vhost(s->lws, &info);
	if (*vhp && tls && !has_tls(*vhp)) {
		(void)snprintf(reason, reason_sz,
			       "cannot use TLS on %s; see the log", address);
		return EPROTO;
	}
	if (*vhp && lws_get_vhost_listen_port(*vhp) > 0)
		return 0;

	(void)snprintf(reason, reason_sz, "cannot listen on %s: %s", address,
		       errno ? strerror(errno) : "see the log");
	return errno ? errno : EADDRINUSE;
}


int listen_context(struct server *s)
{
	struct lws_context_creation_info info;

	memset(&info, 0, sizeof(info));
	info.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
		       LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
	info.gid = (gid_t)-1;
	info.uid = (uid_t)-1;
	info.user = s;
	info.timeout_secs = LWS_LONG_S;
	info.max_http_header_data = HTTP_HEADER_MAX;
	info.max_http_header_pool =
		(unsigned short)(s->api->prm.cfg->connections < 60000
					 ? s->api->prm.cfg->connections +
						   HTTP_ADMIN_CONNS
					 : 65000);
	info.pt_serv_buf_size = HTTP_HEADER_MAX;
	s->lws = lws_create_context(&info);
	return s->lws ? 0 : ENOMEM;
}


int listen_open(struct server *s, char *reason, size_t reason_sz)
{
	const struct api_cfg *cfg = s->api->prm.cfg;
	const struct admin_cfg *admin = s->api->prm.admin;
	int err = 0;

	if (cfg->listen_count > HTTP_LISTENERS) {
		(void)snprintf(reason, reason_sz,
			       "too many addresses to listen on; %d at most",
			       HTTP_LISTENERS);
		return EINVAL;
	}

	for (uint32_t i = 0; !err && i < cfg->listen_count; i++)
		err = vhost_open(s, &s->vhost[i], cfg->listen[i], true, reason,
				 reason_sz);
	if (!err && admin && admin->listen)
		err = vhost_open(s, &s->admin, admin->listen, false, reason,
				 reason_sz);
	return err;
}
