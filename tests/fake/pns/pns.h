/**
 * @file pns.h  The fake of the push services: what its files share
 *
 * One process, one thread, libre's loop.  A listener accepts, a connection
 * (conn.c) carries bytes between TLS and nghttp2, a request (req.c) is one
 * stream from headers to answer.  What a request deserves is decided by
 * apns.c, fcm.c and oauth.c; what a test wants to happen instead stands in
 * fault.c.  ops.c is the control port.  tests/fake/README.md has the
 * protocol.
 */

#ifndef FAKE_PNS_H
#define FAKE_PNS_H

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <nghttp2/nghttp2.h>
#include "tests/fake/rejson.h"

struct pns;
struct pns_conn;
struct pns_req;
struct pns_jwt;
struct pns_cred;
struct pns_sa;
struct pns_token;
struct pns_device;
struct pns_ctl;
struct pns_ctlsrv;
struct pns_u64set;

enum pns_role { ROLE_ANY, ROLE_APNS, ROLE_SANDBOX, ROLE_FCM, ROLE_N };
enum pns_kind { KIND_OTHER, KIND_APNS, KIND_FCM, KIND_OAUTH, KIND_WEBPUSH };

const char *pns_role_name(enum pns_role role);
int pns_role_decode(enum pns_role *role, const char *name, size_t len);
const char *pns_kind_name(enum pns_kind kind);


/* set.c: settings that a test may change at any time */

enum pns_set {
	SET_CLOCK_OFFSET_MS,
	SET_APNS_JWT_LIFE_S,
	SET_APNS_JWT_MIN_AGE_S,
	SET_APNS_JWT_SCOPE, /**< 0 connection, 1 server */
	SET_APNS_STREAMS,
	SET_APNS_STREAMS_FIRST,
	SET_APNS_SHRINK_ON_REJECT,
	SET_APNS_WEDGE_ON_EXPIRED,
	SET_FCM_STREAMS,
	SET_FCM_TOKEN_LIFE_S,
	SET_FCM_QUOTA_PER_MIN,
	SET_WEBPUSH_STATUS,
	SET_WEBPUSH_BODY_MAX,
	SET_WEBPUSH_TTL_MAX_S,
	SET_WEBPUSH_APPLE,
	SET_EXCESS, /**< 0 refuse, 1 goaway */
	SET_DELAY_MS,
	SET_DELAY_JITTER_MS,
	SET_REPORT_MS,
	SET_ACCEPT_ANY_TOKEN,
	SET_LOG,
	SET_N
};

void pns_set_default(int64_t setv[SET_N]);
/** ENOENT no such setting, EINVAL not one of its values */
int pns_set_text(int64_t setv[SET_N], const char *name, const char *value);
json_t *pns_set_json(const int64_t setv[SET_N]);


/* count.c: counters, and those who wait for them */

enum pns_counter {
	CNT_CONNECTIONS,
	CNT_CONNECTIONS_OPEN,
	CNT_CONNECT_RATE_MAX,
	CNT_HANDSHAKES,
	CNT_HANDSHAKES_FAILED,
	CNT_RESUMED,
	CNT_REQUESTS,
	CNT_APNS,
	CNT_APNS_OK,
	CNT_APNS_REJECTED,
	CNT_FCM,
	CNT_FCM_OK,
	CNT_FCM_REJECTED,
	CNT_OAUTH,
	CNT_OAUTH_OK,
	CNT_WEBPUSH,
	CNT_WEBPUSH_OK,
	CNT_WEBPUSH_REJECTED,
	CNT_OTHER,
	CNT_MAX_STREAMS_SEEN,
	CNT_STREAMS_OPEN,
	CNT_STREAMS_REFUSED,
	CNT_STREAMS_OVER_LIMIT,
	CNT_RST_RECEIVED,
	CNT_PINGS,
	CNT_GOAWAY_SENT,
	CNT_DUPLICATES_APNS_ID,
	CNT_DUPLICATES_CALL,
	CNT_LATE,
	CNT_EXPIRATION_PAST,
	CNT_PUSH_TYPE_MISSING,
	CNT_JWT_DISTINCT,
	CNT_JWT_DISTINCT_WINDOW,
	CNT_JWT_UPDATES_REFUSED,
	CNT_DELIVERED,
	CNT_STORED,
	CNT_LOST_OFFLINE,
	CNT_EXPIRED_STORED,
	CNT_APP_KILLS,
	CNT_VOIP_DROPPED,
	CNT_VOIP_MISUSED,
	CNT_DEPRIORITISED,
	CNT_FAULTS,
	CNT_N
};

