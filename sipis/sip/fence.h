/**
 * @file fence.h  Who may connect to a listening SIP port, and how often
 *
 * libre accepts whoever comes, and keeps the connection.  A fence stands
 * beside its listening socket, sees that somebody came in, and turns away
 * strangers at once and the longest silent of too many.  When strangers come
 * in numbers the kernel does it, for a while, before there is a connection.
 */

#ifndef SIPIS_FENCE_H
#define SIPIS_FENCE_H

#include "sipis/sip/trust.h"

enum {
	FENCE_PER_ADDRESS = 32,
	FENCE_TOTAL = 256,
	FENCE_STRANGERS = 64,    /**< within FENCE_WINDOW_MS: the kernel */
	FENCE_WINDOW_MS = 10000, /**< and so long it does */
};

struct fence;

/** A stranger was turned away */
typedef void(fence_stranger_h)(const struct sa *peer, void *arg);

struct fence_prm {
	const struct sa *laddr; /**< where libre listens, in this process */
	struct trust *trust;    /**< must live as long */
	fence_stranger_h *h;
	void *arg;
};

/** ENOENT: nobody listens there */
int fence_alloc(struct fence **fp, const struct fence_prm *prm);

#endif
