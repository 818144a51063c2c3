/**
 * @file server/server_impl.h  What server.c and ses.c share
 */

#ifndef MEDIATOR_SERVER_IMPL_H
#define MEDIATOR_SERVER_IMPL_H

#include "mediator/server/server.h"
#include "mediator/server/ses_fsm.h"

enum { SERVER_CONNS, SERVER_REJECTS, SERVER_FAULTS, SERVER_METRICS };

struct server {
	struct list socks; /**< owns */
	struct list sess;  /**< owns */
	struct tls *tls;   /**< reference */
	char *node;
	struct list strangers; /**< those of sess before their Hello */
	uint32_t max_unauthenticated;
	uint32_t window, ping_ms, handshake_ms;
	uint32_t drain_ms; /**< not 0 while draining */
	uint16_t port;
	struct metric metrics[SERVER_METRICS];
	struct server_prm prm;
};

/** A session for the connection that waits at ts; it belongs to the server's
    list */
int ses_accept(struct server *srv, struct tcp_sock *ts, const struct sa *peer);
/** Closes it at once */
void ses_bury(struct ses *ses);
void ses_drain(struct ses *ses);
void ses_prune(struct ses *ses);
const struct sa *ses_peer(const struct ses *ses);
bool ses_ready_for(const struct ses *ses, const struct tenant *t);

#endif
