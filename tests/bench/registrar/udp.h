/**
 * @file udp.h  One UDP socket, many datagrams per system call
 */

#ifndef REGISTRAR_UDP_H
#define REGISTRAR_UDP_H

#include <stddef.h>
#include <netinet/in.h>

#define UDP_MSG 4096

struct udp;

typedef void(udp_recv_h)(const char *buf, size_t len,
			 const struct sockaddr_in *from, void *arg);

int udpsock_alloc(struct udp **up, const struct sockaddr_in *laddr);
void udpsock_free(struct udp *u);
int udpsock_fd(const struct udp *u);
const struct sockaddr_in *udpsock_laddr(const struct udp *u);
/** Bytes the system gave for what has not been read yet */
int udpsock_rcvbuf(const struct udp *u);

/** Up to one batch; true: there may be more */
int udpsock_recv(struct udp *u, udp_recv_h *h, void *arg);

/** Place for one message that udpsock_commit() sends with the batch */
char *udpsock_next(struct udp *u);
void udpsock_commit(struct udp *u, size_t len, const struct sockaddr_in *to);
/** Messages that the system did not take */
unsigned udpsock_flush(struct udp *u);

#endif
