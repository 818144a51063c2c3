/**
 * @file edge/nonce.c  Nonces that need no memory; pure
 *
 *     8 hex digits: seconds | 24: HMAC-SHA256 over them and the address
 */

#include <errno.h>
#include <string.h>
#include "common/ident.h"
#include "common/secret.h"
#include "sipis/edge/nonce.h"


enum { TIME = 8, MAC = 12 };


static int mac_of(char *dst, const struct edge_key *key, const struct sa *peer,
		  const char *time)
{
	char text[TIME + 64];
	uint8_t mac[EDGE_MAC];
	int n = re_snprintf(text, sizeof(text), "%b%j", time, (size_t)TIME,
			    peer);

	if (n < 0 || edge_mac(mac, &key->nonce, text, (size_t)n))
		return EIO;

	ident_hex(dst, mac, MAC);

	return 0;
}


int edge_nonce_write(char *dst, const struct edge_key *key,
		     const struct sa *peer, int64_t now_s)
{
	(void)re_snprintf(dst, TIME + 1, "%08x", (uint32_t)now_s);

	return mac_of(dst + TIME, key, peer, dst);
}


enum edge_nonce edge_nonce_read(const struct pl *text,
				const struct edge_key *key,
				const struct sa *peer, int64_t now_s)
{
	char mac[2 * MAC + 1];
	struct pl time = { text->p, TIME };
	uint32_t age;

	if (text->l != EDGE_NONCE_LEN || mac_of(mac, key, peer, text->p) ||
	    !secret_equal(mac, text->p + TIME, 2 * MAC))
		return EDGE_NONCE_FOREIGN;

	age = (uint32_t)now_s - pl_x32(&time);

	return age > EDGE_NONCE_S ? EDGE_NONCE_STALE : EDGE_NONCE_GOOD;
}
