/**
 * @file pbx.h  One PBX profile at run time: stack, targets, trust
 *
 * Each profile has a struct sip of its own (own UDP port, TCP and TLS
 * listener) and a TLS context that verifies the one name of that PBX, because
 * libre finds connections by address and port alone.  The profile resolves
 * its next hop (NAPTR, SRV, A, AAAA; RFC 3263) off the hot path, keeps the
 * last good answer for 24 h, and knows from which addresses a request may
 * come.  What comes from elsewhere is dropped without an answer; what the PBX
 * sends to a contact that is nobody's gets 404.
 */

#ifndef SIPIS_PBX_H
#define SIPIS_PBX_H

#include <re/re.h>
#include "common/metrics.h"
#include "sipis/cfg.h"

struct pbx;
struct acct;

/** A request from the PBX to one of our contacts.  The contact user has been
    found; acct is never NULL.  Return true if taken */
typedef bool(pbx_request_h)(struct pbx *pbx, struct acct *acct,
			    const struct sip_msg *msg, void *arg);
/** A CANCEL came in; reason is its Reason header or empty, valid during the
    call.  Comes before libre's cancel handler of the transaction */
typedef void(pbx_cancel_h)(struct pbx *pbx, const struct pl *callid,
			   const struct pl *branch, const struct pl *reason,
			   void *arg);

/** A request with a Route, an ACK, or a response that nobody waits for; true:
    taken */
typedef bool(pbx_pass_h)(struct pbx *pbx, const struct sip_msg *msg,
			 void *arg);

/** An INVITE to a contact that is nobody's got its 404 */
typedef void(pbx_nobody_h)(struct pbx *pbx, const struct sip_msg *msg,
			   void *arg);

/** Finds the account of a contact user; NULL if unknown */
typedef struct acct *(pbx_acct_h)(struct pbx *pbx, const uint8_t contact[16],
				  void *arg);

struct pbx_prm {
	const struct pbx_cfg *cfg;
	struct dnsc *dnsc;
	struct nameserv *nameserv; /**< of dnsc; NULL: they do not change */
	struct metrics *metrics;
	pbx_acct_h *accth;
	pbx_request_h *inviteh; /**< INVITE outside a dialog */
	/** A request with a To tag; true: of an early dialog of ours.  Either
	    way it gets its answer from here */
	pbx_request_h *dialogh;
	/** Outside of a dialog, but for INVITE and OPTIONS; NULL: nobody
	    would ever take it */
	pbx_request_h *messageh;
	pbx_nobody_h *nobodyh; /**< may be NULL */
	pbx_cancel_h *cancelh;
	pbx_pass_h *passh; /**< before all others; may be NULL */
	void *arg;
};

int pbx_alloc(struct pbx **pbxp, const struct pbx_prm *prm, char *reason,
	      size_t reason_sz);
/** Stops sending, says nothing on the wire (no un-REGISTER).  Transactions
    may be dropped until the profile itself is */
void pbx_close(struct pbx *pbx);

/** Certificate, key and CAs of the profile, read again: a file that is no
    good changes nothing, and reason says why.  Connections that stand keep
    theirs */
int pbx_renew(struct pbx *pbx, char *reason, size_t reason_sz);

const struct pbx_cfg *pbx_cfg(const struct pbx *pbx);
struct sip *pbx_sip(const struct pbx *pbx);
bool pbx_has_domain(const struct pbx *pbx, const char *domain);

/** The next hop in order of RFC 3263: n = 0 is the best one that is not
    known to be down; ENOENT past the last, EAGAIN while nothing is resolved.
    host and port are numeric; proxy overrides the profile's ("" or NULL) */
int pbx_target(struct pbx *pbx, const char *proxy, int transport, unsigned n,
	       struct sa *addr, enum sip_transp *tp);
/** May an account bring this proxy along?  The profile's own, or one of its
    domains; without a port, with that of the profile's proxy, or 5060 or 5061:
    nobody who has an account here shall make us knock at other doors */
bool pbx_allows_proxy(const struct pbx *pbx, const char *proxy);

void pbx_target_down(struct pbx *pbx, const struct sa *addr,
		     enum sip_transp tp, uint32_t for_s);

/** Milliseconds until a target that is down may be used again; 0: one is up,
    or none is known yet */
uint64_t pbx_target_wait(struct pbx *pbx, const char *proxy, int transport);

/** What happens to the way there: addr NULL: the first (or a new) answer of
    the resolver is in; else the connection to addr was lost with err */
typedef void(pbx_path_h)(struct pbx *pbx, const struct sa *addr,
			 enum sip_transp tp, int err, void *arg);
void pbx_path_handler(struct pbx *pbx, pbx_path_h *h, void *arg);

/** Own address towards the PBX for Contact and Via */
int pbx_local(struct pbx *pbx, enum sip_transp tp, const struct sa *dst,
	      struct sa *laddr);

/** May a request come from there?  UDP: an address of the PBX.  TCP/TLS:
    the same, or the connection that we opened */
bool pbx_trusts(const struct pbx *pbx, const struct sip_msg *msg);

/** Is that an address of the PBX, whatever the port? */
bool pbx_is_peer(const struct pbx *pbx, const struct sa *addr);

/** Rebuilds a message that was stored as bytes, as if it had just come in
    over this profile; mem_deref() it */
int pbx_msg_revive(struct sip_msg **msgp, struct pbx *pbx, const uint8_t *raw,
		   size_t len, const char *src, enum sip_transp tp);

#endif
