/**
 * @file apns.c  What APNs says to a request
 *
 * push-provider rules as Apple documents them ("Sending notification requests
 * to APNs", "Handling notification responses from APNs"): path, then who
 * asks, then headers, then the body, then the token.  The first thing that is
 * wrong is the answer.
 */

#include <ctype.h>
#include <errno.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include "pns.h"

#define BODY_MAX      4096
#define BODY_MAX_VOIP 5120

static const struct {
	const char *reason;
	int status;
} reasons[] = {
	{ "BadCollapseId", 400 },
	{ "BadDeviceToken", 400 },
	{ "BadExpirationDate", 400 },
	{ "BadMessageId", 400 },
	{ "BadPriority", 400 },
	{ "BadTopic", 400 },
	{ "DeviceTokenNotForTopic", 400 },
	{ "DuplicateHeaders", 400 },
	{ "IdleTimeout", 400 },
	{ "InvalidPushType", 400 },
	{ "MissingDeviceToken", 400 },
	{ "MissingTopic", 400 },
	{ "PayloadEmpty", 400 },
	{ "TopicDisallowed", 400 },
	{ "BadCertificate", 403 },
	{ "BadCertificateEnvironment", 403 },
	{ "BadEnvironmentKeyIdInToken", 403 },
	{ "ExpiredProviderToken", 403 },
	{ "Forbidden", 403 },
	{ "InvalidProviderToken", 403 },
	{ "MissingProviderToken", 403 },
	{ "UnrelatedKeyIdInToken", 403 },
	{ "BadPath", 404 },
	{ "MethodNotAllowed", 405 },
	{ "ExpiredToken", 410 },
	{ "Unregistered", 410 },
	{ "PayloadTooLarge", 413 },
	{ "TooManyProviderTokenUpdates", 429 },
	{ "TooManyRequests", 429 },
	{ "InternalServerError", 500 },
	{ "ServiceUnavailable", 503 },
	{ "Shutdown", 503 },
};


/* An unknown reason is a server's trouble: it came out of a script */
int pns_apns_status(const char *reason)
{
	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
		if (!strcmp(reasons[i].reason, reason))
			return reasons[i].status;
	}

	return 500;
}


static bool is_hex(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (!isdigit((unsigned char)s[i]) &&
		    (s[i] < 'a' || s[i] > 'f'))
			return false;
	}

	return true;
}


/* canonical form: lower case, 8-4-4-4-12 */
static bool is_uuid(const char *s)
{
	static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

	if (strlen(s) != sizeof(shape) - 1)
		return false;
	for (size_t i = 0; shape[i]; i++) {
		if (shape[i] == '-' ? s[i] != '-' : !is_hex(&s[i], 1))
			return false;
	}

	return true;
}


static bool is_number(const char *s)
{
	const size_t n = strlen(s);

	return n && n <= 18 && strspn(s, "0123456789") == n;
}


static void uuid_make(char id[40])
{
	uint8_t b[16];

	(void)RAND_bytes(b, sizeof(b));
	b[6] = (b[6] & 0x0f) | 0x40;
	b[8] = (b[8] & 0x3f) | 0x80;
	(void)re_snprintf(id, 40, "%w-%w-%w-%w-%w", b, 4ul, b + 4, 2ul, b + 6,
			  2ul, b + 8, 2ul, b + 10, 6ul);
}


static const char *push_type(const struct pns_req *req)
{
	const char *topic = pns_req_h(req, H_APNS_TOPIC);
	const size_t n = strlen(topic);

	if (pns_req_has(req, H_APNS_PUSH_TYPE))
		return pns_req_h(req, H_APNS_PUSH_TYPE);
	if (n > 5 && !strcmp(topic + n - 5, ".voip"))
		return "voip";

	return "alert";
}


static void aps_member(struct pns_req *req, const struct pns_scan_value *key,
		       const struct pns_scan_value *v)
{
	if (pns_scan_is(key->p, key->len, "alert"))
		req->aps |= 1u << APS_ALERT;
	else if (pns_scan_is(key->p, key->len, "sound"))
		req->aps |= 1u << APS_SOUND;
	else if (pns_scan_is(key->p, key->len, "badge"))
		req->aps |= 1u << APS_BADGE;
	else if (pns_scan_is(key->p, key->len, "content-available") &&
		 v->type == JSON_INTEGER && pns_scan_is(v->p, v->len, "1"))
		req->aps |= 1u << APS_CONTENT_AVAILABLE;
}


