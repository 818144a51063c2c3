/**
 * @file edge/flow.h  The ways to phones, and which phone is at their ends
 */

#ifndef SIPIS_EDGE_FLOW_H
#define SIPIS_EDGE_FLOW_H

#include "sipis/edge/priv.h"

/* --- flow.c --- */

struct edge_flow {
	struct le he;
	struct edge *edge;
	struct sa peer, laddr;
	enum sip_transp tp;
	void *sock;     /**< libre's connection; only compared */
	int64_t since;  /**< wall ms: when it began */
	uint64_t heard; /**< monotonic ms: when it last said something */
	struct sip_keepalive *ka;
	struct list bindings; /**< of struct edge_binding */
	struct list leavers;  /**< those that are over */
	struct list forwards; /**< of struct edge_forward: that wait for it */
	bool here;            /**< somebody has registered over it */
};

/** The one that a message came over; made if it is not known */
int edge_flow_get(struct edge_flow **fp, struct edge *e,
		  const struct sip_msg *msg);
struct edge_flow *edge_flow_at(const struct edge *e, const struct sa *peer,
			       enum sip_transp tp);
/** NULL: nobody has registered over it, nor left (leaver.c) */
struct edge_flow *edge_flow_find(const struct edge *e,
				 const struct sip_msg *msg);
/** Over UDP, and longer than Flow-Timer: its phone may sleep by now */
bool edge_flow_silent(const struct edge_flow *f);
/** It has a binding */
void edge_flow_joined(struct edge_flow *f);
/** Frees it if no binding is left, nor a leaver.  ECONNABORTED: its phone has
   been deleted, or has another one; ESHUTDOWN: it has signed off; ENOTCONN: it
   has not registered again */
void edge_flow_left(struct edge_flow *f, int err);
/** Its bindings go, and its forwards fail or wait for their phone */
void edge_flow_lost(struct edge_flow *f, int err);
/** A connection whose other end acknowledges nothing is closed, and what it
    has not taken is thrown away.  True: it is lost, as ETIMEDOUT */
bool edge_flow_cut(struct edge_flow *f);

/* --- binding.c --- */

struct edge_binding {
	struct le he_phone, he_acct, le;
	struct le le_left;      /**< in a list: it is a leaver */
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

/** Replaces what the phone had under the same reg-id */
int edge_bind(struct edge_binding **bp, const struct edge_bind *prm);
/** It becomes a leaver, or its flow may go with it; err: see edge_flow_left()
 */
void edge_unbind(struct edge_binding *b, int err);
/** The newest of a phone; NULL: it is not here */
struct edge_binding *edge_binding_of(const struct edge *e,
				     const uint8_t phone[EDGE_PHONE]);
/** The same, but over another flow than that */
struct edge_binding *edge_binding_besides(const struct edge *e,
					  const uint8_t phone[EDGE_PHONE],
					  const struct sa *peer);
/** It is heard there, and not over the others: before all of them from now
    on, until it registers over another */
void edge_binding_prefer(const struct edge *e, const uint8_t phone[EDGE_PHONE],
			 const struct sa *peer);
struct edge_binding *edge_binding_reg(const struct edge *e,
				      const uint8_t phone[EDGE_PHONE],
				      uint32_t reg_id);
/** Of an account, one after the other, the oldest first.  after NULL: the
    first; NULL: that was the last */
struct edge_binding *edge_binding_next(const struct edge *e, uint64_t acct,
				       const struct edge_binding *after);
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

/* --- leaver.c --- */

/** Of a binding that has just been unlinked: its flow keeps it for what is
    under way in its dialogs.  False: it cannot.  err: see edge_flow_left() */
bool edge_leaver(struct edge_binding *b, int err);
/** It is freed */
void edge_leaver_gone(struct edge_binding *b);
/** The newest of a phone, or NULL */
struct edge_binding *edge_leaver_of(const struct edge *e,
				    const uint8_t phone[EDGE_PHONE]);
/** A binding, or else a leaver: where what is of a phone's dialogs goes */
struct edge_binding *edge_dialogs_of(const struct edge *e,
				     const uint8_t phone[EDGE_PHONE]);
/** The same on this flow: who speaks there in its dialogs */
struct edge_binding *edge_dialogs_on(const struct edge_flow *f,
				     const uint8_t phone[EDGE_PHONE]);
/** It is back, or has been deleted: what waits for them goes elsewhere */
void edge_leavers_drop(struct edge *e, const uint8_t phone[EDGE_PHONE]);

/* --- slot.c --- */

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

#endif
