/**
 * @file sipis/cfg.h  The configuration of sipis
 *
 * Read whole, checked whole; nothing starts from half a file.  Durations
 * carry their unit in the key.  Every module gets a pointer to its part and
 * keeps it as long as it lives.
 */

#ifndef SIPIS_CFG_H
#define SIPIS_CFG_H

#include <stdbool.h>
#include <stdint.h>
#include "common/cfgfile.h"

enum { CFG_DOMAINS_MAX = 1000 /**< of one profile */ };

enum cfg_transport {
	CFG_TP_AUTO, /**< NAPTR/SRV decide, RFC 3263 */
	CFG_TP_UDP,
	CFG_TP_TCP,
	CFG_TP_TLS,
};

enum cfg_mode {
	CFG_MODE_STANDARD,
	CFG_MODE_CONTINUOUS, /**< always registered; phones speak to the edge
			      */
};

enum cfg_handover {
	CFG_HANDOVER_FORK,
	CFG_HANDOVER_REDIRECT,
	CFG_HANDOVER_RELAY,
};

/** What the refusal of one phone means for the others (relay) */
enum cfg_decline { CFG_DECLINE_PHONE, CFG_DECLINE_ACCOUNT };

/** Who answers the 401 and 407 to a phone's requests */
enum cfg_challenges { CFG_CHALLENGES_PASS, CFG_CHALLENGES_ANSWER };

enum cfg_auto_180 { CFG_180_ACCEPTED, CFG_180_OFF, CFG_180_IMMEDIATE };

enum cfg_nonce {
	CFG_NONCE_SHARED, /**< one nonce of the PBX serves all its accounts */
	CFG_NONCE_NONE,   /**< every request is challenged anew */
};

/** What becomes of a call whose media should be relayed and cannot be */
enum cfg_media { CFG_MEDIA_PROCEED, CFG_MEDIA_FAIL };

/** Relay of media; off without rtpengine */
struct media_cfg {
	char **rtpengine; /**< "address:port" of the ng protocol */
	uint32_t rtpengine_count;
	enum cfg_media when_unreachable;
	uint32_t timeout_ms;                   /**< of one of them */
	char *phone_interface, *pbx_interface; /**< both or neither */
};

/** One PBX profile */
struct pbx_cfg {
	char *name;
	char **domains; /**< the SIP domains of accounts here */
	uint32_t domains_count;
	char *outbound_proxy; /**< "host[:port]" or NULL: the domain itself */
	enum cfg_transport transport;
	char *local_address;  /**< own address towards this PBX; NULL: found
				   by the route */
	uint16_t local_port;  /**< UDP and TCP; TLS listens one above */
	char *public_address; /**< as the PBX sees us behind 1:1 NAT; NULL:
				   the own one */
	char **addresses;     /**< ranges from which the PBX may speak besides
				   what DNS gives; cidr.h */
	uint32_t addresses_count;
	char *ca;       /**< PEM; NULL: the system's store */
	char *tls_name; /**< name the PBX proves; NULL: proxy or domain */
	char *certificate, *key; /**< our own towards the PBX, optional */
	enum cfg_mode mode;
	enum cfg_handover handover;
	enum cfg_decline decline;
	enum cfg_challenges challenges;
	enum cfg_auto_180 auto_180;
	enum cfg_nonce nonce;
	struct media_cfg media;
	uint32_t refresh_s;      /**< Expires asked for */
	uint32_t wake_timeout_s; /**< 480 when no phone came */
	uint32_t ring_timeout_s; /**< upper bound of a ringing call */
	uint32_t gather_ms;      /**< redirect, several phones */
	uint32_t lease_s;        /**< of "active" */
	uint32_t inactivity_days;
	bool push_after_exit;
	uint32_t register_rate; /**< REGISTERs per second */
	uint32_t register_inflight;
	uint32_t auth_failures;       /**< failing credentials of unproven
					   accounts per 10 min */
	uint32_t call_pushes_per_min; /**< per account, then 486 */
	uint32_t look_rate;           /**< binding look-ups per second */
	uint32_t keepalive_s; /**< longest silence on a connection to it */
};

struct api_cfg {
	char **listen; /**< "address:port" */
	uint32_t listen_count;
	char *certificate, *key;
	uint32_t connections; /**< in all */
	uint32_t connections_per_address;
	uint32_t requests_per_second; /**< per address, burst 2x */
	uint32_t bad_secrets_per_min; /**< per address */
	uint32_t creates_per_hour;    /**< account changes per instance
					   and creations per address */
};

struct admin_cfg {
	char *listen; /**< "address:port", loopback only; NULL: none */
};

struct med_cfg {
	char **addresses; /**< "host[:port]", tried in this order; or one
			       DNS SRV name, which begins with "_" */
	uint32_t addresses_count;
	char *name; /**< DNS name the mediators prove; NULL: the host */
	char *ca, *certificate, *key;
	uint32_t push_timeout_ms; /**< over all mediators, 4000 */
};

/** An app at the mediator by its names in RFC 8599 */
struct edge_push_cfg {
	char *app;
	char *apns; /**< pn-param: team and bundle, "TEAM.com.example.app" */
	char *fcm;  /**< pn-param: the project's id */
	char *webpush; /**< +sip.vapid: the mediator's public key */
};

/** The SIP side that faces phones; off without listen */
struct edge_cfg {
	char **listen; /**< "tls:address:port", also udp and tcp */
	uint32_t listen_count;
	char *host; /**< name that phones find us by; NULL: the address */
	char *certificate, *key;
	struct edge_push_cfg *push;
	uint32_t push_count;
	uint32_t expires_s;    /**< the longest that a phone is granted */
	uint32_t flow_timer_s; /**< RFC 5626 4.4 */
	uint32_t connections_per_address; /**< without a phone */
	uint32_t requests_per_second;     /**< per address without a phone */
	uint32_t bad_secrets_per_min;     /**< per address */
};

struct sipis_cfg {
	char *node;      /**< name of this node in logs and Hello */
	char *state_dir; /**< store and lock file; 0700 */
	char *key_file;  /**< 32 bytes or 64 hex digits, mode 0400 */
	char *log_level;
	uint32_t register_rate; /**< over all PBXs */
	uint32_t files;         /**< descriptors to ask the system for */
	uint32_t keep_days;     /**< calls and their timelines */
	struct api_cfg api;
	struct admin_cfg admin;
	struct med_cfg mediator;
	struct edge_cfg edge;
	struct pbx_cfg *pbx;
	uint32_t pbx_count;
};

/** 0, or an errno value with *e filled */
int cfg_load(struct sipis_cfg **cfgp, const char *path, struct cfgfile_err *e);
/** Only what the file says, with its defaults: for whoever runs beside sipis
    and may not read its keys */
int cfg_read(struct sipis_cfg **cfgp, const char *path, struct cfgfile_err *e);
void cfg_free(struct sipis_cfg *cfg);

#endif
