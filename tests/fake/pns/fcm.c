/**
 * @file fcm.c  What FCM's HTTP v1 API says to messages:send
 *
 * As Google's REST reference and list of error codes describe it: bearer,
 * project, shape of the message (unknown fields are errors, data is strings
 * only), size, quota, then the registration token.
 */

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include "pns.h"

#define PAYLOAD_MAX 4096
#define TTL_MAX_S   2419200
#define QUOTA_RETRY "60"
#define NOT_A_TOKEN                                  \
	"The registration token is not a valid FCM " \
	"registration token"

struct field {
	const char *name;
	int type; /**< json_type, -1 any */
};

/* every field has its name in both spellings of protobuf's JSON */
static const struct field top_fields[] = {
	{ "message", JSON_OBJECT },
	{ "validate_only", -1 },
	{ "validateOnly", -1 },
	{ NULL, 0 },
};

static const struct field message_fields[] = {
	{ "token", JSON_STRING },      { "topic", JSON_STRING },
	{ "condition", JSON_STRING },  { "name", JSON_STRING },
	{ "data", JSON_OBJECT },       { "notification", JSON_OBJECT },
	{ "android", JSON_OBJECT },    { "webpush", JSON_OBJECT },
	{ "apns", JSON_OBJECT },       { "fcm_options", JSON_OBJECT },
	{ "fcmOptions", JSON_OBJECT }, { NULL, 0 },
};

static const struct field android_fields[] = {
	{ "collapse_key", JSON_STRING },
	{ "collapseKey", JSON_STRING },
	{ "priority", JSON_STRING },
	{ "ttl", JSON_STRING },
	{ "restricted_package_name", JSON_STRING },
	{ "restrictedPackageName", JSON_STRING },
	{ "data", JSON_OBJECT },
	{ "notification", JSON_OBJECT },
	{ "fcm_options", JSON_OBJECT },
	{ "fcmOptions", JSON_OBJECT },
	{ "direct_boot_ok", -1 },
	{ "directBootOk", -1 },
	{ "bandwidth_constrained_ok", -1 },
	{ "bandwidthConstrainedOk", -1 },
	{ "restricted_satellite_ok", -1 },
	{ "restrictedSatelliteOk", -1 },
	{ NULL, 0 },
};

static const struct {
	const char *code; /**< FcmError's errorCode, or the status alone */
	const char *status;
	int http;
	const char *message;
} errors[] = {
	{ "INVALID_ARGUMENT", "INVALID_ARGUMENT", 400, NOT_A_TOKEN },
	{ "THIRD_PARTY_AUTH_ERROR", "UNAUTHENTICATED", 401,
	  "Auth error from APNS or Web Push Service" },
	{ "UNAUTHENTICATED", "UNAUTHENTICATED", 401,
	  "Request had invalid authentication credentials." },
	{ "SENDER_ID_MISMATCH", "PERMISSION_DENIED", 403,
	  "SenderId mismatch" },
	{ "PERMISSION_DENIED", "PERMISSION_DENIED", 403,
	  "Permission 'cloudmessaging.messages.create' denied" },
	{ "UNREGISTERED", "NOT_FOUND", 404,
	  "Requested entity was not found." },
	{ "NOT_FOUND", "NOT_FOUND", 404, "Requested entity was not found." },
	{ "QUOTA_EXCEEDED", "RESOURCE_EXHAUSTED", 429,
	  "Quota exceeded for quota metric 'Send requests'" },
	{ "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED", 429,
	  "Resource has been exhausted" },
	{ "INTERNAL", "INTERNAL", 500, "Internal error encountered." },
	{ "UNAVAILABLE", "UNAVAILABLE", 503,
	  "The service is currently unavailable." },
};


static size_t error_index(const char *reason)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(errors); i++) {
		if (!strcmp(errors[i].code, reason))
			break;
	}

	return i;
}


int pns_fcm_status(const char *reason)
{
	const size_t i = error_index(reason);

	return i < ARRAY_SIZE(errors) ? errors[i].http : 500;
}