struct pns_count {
	int64_t v[CNT_N];
	struct list reasonl;
	struct list waitl;
	struct pns_u64set *apns_ids, *calls;
};

int pns_count_init(struct pns_count *c);
void pns_count_close(struct pns_count *c);
void pns_count_reset(struct pns_count *c);
void pns_count_add(struct pns_count *c, enum pns_counter n, int64_t by);
void pns_count_max(struct pns_count *c, enum pns_counter n, int64_t v);
void pns_count_set(struct pns_count *c, enum pns_counter n, int64_t v);
void pns_count_reason(struct pns_count *c, const char *reason);
json_t *pns_count_json(const struct pns_count *c);

typedef void(pns_wait_h)(bool hit, int64_t value, void *arg);
struct pns_wait;
/** ENOENT no such counter.  h is called once, maybe before this returns;
    mem_deref(*wp) before that gives up */
int pns_count_wait(struct pns_wait **wp, struct pns_count *c, const char *name,
		   int64_t min, uint32_t timeout_ms, pns_wait_h *h, void *arg);


/* u64set.c: which hashes were seen */

int pns_u64set_alloc(struct pns_u64set **sp);
/** true if it was in the set already */
bool pns_u64set_put(struct pns_u64set *s, uint64_t v);
void pns_u64set_clear(struct pns_u64set *s);
uint64_t pns_hash64(uint64_t seed, const void *p, size_t len);


/* jw.c: JSON text into a growing buffer, for the lines that must be cheap */

struct pns_jw {
	char *p;
	size_t len, size;
};

void pns_jw_raw(struct pns_jw *w, const char *s, size_t len);
/** Key and text; nothing if text is NULL or "" */
void pns_jw_text(struct pns_jw *w, const char *key, const char *text);
void pns_jw_int(struct pns_jw *w, const char *key, int64_t v);
void pns_jw_bool(struct pns_jw *w, const char *key, bool v);


/* scan.c: is this JSON, and what are its members */

struct pns_scan_value {
	json_type type;
	const char *p; /**< text of strings (escapes as they are), numbers */
	size_t len;
};

/** A member of the object (in: "") or of the object that is its member in */
typedef void(pns_scan_h)(const char *in, size_t inlen,
			 const struct pns_scan_value *key,
			 const struct pns_scan_value *v, void *arg);
/** true if text is one JSON object and nothing else */
bool pns_scan_object(const char *text, size_t len, pns_scan_h *h, void *arg);
bool pns_scan_is(const char *p, size_t len, const char *name);


/* key.c, jwt.c, cred.c: who may push */

int pns_key_read(EVP_PKEY **keyp, const char *path);
int pns_b64url(uint8_t *out, size_t *outlen, const char *s, size_t len);

struct pns_jwt {
	struct le he;
	char *str;
	size_t len;
	json_t *head, *claims;
	const char *alg, *kid, *iss; /**< "" if absent */
	int64_t iat, exp;            /**< 0 if absent */
	bool iat_ok;                 /**< there and an integer */
	bool sig_ok;
	struct pns_cred *cred; /**< APNs: the key it is signed with */
	int64_t seen_ms;       /**< first use, virtual clock */
	bool counted;
};

