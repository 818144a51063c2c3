/**
 * @file auth/jwt.h  JSON Web Tokens, RFC 7519, in compact form, RFC 7515 7.1
 */

#ifndef MEDIATOR_AUTH_JWT_H
#define MEDIATOR_AUTH_JWT_H

#include <stddef.h>
#include <stdint.h>

/** What is signed: base64url(header) "." base64url(claims); mem_deref() */
int jwt_input(char **inputp, const char *header, const char *claims);

/** The whole token; mem_deref() */
int jwt_join(char **jwtp, const char *input, const uint8_t *sig, size_t len);

/** {"alg":"ES256","kid":...} and {"iss":...,"iat":...} as APNs wants them */
int jwt_apns_input(char **inputp, const char *key_id, const char *team_id,
		   int64_t iat_s);

/** RFC 7523 assertion for Google: an hour for the messaging scope */
int jwt_google_input(char **inputp, const char *key_id, const char *email,
		     const char *audience, int64_t iat_s);

/** RFC 8292 2: for the push services at one origin, until exp_s */
int jwt_vapid_input(char **inputp, const char *origin, const char *subject,
		    int64_t exp_s);

#endif
