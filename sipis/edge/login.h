/**
 * @file login.h  One REGISTER under way, and its answer
 *
 *     who.c        who is that?
 *       proof.c    what it brings to show it
 *       budget.c   how often it may be wrong; pure
 *       vain.c     who asks why it was refused
 *     registrar.c  and then
 */

#ifndef SIPIS_EDGE_LOGIN_H
#define SIPIS_EDGE_LOGIN_H

#include "sipis/edge/priv.h"
#include "sipis/edge/proof.h"
#include "sipis/edge/wish.h"

struct edge_login;

typedef void(edge_login_h)(struct edge_login *l);

struct edge_login {
	struct le le;
	struct edge *edge; /**< NULL once that is closed */
	struct sip_msg *msg;
	struct sip_strans *st;
	struct pbx *pbx;
	char *user, *domain; /**< of the To; as the profile spells it */
	struct edge_wish wish;
	struct edge_claim claim;
	struct edge_proof proof;
	char *proxy;
	int transport;
	uint64_t acct;               /**< 0: not known yet */
	bool looked_up;              /**< the store was asked about that */
	char inst[STORE_ID_LEN + 1]; /**< "": none that the API knows */
	uint8_t secret[32];          /**< Bearer: SHA-256 of it */
	bool bound;                  /**< it is here over this flow */
	bool pushed;  /**< it has tokens that came by REGISTER; not if bound */
	bool untaken; /**< it has brought tokens, and we cannot use them */
	edge_login_h *adopting; /**< inst/ has it, and that goes on */
};

/** ENOENT: no profile serves its domain; EBADMSG: its AOR can be nobody's */
int edge_login_alloc(struct edge_login **lp, struct edge *e,
		     const struct sip_msg *msg);
/** These end it */
void edge_login_replyf(struct edge_login *l, uint16_t scode,
		       const char *phrase, const char *fmt, ...);
void edge_login_refuse(struct edge_login *l, const char *why);
/** 401; it will be another one */
void edge_login_again(struct edge_login *l, bool stale);

/** The edge closes; those that the store answers yet end then */
void edge_logins_close(struct edge *e);
/** That instance has been deleted */
void edge_logins_deleted(struct edge *e, const char *inst);

/* --- vain.c --- */

/** It is refused for that reason; the answer is the caller's */
void edge_vain(struct edge_login *l, uint16_t scode, const char *why);
/** It has answered, but not the challenge that it should; if it goes on like
    that, somebody will ask */
void edge_vain_stale(struct edge *e, const struct sip_msg *msg);
void edge_vain_close(struct edge *e);

/* --- who.c --- */

/** A REGISTER: challenged, refused, or handed to edge_register() */
void edge_who(struct edge *e, const struct sip_msg *msg);

/* --- registrar.c --- */

/** Who it is has been settled */
void edge_register(struct edge_login *l);

#endif
