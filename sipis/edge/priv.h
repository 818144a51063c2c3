/**
 * @file sipis/edge/priv.h  What the files of this folder share
 *
 *     edge.c       making and closing, what comes in
 *     listener.c   the sockets
 *     turnstile.c  who may connect to them
 *     flow.c       the ways to phones
 *     binding.c    which phone is at the end of which flow
 *     slot.c       phones that do not say which one they are
 *     who.c        one REGISTER: who is that?  login.h
 *     challenge.c  the 401
 *     ha1.c        what an account's password is worth in a realm
 *     registrar.c  one REGISTER of somebody who is known; registrar.h
 *     route.c      our Route and Record-Route
 *     forward.c    one request on its way out; forward_impl.h
 *     hop.c        where it goes, as libre wants it
 *     hangup.c     a 2xx that nobody wants
 *     way.c        where a request goes: to its PBX, or to a phone
 *     passage.c    one request on its way through
 *     hold.c       requests whose phone is away
 *     offer.c      requests to an account, outside of a dialog
 *     stray.c      responses that nobody waits for
 *     guest.c      phones that answered before they registered again
 *     party.c      which phone is in which call; pure
 *     talk.c       offer and answer by way of an rtpengine
 *     detour.c     requests whose SDP is there
 *     echo.c       the 2xx that have gone up with another SDP
 *     sdp.c        the SDP in a message
 *     refusal.c    a refusal of ours for those who wait for one
 *     vouch.c      one request whose challenges we answer
 *     relay.c      waiting calls on their way to phones
 *     refresh.c    a push before a binding runs out
 *     wake.c       a quiet push to one phone
 *     asker.c, stride.c, turns.c   pure, for vouch.c
 *     token.c, nonce.c, purr.c, pn.c, budget.c, spent.c   pure
 */

#ifndef SIPIS_EDGE_PRIV_H
#define SIPIS_EDGE_PRIV_H

#include "common/bucket.h"
#include "common/metrics.h"
#include "sipis/edge/budget.h"
#include "sipis/edge/edge.h"
#include "sipis/edge/nonce.h"
#include "sipis/edge/pn.h"
#include "sipis/edge/spent.h"
#include "sipis/edge/token.h"
#include "sipis/inst/limit.h"
#include "sipis/sip/copy.h"

