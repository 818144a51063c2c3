/**
 * @file sipis/med/priv.h  What the files of this folder share
 *
 *     med.c      the links: which are wanted, what they say
 *     medreq.c   one request: lanes, windows, plan, end
 *     medask.c   pushes and enrolments as frames
 *     mlink.c    one connection; mlink_talk.c: what it says of itself
 *     skew.c     whose clock is how far from ours (no I/O)
 *     window.c   how much of a mediator's window is taken (no I/O)
 *     plan.c     who takes a request, and when the other one (no I/O)
 *     lookup.c   names of mediators
 *     srv.c      a name that stands for all of them
 */

#ifndef SIPIS_MED_PRIV_H
#define SIPIS_MED_PRIV_H

#include "sipis/med/med.h"
#include "sipis/med/mlink.h"
#include "sipis/med/plan.h"
#include "sipis/med/srv.h"
#include "sipis/med/window.h"

#define MED_REASON 256 /**< bytes kept of the word of a mediator */

enum lane { LANE_CALL, LANE_ENDED, LANE_REST, LANES };

enum {
	M_UP,
	M_DELIVERED,
	M_TOKEN_GONE,
	M_REFUSED,
	M_UNTAKEN,
	M_RESENT,
	M_QUEUED,
	M_SKEW,
	M_COUNT
};

struct slot {
	struct med *med;
	struct mlink *link;
	char address[SRV_NAME_SIZE]; /**< "host[:port]" */
	char metric[SRV_NAME_SIZE + 32];
	bool gone; /**< the SRV name leads there no more */
	struct window window;
};

struct med {
	const struct med_cfg *cfg;
	char *node;
	struct srv *srv; /**< NULL: the addresses stand in cfg */
	struct slot slotv[PLAN_LINKS];
	unsigned slotc;
	uint32_t timeout_ms;
	struct hash *reqs;
	struct list lanev[LANES];
	unsigned queued;
	bool closed;
	med_gone_h *goneh;
	med_renewed_h *renewedh; /**< may be NULL */
	void *arg;
	struct metric metricv[M_COUNT];
	struct metric upv[PLAN_LINKS]; /**< as slotv; no name: no slot */
	struct histogram rtt;
};

struct med_req {
	struct le he;
	struct le le; /**< in a lane */
	struct tmr tmr;
	struct med *med; /**< NULL once it is over */
	struct med_req **reqp;
	struct plan_req plan;
	uint64_t begun;
	unsigned sendc;
	bool stopped; /**< only its result is still of interest */
	bool late;    /**< also after its time */
	bool timed_out;
	enum lane lane;
	bool enrol;
	uint8_t id[WIRE_ID_LEN];
	med_sent_h *senth; /**< may be NULL */
	med_result_h *resulth;
	med_enrol_h *enrolh;
	void *arg;
	uint32_t status, retry_after_ms; /**< of the last RETRY_LATER */
	char reason[MED_REASON];
	size_t len;
	uint8_t frame[];
};

/** What push and enrolment differ in */
struct medreq_prm {
	enum lane lane;
	bool enrol, late;
	uint8_t id[WIRE_ID_LEN];
	uint32_t timeout_ms;
	med_sent_h *senth; /**< may be NULL */
	med_result_h *resulth;
	med_enrol_h *enrolh;
	void *arg;
};

/* --- medask.c --- */

/** Hands over the request's frame, its times by the clock of that mediator */
int medask_send(struct mlink *link, const struct med_req *req);

/* --- medreq.c --- */

/** Encodes and sends it, or lets it wait; h is not called before this
    returns */
int medreq_start(struct med_req **reqp, struct med *med,
		 const Wire__Envelope *env, const struct medreq_prm *prm);
/** What waits for a window, into it; calls first */
void medreq_pump(struct med *med);
/** Nobody is up and a request waits: long pauses end */
void medreq_kick(struct med *med);
/** A link has changed: every request is looked at again */
void medreq_step_all(struct med *med);
/** Its connection is gone with all that was out there */
void medreq_forget_link(struct med *med, unsigned i);
/** Nobody hears of them any more */
void medreq_close_all(struct med *med);
void medreq_flush(struct med *med);
/** What a link knows, for plan.h */
void medreq_view(const struct med *med, struct plan_link *linkv);

void medreq_result(struct med *med, unsigned i, const Wire__Result *r);
void medreq_enrolled(struct med *med, unsigned i, const Wire__Enrolled *e);

#endif
