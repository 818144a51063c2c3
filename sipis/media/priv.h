/**
 * @file sipis/media/priv.h  What the files of this folder share
 *
 *     media.c     the rtpengines of a profile
 *     node.c      one of them: its socket, whether it answers
 *     question.c  one question: cookie, repeats, the next node
 *     ng.c        what is said (pure)
 *     bencode.c   how it is written (pure)
 */

#ifndef SIPIS_MEDIA_PRIV_H
#define SIPIS_MEDIA_PRIV_H

#include "sipis/media/media.h"

enum {
	MEDIA_NODES = 8,
	MEDIA_HASH = 256,
	MEDIA_PING_MS = 1000, /**< to one that does not answer */
};

struct media_node {
	struct media *media;
	struct sa addr;
	char name[64];
	struct udp_sock *us; /**< connected to it */
	bool down;
	struct tmr tmr;
	struct media_ask *ping;
	struct list asks; /**< that wait for it */
};

struct media {
	const char *name;
	uint32_t timeout_ms; /**< of one node */
	struct media_node *nodev;
	uint32_t nodec;
	struct hash *asks;   /**< by cookie */
	struct list orphans; /**< that nobody wants to hear of */
};

/* --- node.c --- */

int media_node_open(struct media_node *n, struct media *m, const char *addr);
void media_node_close(struct media_node *n);
int media_node_send(struct media_node *n, struct mbuf *mb);
void media_node_answers(struct media_node *n);
void media_node_silent(struct media_node *n);

/* --- question.c --- */

/** To that one alone */
int media_ask_node(struct media_ask **ap, struct media_node *n,
		   const struct ng_question *q, media_h *h, void *arg);
/** A datagram of that node */
void media_answered(struct media_node *n, struct mbuf *mb);
/** Nobody listens there: all that wait for it go on */
void media_refused(struct media_node *n);

#endif
