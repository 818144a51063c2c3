/**
 * @file webpush.c  The push service of a browser, as strict as any of them
 *
 * RFC 8030 with RFC 8292.  And the browser behind it: a message that it could
 * not open would be dropped there without a word, so it is refused here.
 */

#include <stdlib.h>
#include "pns.h"

#define PREFIX    "/push/"
#define TOPIC_MAX 32
#define DAY_S     86400
#define TEXT_MAX  16384
#define B64URL                                                 \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" \
	"0123456789-_"


bool pns_webpush_path(const char *path)
{
	return !strncmp(path, PREFIX, strlen(PREFIX));
}


static void payload_read(struct pns_req *req)
{
	char number[24];
	const char *key;
	json_t *v;

	json_object_foreach(req->root, key, v)
	{
		if (json_is_string(v)) {
			pns_req_payload(req, key, strlen(key),
					json_string_value(v),
					json_string_length(v));
		}
		else if (json_is_integer(v)) {
			(void)re_snprintf(number, sizeof(number), "%lld",
					  (long long)json_integer_value(v));
			pns_req_payload(req, key, strlen(key), number,
					strlen(number));
		}
	}
}


/* What is wrong with the body; NULL: nothing */
static const char *body_open(struct pns_req *req, const struct pns_token *t)
{
	uint8_t text[TEXT_MAX];
	size_t n = 0;
	const char *bad;

	if (!req->body_len || !t)
		return NULL;
	if (strcmp(pns_req_h(req, H_CONTENT_ENCODING), "aes128gcm"))
		return "BadContentEncoding";
	if (!t->key)
		return "SubscriptionHasNoKeys";
	if (req->body_len != req->body->end)
		return "PayloadTooLarge";

	bad = pns_subscr_open(req->conn->pns, t, req->body->buf,
			      req->body->end, text, &n);
	if (bad)
		return bad;
	req->root = json_loadb((char *)text, n, 0, NULL);
	if (!json_is_object(req->root))
		return "PayloadIsNoObject";

	payload_read(req);
	return NULL;
}


void pns_webpush_prepare(struct pns_req *req)
{
	struct pns *pns = req->conn->pns;
	const char *ttl = pns_req_h(req, H_TTL);

	str_ncpy(req->token, pns_req_h(req, H_PATH), sizeof(req->token));
	req->priority = strcmp(pns_req_h(req, H_URGENCY), "high") ? 5 : 10;
	req->expiration = req->request_us / 1000000 + strtoll(ttl, NULL, 10);
	req->body_bad = body_open(req, pns_token_find(pns, false, req->token));
}


