/**
 * @file drv/dest_impl.h  What dest.c, send.c and settle.c share
 */

#ifndef MEDIATOR_DRV_DEST_IMPL_H
#define MEDIATOR_DRV_DEST_IMPL_H

#include "mediator/drv/breaker.h"
#include "mediator/drv/dest.h"
#include "mediator/drv/guards.h"
#include "mediator/net/conn.h"

enum {
	PROBE_DEST = 1, /**< bits of push.probe */
	PROBE_LINE = 2,
};

struct dest_line {
	char *app;
	char *topic, *package;
	struct drv_app prm; /**< points to the two */
	struct guards *guards;
	struct breaker breaker;
	struct hdrs **hdrs; /**< by kind, of bearer gen */
	unsigned kinds;
	uint32_t gen;
};

struct dest {
	const struct drv *drv;
	char *name, *url, *project, *ca;
	struct drv_place place; /**< points to url and project */
	struct mcfg_link link;
	struct auth *auth;
	struct auth_watch watch;
	struct queue *queue;
	struct breaker breaker;
	struct conn **conns;    /**< link.connections of them */
	struct list retired;    /**< connections that only finish */
	struct list idle, busy; /**< requests; both own */
	uint64_t hold_until;    /**< monotonic ms; over the quota before */
	uint64_t clock_told;    /**< monotonic ms */
	struct tmr tmr;         /**< something may go then */
	bool dispatching;
	bool outside_only;
	struct dest_hush *hush; /**< reference, or NULL */
	struct dest_counters counters;
	dest_result_h *resulth;
	void *arg;
};

/* dest.c: who goes next */
void dest_dispatch(struct dest *d);
void dest_finish(struct dest *d, struct push *p, Wire__Outcome outcome,
		 const char *reason);
void dest_replace_conn(struct dest *d, struct conn *c);

/* send.c: a push into a request */
void dest_send(struct dest *d, struct conn *c, struct push *p,
	       const char *bearer, uint32_t gen, uint64_t now);
struct req *dest_req_get(struct dest *d);
void dest_req_put(struct dest *d, struct req *r);

/* alert.c: an error, or what becomes of it at a stranger's host */
void dest_alert(const struct dest *d, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* settle.c: an answer into a result */
void dest_settle(struct dest *d, struct conn *c, struct req *r,
		 enum net_fail fail, uint32_t status);

#endif