enum {
	EDGE_HASH = 16384,
	EDGE_ROUTE = 512, /**< two Record-Routes */
	EDGE_ECHOES = 256,
	EDGE_SPIRAL = 4, /**< how often a request may pass us */
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
	struct hash *echoes;   /**< 2xx that may come again, by call */
	struct list leaving;   /**< forwards that nobody waits for */
	struct list guests;    /**< phones that are in a call, but not here */
	struct edge_forward *sending; /**< NULL: none just now */
	struct hash *sleepers;        /**< who is to be pushed, by phone */
	struct wheel *wheel;          /**< their time */
	struct list due;              /**< those whose time has come */
	struct tmr beat;
	uint32_t sleeperc;
	struct limit *requests;
	struct edge_budget *budget; /**< of those who guess */
	struct edge_spent *spent;   /**< nonces that were answered */
	struct limit *lines;        /**< of the log, by address */
	struct list askers;         /**< what PBXs ask of phones */
	struct edge_turns *turns;   /**< of requests in strided dialogs */
	struct edge_party *party;   /**< who is in which call */
	struct limit *refusals;     /**< by PBXs, of accounts */
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

/* --- flow.c --- */

struct edge_flow {
	struct le he;
	struct edge *edge;
	struct sa peer, laddr;
	enum sip_transp tp;
	void *sock;     /**< libre's connection; only compared */
	uint64_t heard; /**< monotonic ms: when it last said something */
	struct sip_keepalive *ka;
	struct list bindings; /**< of struct edge_binding */
	struct list forwards; /**< of struct edge_forward: that wait for it */
};

/** The one that a message came over; made if it is not known */
int edge_flow_get(struct edge_flow **fp, struct edge *e,
		  const struct sip_msg *msg);
struct edge_flow *edge_flow_at(const struct edge *e, const struct sa *peer,
			       enum sip_transp tp);
/** NULL: nobody has registered over it */
struct edge_flow *edge_flow_find(const struct edge *e,
				 const struct sip_msg *msg);
/** Over UDP, and longer than Flow-Timer: its phone may sleep by now */
bool edge_flow_silent(const struct edge_flow *f);
/** Frees it if no binding is left.  ECONNABORTED: its phone has been deleted,
   or has another one; ESHUTDOWN: it has signed off; ENOTCONN: it has not
    registered again */
void edge_flow_left(struct edge_flow *f, int err);
/** Its bindings go, and its forwards fail or wait for their phone */
void edge_flow_lost(struct edge_flow *f, int err);

/* --- binding.c --- */

struct edge_binding {
	struct le he_phone, he_acct, le;
	struct edge_flow *flow; /**< owns us */
	struct pbx *pbx;
	uint8_t phone[EDGE_PHONE];
	char id[STORE_ID_LEN + 1]; /**< the same as text */
	bool known;                /**< an instance of the store */
	uint64_t acct;
	char *user, *domain; /**< its AOR */
	char *proxy;         /**< the account's own next hop, or NULL */
	int transport;       /**< -1: the profile's */
	char *contact;       /**< URI */
	char *params;        /**< of the Contact, without expires */
	char *callid;
	uint32_t cseq, reg_id;
	uint32_t pn_hash; /**< of the tokens that it brought; 0 none */
	uint32_t name;    /**< hash of its installation's, or its address */
	uint8_t slot;     /**< among clients without +sip.instance; 0: none */
	uint64_t seen;    /**< when the store was told that it is there */
	uint64_t until;   /**< monotonic ms */
	struct tmr tmr;
};

/** All that a binding is made of; strings are copied */
struct edge_bind {
	struct edge_flow *flow;
	struct pbx *pbx;
	uint8_t phone[EDGE_PHONE];
	bool known;
	uint64_t acct;
	const char *user, *domain, *proxy;
	int transport;
	struct pl contact, params, callid;
	uint32_t cseq, reg_id, pn_hash, name, expires_s;
	uint8_t slot;
};

enum { EDGE_SLOTS = 8 };

/** A client without +sip.instance, whose Contact may be anything */
struct edge_client {
	const struct sip_msg *msg;
	uint64_t acct;
	uint32_t name; /**< hash of its Contact's user, host and port */
	struct pl host;
};

/** Which of them it is, or will be: 1 to EDGE_SLOTS; 0: it is not here, and
    none is taken from anybody */
uint8_t edge_slot(const struct edge *e, const struct edge_client *c,
		  bool take);

/** Replaces what the phone had under the same reg-id */
int edge_bind(struct edge_binding **bp, const struct edge_bind *prm);
/** Its flow may go with it; err: see edge_flow_left() */
void edge_unbind(struct edge_binding *b, int err);
/** The newest of a phone; NULL: it is not here */
struct edge_binding *edge_binding_of(const struct edge *e,
				     const uint8_t phone[EDGE_PHONE]);
struct edge_binding *edge_binding_reg(const struct edge *e,
				      const uint8_t phone[EDGE_PHONE],
				      uint32_t reg_id);
/** One of its bindings has brought tokens */
bool edge_binding_pushed(const struct edge *e,
			 const uint8_t phone[EDGE_PHONE]);
/** On this flow, of that phone */
struct edge_binding *edge_binding_on(const struct edge_flow *f,
				     const uint8_t phone[EDGE_PHONE]);
/** On this flow, of the AOR in a From */
struct edge_binding *edge_binding_from(const struct edge_flow *f,
				       const struct uri *from);

/** On this flow, of that AOR and installation */
struct edge_binding *edge_binding_again(const struct edge_flow *f,
					const struct uri *aor, uint32_t name);

/** NULL, or a REGISTER that is older than the one that made it; RFC 3261 10.3,
    7 */
bool edge_binding_late(const struct edge_binding *b,
		       const struct sip_msg *msg);

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

/* --- wake.c --- */

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

/* --- route.c --- */

struct edge_routes {
	unsigned pop; /**< Routes of ours on top */
	bool signed_; /**< one of them has a token of ours */
	struct edge_token token;
	struct edge_talk *talk; /**< whose SDP has been asked about */
};

void edge_routes(struct edge_routes *r, const struct edge *e,
		 const struct pbx *pbx, const struct sip_msg *msg);
/** Both lines; to_phone: which of them is on top.  laddr and tp: our end
    towards the PBX.  stride NULL: of a dialog that the PBX begins */
int edge_record_route(char *buf, size_t size, const struct edge_binding *b,
		      const struct pl *callid,
		      const struct edge_stride *stride, const struct sa *laddr,
		      enum sip_transp tp, bool to_phone);
bool edge_is_us(const struct edge *e, const struct pbx *pbx,
		const struct pl *host, uint16_t port);

/* --- forward.c --- */

struct edge_forward;

/** Each 1xx but 100, then once a final answer or err; the forward is over
    then, and the holder drops it */
typedef void(edge_forward_h)(int err, const struct sip_msg *resp, void *arg);

/** Its flow is gone, and answers still come.  edge_forward_back() when its
    phone is back.  err: see edge_flow_left() */
typedef void(edge_forward_lost_h)(int err, void *arg);

struct edge_forward_prm {
	struct edge *edge;
	struct edge_flow *flow; /**< that it goes over, or NULL */
	struct sip *sip;
	const struct sip_msg *msg;
	const char *uri; /**< NULL: as it is */
	struct sa dst;
	enum sip_transp tp;
	struct copy_prm copy;
	struct edge_vouch *vouch; /**< or NULL; a passage keeps it */
	struct edge_talk *talk;   /**< the same */
	bool timer_c;
	const uint8_t *phone;       /**< with losth */
	edge_forward_lost_h *losth; /**< NULL: it ends with its flow */
	edge_forward_h *h;
	void *arg;
};

/** mem_deref() forgets it; a phone that rings would ring on */
int edge_forward(struct edge_forward **fp, const struct edge_forward_prm *prm);
/** An ACK, or what else nobody answers */
int edge_forward_once(const struct edge_forward_prm *prm);
/** Of an INVITE; answers still come.  reason: of its Reason header, or "" */
void edge_forward_cancel(struct edge_forward *f, const char *reason);
/** The same by somebody who does not want to hear more; *fp is NULL then */
void edge_forward_leave(struct edge_forward **fp, const char *reason);
void edge_forward_lost(struct edge_forward *f, int err);
/** Its CANCEL to that binding.  EPROTONOSUPPORT: it is not cancelled, and only
    another one can go there */
int edge_forward_back(struct edge_forward *f, const struct edge_binding *b);
/** That phone is back: those that nobody waits for get their CANCEL */
void edge_forwards_back(const struct edge_binding *b);
/** Who hears of its answers from now on, with the arg that it has */
void edge_forward_holder(struct edge_forward *f, edge_forward_h *h);
/** ACK and BYE for a 2xx that does not go up */
void edge_forward_hang_up(struct edge_forward *f, const struct sip_msg *resp);

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
	bool to_phone;
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
/** A request of its PBX in such a dialog; false: there is none */
bool edge_guest_pass(struct edge *e, struct pbx *pbx,
		     const struct sip_msg *msg, const struct edge_routes *r);

/* --- relay.c --- */

/** Tells the calls how to reach phones */
void edge_relay_open(struct edge *e);

#endif