static void payload_member(const char *in, size_t inlen,
			   const struct pns_scan_value *key,
			   const struct pns_scan_value *v, void *arg)
{
	if (pns_scan_is(in, inlen, "aps"))
		aps_member(arg, key, v);
	else if (!inlen && (v->type == JSON_STRING || v->type == JSON_INTEGER))
		pns_req_payload(arg, key->p, key->len, v->p, v->len);
}


void pns_apns_prepare(struct pns_req *req)
{
	const char *path = pns_req_h(req, H_PATH);
	const char *prio = pns_req_h(req, H_APNS_PRIORITY);
	const char *exp = pns_req_h(req, H_APNS_EXPIRATION);

	if (!strncmp(path, "/3/device/", 10))
		str_ncpy(req->token, path + 10, sizeof(req->token));
	req->priority = is_number(prio) ? atoi(prio) : 10;
	req->expiration = is_number(exp) ? atoll(exp) : -1;
	req->is_object = req->body_len == req->body->end &&
			 pns_scan_object((char *)req->body->buf,
					 req->body->end, payload_member, req);
}


static const char *check_path(const struct pns_req *req)
{
	const char *path = pns_req_h(req, H_PATH);

	if (strcmp(pns_req_h(req, H_METHOD), "POST"))
		return "MethodNotAllowed";
	if (!strcmp(path, "/3/device") || !strcmp(path, "/3/device/"))
		return "MissingDeviceToken";
	if (!*req->token || strchr(req->token, '/') || strchr(req->token, '?'))
		return "BadPath";

	return NULL;
}


static const char *check_age(struct pns_conn *conn, const struct pns_jwt *j)
{
	const struct pns *pns = conn->pns;
	const int64_t now = pns_now_ms(pns) / 1000;

	/* a little ahead is what real clocks do */
	if (!j->iat_ok || j->iat > now + 5)
		return "InvalidProviderToken";
	if (now - j->iat > pns->setv[SET_APNS_JWT_LIFE_S] || conn->wedged) {
		if (pns->setv[SET_APNS_WEDGE_ON_EXPIRED])
			conn->wedged = true;
		return "ExpiredProviderToken";
	}

	return NULL;
}


static void count_jwt(struct pns *pns, struct pns_jwt *j)
{
	const int64_t window = pns->setv[SET_APNS_JWT_MIN_AGE_S] * 1000;
	const int64_t now = pns_now_ms(pns);
	int64_t recent = 0;
	struct le *le;

	if (j->counted)
		return;
	j->counted = true;
	j->seen_ms = now;
	pns_count_add(&pns->count, CNT_JWT_DISTINCT, 1);

	for (uint32_t i = 0; i < hash_bsize(pns->jwts); i++) {
		LIST_FOREACH (hash_list(pns->jwts, i), le) {
			const struct pns_jwt *other = le->data;

			recent += other->counted &&
				  now - other->seen_ms < window;
		}
	}
	pns_count_set(&pns->count, CNT_JWT_DISTINCT_WINDOW, recent);
}


/* The slot is the connection's or the server's, as apns_jwt_scope says */
static const char *update_slot(struct pns *pns, struct pns_jwt **slot,
			       int64_t *since, struct pns_jwt *j)
{
	const int64_t now = pns_now_ms(pns);
	const int64_t least = pns->setv[SET_APNS_JWT_MIN_AGE_S] * 1000;

	if (*slot == j)
		return NULL;
	if (*slot && (*slot)->sig_ok && now - *since < least) {
		pns_count_add(&pns->count, CNT_JWT_UPDATES_REFUSED, 1);
		return "TooManyProviderTokenUpdates";
	}
	mem_deref(*slot);
	*slot = mem_ref(j);
	*since = now;

	return NULL;
}


static const char *check_jwt(struct pns_req *req, struct pns_jwt *j)
{
	struct pns_conn *conn = req->conn;
	struct pns *pns = conn->pns;
	const struct pns_cred *cred = j->cred;
	const char *bad;

	if (!cred || !j->sig_ok || strcmp(j->iss, cred->team))
		return "InvalidProviderToken";
	if (*conn->team && strcmp(conn->team, cred->team))
		return "InvalidProviderToken";
	if (!(req->sandbox ? cred->sandbox : cred->production))
		return "BadEnvironmentKeyIdInToken";
	bad = check_age(conn, j);
	if (bad)
		return bad;

	count_jwt(pns, j);
	str_ncpy(conn->team, cred->team, sizeof(conn->team));
	if (pns->setv[SET_APNS_JWT_SCOPE])
		return update_slot(pns, &pns->server_jwt,
				   &pns->server_jwt_since_ms, j);

	return update_slot(pns, &conn->jwt, &conn->jwt_since_ms, j);
}


