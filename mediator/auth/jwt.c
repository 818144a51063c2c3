/**
 * @file auth/jwt.c  JSON Web Tokens, RFC 7519, in compact form, RFC 7515 7.1
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "mediator/json.h"
#include "common/ident.h"
#include "mediator/auth/jwt.h"

#define GOOGLE_SCOPE "https://www.googleapis.com/auth/firebase.messaging"

enum { GOOGLE_LIFE_S = 3600 };


static size_t b64_size(size_t len)
{
	return 4 * ((len + 2) / 3);
}


int jwt_input(char **inputp, const char *header, const char *claims)
{
	size_t hlen = strlen(header), clen = strlen(claims), n;
	char *s = mem_zalloc(b64_size(hlen) + b64_size(clen) + 2, NULL);

	if (!s)
		return ENOMEM;

	n = ident_b64url(s, header, hlen);
	s[n++] = '.';
	(void)ident_b64url(s + n, claims, clen);

	*inputp = s;
	return 0;
}


int jwt_join(char **jwtp, const char *input, const uint8_t *sig, size_t len)
{
	char *tail = mem_zalloc(b64_size(len) + 1, NULL);
	int err;

	if (!tail)
		return ENOMEM;

	(void)ident_b64url(tail, sig, len);
	err = re_sdprintf(jwtp, "%s.%s", input, tail);
	mem_deref(tail);

	return err;
}


/* Both are taken over */
static int input_of(char **inputp, json_t *header, json_t *claims)
{
	char *h = json_dumps(header, JSON_COMPACT);
	char *c = json_dumps(claims, JSON_COMPACT);
	int err = h && c ? jwt_input(inputp, h, c) : ENOMEM;

	free(h);
	free(c);
	json_decref(header);
	json_decref(claims);
	return err;
}


int jwt_apns_input(char **inputp, const char *key_id, const char *team_id,
		   int64_t iat_s)
{
	return input_of(inputp,
			json_pack("{s:s,s:s}", "alg", "ES256", "kid", key_id),
			json_pack("{s:s,s:I}", "iss", team_id, "iat",
				  (json_int_t)iat_s));
}


int jwt_google_input(char **inputp, const char *key_id, const char *email,
		     const char *audience, int64_t iat_s)
{
	return input_of(inputp,
			json_pack("{s:s,s:s,s:s}", "alg", "RS256", "typ",
				  "JWT", "kid", key_id),
			json_pack("{s:s,s:s,s:s,s:I,s:I}", "iss", email,
				  "scope", GOOGLE_SCOPE, "aud", audience,
				  "iat", (json_int_t)iat_s, "exp",
				  (json_int_t)iat_s + GOOGLE_LIFE_S));
}


int jwt_vapid_input(char **inputp, const char *origin, const char *subject,
		    int64_t exp_s)
{
	return input_of(inputp,
			json_pack("{s:s,s:s}", "typ", "JWT", "alg", "ES256"),
			json_pack("{s:s,s:I,s:s}", "aud", origin, "exp",
				  (json_int_t)exp_s, "sub", subject));
}
