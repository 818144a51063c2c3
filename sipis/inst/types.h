/**
 * @file inst/types.h  What an app can say, as C structs
 *
 * Apart from inst.h, so that code that reads JSON can fill them: jansson and
 * libre cannot be included side by side.
 */

#ifndef SIPIS_INST_TYPES_H
#define SIPIS_INST_TYPES_H

#include "sipis/sip/cred.h"
#include "sipis/store/store.h"

/** What a browser gives out with a subscription; RFC 8291 */
struct inst_keys {
	const char *p256dh, *auth; /**< base64url; NULL if none */
};

struct inst_token {
	uint32_t uses; /**< bit mask, 1u << Wire__Use */
	const char *provider, *token;
	const char *topic, *environment; /**< "" if none */
	struct inst_keys keys;           /**< webpush */
};

struct inst_creds {
	const char *auth_user; /**< NULL: the user of the AOR */
	const char *password;  /**< or ha1 */
	const char *realm;     /**< with ha1 */
	enum digest_alg alg;
	uint8_t ha1[CRED_HA1_MAX];
	size_t ha1_len; /**< 0: password */
};

/** What an app may choose; -1 takes the profile's default */
struct inst_options {
	int push_enabled, push_after_exit;
	int64_t inactivity_s;
};

struct inst_new {
	const char *app, *installation, *label, *platform;
	const char *aor_user, *aor_domain;
	struct inst_creds creds;
	const char *display_name;   /**< "" none */
	const char *outbound_proxy; /**< NULL: the profile's */
	int transport;              /**< enum cfg_transport, -1 profile's */
	struct inst_token push[STORE_PUSH_MAX];
	unsigned push_count;
	struct inst_options options;
};

/** Members that are NULL, 0 or false stay as they are */
struct inst_change {
	const char *label;
	const struct inst_creds *creds;
	const struct inst_options *options;
	const struct inst_token *push;
	unsigned push_count;
	bool new_secret; /**< draws one and shows it in the answer */
};

/** What the app says of itself */
struct inst_word {
	enum inst_state state; /**< ACTIVE, INACTIVE or EXITED */
	uint32_t lease_s;      /**< 0: the profile's */
	bool registered;       /**< it has registered at the PBX by itself */
	const char *contact;   /**< where; "" if unknown */
	const char *call;      /**< the call that woke it; "" none */
};

#endif
