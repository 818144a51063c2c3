/**
 * @file way.h  A socket that speaks SIP: UDP, TCP or TLS
 */

#ifndef BENCH_EDGE_WAY_H
#define BENCH_EDGE_WAY_H

#include <stdbool.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include "msg.h"

enum way_tp { WAY_UDP, WAY_TCP, WAY_TLS };

struct way;

typedef void(way_up_h)(void *arg);
typedef void(way_msg_h)(const struct msg *m, const struct sockaddr_in *from,
			void *arg);
typedef void(way_lost_h)(void *arg);

struct way_prm {
	int epoll;
	enum way_tp tp;
	SSL_CTX *ctx; /**< TLS */
	struct sockaddr_in local;
	const struct sockaddr_in *peer; /**< NULL: anybody; UDP */
	way_up_h *uph;
	way_msg_h *msgh;
	way_lost_h *losth;
	void *arg;
};

int way_alloc(struct way **wp, const struct way_prm *prm);
void way_free(struct way *w);
/** to: NULL: its peer */
bool way_send(struct way *w, const struct out *o,
	      const struct sockaddr_in *to);
/** What epoll has told of */
void way_turn(struct way *w);
/** address:port of our end */
const char *way_local(const struct way *w);
const char *way_name(enum way_tp tp);

#endif
