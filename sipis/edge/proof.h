/**
 * @file proof.h  What a REGISTER brings to show who sends it
 *
 * Digest (RFC 7616, 8760), or Bearer (RFC 8898) over TLS.
 */

#ifndef SIPIS_EDGE_PROOF_H
#define SIPIS_EDGE_PROOF_H

#include "sipis/edge/priv.h"

/** Of several the answer to what we have asked */
enum edge_nonce edge_proof_nonce(struct pl *nonce, const struct edge *e,
				 const struct sip_msg *msg);
/** The answer with that nonce.  We may have asked in several realms with one:
    the account's, if it is there */
bool edge_proof_find(struct httpauth_digest_resp *resp,
		     const struct sip_msg *msg, const struct pl *nonce,
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
