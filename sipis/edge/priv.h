/**
 * @file sipis/edge/priv.h  What the files of this folder share
 *
 *     edge.c       making and closing, what comes in
 *     listener.c   the sockets
 *     turnstile.c  who may connect to them
 *     flow.h       flow.c     the ways to phones
 *                  binding.c  which phone is at the end of which flow
 *                  slot.c     phones that do not say which one they are
 *                  leaver.c   phones that have left, but for their dialogs
 *     login.h      one REGISTER: who is that?
 *     registrar.h  and what it does, once that is known
 *     challenge.c  the 401
 *     sight.c      what an operator can see of phones
 *     ha1.c        what an account's password is worth in a realm
 *     route.c      our Route and Record-Route
 *     forward.h    one request on its way out
 *     hop.c        where it goes, as libre wants it
 *     hangup.c     a 2xx that nobody wants
 *     way.c        where a request goes: to its PBX, or to a phone
 *     passage.c    one request on its way through
 *     hold.c       requests whose phone is away
 *     offer.c      requests to an account, outside of a dialog
 *     stray.c      responses that nobody waits for
 *     guest.c      phones that answered before they registered again
 *     party.c      which phone is in which call; pure
 *     media.h      the rtpengines, and their calls
 *     talk.c       offer and answer by way of one
 *     detour.c     requests whose SDP is there
 *     belated.c    answers whose SDP is, and for which nobody waits
 *     echo.c       the 2xx that have gone up with another SDP
 *     sdp.c        the SDP in a message
 *     refusal.c    a refusal of ours for those who wait for one
 *     vouch.c      one request whose challenges we answer
 *     relay.c      waiting calls on their way to phones
 *     wake.h       wake.c     a quiet push to one phone
 *                  refresh.c  one before a binding runs out
 *     asker.c, stride.c, turns.c   pure, for vouch.c
 *     rebuff.c     phones that were refused of late; pure
 *     token.c, nonce.c, purr.c, pn.c, budget.c, spent.c   pure
 */

#ifndef SIPIS_EDGE_PRIV_H
#define SIPIS_EDGE_PRIV_H

#include "common/bucket.h"
#include "common/metrics.h"
#include "sipis/edge/budget.h"
#include "sipis/edge/edge.h"
#include "sipis/edge/nonce.h"
#include "sipis/edge/spent.h"
#include "sipis/edge/token.h"
#include "sipis/inst/limit.h"

struct edge_binding;
struct edge_flow;
struct edge_forward;
struct edge_forward_prm;

enum {
	EDGE_HASH = 16384,
	EDGE_ROUTE = 512, /**< two Record-Routes */
	EDGE_ECHOES = 256,
	EDGE_SPIRAL = 4, /**< how often a request may pass us */
	EDGE_NEVER_S =
		4000000, /**< of a keep-alive that only tells of an end */
};

enum {
	EDGE_M_FLOWS,
	EDGE_M_BINDINGS,
	EDGE_M_REGISTERS,
	EDGE_M_CHALLENGES,
	EDGE_M_REFUSED,
	EDGE_M_STRANGERS,
	EDGE_M_LIMITED,
	EDGE_M_PASSED,
	EDGE_M_RELAYED,
	EDGE_M_REFRESHES,
	EDGE_M_ANSWERED,
	EDGE_M_WAKES,
	EDGE_M_TURNED_AWAY,
	EDGE_M_TLS_FAILED,
	EDGE_M_MEDIA,
	EDGE_M_UNRELAYED,
	EDGE_M_COUNT
};

