/**
 * @file listen.c  "tls:192.0.2.20:5061"
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "sipis/cfg.h"
#include "sipis/edge/listen.h"


int edge_listen_decode(enum sip_transp *tp, struct sa *sa, const char *text)
{
	static const struct {
		const char *name;
		enum sip_transp tp;
	} v[] = {
		{ "udp:", SIP_TRANSP_UDP },
		{ "tcp:", SIP_TRANSP_TCP },
		{ "tls:", SIP_TRANSP_TLS },
	};

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		const char *rest = text + strlen(v[i].name);
		const char *colon = strrchr(text, ':');

		if (strncmp(text, v[i].name, strlen(v[i].name)))
			continue;
		*tp = v[i].tp;
		if (strlen(colon + 1) > 5 || atoi(colon + 1) > UINT16_MAX ||
		    !atoi(colon + 1))
			return EINVAL;

		return sa_decode(sa, rest, strlen(rest)) || sa_is_any(sa)
			       ? EINVAL
			       : 0;
	}

	return EINVAL;
}


int edge_listen_shown(char *buf, size_t size, const struct edge_cfg *cfg)
{
	const char *text = cfg->listen_count ? cfg->listen[0] : "";
	int n;

	for (uint32_t i = 0; i < cfg->listen_count; i++)
		if (!strncmp(cfg->listen[i], "tls:", 4)) {
			text = cfg->listen[i];
			break;
		}

	if (cfg->host && *text)
		n = re_snprintf(buf, size, "%b:%s%s", text, strcspn(text, ":"),
				cfg->host, strrchr(text, ':'));
	else
		n = re_snprintf(buf, size, "%s", text);

	return n < 0 ? EOVERFLOW : 0;
}