static const char *check_auth(struct pns_req *req, struct pns_jwt **jp)
{
	const char *auth = pns_req_h(req, H_AUTHORIZATION);
	const nghttp2_vec v = { (uint8_t *)auth, strlen(auth) };

	if (!*auth)
		return req->conn->client_cert ? NULL : "MissingProviderToken";
	if (v.len < 8 || strncasecmp(auth, "bearer ", 7))
		return "InvalidProviderToken";
	if (pns_jwt_get(jp, req->conn->pns, auth + 7, v.len - 7))
		return "InternalServerError";

	return check_jwt(req, *jp);
}


static const char *check_headers(struct pns_req *req)
{
	const char *prio = pns_req_h(req, H_APNS_PRIORITY);

	if (pns_req_has(req, H_APNS_ID) && !is_uuid(pns_req_h(req, H_APNS_ID)))
		return "BadMessageId";
	if (pns_req_has(req, H_APNS_EXPIRATION) && req->expiration < 0)
		return "BadExpirationDate";
	if (pns_req_has(req, H_APNS_PRIORITY) && strcmp(prio, "10") &&
	    strcmp(prio, "5") && strcmp(prio, "1"))
		return "BadPriority";
	if (strlen(pns_req_h(req, H_APNS_COLLAPSE_ID)) > 64)
		return "BadCollapseId";

	return NULL;
}


static bool ends(const char *s, const char *tail)
{
	const size_t n = strlen(s), m = strlen(tail);

	return n > m && !strcmp(s + n - m, tail);
}


static const char *check_topic(const struct pns_req *req,
			       const struct pns_jwt *j)
{
	const char *topic = pns_req_h(req, H_APNS_TOPIC);
	const char *type = push_type(req);

	if (!*topic)
		return "MissingTopic";
	if (strspn(topic,
		   "abcdefghijklmnopqrstuvwxyz"
		   "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") != strlen(topic))
		return "BadTopic";
	if (ends(topic, ".voip") != !strcmp(type, "voip") ||
	    ends(topic, ".voip-ptt") != !strcmp(type, "pushtotalk"))
		return "BadTopic";
	if (j && !pns_cred_may(j->cred, topic))
		return "TopicDisallowed";

	return NULL;
}


static const char *check_size(const struct pns_req *req)
{
	const bool voip = !strcmp(push_type(req), "voip");

	if (!req->body_len)
		return "PayloadEmpty";
	if (req->body_len > (voip ? BODY_MAX_VOIP : BODY_MAX))
		return "PayloadTooLarge";
	/* Apple names no reason for text that is no JSON object */
	if (!req->is_object)
		return "PayloadEmpty";

	return NULL;
}


static const char *check_background(const struct pns_req *req)
{
	if (req->aps != 1u << APS_CONTENT_AVAILABLE)
		return "InvalidPushType";

	return req->priority == 5 ? NULL : "BadPriority";
}


static const char *check_type(const struct pns_req *req)
{
	static const char *const types[] = {
		"alert",        "background",   "voip",     "location",
		"complication", "fileprovider", "mdm",      "liveactivity",
		"pushtotalk",   "widgets",      "controls",
	};
	const char *type = push_type(req);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(types); i++) {
		if (!strcmp(types[i], type))
			break;
	}
	if (i == ARRAY_SIZE(types))
		return "InvalidPushType";
	if (!strcmp(type, "background"))
		return check_background(req);
	if (!strcmp(type, "alert") &&
	    !(req->aps &
	      (1u << APS_ALERT | 1u << APS_SOUND | 1u << APS_BADGE)))
		return "InvalidPushType";
	if (!strcmp(type, "pushtotalk") && req->priority != 10)
		return "BadPriority";
	if (!strcmp(type, "pushtotalk") && req->expiration != 0)
		return "BadExpirationDate";

	return NULL;
}


static const char *check_token(const struct pns_req *req,
			       struct pns_token **tp)
{
	const struct pns *pns = req->conn->pns;
	struct pns_token *t = pns_token_find(pns, false, req->token);
	const size_t n = strlen(req->token);

