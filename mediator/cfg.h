/**
 * @file mediator/cfg.h  The configuration of the mediator
 *
 * Read whole, checked whole; nothing starts from half a file, and a running
 * mediator swaps in a new one only if all of it is good.  Durations carry
 * their unit in the key.  A number that is absent or 0 is its default, which
 * stands beside it here.  Once loaded it never changes.
 */

#ifndef MEDIATOR_CFG_H
#define MEDIATOR_CFG_H

#include <stdbool.h>
#include <stdint.h>
#include "common/cfgfile.h"

#define MCFG_HANDLE_KEY_LEN 32
#define MCFG_OLD_KEYS_MAX   7

struct mcfg_server {
	char **listen; /**< "address:port" or "[address]:port" */
	uint32_t listen_count;
	char *certificate, *key; /**< PEM; key NULL: in the certificate file */
	char *client_ca;       /**< PEM, the CA of the tenants' certificates */
	uint32_t window;       /**< unanswered frames per connection; 512 */
	uint32_t ping_ms;      /**< 3000; silent for three of them is dead */
	uint32_t handshake_ms; /**< from accept to Hello; 5000 */
	uint32_t unauthenticated; /**< connections before their Hello; 256.
				       An eighth of it from one address */
	uint32_t drain_ms;        /**< grace after SIGTERM; 3000 */
};

struct mcfg_admin {
	char *listen; /**< loopback "address:port"; NULL: none */
};

struct mcfg_queue {
	uint32_t wait_ms;      /**< longest wait for the provider; 3000 */
	uint32_t remember_s;   /**< results kept for repeated ids; 60 */
	uint32_t remember_max; /**< at most so many of them; 500000 */
};

/** What one tenant may do; also the defaults of all tenants */
struct mcfg_limits {
	uint32_t rate;        /**< per second, sustained, of each lane; 50 */
	uint32_t burst;       /**< 500 */
	uint32_t depth;       /**< pushes waiting in a lane; 1000 */
	uint32_t connections; /**< 8 */
};

struct mcfg_tenant {
	char *name; /**< as in urn:sipis:tenant:NAME */
	char **apps;
	uint32_t apps_count;
	struct mcfg_limits limits;
};

struct mcfg_app_apns {
	char *credential;
	char *topic; /**< the bundle id, without .voip */
};

struct mcfg_app_fcm {
	char *credential;
	char *package; /**< restricts the message to it; NULL: does not */
};

struct mcfg_app_webpush {
	char *credential;
};

struct mcfg_app {
	char *name;
	struct mcfg_app_apns *apns;       /**< NULL: not on Apple's phones */
	struct mcfg_app_fcm *fcm;         /**< NULL: not on Google's */
	struct mcfg_app_webpush *webpush; /**< NULL: not in browsers */
};

/** How to reach a provider */
struct mcfg_link {
	char *ca;             /**< PEM; NULL: the system's store */
	uint32_t connections; /**< apns 2, fcm 4, webpush 2 to an origin */
	uint32_t streams; /**< per connection; apns 500, fcm and webpush 100 */
	uint32_t call_timeout_ms;    /**< one try of a call push; 2000 */
	uint32_t timeout_ms;         /**< one try of another push; 10000 */
	uint32_t connect_timeout_ms; /**< 2000 */
	uint32_t user_timeout_ms;    /**< TCP_USER_TIMEOUT; 4000 */
};

struct mcfg_apns {
	char *team_id, *key_id;             /**< 10 characters each */
	char *key_file;                     /**< the .p8: PKCS#8, P-256 */
	char *production_url, *sandbox_url; /**< NULL: Apple's */
	struct mcfg_link link;
};

struct mcfg_fcm {
	char *service_account_file; /**< the JSON as downloaded */
	char *url;                  /**< NULL: Google's */
	struct mcfg_link link;
};

struct mcfg_webpush {
	char *key_file;   /**< VAPID: PEM, P-256 */
	char *subject;    /**< mailto: or https:, for the push services */
	char **endpoints; /**< hosts of subscriptions, see drv/endpoint.h */
	uint32_t endpoints_count; /**< 0: the well-known browsers */
	bool private_addresses;   /**< connect into private networks too */
	struct mcfg_link link;    /**< to each origin */
};

struct mcfg_credential {
	char *name;
	struct mcfg_apns *apns; /**< exactly one of the three */
	struct mcfg_fcm *fcm;
	struct mcfg_webpush *webpush;
};

struct mcfg {
	char *node;            /**< name in logs and Hello; NULL: host name */
	char *log_level;       /**< error, warning, info, debug */
	char *state_dir;       /**< 0700; sealed provider tokens, lock file */
	char *handle_key_file; /**< 32 bytes or 64 hex digits, mode 0400 */
	char **old_handle_key_files; /**< open, but seal nothing any more */
	uint32_t old_handle_key_files_count;
	uint32_t files; /**< descriptors to ask the system for; 4096 */
	struct mcfg_server server;
	struct mcfg_admin admin;
	struct mcfg_queue queue;
	struct mcfg_limits limits;
	struct mcfg_tenant *tenants;
	uint32_t tenants_count;
	struct mcfg_app *apps;
	uint32_t apps_count;
	struct mcfg_credential *credentials;
	uint32_t credentials_count;
};

/** 0, or an errno value with *e filled */
int mcfg_load(struct mcfg **cfgp, const char *path, struct cfgfile_err *e);
void mcfg_free(struct mcfg *cfg);

#endif