/** Never NULL on success, also for nonsense: sig_ok and the empty strings
    tell.  Cached by text; the object lives until the keys change */
int pns_jwt_get(struct pns_jwt **jp, struct pns *pns, const char *s,
		size_t len);
void pns_jwt_flush(struct pns *pns);
/** Decodes without cache and checks RS256 with key; mem_deref */
int pns_jwt_decode(struct pns_jwt **jp, const char *s, size_t len);
bool pns_jwt_verify(const struct pns_jwt *jwt, EVP_PKEY *key);

/** An APNs signing key */
struct pns_cred {
	struct le le;
	EVP_PKEY *key;
	char kid[32], team[32];
	struct list topicl; /**< struct pns_topic */
	bool production, sandbox;
};

struct pns_topic {
	struct le le;
	char name[128];
};

/** Adds it with kid and team empty; the options that follow fill it */
int pns_cred_add(struct pns_cred **cp, struct pns *pns, const char *path);
int pns_cred_topic(struct pns_cred *cred, const char *bundle);
struct pns_cred *pns_cred_find(const struct pns *pns, const char *kid);
/** topic may carry a suffix such as .voip */
bool pns_cred_may(const struct pns_cred *cred, const char *topic);

/** An FCM service account */
struct pns_sa {
	struct le le;
	EVP_PKEY *key;
	json_t *json;
	const char *project, *email, *kid, *token_uri;
};

int pns_sa_add(struct pns *pns, const char *path);
struct pns_sa *pns_sa_project(const struct pns *pns, const char *project);
struct pns_sa *pns_sa_email(const struct pns *pns, const char *email);

/** An access token that was handed out */
struct pns_access {
	struct le he;
	char text[80];
	struct pns_sa *sa;
	int64_t expires_ms; /**< virtual clock */
};

int pns_access_new(struct pns_access **ap, struct pns *pns, struct pns_sa *sa);
struct pns_access *pns_access_find(const struct pns *pns, const char *text);


/* token.c: the tokens of phones */

enum pns_token_state {
	TOKEN_OK,
	TOKEN_UNREGISTERED,
	TOKEN_EXPIRED,
	TOKEN_BAD,
	TOKEN_MISMATCH,
	TOKEN_THROTTLED,
	TOKEN_REMOVED,
};

struct pns_token {
	struct le he;
	struct le dev_le;
	char *text;
	bool fcm;
	char topic[160];
	char project[128];
	bool sandbox;
	enum pns_token_state state;
	int64_t registered_ms, dead_ms;
	struct pns_device *dev;

	/* webpush: text is the path of the endpoint */
	bool webpush;
	char vapid[96]; /**< the only key that may push; "": any */
	EVP_PKEY *key;  /**< NULL: a subscription without keys */
	uint8_t auth[16];
	char p256dh[96], auth_text[32];
};

/** From the members that README names; adds or changes */
int pns_token_put(struct pns_token **tp, struct pns *pns, json_t *o,
		  const char **why);
struct pns_token *pns_token_find(const struct pns *pns, bool fcm,
				 const char *text);
/* subscr.c: the browser behind an endpoint */

/** Draws the keys of a subscription */
int pns_subscr_keys(struct pns_token *t);
/** A public key as 65 bytes; NULL: it is none */
EVP_PKEY *pns_subscr_peer(const uint8_t *point, size_t len);
/** NULL, or what is wrong.  text has len bytes */
const char *pns_subscr_open(struct pns *pns, const struct pns_token *t,
			    const uint8_t *p, size_t len, uint8_t *text,
			    size_t *textlen);

/** First 8 hex digits of SHA-256 */
void pns_token_tag(char tag[9], const char *token);


/* device.c: the phone behind the tokens */

int pns_device_put(struct pns_device **dp, struct pns *pns, const char *name,
		   struct pns_ctl *ctl, bool watch);
