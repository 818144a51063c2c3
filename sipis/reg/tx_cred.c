/**
 * @file tx_cred.c  The secrets of a request in flight
 *
 * Opened for one hash and wiped; a password lives until its first success,
 * then its hash takes its place, good for one realm and one algorithm.
 */

#include <errno.h>
#include <string.h>
#include "common/log.h"
#include "sipis/reg/priv.h"


bool tx_is_proven(const struct tx *tx)
{
	return tx->acct && tx->acct->proven;
}


void tx_pin(struct digest_pin *pin, const struct tx *tx)
{
	const struct acct *a = tx->acct;
	const struct probe *p = tx->op ? tx->op->probe : NULL;

	memset(pin, 0, sizeof(*pin));
	if (a) {
		pin->realm =
			a->realm ? tx->line->realmv[a->realm - 1].name : NULL;
		pin->alg = a->realm || a->is_ha1 ? (enum digest_alg)a->alg
						 : DIGEST_MD5;
		pin->exact = a->is_ha1;
	}
	else if (p) {
		pin->realm = p->realm;
		pin->alg = p->has_ha1 ? p->alg : DIGEST_MD5;
		pin->exact = p->has_ha1;
	}
}


static size_t alg_len(enum digest_alg alg)
{
	return alg == DIGEST_SHA256 ? 32 : 16;
}


static int acct_ha1(uint8_t ha1[CRED_HA1_MAX], const struct acct *a,
		    enum digest_alg alg, const char *realm)
{
	uint8_t secret[SECRET_MAX + 1];
	size_t len = SECRET_MAX;
	struct acct_row row;
	int err;

	acct_row_fill(&row, a);
	err = cred_opener_open(a->line->reg->opener, &row, row.sealed,
			       row.sealed_len, secret, &len);
	if (err) {
		/* Our own fault, no verdict: it is tried again later */
		if (!a->fails)
			log_error("reg", "-",
				  "secret of account=%llu pbx=%s does not "
				  "open: %s; it is not registered; give its "
				  "password again, or put back the key_file "
				  "or the store",
				  (unsigned long long)a->id,
				  a->line->cfg->name, strerror(err));
		return EACCES;
	}

	if (a->is_ha1) {
		if (len == alg_len(alg))
			memcpy(ha1, secret, len);
		else
			err = EACCES;
	}
	else {
		secret[len] = '\0';
		if (!cred_ha1(ha1, alg, row.auth_user, realm, (char *)secret))
			err = ENOMEM;
	}
	explicit_bzero(secret, sizeof(secret));

	return err;
}


static int probe_ha1(uint8_t ha1[CRED_HA1_MAX], const struct probe *p,
		     enum digest_alg alg, const char *realm)
{
	if (p->has_ha1) {
		memcpy(ha1, p->ha1, CRED_HA1_MAX);
		return 0;
	}

	return cred_ha1(ha1, alg, p->auth_user, realm, p->password) ? 0
								    : ENOMEM;
}


int tx_ha1(uint8_t ha1[CRED_HA1_MAX], const struct tx *tx)
{
	const enum digest_alg alg = digest_nonce_alg(tx->nonce);
	char realm[256];
	int err;

	err = digest_nonce_realm(realm, sizeof(realm), tx->nonce);
	if (err)
		return err;

	if (tx->acct)
		return acct_ha1(ha1, tx->acct, alg, realm);

	return probe_ha1(ha1, tx->op->probe, alg, realm);
}


/* The password has done its work: from here on its hash is enough, and only
   for this realm */
void tx_pin_realm(struct tx *tx)
{
	struct acct *a = tx->acct;
	const struct reg *reg = tx->line->reg;
	uint8_t ha1[CRED_HA1_MAX], sealed[CRED_SEALED_MAX];
	size_t len = sizeof(sealed);
	struct acct_row row;
	char realm[256];
	uint16_t number;
	int err;

	if (!tx->nonce || (a->realm && a->is_ha1))
		return;

	err = digest_nonce_realm(realm, sizeof(realm), tx->nonce);
	err = err ? err : tx_ha1(ha1, tx);
	err = err ? err : line_realm(tx->line, realm, &number);
	if (err)
		return;

	acct_row_fill(&row, a);
	err = cred_seal(reg->key, &row, ha1,
			alg_len(digest_nonce_alg(tx->nonce)), sealed, &len);
	explicit_bzero(ha1, sizeof(ha1));
	if (err || acct_set_sealed(a, sealed, len))
		return;

	a->is_ha1 = true;
	acct_set_realm(a, number);
	a->alg = digest_nonce_alg(tx->nonce) & 1;
	a->unsettled = true;
}
