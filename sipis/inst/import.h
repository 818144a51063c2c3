/**
 * @file import.h  Filling a store from a file of JSON lines
 *
 * One object per line:
 *
 *   {"pbx": "office", "user": "1001", "domain": "example.org",
 *    "password": "..."  or  "ha1": "hex", "realm": "...",
 *                           "algorithm": "MD5" | "SHA-256",
 *    "auth_user"?, "display_name"?, "outbound_proxy"?,
 *    "transport"?: "auto" | "udp" | "tcp" | "tls",
 *    "instances"?: [{"app", "installation", "platform", "label"?,
 *                    "secret"?: 43 characters, or "secret_sha256": hex,
 *                    "id"?: 32 hex digits, "state"?: "inactive",
 *                    "push": [{"use": ["call"], "provider", "topic"?,
 *                              "environment"?, "handle": base64url}]}]}
 *
 * Accounts come in as proven, phones asleep: their owner vouches for them.
 * An account or phone that is there already keeps its ids and contact and
 * takes the rest from the line.
 */

#ifndef SIPIS_IMPORT_H
#define SIPIS_IMPORT_H

#include <stddef.h>
#include "sipis/cfg.h"
#include "sipis/sip/cred.h"

struct import_result {
	uint64_t accounts, instances; /**< written */
	uint64_t lines;               /**< read */
};

/** Runs by itself, with the store closed.  Stops at the first bad line with
    EBADMSG; what was committed before stays.  reason: "FILE:LINE: what" */
int import_file(struct import_result *res, const struct sipis_cfg *cfg,
		const struct cred_key *key, const char *store_path,
		const char *file, char *reason, size_t reason_sz);

#endif