struct edge {
	struct edge_prm prm;
	struct edge_key key;
	struct sip *sip;
	struct tls *tls;
	struct sip_lsnr *gate, *door, *resp;
	struct hash *flows;  /**< by address */
	struct hash *accts;  /**< bindings by account */
	struct hash *phones; /**< bindings by phone */
	struct turnstile *turnstile;
	struct sa newest; /**< whose connection was accepted last */
	struct list udps; /**< UDP sockets that are known */
	struct list realms;
	struct list logins;    /**< REGISTERs under way */
	struct list passages;  /**< requests under way */
	struct list lates;     /**< those whose answer waits for its phone */
	char *cancel_why;      /**< Reason of the CANCEL that is being read */
	struct list offers;    /**< to accounts, outside of a dialog */
	struct hash *absents;  /**< phones that requests wait for */
	uint32_t holdc;        /**< so many */
	struct bucket wakes;   /**< pushes for them */
	struct media **mediav; /**< of each profile, or NULL */
	struct list talks;     /**< with rtpengines */
	struct list detours;   /**< requests that wait for one */
	struct list belated;   /**< answers that do */
	struct hash *echoes;   /**< 2xx that may come again, by call */
	struct list leaving;   /**< forwards that nobody waits for */
	struct hash *leavers;  /**< bindings that are over, by phone */
	struct list left;      /**< the same, the oldest first */
	uint32_t leftc;
	struct hash *guests; /**< phones in a call that are not here */
	struct list guestl;  /**< the same, the oldest first */
	uint32_t guestc;
	struct edge_forward *sending; /**< NULL: none just now */
	struct hash *sleepers;        /**< who is to be pushed, by phone */
	struct wheel *wheel;          /**< their time */
	struct list due;              /**< those whose time has come */
	struct tmr beat;
	uint32_t sleeperc;
	struct limit *requests;
	struct edge_budget *budget;   /**< of those who guess */
	struct edge_spent *spent;     /**< nonces that were answered */
	struct limit *lines;          /**< of the log, by address */
	struct list askers;           /**< what PBXs ask of phones */
	struct edge_turns *turns;     /**< of requests in strided dialogs */
	struct edge_party *party;     /**< who is in which call */
	struct limit *refusals;       /**< by PBXs, of accounts */
	struct edge_rebuffs *rebuffs; /**< phones that were refused */
	struct limit *stales;         /**< answers to old challenges */
	struct list seekers;          /**< whose account is looked up */
	struct bucket seeks;          /**< how often that may be */
	uint64_t since;               /**< monotonic ms: the start */
	bool closed;
	struct metric metricv[EDGE_M_COUNT];
};

/* --- listener.c --- */

int edge_listen_all(struct edge *e, char *reason, size_t reason_sz);
/** For each message: a UDP socket that speaks for the first time gets room
    and a filter */
void edge_listen_seen(struct edge *e, const struct sip_msg *msg);
/** May somebody who comes from there be read?  A phone that is here pays
    nothing */
bool edge_welcomes(struct edge *e, const struct sa *src, enum sip_transp tp);

/* --- sight.c --- */

/** udp, tcp, tls */
const char *edge_transport(enum sip_transp tp);

/* --- challenge.c --- */

/** Who a message's To is, however it is spelled; "" if it is too long */
void edge_aor_print(char dst[EDGE_AOR], const struct sip_msg *msg);
/** 401, and forgotten */
void edge_challenge(struct edge *e, const struct sip_msg *msg, bool stale);
/** A REGISTER that wants what we do not have: 420 */
bool edge_requires_more(struct edge *e, const struct sip_msg *msg);
/** May a refusal of that sender's be a line in the log?  The metric counts
    all of them */
bool edge_may_log(struct edge *e, const struct sa *src);
void edge_refuse(struct edge *e, const struct sip_msg *msg, uint16_t scode,
		 const char *phrase, const char *why);

/* --- ha1.c --- */

/** Of an account, for a realm: its length, 0 if there is none */
size_t edge_ha1(uint8_t ha1[CRED_HA1_MAX], const struct edge *e,
		const struct acct_row *row, enum digest_alg alg,
		const struct pl *realm);

/* --- route.c --- */

struct edge_routes {
	unsigned pop; /**< Routes of ours on top */
	bool signed_; /**< one of them has a token of ours */
	struct edge_token token;
	struct edge_talk *talk; /**< whose SDP has been asked about */
	unsigned hop; /**< targets of its PBX that it has been to, and that are
			 not known to be down */
};

