/**
 * @file listen.h  "tls:192.0.2.20:5061"
 */

#ifndef SIPIS_EDGE_LISTEN_H
#define SIPIS_EDGE_LISTEN_H

#include <re/re.h>

/** udp, tcp or tls, an address of this host, a port; EINVAL */
int edge_listen_decode(enum sip_transp *tp, struct sa *sa, const char *text);

#endif
