/**
 * @file med.h  The links to the mediators
 *
 * Keeps two of the configured mediators connected (mutual TLS 1.3), sends
 * each push over the first that is up, and again with the same id over the
 * other when the link dies, answers RETRY_LATER, or is silent for half of
 * what is left.  Never more in flight than the mediator's window.
 */

#ifndef SIPIS_MED_H
#define SIPIS_MED_H

#include <re/re.h>
#include "common/metrics.h"
#include "proto/wire.h"
#include "sipis/cfg.h"

struct med;
struct med_req;

/** It has left for that mediator, again if it had before.  May be called
    before med_push() returns; the request must not be dropped in it */
typedef void(med_sent_h)(const char *mediator, bool again, void *arg);

struct med_push {
	uint8_t id[WIRE_ID_LEN];
	const uint8_t *handle;
	size_t handle_len;
	Wire__Use use;
	const char *trace, *call, *instance, *from, *display_name;
	bool video;
	int64_t received_ms, expires_ms; /**< wall */
	/** After ETIMEDOUT h is called once more if a result comes all the
	    same, with late set; *reqp stays until then */
	bool late;
	const char *reason;
	med_sent_h *senth; /**< with the arg of h; may be NULL */
};

struct med_result {
	int err;   /**< ETIMEDOUT, ENOTCONN: no mediator took it in time */
	bool late; /**< that was said already; this came after it */
	Wire__Outcome outcome;
	uint32_t status;
	const char *reason, *provider_id;          /**< "" if none */
	const char *mediator;                      /**< which one answered */
	int64_t received_us, sent_us, answered_us; /**< wall; the mediator's,
						      by our clock */
	uint32_t retry_after_ms;
};

struct med_token {
	const char *app, *provider, *token, *topic, *environment, *trace;
	const char *p256dh, *auth; /**< webpush; NULL if none */
	uint32_t uses;
};

typedef void(med_result_h)(const struct med_result *res, void *arg);
typedef void(med_enrol_h)(int err, Wire__Outcome outcome, const char *reason,
			  const uint8_t *handle, size_t handle_len, void *arg);
/** A handle is dead, outside of a result */
typedef void(med_gone_h)(const uint8_t *handle, size_t len, const char *reason,
			 void *arg);

/** renewed is to be kept in place of handle */
typedef void(med_renewed_h)(const uint8_t *handle, size_t len,
			    const uint8_t *renewed, size_t renewed_len,
			    void *arg);

int med_alloc(struct med **medp, const struct med_cfg *cfg, const char *node,
	      struct metrics *metrics, med_gone_h *goneh, void *arg,
	      char *reason, size_t reason_sz);
/** arg is that of med_alloc() */
void med_renewed_handler(struct med *med, med_renewed_h *h);
/** Our certificate, its key and the CA, read again: a file that is no good
    changes nothing, and reason says why.  Links that stand keep theirs */
int med_renew(struct med *med, char *reason, size_t reason_sz);
/** No handler is called after this */
void med_close(struct med *med);

/** Exactly one call of h (but see late), within push_timeout_ms; never before
   med_push() returns.  *reqp (optional) is a handle to give up: mem_deref() it
   before the result and h is not called.  timeout_ms 0: the configured one.
    Everything is copied */
int med_push(struct med_req **reqp, struct med *med, const struct med_push *p,
	     uint32_t timeout_ms, med_result_h *h, void *arg);
int med_enrol(struct med_req **reqp, struct med *med,
	      const struct med_token *t, med_enrol_h *h, void *arg);

/** Do not send it any more.  True: it has left already, its result still
    comes; false: it has not, and is gone with *reqp */
bool med_req_stop(struct med_req **reqp);

/** Number of mediators that are up (Hello received) */
unsigned med_up(const struct med *med);

/** One link, as an operator asks for it; strings live until h returns */
struct med_link {
	const char *mediator; /**< "host:port" */
	const char *node;     /**< its own name; "" it was never up */
	const char *state; /**< up, draining, connecting, waiting, or spare: as
			      long as two others are up */
	bool up;           /**< takes pushes */
	int64_t since_ms;  /**< wall: up, draining or down */
	const char *error; /**< what ended it, or a try, last; "" nothing */
	int64_t error_ms;  /**< wall: when that was */
	unsigned failures; /**< in a row */
	int64_t clock_offset_ms; /**< its clock is ahead of ours by that */
	unsigned in_flight, window;
};

typedef void(med_link_h)(const struct med_link *link, void *arg);
void med_links(const struct med *med, med_link_h *h, void *arg);

#endif