int pns_webpush_status(const char *reason)
{
	static const struct {
		const char *reason;
		int status;
	} known[] = {
		{ "MissingVapid", 401 },     { "BadJwtToken", 403 },
		{ "OtherVapidKey", 403 },    { "NoSuchSubscription", 404 },
		{ "MethodNotAllowed", 405 }, { "Unregistered", 410 },
		{ "PayloadTooLarge", 413 },  { "TooManyRequests", 429 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (!strcmp(known[i].reason, reason))
			return known[i].status;

	return *reason ? 400 : 201;
}


void pns_webpush_body(struct pns_req *req)
{
	req->content_type = "application/json";
	if (req->status / 100 != 2)
		pns_req_printf(req, "{\"reason\":\"%s\"}", req->reason);
}


static bool digits(const char *s)
{
	const size_t n = strspn(s, "0123456789");

	return n && n < 10 && !s[n];
}


static const char *check_headers(const struct pns_req *req)
{
	static const char *const urgencies[] = { "", "very-low", "low",
						 "normal", "high" };
	const char *urgency = pns_req_h(req, H_URGENCY);
	const char *topic = pns_req_h(req, H_TOPIC);
	const size_t n = strlen(topic);
	size_t i;

	if (strcmp(pns_req_h(req, H_METHOD), "POST"))
		return "MethodNotAllowed";
	if (!digits(pns_req_h(req, H_TTL)))
		return "MissingTTL";
	for (i = 0; i < ARRAY_SIZE(urgencies); i++)
		if (!strcmp(urgency, urgencies[i]))
			break;
	if (i == ARRAY_SIZE(urgencies))
		return "BadUrgency";
	if (n > TOPIC_MAX || strspn(topic, B64URL) != n ||
	    (!n && pns_req_has(req, H_TOPIC)))
		return "BadTopic";
	/* Of drafts that ended as another RFC */
	if (pns_req_has(req, H_CRYPTO_KEY) || pns_req_has(req, H_ENCRYPTION))
		return "ForbiddenHeader";
	if (req->duplicate_header)
		return "DuplicateHeaders";

	return NULL;
}


/* Apple's rules for sub; others want no more than a scheme */
static bool subject_good(const char *sub, bool apple)
{
	const char *at = strchr(sub, '@');

	if (strncmp(sub, "mailto:", 7) && strncmp(sub, "https://", 8))
		return false;

	return !apple ||
	       (!strpbrk(sub, " <>") && (!at || strcmp(at, "@localhost")));
}


static bool claims_good(const struct pns_req *req, const struct pns_jwt *jwt)
{
	const struct pns *pns = req->conn->pns;
	const int64_t now = pns_now_ms(pns) / 1000;
	const char *aud =
		json_string_value(json_object_get(jwt->claims, "aud"));
	const char *sub =
		json_string_value(json_object_get(jwt->claims, "sub"));
	char origin[256];

	(void)re_snprintf(origin, sizeof(origin), "https://%s",
			  pns_req_h(req, H_AUTHORITY));

	return aud && !strcmp(aud, origin) && jwt->exp > now &&
	       jwt->exp <= now + DAY_S && sub &&
	       subject_good(sub, pns->setv[SET_WEBPUSH_APPLE]);
}


static const char *check_jwt(const struct pns_req *req, const char *t,
			     size_t tlen, const char *k)
{
	uint8_t point[128];
	size_t n = sizeof(point);
	struct pns_jwt *jwt = NULL;
	EVP_PKEY *key;
	bool ok;

	if (pns_b64url(point, &n, k, strlen(k)))
		return "BadJwtToken";
	key = pns_subscr_peer(point, n);
	ok = key && !pns_jwt_decode(&jwt, t, tlen) &&
	     pns_jwt_verify(jwt, key) && claims_good(req, jwt);
	mem_deref(jwt);
	EVP_PKEY_free(key);

	return ok ? NULL : "BadJwtToken";
}


/* "vapid t=..., k=..." and nothing else */
static const char *check_vapid(const struct pns_req *req,
			       const struct pns_token *token)
{
	const char *auth = pns_req_h(req, H_AUTHORIZATION), *t, *k;
	const char *bad;

	if (strncasecmp(auth, "vapid t=", 8))
		return "MissingVapid";
	t = auth + 8;
	k = strstr(t, ", k=");
	if (!k)
		return "MissingVapid";

	bad = check_jwt(req, t, (size_t)(k - t), k + 4);
	if (bad)
		return bad;

	/* RFC 8292 4.2 */
	return *token->vapid && strcmp(token->vapid, k + 4) ? "OtherVapidKey"
							    : NULL;
}


static const char *check_token(const struct pns_token *t)
{
	if (!t)
		return "NoSuchSubscription";

	switch (t->state) {

	case TOKEN_OK:
		return NULL;

	case TOKEN_MISMATCH:
		return "OtherVapidKey";

	case TOKEN_THROTTLED:
		return "TooManyRequests";

	case TOKEN_BAD:
		return "NoSuchSubscription";

	default:
		return "Unregistered";
	}
}


static void accept_push(struct pns_req *req, struct pns_token *token)
{
	struct pns *pns = req->conn->pns;
	const int64_t most = pns->setv[SET_WEBPUSH_TTL_MAX_S];
	const int64_t ttl = strtoll(pns_req_h(req, H_TTL), NULL, 10);

	pns_req_verdict(req, (int)pns->setv[SET_WEBPUSH_STATUS], "");
	(void)re_snprintf(req->message, sizeof(req->message), "/message/%llu",
			  (unsigned long long)++pns->push_id);
	(void)re_snprintf(req->ttl, sizeof(req->ttl), "%lld",
			  (long long)min(ttl, most));
	pns_count_call(req);
	if (token->dev)
		pns_device_push(token, req);
}


void pns_webpush_judge(struct pns_req *req)
{
	struct pns *pns = req->conn->pns;
	struct pns_token *t = pns_token_find(pns, false, req->token);
	const char *bad = check_headers(req);

	if (!bad && req->body_len > (size_t)pns->setv[SET_WEBPUSH_BODY_MAX])
		bad = "PayloadTooLarge";
	if (!bad)
		bad = check_token(t);
	if (!bad)
		bad = check_vapid(req, t);
	if (!bad && !req->conn->primed) {
		req->conn->primed = true;
		pns_conn_limit(req->conn,
			       (uint32_t)pns->setv[SET_FCM_STREAMS]);
	}
	if (!bad)
		bad = req->body_bad;
	if (!bad) {
		accept_push(req, t);
		return;
	}

	pns_req_verdict(req, pns_webpush_status(bad), bad);
	pns_webpush_body(req);
}
