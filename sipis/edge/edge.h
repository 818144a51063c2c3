/**
 * @file edge.h  The SIP side that faces the phones; docs/EDGE.md
 *
 * Registrar, and stateful Record-Routing proxy between each phone and the PBX
 * of its account.  No back-to-back user agent: what a phone and its PBX say
 * to each other passes as it is.
 */

#ifndef SIPIS_EDGE_H
#define SIPIS_EDGE_H

#include <re/re.h>
#include "sipis/call/calls.h"
#include "sipis/cfg.h"
#include "sipis/inst/inst.h"
#include "sipis/med/med.h"
#include "sipis/sip/pbx.h"
#include "sipis/store/store.h"

struct edge;

struct edge_prm {
	const struct edge_cfg *cfg;
	struct store *store;
	struct reg *reg;
	struct calls *calls; /**< is told of the edge */
	struct inst *inst;
	struct med *med;
	const struct cred_key *key;
	struct pbx *const *pbxv; /**< every profile */
	uint32_t pbxc;
	uint32_t files; /**< descriptors that libre's loop can take */
	struct metrics *metrics;
};

/** Opens the listeners; *reason gets a sentence on failure */
int edge_alloc(struct edge **ep, const struct edge_prm *prm, char *reason,
	       size_t reason_sz);
/** Nothing goes out any more.  Before the profiles are closed.  Transactions
    may be dropped until the edge itself is */
void edge_close(struct edge *e);
/** Phones hear no more of us, whatever is dropped: who rings rings on, for the
    next start has its call */
void edge_mute(struct edge *e);

/** What can be seen of phones; empty without an edge */
struct inst_sight;
void edge_sight(struct edge *e, struct inst_sight *sight);

/** The realm in which this account's PBX asks for its password */
void edge_learn(struct edge *e, const struct acct_row *acct);

/** Must it not go on?  It has had its answer then: extensions that we do not
    know, loops and forks without end; RFC 3261 16.3, RFC 5393.  e may be
    NULL */
bool edge_stops(struct edge *e, struct pbx *pbx, const struct sip_msg *msg,
		bool of_phone);

/** What a PBX says to an account outside of a dialog, but for INVITE and
    OPTIONS: to its phones that are connected; false: there is none */
bool edge_offer(struct edge *e, struct pbx *pbx, uint64_t acct,
		const struct sip_msg *msg);

/** What a PBX says in a dialog with a phone; fits pbx_prm.passh */
bool edge_pass(struct edge *e, struct pbx *pbx, const struct sip_msg *msg);

#endif
