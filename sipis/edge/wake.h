/**
 * @file edge/wake.h  Quiet pushes to phones
 */

#ifndef SIPIS_EDGE_WAKE_H
#define SIPIS_EDGE_WAKE_H

#include "sipis/edge/pn.h"
#include "sipis/edge/priv.h"

struct edge_wake;

enum edge_woken {
	EDGE_WOKEN,      /**< the provider took it */
	EDGE_WAKE_LATER, /**< nobody could just now */
	EDGE_WAKE_NEVER, /**< it has no token for that, or wants none */
};

/** The wake is over; once */
typedef void(edge_wake_h)(enum edge_woken res, void *arg);

struct edge_wake_prm {
	struct edge *edge;
	const char *id;   /**< of its instance */
	uint64_t life_ms; /**< that the push is of use */
	unsigned metric;  /**< of metricv: counts pushes */
	edge_wake_h *h;
	void *arg;
};

int edge_wake(struct edge_wake **wp, const struct edge_wake_prm *prm);
/** h is not called any more; also of one that is over */
void edge_wake_stop(struct edge_wake **wp);
/** It has a token for quiet pushes */
bool edge_wake_may(const struct edge *e, const struct edge_pn *pn);

/* --- refresh.c --- */

int edge_refresh_open(struct edge *e);
void edge_refresh_close(struct edge *e);
/** Seconds before the end of a binding: when its phone is pushed, and by when
    one that can refresh by itself has to; 0: so short a grant is all ours */
uint32_t edge_refresh_lead(uint32_t expires_s);
uint32_t edge_refresh_by(uint32_t expires_s);
/** It has a token for that, and there is room */
bool edge_refresh_may(const struct edge *e, const struct edge_pn *pn);
/** From now on, in place of what was before */
int edge_refresh_set(struct edge *e, const struct edge_binding *b,
		     uint32_t expires_s);
void edge_refresh_drop(struct edge *e, const uint8_t phone[EDGE_PHONE]);

#endif
