/**
 * @file handshake.h  Why somebody's TLS did not come up
 *
 * libre says that a handshake failed, but neither whose nor why.  The
 * commonest reason on a desk is a certificate that the phone does not trust,
 * and only the phone's alert tells it.
 */

#ifndef COMMON_HANDSHAKE_H
#define COMMON_HANDSHAKE_H

#include <re/re.h>

/** Who is it that has just connected?  Leaves peer alone if nobody knows */
typedef void(handshake_peer_h)(struct sa *peer, void *arg);
/** It spoke, and ended before it was through.  peer may be unset */
typedef void(handshake_failed_h)(const struct sa *peer, const char *why,
				 void *arg);

struct handshake_watch {
	handshake_peer_h *peerh; /**< may be NULL */
	handshake_failed_h *failedh;
	void *arg;
};

/** Of those that come to us with that context; NULL: no more */
int handshake_watch(struct tls *tls, const struct handshake_watch *watch);

#endif
