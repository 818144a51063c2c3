/**
 * @file listen.h  "tls:192.0.2.20:5061"
 */

#ifndef SIPIS_EDGE_LISTEN_H
#define SIPIS_EDGE_LISTEN_H

#include <re/re.h>

struct edge_cfg;

/** udp, tcp or tls, an address of this host, a port; EINVAL */
int edge_listen_decode(enum sip_transp *tp, struct sa *sa, const char *text);

/** Where a phone opens its flow, "tls:host:port": the first TLS listener, or
    the first of all; "" if there is no edge */
int edge_listen_shown(char *buf, size_t size, const struct edge_cfg *cfg);

#endif
