/**
 * @file auth/apns.c  The JWT of one APNs key
 *
 * "Establishing a token-based connection to APNs".
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/log.h"
#include "common/secret.h"
#include "mediator/auth/auth.h"
#include "mediator/auth/jwt.h"

enum {
	RENEW_MS = 45 * 60000,
	RENEW_SPREAD_MS = 5 * 60000, /* so that hosts do not march in step */
	LIFE_MS = 59 * 60000,
	MIN_AGE_MS = 20 * 60000, /* Apple punishes signing more often */
	FILE_MAX = 2048,
	AAD_MAX = 256,
};

struct apns_auth {
	struct auth a; /**< first */
	char *team_id, *key_id;
	char *path; /**< of the sealed copy; NULL = none */
	uint8_t seal_key[32];
};


static void destructor(void *arg)
{
	struct apns_auth *aa = arg;

	auth_destruct(&aa->a);
	mem_deref(aa->team_id);
	mem_deref(aa->key_id);
	mem_deref(aa->path);
}


/* Another key, team or key id must not find this one's JWT good */
static size_t aad_make(uint8_t aad[AAD_MAX], const struct apns_auth *aa)
{
	uint8_t md[32];
	int n = re_snprintf((char *)aad, AAD_MAX - sizeof(md),
			    "sipis-apns-jwt %s %s ", aa->team_id, aa->key_id);

	if (n < 0)
		n = 0;
	signer_key_print(md, aa->a.key);
	memcpy(aad + n, md, sizeof(md));

	return (size_t)n + sizeof(md);
}


static int file_write(const char *path, const uint8_t *p, size_t len)
{
	char tmp[512];
	int fd, err = 0;

	if (re_snprintf(tmp, sizeof(tmp), "%s.new", path) < 0)
		return ENAMETOOLONG;

	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno;
	if (write(fd, p, len) != (ssize_t)len)
		err = EIO;
	if (close(fd) && !err)
		err = errno;
	if (!err && rename(tmp, path))
		err = errno;

	return err;
}


/* Not to have it costs one signature after a restart, no more */
static void keep(const struct apns_auth *aa, const char *jwt)
{
	char text[FILE_MAX - SEAL_OVERHEAD];
	uint8_t sealed[FILE_MAX], aad[AAD_MAX];
	int n, err;

	if (!aa->path)
		return;

	n = re_snprintf(text, sizeof(text), "%lld %s", (long long)aa->a.iat_s,
			jwt);
	if (n < 0)
		return;

	err = seal_close(sealed, aa->seal_key, aad, aad_make(aad, aa), text,
			 (size_t)n);
	if (!err)
		err = file_write(aa->path, sealed, (size_t)n + SEAL_OVERHEAD);
	if (err)
		log_warning("auth", "-",
			    "cannot keep the JWT of \"%s\" in %s: %s",
			    aa->a.name, aa->path, strerror(err));
}


static size_t file_read(uint8_t *p, size_t size, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return 0;
	n = read(fd, p, size);
	(void)close(fd);

	return n > 0 ? (size_t)n : 0;
}


static void restore(struct apns_auth *aa)
{
	uint8_t sealed[FILE_MAX], aad[AAD_MAX];
	char text[FILE_MAX + 1], *jwt, *copy = NULL;
	size_t n;
	int64_t age_ms;

	if (!aa->path)
		return;
	n = file_read(sealed, sizeof(sealed), aa->path);
	if (n <= SEAL_OVERHEAD ||
	    seal_open(text, aa->seal_key, aad, aad_make(aad, aa), sealed, n))
		return;

	text[n - SEAL_OVERHEAD] = '\0';
	jwt = strchr(text, ' ');
	age_ms = clock_wall_ms() - strtoll(text, NULL, 10) * 1000;
	if (!jwt || age_ms < 0 || age_ms >= RENEW_MS ||
	    str_dup(&copy, jwt + 1))
		return;

	token_got(&aa->a.tok, copy, clock_mono_ms(), (uint64_t)age_ms,
		  RENEW_MS, LIFE_MS);
}


static void signed_handler(int err, const uint8_t *sig, size_t len, void *arg)
{
	struct auth *a = arg;
	struct apns_auth *aa = arg;
	char *jwt = NULL;

	a->sign = mem_deref(a->sign);
	if (!err)
		err = jwt_join(&jwt, a->input, sig, len);
	if (err) {
		log_warning("auth", "-", "signing for \"%s\" failed: %s",
			    a->name, strerror(err));
		auth_failed(a, NULL);
		return;
	}

	keep(aa, jwt);
	auth_got(a, jwt, 0, RENEW_MS + rand_u32() % RENEW_SPREAD_MS, LIFE_MS);
}


static int fetch(struct auth *a)
{
	struct apns_auth *aa = (struct apns_auth *)a;
	int err;

	a->input = mem_deref(a->input);
	a->iat_s = clock_wall_ms() / 1000;
	err = jwt_apns_input(&a->input, aa->key_id, aa->team_id, a->iat_s);

	return err ? err : auth_sign(a, signed_handler);
}


int auth_apns_alloc(struct auth **ap, const struct auth_apns_prm *prm,
		    char *reason, size_t reason_sz)
{
	struct apns_auth *aa;
	int err;

	if (!ap || !prm || !prm->signer)
		return EINVAL;

	aa = mem_zalloc(sizeof(*aa), destructor);
	if (!aa)
		return ENOMEM;

	tmr_init(&aa->a.tmr);
	aa->a.fetch = fetch;
	aa->a.min_age_ms = MIN_AGE_MS;
	aa->a.signer = mem_ref(prm->signer);
	err = signer_key_load(&aa->a.key, SIGNER_ES256, prm->pem, reason,
			      reason_sz);
	if (!err)
		err = str_dup(&aa->a.name, prm->name);
	if (!err)
		err = str_dup(&aa->team_id, prm->team_id);
	if (!err)
		err = str_dup(&aa->key_id, prm->key_id);
	if (!err && prm->state_dir)
		err = re_sdprintf(&aa->path, "%s/apns-%s.jwt", prm->state_dir,
				  prm->name);
	if (err) {
		mem_deref(aa);
		return err;
	}

	memcpy(aa->seal_key, prm->seal_key, sizeof(aa->seal_key));
	restore(aa);
	auth_schedule(&aa->a);

	*ap = &aa->a;
	return 0;
}
