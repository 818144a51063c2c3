/**
 * @file plan.h  Which mediator takes a request, and when it is another's turn
 *
 * Pure: no I/O, no clock; the time is an argument.  Milliseconds of any clock
 * that never steps back.
 */

#ifndef SIPIS_MED_PLAN_H
#define SIPIS_MED_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#define PLAN_LINKS 8 /**< mediators in the configuration */
#define PLAN_NEVER UINT64_MAX
#define PLAN_TWICE_MS                                    \
	250 /**< least pause before a mediator that said \
		 "later" is asked again */

/** What a link can do now */
struct plan_link {
	/** Not up: when it will be tried next; 0: it is being tried */
	uint64_t retry_at;
	unsigned room; /**< of its window */
	bool up;       /**< takes new work: Hello received, not draining */
	bool failed;   /**< the last try failed, or there was a drain */
};

/** How a request stands with one link */
enum plan_on {
	PLAN_FREE,  /**< not there, or gone with its connection */
	PLAN_SENT,  /**< out, no result yet */
	PLAN_MOVED, /**< it has it, and answers over another link */
	PLAN_LATER, /**< it answered RETRY_LATER */
};

struct plan_req {
	uint64_t deadline;
	uint64_t resend_at; /**< silence until then is borne */
	bool lost; /**< a mediator that had it is gone without a word: the
			phone may have been pushed */
	struct {
		enum plan_on on;
		uint64_t until; /**< LATER: not before */
	} link[PLAN_LINKS];
};

enum plan_what {
	PLAN_SEND,  /**< over step.link, now */
	PLAN_QUEUE, /**< until a window has room */
	PLAN_WAIT,  /**< for a result, a link, or step.at */
	PLAN_FAIL,  /**< step.err: ETIMEDOUT it left, and no result in time;
			 ENOTCONN no mediator to be had in time, EAGAIN all
			 say later: nobody has it */
};

struct plan_step {
	enum plan_what what;
	unsigned link;
	uint64_t at; /**< when to ask again at the latest */
	int err;
};

struct plan_step plan_next(const struct plan_req *req,
			   const struct plan_link *linkv, unsigned n,
			   uint64_t now);

/** The same for a request that is not to be sent again */
struct plan_step plan_rest(const struct plan_req *req, unsigned n,
			   uint64_t now);

/* what happened to a request */
void plan_sent(struct plan_req *req, unsigned link, uint64_t now);
void plan_later(struct plan_req *req, unsigned link, uint64_t now,
		uint32_t retry_after_ms);
/** It will not answer there, but is not to be asked again either.  True if
    the request was out there */
bool plan_moved(struct plan_req *req, unsigned link);
/** It has answered, or is asked for nothing more.  True if the request was
    out there */
bool plan_left(struct plan_req *req, unsigned link);
/** The connection is gone.  True if the request was out there */
bool plan_lost(struct plan_req *req, unsigned link);

/** Which links should be connected, as a bit mask: the first two of the list
    that work; one that fails is tried on, but does not count */
unsigned plan_wanted(const struct plan_link *linkv, unsigned n);

#endif