static bool fcm_error_fits(const char *reason)
{
	return strcmp(reason, "UNAUTHENTICATED") &&
	       strcmp(reason, "PERMISSION_DENIED") &&
	       strcmp(reason, "NOT_FOUND") &&
	       strcmp(reason, "RESOURCE_EXHAUSTED");
}


void pns_fcm_body(struct pns_req *req, bool details)
{
	const size_t i = error_index(req->reason);
	const bool known = i < ARRAY_SIZE(errors);

	req->content_type = "application/json; charset=UTF-8";
	if (req->status == 200) {
		pns_req_printf(req, "{\n  \"name\": \"%s\"\n}\n",
			       req->message);
		return;
	}

	pns_req_printf(req,
		       "{\n  \"error\": {\n    \"code\": %d,\n"
		       "    \"message\": \"%s\",\n    \"status\": \"%s\"",
		       req->status, known ? errors[i].message : req->reason,
		       known ? errors[i].status : req->reason);
	if (details && fcm_error_fits(req->reason))
		pns_req_printf(
			req,
			",\n    \"details\": [\n      {\n        \"@type\": "
			"\"type.googleapis.com/google.firebase.fcm.v1."
			"FcmError\",\n        \"errorCode\": \"%s\"\n"
			"      }\n    ]",
			req->reason);
	pns_req_printf(req, "\n  }\n}\n");
}


/* A message that is wrong in itself: BadRequest, no FcmError */
static void field_violation(struct pns_req *req, const char *field,
			    const char *what)
{
	pns_req_verdict(req, 400, "INVALID_ARGUMENT");
	req->content_type = "application/json; charset=UTF-8";
	pns_req_printf(req,
		       "{\"error\":{\"code\":400,\"message\":"
		       "\"Invalid value at '%.200s': %s\","
		       "\"status\":\"INVALID_ARGUMENT\",\"details\":[{"
		       "\"@type\":\"type.googleapis.com/google.rpc."
		       "BadRequest\",\"fieldViolations\":[{\"field\":"
		       "\"%.200s\",\"description\":\"%s\"}]}]}}",
		       field, what, field, what);
}


static const json_t *either(const json_t *o, const char *a, const char *b)
{
	const json_t *v = json_object_get(o, a);

	return v ? v : json_object_get(o, b);
}


static void project_of(struct pns_req *req)
{
	const char *p = pns_req_h(req, H_PATH) + 13; /* /v1/projects/ */
	const char *end = strchr(p, '/');
	const size_t n = end ? (size_t)(end - p) : 0;

	if (n < sizeof(req->project))
		str_ncpy(req->project, p, n + 1);
}


void pns_fcm_prepare(struct pns_req *req)
{
	const json_t *msg, *android;
	const char *s, *key;
	json_t *data, *v;

	project_of(req);
	msg = json_object_get(pns_req_root(req), "message");
	android = json_object_get(msg, "android");
	data = json_object_get(android, "data");
	if (!data)
		data = json_object_get(msg, "data");
	json_object_foreach(data, key, v)
	{
		if (json_is_string(v))
			pns_req_payload(req, key, strlen(key),
					json_string_value(v),
					json_string_length(v));
	}

	s = json_string_value(json_object_get(msg, "token"));
	if (s)
		str_ncpy(req->token, s, sizeof(req->token));
	s = json_string_value(json_object_get(android, "priority"));
	req->priority = s && !strcasecmp(s, "HIGH") ? 10 : 5;
	s = json_string_value(json_object_get(android, "ttl"));
	req->expiration = req->request_us / 1000000 +
			  (s ? strtoll(s, NULL, 10) : TTL_MAX_S);
}


static const struct field *field_find(const struct field *f, const char *name)
{
	for (; f->name; f++) {
		if (!strcmp(f->name, name))
			return f;
	}

	return NULL;
}


/* A foreign name on its way into our JSON */
static void tame(char *s)
{
	for (; *s; s++) {
		if (*s < ' ' || *s == '"' || *s == '\\' || *s == 0x7f)
			*s = '?';
	}
}