void edge_routes(struct edge_routes *r, const struct edge *e,
		 const struct pbx *pbx, const struct sip_msg *msg);
/** Would anybody hear of a Record-Route in that request? */
bool edge_records(const struct sip_msg *msg);
/** Both lines; to_phone: which of them is on top.  laddr and tp: our end
    towards the PBX.  stride NULL: of a dialog that the PBX begins */
int edge_record_route(char *buf, size_t size, const struct edge_binding *b,
		      const struct pl *callid,
		      const struct edge_stride *stride, const struct sa *laddr,
		      enum sip_transp tp, bool to_phone);
bool edge_is_us(const struct edge *e, const struct pbx *pbx,
		const struct pl *host, uint16_t port);

/* --- way.c --- */

/** A request of a PBX to the phone that its token names */
void edge_passage(struct pbx *pbx, const struct edge_forward_prm *prm,
		  const struct edge_routes *r);
/** A request of a phone to its PBX; b NULL: in a dialog, by its token */
void edge_to_pbx(struct edge *e, struct pbx *pbx, struct edge_binding *b,
		 const struct sip_msg *msg, const struct edge_routes *r);
/** A request of a PBX to a phone */
void edge_to_phone(struct edge_binding *b, struct pbx *pbx,
		   const struct sip_msg *msg, const struct edge_routes *r);

/* --- passage.c --- */

/** A CANCEL of a phone that has moved since its INVITE; false: of none */
bool edge_passage_cancel(struct edge *e, const struct sip_msg *msg);

/** A phone has a flow: what answers wait for it go there */
void edge_passage_back(struct edge_binding *b);

/* --- hold.c --- */

int edge_hold_open(struct edge *e);
void edge_hold_close(struct edge *e);
void edge_hold(struct edge *e, struct pbx *pbx, const struct sip_msg *msg,
	       const struct edge_routes *r);
/** It is better held: its phone seems to sleep, and has asked to be woken for
    what comes in that dialog */
bool edge_hold_better(const struct edge_binding *b, const struct sip_msg *msg);
/** The phone is back */
void edge_hold_end(struct edge_binding *b);

/* --- detour.c --- */

struct edge_detour_prm {
	struct edge *edge;
	struct pbx *pbx;
	const struct edge_binding *binding; /**< NULL: by its token */
	const uint8_t *phone;
	const struct sip_msg *msg;
	const struct edge_routes *routes;
	const struct sa *peer; /**< the phone that it goes to; NULL: to its
				    PBX */
};

/** True: it has been taken, and comes back with routes.talk */
bool edge_detour(const struct edge_detour_prm *prm);

/* --- echo.c --- */

void edge_echo_keep(struct edge *e, const char *call,
		    const struct sip_msg *was, const struct sip_msg *is);
/** False: it is none of these */
bool edge_echo_find(struct sip_msg **mp, const struct edge *e,
		    const char *call, const struct sip_msg *resp);

/* --- refusal.c --- */

int edge_refusal(struct sip_msg **mp, const struct sip_msg *req,
		 uint16_t scode, const char *phrase);

/* --- stray.c --- */

struct pbx *edge_pbx_by(const struct edge *e, uint32_t token_pbx);

/** pbx NULL: from a phone */
void edge_stray(struct edge *e, struct pbx *pbx, const struct sip_msg *msg);

/* --- guest.c --- */

/** It has answered, but is not here: what is of that dialog goes to where the
    2xx came from */
void edge_guest(struct edge *e, const struct edge_token *token,
		const struct sip_msg *resp);
/** It is back: what it has not answered elsewhere goes there */
void edge_guests_join(struct edge *e, const struct edge_binding *b);
/** It has been deleted */
void edge_guests_drop(struct edge *e, const uint8_t phone[EDGE_PHONE]);
/** A request of its PBX in such a dialog; false: there is none */
bool edge_guest_pass(struct edge *e, struct pbx *pbx,
		     const struct sip_msg *msg, const struct edge_routes *r);

/* --- relay.c --- */

/** Tells the calls how to reach phones */
void edge_relay_open(struct edge *e);

#endif
