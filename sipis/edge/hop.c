/**
 * @file hop.c  The next hop as libre wants it
 */

#include <string.h>
#include "sipis/edge/hop.h"


void edge_hop_make(struct edge_hop *h, const struct sa *dst,
		   enum sip_transp tp)
{
	memset(&h->uri, 0, sizeof(h->uri));
	(void)sa_ntop(dst, h->host, sizeof(h->host));
	pl_set_str(&h->uri.scheme, "sip");
	pl_set_str(&h->uri.host, h->host);
	pl_set_str(&h->uri.params, tp == SIP_TRANSP_UDP
					   ? ";transport=udp"
					   : sip_transp_param(tp));
	h->uri.port = sa_port(dst);
}