	*tp = t;
	if (!is_hex(req->token, n) || n % 2 || n < 32)
		return "BadDeviceToken";
	if (!t)
		return pns->setv[SET_ACCEPT_ANY_TOKEN] ? NULL
						       : "BadDeviceToken";
	if (t->sandbox != req->sandbox || t->state == TOKEN_BAD)
		return "BadDeviceToken";
	if (t->state == TOKEN_UNREGISTERED)
		return "Unregistered";
	if (t->state == TOKEN_EXPIRED)
		return "ExpiredToken";
	if (strcmp(t->topic, pns_req_h(req, H_APNS_TOPIC)))
		return "DeviceTokenNotForTopic";
	if (t->state == TOKEN_THROTTLED)
		return "TooManyRequests";

	return NULL;
}


/* Accepted or refused, the JWT was good: the connection is worth more than
   one stream now.  A refused push may take that back */
static void limit_after(struct pns_conn *conn, bool authed, bool ok)
{
	const int64_t *setv = conn->pns->setv;

	if (!ok && setv[SET_APNS_SHRINK_ON_REJECT])
		pns_conn_limit(conn, (uint32_t)setv[SET_APNS_STREAMS_FIRST]);
	else if (authed &&
		 (!conn->primed || (ok && setv[SET_APNS_SHRINK_ON_REJECT])))
		pns_conn_limit(conn, (uint32_t)setv[SET_APNS_STREAMS]);
	conn->primed |= authed;
}


static void count_accepted(struct pns_req *req)
{
	struct pns_count *count = &req->conn->pns->count;
	uint64_t h;

	if (!pns_req_has(req, H_APNS_PUSH_TYPE))
		pns_count_add(count, CNT_PUSH_TYPE_MISSING, 1);
	if (req->expiration > 0 &&
	    req->expiration * 1000 < pns_now_ms(req->conn->pns))
		pns_count_add(count, CNT_EXPIRATION_PAST, 1);
	if (!strcmp(push_type(req), "voip") &&
	    (!*req->call || !strcmp(req->use, "ended")))
		pns_count_add(count, CNT_VOIP_MISUSED, 1);
	if (!*req->call)
		return;

	h = pns_hash64(1, req->call, strlen(req->call));
	h = pns_hash64(h, req->use, strlen(req->use));
	h = pns_hash64(h, req->token, strlen(req->token));
	if (pns_u64set_put(count->calls, h))
		pns_count_add(count, CNT_DUPLICATES_CALL, 1);
}


void pns_apns_body(struct pns_req *req, int64_t timestamp_ms)
{
	if (!*req->id)
		str_ncpy(req->id, pns_req_h(req, H_APNS_ID), sizeof(req->id));
	if (req->status == 200)
		return;

	req->content_type = "application/json";
	if (req->status == 410)
		pns_req_printf(
			req, "{\"reason\":\"%s\",\"timestamp\":%lld}",
			req->reason,
			(long long)(timestamp_ms
					    ? timestamp_ms
					    : pns_now_ms(req->conn->pns)));
	else
		pns_req_printf(req, "{\"reason\":\"%s\"}", req->reason);
}


void pns_apns_judge(struct pns_req *req)
{
	struct pns_token *token = NULL;
	struct pns_jwt *jwt = NULL;
	const char *bad;
	bool authed;

	bad = check_path(req);
	if (!bad && req->duplicate_header)
		bad = "DuplicateHeaders";
	if (!bad)
		bad = check_auth(req, &jwt);
	authed = !bad;
	if (!bad)
		bad = check_headers(req);
	if (!bad)
		bad = check_topic(req, jwt);
	if (!bad)
		bad = check_size(req);
	if (!bad)
		bad = check_type(req);
	if (!bad)
		bad = check_token(req, &token);

	if (is_uuid(pns_req_h(req, H_APNS_ID)))
		str_ncpy(req->id, pns_req_h(req, H_APNS_ID), sizeof(req->id));
	else
		uuid_make(req->id);
	pns_req_verdict(req, bad ? pns_apns_status(bad) : 200, bad ? bad : "");
	pns_apns_body(req, token ? token->dead_ms : 0);
	limit_after(req->conn, authed, !bad);
	if (bad)
		return;

	if (req->sandbox)
		uuid_make(req->unique_id);
	count_accepted(req);
	if (token && token->dev)
		pns_device_push(token, req);
}
