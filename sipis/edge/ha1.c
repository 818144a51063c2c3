/**
 * @file ha1.c  What an account's password is worth in a realm
 */

#include <string.h>
#include "sipis/edge/priv.h"


enum { SECRET = 256 };


size_t edge_ha1(uint8_t ha1[CRED_HA1_MAX], const struct edge *e,
		const struct acct_row *row, enum digest_alg alg,
		const struct pl *realm)
{
	char secret[SECRET + 1], name[256];
	size_t len = SECRET;

	if (cred_open(e->prm.key, row, row->sealed, row->sealed_len, secret,
		      &len))
		return 0;

	if (row->sealed_is_ha1) {
		if (row->alg != alg || len > CRED_HA1_MAX)
			len = 0;
		else
			memcpy(ha1, secret, len);
	}
	else {
		secret[len] = '\0';
		(void)pl_strcpy(realm, name, sizeof(name));
		len = cred_ha1(ha1, alg, row->auth_user, name, secret);
	}
	explicit_bzero(secret, sizeof(secret));

	return len;
}
