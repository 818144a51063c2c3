/**
 * @file auth/auth.h  The bearer of one credential
 *
 * Every destination of the credential shares it.  It fetches and renews by
 * itself, from the first turn of the loop on: no push waits for that, unless
 * it comes with the first turn or the provider is in trouble.
 */

#ifndef MEDIATOR_AUTH_AUTH_H
#define MEDIATOR_AUTH_AUTH_H

#include <re/re.h>
#include "mediator/auth/signer.h"
#include "mediator/auth/token.h"

struct auth;

/** The bearer came, changed or turned out unobtainable */
typedef void(auth_change_h)(void *arg);

struct auth_watch {
	struct le le; /**< list_unlink() ends it */
	auth_change_h *h;
	void *arg;
};

struct auth_apns_prm {
	struct signer *signer;
	const char *name; /**< of the credential */
	const char *team_id, *key_id;
	const char *pem;
	const char *state_dir;   /**< NULL: not kept over a restart */
	const uint8_t *seal_key; /**< 32 bytes */
};

/** RFC 7519 with ES256, made anew every 45 to 50 minutes: Apple wants no more
    than one in 20 and none older than 60.  Kept sealed in state_dir, so that
    a restart does not count as one */
int auth_apns_alloc(struct auth **ap, const struct auth_apns_prm *prm,
		    char *reason, size_t reason_sz);

struct auth_fcm_prm {
	struct signer *signer;
	const char *name;
	const char *email, *key_id, *token_uri, *pem;
	const char *ca; /**< of token_uri; NULL = the system's store */
};

/** RFC 7523 at token_uri; renewed five minutes before it ends */
int auth_fcm_alloc(struct auth **ap, const struct auth_fcm_prm *prm,
		   char *reason, size_t reason_sz);

struct auth_vapid_prm {
	struct signer *signer;
	struct signer_key *key;
	const char *name;
	const char *subject; /**< mailto: or https:, whom to ask */
	const char *origin;  /**< scheme://host[:port] of the endpoints */
};

/** RFC 8292 for one origin: what stands behind "vapid" in Authorization.
    Good for twelve hours, made anew an hour before */
int auth_vapid_alloc(struct auth **ap, const struct auth_vapid_prm *prm);

void auth_watch(struct auth *a, struct auth_watch *w, auth_change_h *h,
		void *arg);

/** NULL: none now, a fetch is under way.  gen tells values apart */
const char *auth_bearer(struct auth *a, uint32_t *gen);

/** Why there is none and a human must act; NULL otherwise */
const char *auth_broken(const struct auth *a);

enum token_refused auth_refused(struct auth *a, uint32_t gen);

/** For the kinds of auth */
struct auth {
	struct token tok;
	struct list watches;
	struct signer *signer;   /**< reference */
	struct signer_key *key;  /**< reference */
	struct signer_req *sign; /**< under way */
	char *name;
	char *input;    /**< of the JWT being signed */
	struct tmr tmr; /**< the next fetch */
	int64_t iat_s;
	uint64_t min_age_ms;
	char broken[128];
	/** Starts a fetch that ends in auth_got() or auth_failed() */
	int (*fetch)(struct auth *a);
};

void auth_destruct(struct auth *a);
/** Sets the timer by what the token needs; at last in *_alloc() */
void auth_schedule(struct auth *a);
int auth_sign(struct auth *a, signer_h *h);
void auth_got(struct auth *a, char *value, uint64_t age_ms, uint64_t renew_ms,
	      uint64_t life_ms);
/** broken NULL: it may pass by itself */
void auth_failed(struct auth *a, const char *broken);

#endif
