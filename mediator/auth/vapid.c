/**
 * @file auth/vapid.c  Who we are, for the push services of browsers
 *
 * RFC 8292.  One token per origin serves all subscriptions there.  Nothing is
 * kept over a restart: a signature costs less than reading a file, and no
 * service counts them.
 */

#include <errno.h>
#include <string.h>
#include "common/clock.h"
#include "common/ident.h"
#include "common/log.h"
#include "mediator/auth/auth.h"
#include "mediator/auth/jwt.h"

enum {
	LIFE_S = 12 * 3600, /* services refuse more than a day */
	RENEW_MS = 11 * 3600000,
	RENEW_SPREAD_MS = 10 * 60000,
	LIFE_MS = LIFE_S * 1000 - 60000,
	MIN_AGE_MS = 60000,
	POINT_TEXT = 4 * ((P256_POINT + 2) / 3) + 1,
};

struct vapid_auth {
	struct auth a; /**< first */
	char *subject, *origin;
};


static void destructor(void *arg)
{
	struct vapid_auth *va = arg;

	auth_destruct(&va->a);
	mem_deref(va->subject);
	mem_deref(va->origin);
}


static int value_make(char **valuep, const struct vapid_auth *va,
		      const uint8_t *sig, size_t len)
{
	uint8_t point[P256_POINT];
	char text[POINT_TEXT], *jwt = NULL;
	int err = signer_key_point(point, va->a.key);

	if (!err)
		err = jwt_join(&jwt, va->a.input, sig, len);
	if (!err) {
		(void)ident_b64url(text, point, sizeof(point));
		err = re_sdprintf(valuep, "t=%s, k=%s", jwt, text);
	}
	mem_deref(jwt);

	return err;
}


static void signed_handler(int err, const uint8_t *sig, size_t len, void *arg)
{
	struct vapid_auth *va = arg;
	char *value = NULL;

	va->a.sign = mem_deref(va->a.sign);
	if (!err)
		err = value_make(&value, va, sig, len);
	if (err) {
		log_warning("auth", "-", "signing for \"%s\" failed: %s",
			    va->a.name, strerror(err));
		auth_failed(&va->a, NULL);
		return;
	}

	auth_got(&va->a, value, 0, RENEW_MS + rand_u32() % RENEW_SPREAD_MS,
		 LIFE_MS);
}


static int fetch(struct auth *a)
{
	struct vapid_auth *va = (struct vapid_auth *)a;
	int err;

	a->input = mem_deref(a->input);
	a->iat_s = clock_wall_ms() / 1000;
	err = jwt_vapid_input(&a->input, va->origin, va->subject,
			      a->iat_s + LIFE_S);

	return err ? err : auth_sign(a, signed_handler);
}


int auth_vapid_alloc(struct auth **ap, const struct auth_vapid_prm *prm)
{
	struct vapid_auth *va;
	int err;

	if (!ap || !prm || !prm->signer || !prm->key)
		return EINVAL;

	va = mem_zalloc(sizeof(*va), destructor);
	if (!va)
		return ENOMEM;

	tmr_init(&va->a.tmr);
	va->a.fetch = fetch;
	va->a.min_age_ms = MIN_AGE_MS;
	va->a.signer = mem_ref(prm->signer);
	va->a.key = mem_ref(prm->key);
	err = str_dup(&va->a.name, prm->name);
	if (!err)
		err = str_dup(&va->subject, prm->subject);
	if (!err)
		err = str_dup(&va->origin, prm->origin);
	if (err) {
		mem_deref(va);
		return err;
	}

	auth_schedule(&va->a);
	*ap = &va->a;
	return 0;
}
