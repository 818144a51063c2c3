/**
 * @file http.h  What the files of the http thread share
 *
 *     server.c   the thread, the events of lws, mails to and from the loop
 *     listen.c   addresses to listen on
 *     apitls.c   certificate and rules of TLS
 *     visit.c    connections come and go, late ones are cut off
 *     head.c     what the headers of a request say
 *     request.c  judged, its body collected, off to the loop
 *     reply.c    the answer
 *
 * Slots and deadlines of connections are in conn.h, limits in guard.h; both
 * without I/O.
 */

#ifndef SIPIS_API_HTTP_H
#define SIPIS_API_HTTP_H

#include <pthread.h>
#include <stdatomic.h>
#include <libwebsockets.h>
#include <openssl/ssl.h>
#include "sipis/api/conn.h"
#include "sipis/api/priv.h"

#define HTTP_LISTENERS   16
#define HTTP_ADMIN_CONNS 64
#define HTTP_HEADER_MAX  16384 /**< all headers of a request */

struct server {
	struct api *api;
	struct lws_context *lws;
	struct lws_vhost *vhost[HTTP_LISTENERS], *admin;
	struct lws_protocols protocols[2];
	SSL_CTX *ctxv[HTTP_LISTENERS]; /**< of the vhosts, which own them */
	unsigned ctxc;
	SSL_CTX *_Atomic fresh; /**< a new certificate for all of them */
	struct guard *guard;
	struct conns *conns;
	unsigned adminc;
	struct mail *asks, **asks_tail; /**< read in this turn */
	struct mailbox *answers;
	atomic_bool woken, stop;
	pthread_t thread;
	bool running;
	lws_sorted_usec_list_t sweep;
	struct lws_protocol_vhost_options no_pages;
	char too_long[HTTP_HEADER_MAX]; /**< its value */
	char trace[UUID_LEN + 1];
	uint64_t requests;
	bool coming; /**< a connection was let in and has no slot yet */
	bool coming_admin;
	char coming_addr[GUARD_ADDR_MAX];
	struct conn *newborn; /**< not known to its wsi yet */
};

/** What the headers of a request say about its body */
struct head {
	bool has_length, chunked, expects;
	bool bodied; /**< a method for which lws reads a body */
	bool post;
	size_t length;
};

/* server.c */
void server_count(struct server *s, enum api_metric m);
/** What one turn of the loop has read goes over together */
void server_ask(struct server *s, struct ask *a);

/* listen.c */
int listen_context(struct server *s);
/** reason gets a sentence on failure */
int listen_open(struct server *s, char *reason, size_t reason_sz);

/* apitls.c */
/** The rules, on a context that lws made; non-zero: do without it */
int apitls_setup(SSL_CTX *ctx);
/** lws says little about a certificate that it cannot use: try it first */
int apitls_load(SSL_CTX **ctxp, const struct api_cfg *cfg, char *reason,
		size_t reason_sz);

/* visit.c; what returns int is for lws: non-zero closes the connection */
void visit_start(struct server *s);
int visit_let_in(struct server *s, struct lws *listener,
		 const struct lws_filter_network_conn_args *args);
void visit_born(struct server *s, struct lws *wsi);
void visit_died(struct server *s, struct lws *wsi);
/** The slot of a connection; NULL: it has none */
struct conn *visit_conn(struct server *s, struct lws *wsi);
/** lws shall not time this connection */
void visit_no_timeout(struct lws *wsi);
/** Nothing is read while it waits for its answer */
void visit_deaf(struct lws *wsi, bool deaf);

/* head.c */
enum problem head_read(struct head *h, struct conn *c, struct lws *wsi);
bool head_is_json(struct lws *wsi);
/** The secret as its hash; false: there is none */
bool head_bearer(struct ask *a, struct lws *wsi);
enum problem head_route(struct ask *a, struct lws *wsi, bool admin,
			const char *path);

/* request.c */
int request_begin(struct server *s, struct conn *c, struct lws *wsi,
		  const char *path);
/** What lws takes for no HTTP at all: a method that it does not know, or
    anything.  Answered and closed */
int request_foreign(struct server *s, struct conn *c, struct lws *wsi,
		    const char *p, size_t len);
int request_body(struct conn *c, const void *p, size_t len);
int request_end(struct server *s, struct conn *c);

/* reply.c */
/** The connection can take it */
int reply_write(struct server *s, struct conn *c, struct lws *wsi);
/** From the loop, to its connection if that is still there */
void reply_take(struct server *s, struct ask *a);

#endif
