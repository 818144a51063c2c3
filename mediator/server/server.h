/**
 * @file server/server.h  The listeners on 24998 and their sessions
 */

#ifndef MEDIATOR_SERVER_SERVER_H
#define MEDIATOR_SERVER_SERVER_H

#include "common/metrics.h"
#include "proto/wire.h"
#include "mediator/cfg.h"
#include "mediator/queue/tenant.h"

struct server;
struct ses;

/** NULL: not a tenant of ours */
typedef struct tenant *(server_tenant_h)(const char *name, void *arg);
/** The frame is valid during the call; its id has WIRE_ID_LEN bytes */
typedef void(server_push_h)(struct ses *ses, const Wire__Push *push,
			    int64_t received_us, void *arg);
typedef void(server_enrol_h)(struct ses *ses, const Wire__Enrol *enrol,
			     void *arg);

struct server_prm {
	const char *node;
	struct metrics *metrics;
	server_tenant_h *tenanth;
	server_push_h *pushh;
	server_enrol_h *enrolh;
	void *arg;
};

int server_alloc(struct server **sp, const struct server_prm *prm);

/** Also for a changed configuration: new addresses are bound before old ones
    are given up; new connections use tls.  Nothing changes on failure, and
    reason gets a sentence */
int server_configure(struct server *s, const struct mcfg_server *cfg,
		     struct tls *tls, char *reason, size_t reason_sz);

/** Refuses sessions whose tenant is gone */
void server_prune(struct server *s);

/** Asks all peers to go elsewhere and takes no new connection */
void server_drain(struct server *s, uint32_t grace_ms);

uint32_t server_sessions(const struct server *s);

/** The port of the first listener */
uint16_t server_port(const struct server *s);

/** A session of this tenant that is ready; NULL = none */
struct ses *server_find(const struct server *s, const struct tenant *t);

struct tenant *ses_tenant(const struct ses *ses);
bool ses_open(const struct ses *ses);

/** Sends what answers a Push or an Enrol; without a word if it is closed */
void ses_answer(struct ses *ses, const Wire__Envelope *env);
/** Sends anything else */
void ses_tell(struct ses *ses, const Wire__Envelope *env);

#endif