struct pns_device *pns_device_find(const struct pns *pns, const char *name);
void pns_device_own(struct pns_device *dev, struct pns_token *token);
void pns_device_online(struct pns_device *dev, bool online);
int pns_device_reported(struct pns_device *dev, uint64_t seq);
void pns_device_revive(struct pns_device *dev);
json_t *pns_device_json(const struct pns_device *dev);
/** The control connection is gone: nobody hears the phone ring */
void pns_device_orphan(struct pns *pns, const struct pns_ctl *ctl);
/** An accepted push */
void pns_device_push(struct pns_token *token, struct pns_req *req);


/* fault.c: what a test wants to happen */

struct pns_goaway {
	bool on;
	enum {
		GOAWAY_ALL,
		GOAWAY_NONE,
		GOAWAY_THIS,
		GOAWAY_BEFORE,
		GOAWAY_ID
	} last;
	int32_t id;
	uint32_t error;
	char debug[256];
	bool twice;
	int64_t close_ms; /**< -1: when it is done */
};

struct pns_do {
	int status;
	char reason[64];
	int64_t timestamp_ms;
	char retry_after[64];
	char location[256];
	char *body;
	char content_type[64];
	int64_t truncate; /**< -1 no */
	size_t split;
	uint32_t delay_ms;
	int64_t rst;         /**< HTTP/2 error code, -1 no */
	int64_t max_streams; /**< -1 no */
	struct pns_goaway goaway;
	bool headers_only, early, black_hole, tcp_reset, wedge, deliver;
	bool no_details;
};

struct pns_fault;
int pns_fault_add(struct pns *pns, const json_t *o, const char **why);
/** name NULL: all */
unsigned pns_fault_clear(struct pns *pns, const char *name);
json_t *pns_fault_json(const struct pns *pns);
/** The first that fits, used up by one; NULL if none does.  early: only
    those that want to act on headers alone; else only the others */
struct pns_do *pns_fault_take(struct pns *pns, const struct pns_req *req,
			      bool early);
int pns_goaway_decode(struct pns_goaway *g, const json_t *o);
/** true: the normal verdict still holds, this only adds to it */
bool pns_do_keeps_verdict(const struct pns_do *d);


/* req.c: one stream */

enum pns_header {
	H_METHOD,
	H_PATH,
	H_AUTHORITY,
	H_SCHEME,
	H_AUTHORIZATION,
	H_APNS_ID,
	H_APNS_TOPIC,
	H_APNS_PUSH_TYPE,
	H_APNS_PRIORITY,
	H_APNS_EXPIRATION,
	H_APNS_COLLAPSE_ID,
	H_TTL,
	H_URGENCY,
	H_TOPIC,
	H_CONTENT_ENCODING,
	H_CRYPTO_KEY,
	H_ENCRYPTION,
	H_CONTENT_TYPE,
	H_CONTENT_LENGTH,
	H_USER_AGENT,
	H_N
};

#define PNS_OTHER_HEADERS 24

/** What stands in aps */
enum pns_aps { APS_ALERT, APS_SOUND, APS_BADGE, APS_CONTENT_AVAILABLE };

struct pns_req {
	struct le le;
	struct pns_conn *conn;
	struct tmr tmr;
	nghttp2_rcbuf *hv[H_N];
	nghttp2_rcbuf *other[PNS_OTHER_HEADERS];
	struct mbuf *body;
	size_t body_len; /**< also counts what was not kept */
	int64_t request_us;
	int32_t stream;
	unsigned otherc;
	enum pns_kind kind;

	/* of the payload */
	unsigned aps; /**< APNs: 1u << enum pns_aps */
	int priority;

	/* the answer */
	int status;
	const char *reason;
	const char *content_type;
	const char *fault_name;
	struct mbuf *answer;
	size_t answer_max; /**< bytes per DATA frame, 0 any */
	struct pns_do *fault;

	/* of the payload again */
	json_t *root;       /**< FCM: the body; APNs: after pns_req_root() */
	int64_t expires_ms; /**< 0 absent */
	int64_t expiration; /**< seconds; -1 absent */
	char use[16], call[64], trace[64];
	char token[512]; /**< out of path or body */
	char project[128];

