/**
 * @file oauth.c  The token endpoint of Google: RFC 7523 assertions in, access
 *                tokens out
 */

#include <errno.h>
#include "pns.h"

#define GRANT      "urn:ietf:params:oauth:grant-type:jwt-bearer"
#define SCOPE      "https://www.googleapis.com/auth/firebase.messaging"
#define PLATFORM   "https://www.googleapis.com/auth/cloud-platform"
#define LIFE_MAX_S 3600
#define SKEW_S     300

#define TEXT_TIME                                                             \
	"Invalid JWT: Token must be a short-lived token (60 minutes) and in " \
	"a reasonable timeframe. Check your iat and exp values in the JWT "   \
	"claim."


static int hexval(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}


/* One value of application/x-www-form-urlencoded, decoded into dst */
static bool form_value(char *dst, size_t size, const char *body, size_t len,
		       const char *key)
{
	const char *p = body, *end = body + len;
	const size_t klen = strlen(key);
	size_t n = 0;

	while (p < end && (strncmp(p, key, klen) || p[klen] != '=')) {
		p = memchr(p, '&', (size_t)(end - p));
		if (!p)
			return false;
		++p;
	}
	for (p += klen + 1; p < end && *p != '&' && n + 1 < size; p++) {
		if (*p == '%' && p + 2 < end && hexval(p[1]) >= 0 &&
		    hexval(p[2]) >= 0) {
			dst[n++] = (char)(hexval(p[1]) * 16 + hexval(p[2]));
			p += 2;
			continue;
		}
		dst[n++] = *p == '+' ? ' ' : *p;
	}
	dst[n] = '\0';

	return n > 0;
}


static bool word_in(const char *list, const char *word)
{
	const size_t n = strlen(word);

	for (const char *p = list; p && *p;) {
		if (!strncmp(p, word, n) && (!p[n] || p[n] == ' '))
			return true;
		p = strchr(p, ' ');
		if (p)
			++p;
	}

	return false;
}


static const char *claim(const struct pns_jwt *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j->claims, key));

	return s ? s : "";
}


static const char *check_claims(const struct pns *pns, const struct pns_jwt *j,
				const struct pns_sa *sa, const char **why)
{
	const int64_t now = pns_now_ms(pns) / 1000;
	const char *aud = *pns->audience ? pns->audience : sa->token_uri;
	const char *scope = claim(j, "scope");

	if (!j->iat_ok || j->exp <= now || j->iat > now + SKEW_S ||
	    j->exp - j->iat > LIFE_MAX_S || j->exp <= j->iat) {
		*why = TEXT_TIME;
		return "invalid_grant";
	}
	if (strcmp(claim(j, "aud"), aud)) {
		*why = "Invalid JWT: Failed audience check.";
		return "invalid_grant";
	}
	if (!word_in(scope, SCOPE) && !word_in(scope, PLATFORM)) {
		*why = "Invalid OAuth scope or ID token audience provided.";
		return "invalid_scope";
	}

	return NULL;
}


static const char *check_assertion(struct pns *pns, const struct pns_jwt *j,
				   struct pns_sa **sap, const char **why)
{
	struct pns_sa *sa = pns_sa_email(pns, j->iss);

	*sap = sa;
	if (!sa) {
		*why = "Invalid grant: account not found";
		return "invalid_grant";
	}
	if ((*j->kid && strcmp(j->kid, sa->kid)) ||
	    !pns_jwt_verify(j, sa->key)) {
		*why = "Invalid JWT Signature.";
		return "invalid_grant";
	}

	return check_claims(pns, j, sa, why);
}


static const char *check_form(struct pns_req *req, struct pns_jwt **jp,
			      const char **why)
{
	const struct mbuf *mb = req->body;
	const char *type = pns_req_h(req, H_CONTENT_TYPE);
	char grant[128], assertion[4096];

	if (strncmp(type, "application/x-www-form-urlencoded", 33) ||
	    !form_value(grant, sizeof(grant), (char *)mb->buf, mb->end,
			"grant_type")) {
		*why = "Required parameter is missing: grant_type";
		return "invalid_request";
	}
	if (strcmp(grant, GRANT)) {
		*why = "Invalid grant_type";
		return "unsupported_grant_type";
	}
	if (!form_value(assertion, sizeof(assertion), (char *)mb->buf, mb->end,
			"assertion")) {
		*why = "Required parameter is missing: assertion";
		return "invalid_request";
	}
	if (pns_jwt_decode(jp, assertion, strlen(assertion))) {
		*why = "no memory";
		return "server_error";
	}

	return NULL;
}


void pns_oauth_body(struct pns_req *req)
{
	req->content_type = "application/json; charset=utf-8";
	pns_req_printf(req, "{\"error\":\"%s\",\"error_description\":\"%s\"}",
		       req->reason, "scripted");
}


static void refuse(struct pns_req *req, int status, const char *bad,
		   const char *why)
{
	pns_req_verdict(req, status, bad);
	req->content_type = "application/json; charset=utf-8";
	pns_req_printf(req, "{\"error\":\"%s\",\"error_description\":\"%s\"}",
		       bad, why);
}


void pns_oauth_judge(struct pns_req *req)
{
	struct pns *pns = req->conn->pns;
	struct pns_jwt *jwt = NULL;
	struct pns_access *access;
	struct pns_sa *sa = NULL;
	const char *bad, *why = "";

	if (strcmp(pns_req_h(req, H_METHOD), "POST")) {
		refuse(req, 405, "invalid_request", "POST only");
		return;
	}
	bad = check_form(req, &jwt, &why);
	if (!bad)
		bad = check_assertion(pns, jwt, &sa, &why);
	if (!bad && pns_access_new(&access, pns, sa))
		bad = "server_error";
	mem_deref(jwt);
	if (bad) {
		refuse(req, 400, bad, why);
		return;
	}

	pns_req_verdict(req, 200, "");
	req->content_type = "application/json; charset=utf-8";
	pns_req_printf(req,
		       "{\"access_token\":\"%s\",\"expires_in\":%lld,"
		       "\"token_type\":\"Bearer\"}",
		       access->text,
		       (long long)pns->setv[SET_FCM_TOKEN_LIFE_S]);
}
