/**
 * @file head.c  What the headers of a request say
 */

#include <string.h>
#include <strings.h>
#include <libwebsockets.h>
#include "common/secret.h"
#include "sipis/api/http.h"


static const char *method_of(struct lws *wsi)
{
	static const struct {
		enum lws_token_indexes token;
		const char *name;
	} methods[] = {
		{ WSI_TOKEN_GET_URI, "GET" },
		{ WSI_TOKEN_PUT_URI, "PUT" },
		{ WSI_TOKEN_POST_URI, "POST" },
		{ WSI_TOKEN_PATCH_URI, "PATCH" },
		{ WSI_TOKEN_DELETE_URI, "DELETE" },
		{ WSI_TOKEN_HEAD_URI, "HEAD" },
		{ WSI_TOKEN_OPTIONS_URI, "OPTIONS" },
	};

	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++)
		if (lws_hdr_total_length(wsi, methods[i].token) > 0)
			return methods[i].name;
	return "?";
}


static bool header(struct lws *wsi, enum lws_token_indexes token, char *dst,
		   size_t size)
{
	const int n = lws_hdr_total_length(wsi, token);

	*dst = 0;
	return n > 0 && n < (int)size &&
	       lws_hdr_copy(wsi, dst, (int)size, token) == n;
}


/** Content-Length as RFC 9110 8.6 writes it: digits, nothing else */
static bool length_of(size_t *len, const char *text)
{
	*len = 0;
	if (!*text || strlen(text) > 12)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		*len = *len * 10 + (size_t)(*text - '0');
	}
	return true;
}


/** RFC 9112 3.2: HTTP/1.1 names its host, once */
static bool host_is_there(struct lws *wsi)
{
	char version[16];

	if (lws_hdr_fragment_length(wsi, WSI_TOKEN_HOST, 1) > 0)
		return false;
	return lws_hdr_total_length(wsi, WSI_TOKEN_HOST) > 0 ||
	       (header(wsi, WSI_TOKEN_HTTP, version, sizeof(version)) &&
		!strcmp(version, "HTTP/1.0"));
}


enum problem head_read(struct head *h, struct conn *c, struct lws *wsi)
{
	const char *method = method_of(wsi);
	char text[64];

	memset(h, 0, sizeof(*h));
	h->bodied = *method == 'P';
	h->post = !strcmp(method, "POST");
	c->bare = !strcmp(method, "HEAD");
	if (!host_is_there(wsi)) {
		c->why = "A request of HTTP/1.1 needs one Host header.";
		return PB_BAD_REQUEST;
	}
	h->chunked = lws_hdr_total_length(
			     wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0;
	if (lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH) > 0) {
		if (!header(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH, text,
			    sizeof(text)) ||
		    !length_of(&h->length, text))
			return PB_BAD_REQUEST;
		h->has_length = true;
	}
	if (lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_EXPECT) > 0) {
		if (!header(wsi, WSI_TOKEN_HTTP_EXPECT, text, sizeof(text)) ||
		    strcasecmp(text, "100-continue"))
			return PB_EXPECTATION;
		h->expects = true;
	}
	return PB_NONE;
}


bool head_is_json(struct lws *wsi)
{
	char type[128];
	size_t n;

	if (!header(wsi, WSI_TOKEN_HTTP_CONTENT_TYPE, type, sizeof(type)))
		return false;
	n = strcspn(type, "; \t");
	return n == 16 && !strncasecmp(type, "application/json", n);
}


bool head_bearer(struct ask *a, struct lws *wsi)
{
	char text[HTTP_HEADER_MAX];
	const char *p = text;
	bool ok;

	if (!header(wsi, WSI_TOKEN_HTTP_AUTHORIZATION, text, sizeof(text)) ||
	    strncasecmp(p, "Bearer ", 7))
		return false;

	for (p += 7; *p == ' ';)
		++p;
	ok = *p && !secret_sha256(a->secret_sha256, p, strlen(p));
	explicit_bzero(text, strlen(text));
	return ok;
}


enum problem head_route(struct ask *a, struct lws *wsi, bool admin,
			const char *path)
{
	char text[4][ROUTE_ID_MAX + 16];
	const char *queryv[4];
	unsigned n = 0;

	for (; n < 4; n++) {
		const int len =
			lws_hdr_copy_fragment(wsi, text[n], sizeof(text[n]),
					      WSI_TOKEN_HTTP_URI_ARGS, (int)n);

		if (len < 0)
			break;
		queryv[n] = text[n];
	}

	return route_find(&a->route, admin, method_of(wsi), path, queryv, n,
			  a->allow, sizeof(a->allow));
}