/* true: wrong, and said so */
static bool bad_fields(struct pns_req *req, const char *where, json_t *o,
		       const struct field *fields)
{
	char path[128];
	const char *key;
	json_t *v;

	json_object_foreach(o, key, v)
	{
		const struct field *f = field_find(fields, key);

		(void)re_snprintf(path, sizeof(path), "%s%s%.60s", where,
				  *where ? "." : "", key);
		tame(path);
		if (!f) {
			field_violation(req, path, "Cannot find field.");
			return true;
		}
		if (f->type >= 0 && (int)json_typeof(v) != f->type) {
			field_violation(req, path, "wrong type");
			return true;
		}
	}

	return false;
}


static bool reserved(const char *key)
{
	return !strcmp(key, "from") || !strcmp(key, "message_type") ||
	       !strncmp(key, "google", 6) || !strncmp(key, "gcm", 3);
}


static bool bad_data(struct pns_req *req, const char *where, json_t *data,
		     size_t *bytes)
{
	char path[128];
	const char *key;
	json_t *v;

	json_object_foreach(data, key, v)
	{
		(void)re_snprintf(path, sizeof(path), "%s[%.60s]", where, key);
		tame(path);
		if (!json_is_string(v)) {
			field_violation(req, path, "TYPE_STRING expected");
			return true;
		}
		if (reserved(key)) {
			field_violation(req, path, "Invalid data payload key");
			return true;
		}
		*bytes += strlen(key) + json_string_length(v);
	}

	return false;
}


/* protobuf's Duration: seconds, at most nine digits behind the point, s */
static bool good_ttl(const char *s)
{
	const size_t whole = strspn(s, "0123456789");
	size_t frac = 0;
	const char *end = s + whole;

	if (*end == '.') {
		frac = strspn(end + 1, "0123456789");
		if (!frac || frac > 9)
			return false;
		end += 1 + frac;
	}

	return whole && whole < 10 && !strcmp(end, "s") &&
	       atoll(s) <= TTL_MAX_S;
}


static bool bad_android(struct pns_req *req, json_t *android)
{
	const char *ttl = json_string_value(json_object_get(android, "ttl"));
	const char *prio =
		json_string_value(json_object_get(android, "priority"));

	if (bad_fields(req, "message.android", android, android_fields))
		return true;
	if (ttl && !good_ttl(ttl)) {
		field_violation(req, "message.android.ttl",
				"Illegal duration format");
		return true;
	}
	if (prio && strcasecmp(prio, "HIGH") && strcasecmp(prio, "NORMAL")) {
		field_violation(req, "message.android.priority",
				"not an AndroidMessagePriority");
		return true;
	}

	return false;
}


static bool bad_target(struct pns_req *req, const json_t *msg)
{
	const int n = (json_object_get(msg, "token") != NULL) +
		      (json_object_get(msg, "topic") != NULL) +
		      (json_object_get(msg, "condition") != NULL);

	if (n == 1)
		return false;
	field_violation(req, "message",
			n ? "only one of token, topic, condition"
			  : "Recipient of the message is not set.");

	return true;
}


static bool bad_message(struct pns_req *req)
{
	json_t *msg = json_object_get(req->root, "message");
	json_t *android = json_object_get(msg, "android");
	size_t bytes = 0, abytes = 0;

	if (!json_is_object(req->root)) {
		field_violation(req, "", "Invalid JSON payload received.");
		return true;
	}
	if (bad_fields(req, "", req->root, top_fields) ||
	    bad_fields(req, "message", msg, message_fields) ||
	    bad_android(req, android) || bad_target(req, msg) ||
	    bad_data(req, "message.data", json_object_get(msg, "data"),
		     &bytes) ||
	    bad_data(req, "message.android.data",
		     json_object_get(android, "data"), &abytes))
		return true;
	if ((abytes ? abytes : bytes) > PAYLOAD_MAX) {
		field_violation(req, "message", "Message too big");
		return true;
	}

	return false;
}


static const char *check_auth(const struct pns_req *req)
{
	const char *auth = pns_req_h(req, H_AUTHORIZATION);
	const struct pns *pns = req->conn->pns;
	const struct pns_access *a;

	if (strncasecmp(auth, "bearer ", 7))
		return "UNAUTHENTICATED";
	a = pns_access_find(pns, auth + 7);
	if (!a || a->expires_ms <= pns_now_ms(pns))
		return "UNAUTHENTICATED";
	if (!pns_sa_project(pns, req->project))
		return "NOT_FOUND";
	if (strcmp(a->sa->project, req->project))
		return "PERMISSION_DENIED";

	return NULL;
}


