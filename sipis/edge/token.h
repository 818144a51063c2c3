/**
 * @file token.h  What our Record-Route says of a dialog; pure
 *
 * 44 bytes as base64url, in the user part of the URI: whose phone, which
 * account, which PBX, signed.  It names the phone and not a connection, so a
 * dialog survives a new flow, and it carries all that is known of a call, so
 * the dialog survives us.  It is good for one Call-ID and for no other.
 */

#ifndef SIPIS_EDGE_TOKEN_H
#define SIPIS_EDGE_TOKEN_H

#include <re/re.h>
#include "sipis/edge/mac.h"
#include "sipis/edge/stride.h"
#include "sipis/sip/cred.h"

enum {
	EDGE_PHONE = 16,     /**< bytes of a phone's id */
	EDGE_TOKEN_LEN = 59, /**< characters */
};

struct edge_key {
	struct edge_mac route, nonce, purr;
};

struct edge_token {
	uint8_t phone[EDGE_PHONE];
	uint64_t acct;
	uint32_t pbx; /**< edge_token_pbx() of the profile */
	struct edge_stride stride;
	bool begins; /**< the PBX began the dialog with that very request */
	bool bound; /**< to its Call-ID; not so before version 2.  Read only */
};

/** From the key of the key file: the same after a restart */
int edge_key_derive(struct edge_key *key, const struct cred_key *from);

uint32_t edge_token_pbx(const char *name);
/** dst has EDGE_TOKEN_LEN + 1 bytes */
int edge_token_write(char *dst, const struct edge_key *key,
		     const struct edge_token *t, const struct pl *callid);
/** EBADMSG: none of ours, or of another dialog.  callid: of the message that
    it stands in */
int edge_token_read(struct edge_token *t, const struct edge_key *key,
		    const struct pl *text, const struct pl *callid);

#endif
