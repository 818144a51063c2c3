/**
 * @file net/conn.h  One HTTP/2 connection to one provider
 *
 * A curl multi handle with at most one connection in it, so that we, not
 * curl, say when another one is opened.  When a connection is given up its
 * requests end by themselves and a new conn takes its place.
 */

#ifndef MEDIATOR_NET_CONN_H
#define MEDIATOR_NET_CONN_H

#include "common/metrics.h"
#include "mediator/net/conn_fsm.h"
#include "mediator/net/fail.h"
#include "mediator/net/req.h"

struct conn;

/** The request is over; status is 0 without an HTTP answer */
typedef void(conn_done_h)(struct conn *c, struct req *r, enum net_fail fail,
			  uint32_t status, void *arg);
/** There may be room again */
typedef void(conn_room_h)(struct conn *c, void *arg);

struct conn_prm {
	const char *name; /**< for the log */
	unsigned number;
	uint32_t streams;
	uint32_t user_timeout_ms;
	struct metric *opened; /**< counts sockets; NULL = not counted */
	conn_done_h *doneh;
	conn_room_h *roomh;
	void *arg;
};

int conn_alloc(struct conn **cp, const struct conn_prm *prm);

/** Requests it takes now */
uint32_t conn_room(const struct conn *c);
uint32_t conn_inflight(const struct conn *c);
unsigned conn_number(const struct conn *c);
enum conn_state conn_state(const struct conn *c);

/** r is ready; it stays the caller's and comes back with doneh */
int conn_send(struct conn *c, struct req *r);
/** The answer to r shows that our credential is accepted */
void conn_proved(struct conn *c, const struct req *r);
/** Nothing at all was heard since r was sent */
bool conn_silent(const struct conn *c, const struct req *r);
/** Takes r back without a word */
void conn_cancel(struct conn *c, struct req *r);
/** No more requests here.  The caller's reference goes to the list, and from
    there when the last request is over */
void conn_retire(struct conn *c, struct list *retired);
/** Monotonic ms of the last change of state */
uint64_t conn_since(const struct conn *c);

/** From the socket callback of a request */
void conn_opened(struct conn *c, int fd);
/** From the callback before r goes out: may it, on the connection of now? */
bool conn_admits(struct conn *c, struct req *r);

#endif
