/**
 * @file mlink.h  One connection to one mediator, kept up
 *
 * Resolves, connects with mutual TLS 1.3, greets, pings, notices silence,
 * and starts over with growing pauses.  What travels inside the frames is the
 * business of med.c.
 *
 * Its states, and when it is tried again: mlink_fsm.h.
 */

#ifndef SIPIS_MED_MLINK_H
#define SIPIS_MED_MLINK_H

#include <re/re.h>
#include "proto/wire.h"
#include "sipis/med/mlink_fsm.h"

struct mlink;
struct med_link;

/** Its clock has been looked at */
typedef void(mlink_skew_h)(struct mlink *l, void *arg);

struct mlink_prm {
	const char *address; /**< "host[:port]" */
	const char *name;    /**< that it must prove; NULL: the host */
	const char *ca, *certificate, *key;
	const char *node; /**< ours, for Hello */
	uint32_t ping_ms, dead_ms, connect_ms;
	uint32_t backoff_min_ms, backoff_max_ms;
	uint32_t kick_ms;    /**< the longest pause while somebody waits */
	mlink_skew_h *skewh; /**< may be NULL */
};

/** up, draining or down: ask mlink_ready() */
typedef void(mlink_change_h)(struct mlink *l, void *arg);
/** Each frame after Hello that is not the link's own business; env is valid
    until it returns.  Non-zero closes the connection */
typedef int(mlink_frame_h)(struct mlink *l, const Wire__Envelope *env,
			   void *arg);

/** Idle at first.  reason gets a sentence if the certificates are bad */
int mlink_alloc(struct mlink **lp, const struct mlink_prm *prm,
		mlink_change_h *changeh, mlink_frame_h *frameh, void *arg,
		char *reason, size_t reason_sz);
/** No handler is called after this */
void mlink_close(struct mlink *l);

void mlink_want(struct mlink *l, bool want);
/** Ends a long pause: kick_ms after it has begun */
void mlink_kick(struct mlink *l);
/** Closes, and connects again if it is wanted */
void mlink_restart(struct mlink *l);

/** Connections from now on use certificate and CAs of fresh */
int mlink_renew(struct mlink *l, struct tls *fresh);

/** Takes a whole frame; it leaves with all others of this loop turn */
int mlink_send(struct mlink *l, const uint8_t *frame, size_t len);

enum mlink_state mlink_state(const struct mlink *l);
/** Up and not draining */
bool mlink_ready(const struct mlink *l);
bool mlink_draining(const struct mlink *l);
bool mlink_failed(const struct mlink *l);
/** Monotonic ms of the next try, 0: under way, UINT64_MAX: none */
uint64_t mlink_retry_at(const struct mlink *l);
uint32_t mlink_window(const struct mlink *l);
size_t mlink_max_frame(const struct mlink *l);
/** What makes one of our wall times one of its; 0 if the clocks agree */
int64_t mlink_skew_ms(const struct mlink *l);
const char *mlink_name(const struct mlink *l);
/** What the link itself knows; points into it */
void mlink_show(struct med_link *dst, const struct mlink *l);

#endif
