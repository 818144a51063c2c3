/**
 * @file net/req.h  One request to a provider, used again and again
 *
 * An easy handle that is set up once, with the room for everything that
 * changes from push to push: no allocation of ours while pushes flow.
 */

#ifndef MEDIATOR_NET_REQ_H
#define MEDIATOR_NET_REQ_H

#include <stdbool.h>
#include <stdint.h>
#include <curl/curl.h>
#include <re/re.h>
#include "mediator/net/hdrs.h"

enum {
	REQ_URL_MAX = 1024,
	REQ_BODY_MAX = 6144,
	REQ_ANSWER_MAX = 2048, /**< what is longer is cut */
	REQ_OWN_MAX = 3,       /**< header lines of its own */
	REQ_LINE_MAX = 96,
};

struct conn;

struct req {
	struct le le; /**< of whoever keeps it */
	CURL *easy;
	struct conn *conn;  /**< while it is under way */
	uint32_t epoch;     /**< of the connection */
	uint64_t started;   /**< monotonic ms */
	int64_t started_us; /**< wall */
	uint32_t gen;       /**< of the bearer it carries */
	void *arg;          /**< the push */

	char url[REQ_URL_MAX];
	char body[REQ_BODY_MAX];
	size_t body_len;
	struct hdrs *hdrs; /**< reference */
	struct curl_slist own[REQ_OWN_MAX];
	char line[REQ_OWN_MAX][REQ_LINE_MAX];
	unsigned own_count;

	bool barred;  /**< an address was refused by outside_only */
	bool outside; /**< another one was not */

	char answer[REQ_ANSWER_MAX];
	size_t answer_len;
};

struct req_prm {
	const char *ca; /**< PEM; NULL = the system's store */
	uint32_t connect_timeout_ms;
	uint32_t user_timeout_ms;
	bool outside_only; /**< connects to addresses of the internet alone */
};

int req_alloc(struct req **rp, const struct req_prm *prm);

/** A header line of its own; before req_ready() */
int req_line(struct req *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/** url, body and lines are filled in; takes a reference of hdrs */
void req_ready(struct req *r, struct hdrs *hdrs, uint32_t timeout_ms);

/** Forgets what the last push left; the handle stays */
void req_clear(struct req *r);

/** Of the answer; NULL if it has no such header */
const char *req_answer_header(const struct req *r, const char *name);
/** Wall clock microseconds when the request went out, and when the answer was
    there; 0 if they did not */
void req_times(const struct req *r, int64_t *sent_us, int64_t *answered_us);

#endif