static bool over_quota(struct pns *pns)
{
	const int64_t quota = pns->setv[SET_FCM_QUOTA_PER_MIN];
	const int64_t minute = pns_now_ms(pns) / 60000;

	if (minute != pns->quota_minute) {
		pns->quota_minute = minute;
		pns->quota_used = 0;
	}
	if (quota && pns->quota_used >= quota)
		return true;
	++pns->quota_used;

	return false;
}


static const char *check_token(const struct pns_req *req,
			       struct pns_token **tp)
{
	const struct pns *pns = req->conn->pns;
	struct pns_token *t = pns_token_find(pns, true, req->token);

	*tp = t;
	if (!t)
		return pns->setv[SET_ACCEPT_ANY_TOKEN] ? NULL
						       : "INVALID_ARGUMENT";

	switch (t->state) {

	case TOKEN_UNREGISTERED:
	case TOKEN_EXPIRED:
		return "UNREGISTERED";

	case TOKEN_BAD:
		return "INVALID_ARGUMENT";

	case TOKEN_MISMATCH:
		return "SENDER_ID_MISMATCH";

	case TOKEN_THROTTLED:
		return "QUOTA_EXCEEDED";

	default:
		break;
	}
	if (*t->project && strcmp(t->project, req->project))
		return "SENDER_ID_MISMATCH";

	return NULL;
}


static void refuse(struct pns_req *req, const char *reason)
{
	pns_req_verdict(req, pns_fcm_status(reason), reason);
	pns_fcm_body(req, true);
}


void pns_count_call(const struct pns_req *req)
{
	struct pns_count *count = &req->conn->pns->count;
	uint64_t h;

	if (!*req->call)
		return;
	h = pns_hash64(2, req->call, strlen(req->call));
	h = pns_hash64(h, req->use, strlen(req->use));
	h = pns_hash64(h, req->token, strlen(req->token));
	if (pns_u64set_put(count->calls, h))
		pns_count_add(count, CNT_DUPLICATES_CALL, 1);
}


static void accept_push(struct pns_req *req, struct pns_token *token)
{
	struct pns *pns = req->conn->pns;

	(void)re_snprintf(req->message, sizeof(req->message),
			  "projects/%s/messages/0:%llu%%%08x%08x",
			  req->project, (unsigned long long)pns_now_us(),
			  rand_u32(), (uint32_t)++pns->push_id);
	pns_req_verdict(req, 200, "");
	pns_fcm_body(req, true);
	if (json_is_true(either(req->root, "validate_only", "validateOnly")))
		return;
	pns_count_call(req);
	if (token && token->dev)
		pns_device_push(token, req);
}


void pns_fcm_judge(struct pns_req *req)
{
	const char *type = pns_req_h(req, H_CONTENT_TYPE);
	struct pns *pns = req->conn->pns;
	struct pns_token *token = NULL;
	const char *bad;

	if (strcmp(pns_req_h(req, H_METHOD), "POST")) {
		refuse(req, "NOT_FOUND");
		return;
	}
	bad = check_auth(req);
	if (!bad && !req->conn->primed) {
		req->conn->primed = true;
		pns_conn_limit(req->conn,
			       (uint32_t)pns->setv[SET_FCM_STREAMS]);
	}
	if (bad) {
		refuse(req, bad);
		return;
	}
	if (strncmp(type, "application/json", 16)) {
		field_violation(req, "", "Content-Type is not JSON");
		return;
	}
	if (bad_message(req))
		return;

	if (over_quota(pns)) {
		refuse(req, "QUOTA_EXCEEDED");
		str_ncpy(req->retry_after, QUOTA_RETRY,
			 sizeof(req->retry_after));
		return;
	}
	bad = *req->token ? check_token(req, &token) : NULL;
	if (bad)
		refuse(req, bad);
	else
		accept_push(req, token);
}
