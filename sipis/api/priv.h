/**
 * @file api/priv.h  What travels between the two threads of this folder
 *
 *   http thread                        loop
 *   request.c --- ask --->  exec.c  admin.c --> inst, store
 *   reply.c  <-- answer --
 *
 * An ask is owned by one thread at a time.  The connection it came from may
 * be gone when its answer comes back: it is known by slot and serial number,
 * never by pointer.
 */

#ifndef SIPIS_API_PRIV_H
#define SIPIS_API_PRIV_H

#include "common/ident.h"
#include "common/mailbox.h"
#include "sipis/api/api.h"
#include "sipis/api/body.h"
#include "sipis/api/guard.h"
#include "sipis/api/problem.h"
#include "sipis/api/route.h"
#include "sipis/api/text.h"

#define API_HEAD 1024 /**< room in front of a body for lws and the headers */

enum ask_kind { ASK_REQUEST, ASK_CANCEL };

struct ask {
	struct mail mail;
	struct mail *more; /**< asks that came with it, in one mail */
	enum ask_kind kind;
	uint32_t slot;
	uint64_t serial;

	/* the request */
	struct route route;
	struct body body;
	bool has_body;
	uint8_t secret_sha256[32];
	char addr[GUARD_ADDR_MAX];
	char trace[UUID_LEN + 1];
	bool admin; /**< it came over the admin listener */

	/* the answer */
	int status;
	enum problem problem;
	struct text out;
	const char *type; /**< of the content, NULL: JSON */
	char allow[48];
	uint32_t retry_after_s;
	bool wrong_secret;

	/* of the loop's thread, while it works on it */
	struct le le;
	struct api *api;
	struct inst_job *job;
	void *work;
};

struct ask *ask_alloc(void);
void ask_free(struct ask *a);
/** The answer is a problem; the usual advice is set */
void ask_problem(struct ask *a, enum problem p, const char *detail);

enum api_metric {
	AM_CONNECTIONS,
	AM_REFUSED_CONNECTIONS,
	AM_2XX,
	AM_4XX,
	AM_5XX,
	AM_WRONG_SECRETS,
	AM_THROTTLED,
	AM_SLOW,
	AM_N
};

struct server;
struct ssl_ctx_st;

struct api {
	struct api_prm prm;
	struct mailbox *inbox; /**< asks, emptied by the loop */
	struct server *server;
	struct list asks; /**< that wait for somebody's answer */
	struct tmr wake;  /**< of the http thread, once in a turn */
	bool closed;
	struct metric metrics[AM_N];
	struct histogram latency;
};

/* the http thread: http.h */

int server_alloc(struct server **sp, struct api *api, char *reason,
		 size_t reason_sz);
/** Ends the thread; blocks */
void server_stop(struct server *s);
/** The answer of a to its connection, if it is still there, once the thread
    is woken */
void server_answer(struct server *s, struct ask *a);
void server_wake(struct server *s);
/** All listeners show the certificate of fresh from now on; takes it over */
void server_renew(struct server *s, struct ssl_ctx_st *fresh);
uint16_t server_port(const struct server *s, unsigned n);
uint16_t server_admin_port(const struct server *s);

/* the loop's thread: exec.c, admin.c */

/** Takes a over and answers it with api_answer(), now or later */
void exec_ask(struct api *api, struct ask *a);
void admin_ask(struct api *api, struct ask *a);
void api_answer(struct ask *a);

/** An error of the store */
void exec_store_problem(struct ask *a, int err);

/* answers, in JSON */
/** As a SIP URI, escaped as RFC 3261 25.1 wants it; NULL: "" */
void show_aor(struct text *t, const char *name, const struct acct_row *acct);
void show_created(struct text *t, const struct inst_answer *ans);
void show_instance(struct text *t, const struct inst_answer *ans);
void show_state(struct text *t, const struct inst_answer *ans,
		const struct edge_cfg *edge);
void show_call(struct text *t, const char *name, const struct call_info *call,
	       const struct edge_cfg *edge);
void show_push(struct text *t, const struct inst_row *inst);
/** Is that phone here?  If not, was it refused? */
void show_sight(struct text *t, const struct inst_sight *s,
		const struct inst_row *inst);
/** The same of those that are none of these */
void show_strangers(struct text *t, const struct inst_sight *s, uint64_t acct,
		    const struct inst_row *instv, unsigned instc);

#endif
