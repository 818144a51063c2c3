/**
 * @file route/handle.h  A push token as a tenant may keep it
 *
 * The mediator stores no tokens.  What an app enrols is sealed for the tenant
 * and given back; with a push it returns.  Nobody else can read it or use it,
 * another tenant included.
 *
 *     version (1) | key tag (4) | length of app (1) | app | sealed
 *
 * The newest key seals, all open: a handle that comes under an older one is
 * sealed anew and given to its tenant with the result.
 *
 * Sealed with AES-256-GCM; tenant and app are the associated data.
 */

#ifndef MEDIATOR_ROUTE_HANDLE_H
#define MEDIATOR_ROUTE_HANDLE_H

#include "mediator/cfg.h"
#include "mediator/queue/push.h"

enum {
	HANDLE_MAX = 4096,
	HANDLE_KEY_LEN = 32,
};

struct handle_key {
	uint8_t key[HANDLE_KEY_LEN];
	uint8_t tag[4]; /**< tells keys apart, says nothing about them */
};

enum { HANDLE_KEYS = 1 + MCFG_OLD_KEYS_MAX };

struct handle_keys {
	struct handle_key v[HANDLE_KEYS]; /**< v[0] seals */
	unsigned n;
};

/** The key of a handle by its tag; v[0] if there is none */
const struct handle_key *handle_keys_of(const struct handle_keys *ks,
					const uint8_t *handle, size_t len);

int handle_key_init(struct handle_key *k, const uint8_t key[HANDLE_KEY_LEN]);

/** buf has HANDLE_MAX bytes.  EMSGSIZE if the token is too long */
int handle_seal(uint8_t *buf, size_t *lenp, const struct handle_key *k,
		const char *tenant, const struct push_target *t);

/** t points into buf, which has HANDLE_MAX bytes.
    EBADMSG: not one of ours, or of another tenant; EKEYEXPIRED: sealed under
    another key */
int handle_open(struct push_target *t, char *buf, const struct handle_key *k,
		const char *tenant, const uint8_t *handle, size_t len);

#endif