	char reason_buf[64];
	char id[40]; /**< apns-id */
	char unique_id[40];
	char message[160]; /**< FCM's name of the message */
	char retry_after[64];
	char ttl[16];         /**< webpush, of the answer */
	const char *body_bad; /**< webpush: why no browser would open it */
	bool duplicate_header, sandbox, complete, judged, answered;
	bool is_object; /**< APNs */
	bool late, headers_only;
};

int pns_req_alloc(struct pns_req **rp, struct pns_conn *conn, int32_t stream);
void pns_req_header(struct pns_req *req, nghttp2_rcbuf *name,
		    nghttp2_rcbuf *value);
void pns_req_headers_done(struct pns_req *req);
void pns_req_data(struct pns_req *req, const uint8_t *p, size_t len);
/** The peer has said all */
void pns_req_complete(struct pns_req *req);
/** The last frame of the answer went out */
void pns_req_sent(struct pns_req *req);
/** "" if absent */
const char *pns_req_h(const struct pns_req *req, enum pns_header h);
bool pns_req_has(const struct pns_req *req, enum pns_header h);
/** Verdict without a body */
void pns_req_verdict(struct pns_req *req, int status, const char *reason);
void pns_req_printf(struct pns_req *req, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/** The body as objects; NULL if it is not JSON */
json_t *pns_req_root(struct pns_req *req);
/** Takes call, trace, use, ... if key is one of them */
void pns_req_payload(struct pns_req *req, const char *key, size_t keylen,
		     const char *value, size_t len);
/** Back to the pool; the connection's list lets go of it */
void pns_req_free(struct pns_req *req);
void pns_req_pool_flush(struct pns *pns);


/* apns.c, fcm.c, oauth.c, webpush.c */

void pns_apns_judge(struct pns_req *req);
void pns_apns_body(struct pns_req *req, int64_t timestamp_ms);
int pns_apns_status(const char *reason);
/** Push type and priority as the service would take them */
void pns_apns_prepare(struct pns_req *req);
void pns_fcm_judge(struct pns_req *req);
void pns_fcm_prepare(struct pns_req *req);
void pns_fcm_body(struct pns_req *req, bool details);
int pns_fcm_status(const char *reason);
/** The same call, use and token a second time? */
void pns_count_call(const struct pns_req *req);
bool pns_webpush_path(const char *path);
void pns_webpush_prepare(struct pns_req *req);
void pns_webpush_judge(struct pns_req *req);
void pns_webpush_body(struct pns_req *req);
int pns_webpush_status(const char *reason);
void pns_oauth_judge(struct pns_req *req);
void pns_oauth_body(struct pns_req *req);


/* conn.c: one TLS connection with HTTP/2 on it */

#define PNS_FRAME_MAX (16384 + 9)

struct pns_conn {
	struct le le;
	struct pns *pns;
	int fd, fd_flags;
	SSL *ssl;
	nghttp2_session *h2;
	uint64_t id;
	enum pns_role role;
	uint8_t obuf[2 * PNS_FRAME_MAX];
	size_t olen, opos;
	uint32_t limit;   /**< streams, as last announced */
	uint32_t streams; /**< open now */
	struct list reql;
	struct tmr tmr_close;
	enum { DOOM_NO, DOOM_CLOSE, DOOM_RESET } doom;
	bool up, frozen, primed, wedged, client_cert, busy, goaway;
	struct pns_jwt *jwt; /**< current one, APNs */
	int64_t jwt_since_ms;
	char team[32];
};

struct pns_listener;
int pns_conn_alloc(struct pns *pns, int fd, enum pns_role role);
/** Writes what there is to write; conn may be gone afterwards */
void pns_conn_pump(struct pns_conn *conn);
void pns_conn_limit(struct pns_conn *conn, uint32_t limit);
/** ref: the stream that "this" and "before" mean, 0 none */
void pns_conn_goaway(struct pns_conn *conn, const struct pns_goaway *g,
		     int32_t ref);
void pns_conn_freeze(struct pns_conn *conn, bool frozen);
void pns_conn_doom(struct pns_conn *conn, bool reset);
bool pns_conn_fits(const struct pns_conn *conn, const char *kind);

/* h2.c: nghttp2's callbacks */

int pns_h2_init(struct pns_conn *conn);
/** The limit that the peer has acknowledged; UINT32_MAX before the first */
uint32_t pns_h2_acked_limit(const struct pns_conn *conn);
int pns_h2_settings(struct pns_conn *conn, uint32_t limit, bool first);
/** What is announced is less than what nghttp2 enforces */
void pns_h2_patch(uint8_t *frame, size_t len);
int pns_h2_answer(struct pns_req *req);


/* listener.c */

enum pns_accept { ACCEPT_NORMAL, ACCEPT_REFUSE, ACCEPT_SILENT, ACCEPT_CLOSE };

int pns_listener_add(struct pns *pns, const char *spec);
int pns_listener_mode(struct pns *pns, const char *role, const char *mode);
json_t *pns_listener_ports(const struct pns *pns);
int pns_tls_load(struct pns *pns, const char *cert, const char *key);


/* reqlog.c: the request log and its recent past */

struct pns_reqlog;
int pns_reqlog_alloc(struct pns_reqlog **lp, struct pns *pns,
		     const char *path);
/** status 0: there was no answer */
void pns_reqlog_put(struct pns_reqlog *log, const struct pns_req *req,
		    int64_t answer_us);
typedef void(pns_line_h)(const char *line, void *arg);
/** h with NULL after timeout_ms; called once, maybe before this returns */
struct pns_line_wait;
int pns_reqlog_wait(struct pns_line_wait **wp, struct pns_reqlog *log,
		    const json_t *match, uint32_t timeout_ms, pns_line_h *h,
		    void *arg);
void pns_reqlog_flush(struct pns_reqlog *log);


/* ctl.c, ops.c: the control port */

int pns_ctl_listen(struct pns *pns, const char *addr);
uint16_t pns_ctl_port(const struct pns *pns);
/** Takes o */
void pns_ctl_send(struct pns_ctl *ctl, json_t *o);
struct pns *pns_ctl_pns(const struct pns_ctl *ctl);
/** An object that lives at most as long as the connection */
void pns_ctl_keep(struct pns_ctl *ctl, struct le *le, void *data);
/** One line of the peer */
void pns_ops_line(struct pns_ctl *ctl, const char *line, size_t len);


/* pns.c: the root */

#define PNS_BUCKETS 65536

struct pns {
	int64_t setv[SET_N];
	struct pns_count count;
	struct list listenerl, connl, credl, sal, faultl, devl;
	struct list sparel; /**< requests for the next streams */
	unsigned sparec;
	struct hash *tokens, *jwts, *access;
	struct pns_u64set *salts; /**< and sender keys of Web Push */
	unsigned jwtc;
	struct pns_reqlog *log;
	struct pns_ctlsrv *ctl;
	SSL_CTX *ssl;
	nghttp2_option *h2_option;
	nghttp2_session_callbacks *h2_cb;
	uint64_t conn_id, push_id;
	int64_t quota_minute, quota_used;
	int64_t connect_minute, connects;
	struct pns_jwt *server_jwt; /**< with apns_jwt_scope server */
	int64_t server_jwt_since_ms;
	char audience[256];
	char client_ca[256];
	char date[40];
	int64_t date_s;
	bool default_reset_rate, voip_watch;
};

int pns_alloc(struct pns **pp);
int64_t pns_now_us(void);
/** Virtual clock */
int64_t pns_now_ms(const struct pns *pns);
/** For the date header, virtual clock */
const char *pns_date(struct pns *pns);

#endif
