/**
 * @file vouch_impl.h  What vouch.c and vouch_turn.c share
 */

#ifndef SIPIS_EDGE_VOUCH_IMPL_H
#define SIPIS_EDGE_VOUCH_IMPL_H

#include "sipis/edge/asker.h"
#include "sipis/edge/flow.h"
#include "sipis/edge/forward.h"
#include "sipis/edge/priv.h"
#include "sipis/edge/vouch.h"

/** Credentials in the request that is out, of one kind */
struct edge_credential {
	struct edge_asker *asker;
	struct digest_nonce *nonce;
	bool kept;   /**< not of a challenge to this request */
	bool staled; /**< the one that was told is used up */
	bool good;   /**< the PBX has taken it */
};

struct edge_vouch {
	struct edge_forward_prm prm;
	struct pbx *pbx;
	struct sip_msg *msg;
	char met[32];
	struct edge_stride stride;
	struct sa laddr;
	uint8_t phone[EDGE_PHONE];
	uint64_t acct;
	char *realm; /**< that is answered; NULL: none */
	bool signed_;
	uint32_t kind;
	unsigned turn;
	struct edge_credential credv[2]; /**< 401, 407 */
	char *lines;
};

/** What goes out in its turn: prm.copy.  EACCES: there is no secret */
int edge_vouch_turn(struct edge_vouch *v, const struct edge_binding *b);
/** The turn of another request of this phone */
unsigned edge_vouch_turn_of(const struct edge_vouch *v, uint32_t cseq);
bool edge_vouch_is(const struct edge_vouch *v, const char *met);

#endif
