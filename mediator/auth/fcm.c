/**
 * @file auth/fcm.c  The access token of one Google service account
 *
 * "Using OAuth 2.0 for server to server applications"; RFC 7523.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "mediator/json.h"
#include "common/clock.h"
#include "common/log.h"
#include "mediator/auth/auth.h"
#include "mediator/auth/jwt.h"
#include "mediator/net/once.h"

#define GRANT \
	"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer"

enum {
	EARLY_MS = 5 * 60000,
	MIN_AGE_MS = 10000,
	FETCH_TIMEOUT_MS = 5000,
	SKEW_MS = 60000,
	LIFE_MAX_S = 86400,
};

struct fcm_auth {
	struct auth a; /**< first */
	char *email, *key_id, *token_uri, *ca;
	struct once *once; /**< under way */
};


static void destructor(void *arg)
{
	struct fcm_auth *fa = arg;

	mem_deref(fa->once);
	auth_destruct(&fa->a);
	mem_deref(fa->email);
	mem_deref(fa->key_id);
	mem_deref(fa->token_uri);
	mem_deref(fa->ca);
}


static int granted(struct fcm_auth *fa, const json_t *root)
{
	const char *value =
		json_string_value(json_object_get(root, "access_token"));
	json_int_t s = json_integer_value(json_object_get(root, "expires_in"));
	uint64_t life;
	char *copy;

	if (!value || !*value || s <= 0 || s > LIFE_MAX_S)
		return EBADMSG;
	if (str_dup(&copy, value))
		return ENOMEM;

	life = (uint64_t)s * 1000;
	auth_got(&fa->a, copy, 0,
		 life > 2 * EARLY_MS ? life - EARLY_MS : life / 2, life);
	return 0;
}


static void clock_check(const struct fcm_auth *fa, int64_t date_ms)
{
	int64_t diff = clock_wall_ms() - date_ms;

	if (date_ms && (diff > SKEW_MS || diff < -SKEW_MS))
		log_error("auth", "-",
			  "ALERT the clock of this host is %lld s off the one "
			  "of %s; check NTP",
			  (long long)(diff / 1000), fa->token_uri);
}


/* RFC 6749 5.2: 400 and 401 are about us, anything else may pass */
static void denied(struct fcm_auth *fa, uint32_t status, const json_t *root,
		   int64_t date_ms)
{
	const char *error = json_string_value(json_object_get(root, "error"));
	const char *more =
		json_string_value(json_object_get(root, "error_description"));
	char text[128];

	clock_check(fa, date_ms);
	if (status != 400 && status != 401 && status != 403) {
		log_warning("auth", "-", "no token for \"%s\": status %u",
			    fa->a.name, status);
		auth_failed(&fa->a, NULL);
		return;
	}

	(void)re_snprintf(text, sizeof(text), "%u %s: %s", status,
			  error ? error : "error", more ? more : "");
	auth_failed(&fa->a, text);
}


static void answer_handler(enum net_fail fail, uint32_t status,
			   const char *body, int64_t date_ms, void *arg)
{
	struct fcm_auth *fa = arg;
	struct once *once = fa->once; /* body is inside */
	json_t *root;

	fa->once = NULL;
	if (fail) {
		log_warning("auth", "-", "no token for \"%s\": %s: %s",
			    fa->a.name, fa->token_uri, net_fail_name(fail));
		auth_failed(&fa->a,
			    fail == NET_UNTRUSTED
				    ? "the certificate of token_uri is "
				      "not trusted"
				    : NULL);
		goto out;
	}

	root = json_loads(body, 0, NULL);
	if (status != 200)
		denied(fa, status, root, date_ms);
	else if (granted(fa, root))
		auth_failed(&fa->a, "the answer of token_uri makes no sense");
	json_decref(root);

out:
	mem_deref(once);
}


static int post(struct fcm_auth *fa, const uint8_t *sig, size_t len)
{
	char *jwt = NULL, *body = NULL;
	struct once_prm prm = {
		.url = fa->token_uri,
		.ca = fa->ca,
		.content_type = "application/x-www-form-urlencoded",
		.timeout_ms = FETCH_TIMEOUT_MS,
	};
	int err;

	err = jwt_join(&jwt, fa->a.input, sig, len);
	if (!err)
		err = re_sdprintf(&body, "%s&assertion=%s", GRANT, jwt);
	prm.body = body;
	if (!err)
		err = once_post(&fa->once, &prm, answer_handler, fa);

	mem_deref(jwt);
	mem_deref(body);
	return err;
}


static void signed_handler(int err, const uint8_t *sig, size_t len, void *arg)
{
	struct fcm_auth *fa = arg;

	fa->a.sign = mem_deref(fa->a.sign);
	if (!err)
		err = post(fa, sig, len);
	if (!err)
		return;

	log_warning("auth", "-", "no token for \"%s\": %s", fa->a.name,
		    strerror(err));
	auth_failed(&fa->a, NULL);
}


static int fetch(struct auth *a)
{
	struct fcm_auth *fa = (struct fcm_auth *)a;
	int err;

	a->input = mem_deref(a->input);
	a->iat_s = clock_wall_ms() / 1000;
	err = jwt_google_input(&a->input, fa->key_id, fa->email, fa->token_uri,
			       a->iat_s);

	return err ? err : auth_sign(a, signed_handler);
}


int auth_fcm_alloc(struct auth **ap, const struct auth_fcm_prm *prm,
		   char *reason, size_t reason_sz)
{
	struct fcm_auth *fa;
	int err;

	if (!ap || !prm || !prm->signer)
		return EINVAL;

	fa = mem_zalloc(sizeof(*fa), destructor);
	if (!fa)
		return ENOMEM;

	tmr_init(&fa->a.tmr);
	fa->a.fetch = fetch;
	fa->a.min_age_ms = MIN_AGE_MS;
	fa->a.signer = mem_ref(prm->signer);
	err = signer_key_load(&fa->a.key, SIGNER_RS256, prm->pem, reason,
			      reason_sz);
	if (!err)
		err = str_dup(&fa->a.name, prm->name);
	if (!err)
		err = str_dup(&fa->email, prm->email);
	if (!err)
		err = str_dup(&fa->key_id, prm->key_id);
	if (!err)
		err = str_dup(&fa->token_uri, prm->token_uri);
	if (!err && prm->ca)
		err = str_dup(&fa->ca, prm->ca);

	if (err) {
		mem_deref(fa);
		return err;
	}

	auth_schedule(&fa->a);
	*ap = &fa->a;
	return 0;
}
