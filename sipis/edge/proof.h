/**
 * @file proof.h  What a REGISTER brings to show who sends it
 *
 * Digest (RFC 7616, 8760), or Bearer (RFC 8898) over TLS.
 */

#ifndef SIPIS_EDGE_PROOF_H
#define SIPIS_EDGE_PROOF_H

#include "sipis/edge/priv.h"

/** Points into the message */
struct edge_proof {
	enum edge_nonce nonce;
	struct httpauth_digest_resp resp; /**< unless it is FOREIGN */
	bool several; /**< there are others with that nonce */
};

/** Of several answers the one to what we have asked */
void edge_proof_read(struct edge_proof *p, const struct edge *e,
		     const struct sip_msg *msg);
/** We may have asked in several realms with one nonce: the answer for the
    account's, if it is there */
void edge_proof_choose(struct edge_proof *p, const struct sip_msg *msg,
		       const struct acct_row *row);
/** It answered what we asked, and we asked before we knew its PBX */
bool edge_proof_amiss(const struct acct_row *row,
		      const struct httpauth_digest_resp *r);
/** It knows the account's password */
bool edge_proof_right(const struct edge *e, const struct sip_msg *msg,
		      const struct acct_row *row,
		      const struct httpauth_digest_resp *r);
/** Once only */
bool edge_proof_new(struct edge *e, const struct httpauth_digest_resp *r);

/** <instance>.<secret>; false: there is none, or not over TLS */
bool edge_proof_bearer(char id[STORE_ID_LEN + 1], uint8_t sha256[32],
		       const struct sip_msg *msg);

#endif
