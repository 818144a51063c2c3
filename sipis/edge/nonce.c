/**
 * @file edge/nonce.c  Nonces that need no memory; pure
 *
 *     8 hex digits: seconds | 8: any | 24: HMAC-SHA256 over them, address and
 *     account
 */

#include <errno.h>
#include <string.h>
#include "common/ident.h"
#include "common/secret.h"
#include "sipis/edge/nonce.h"


enum { TIME = 8, HEAD = 16, MAC = 12 };


static int mac_of(char *dst, const struct edge_key *key,
		  const struct edge_asked *who, const char *head)
{
	char text[HEAD + 64 + EDGE_AOR];
	uint8_t mac[EDGE_MAC];
	int n = re_snprintf(text, sizeof(text), "%b%J %s", head, (size_t)HEAD,
			    who->peer, who->aor);

	if (n < 0 || edge_mac(mac, &key->nonce, text, (size_t)n))
		return EIO;

	ident_hex(dst, mac, MAC);

	return 0;
}


int edge_nonce_write(char *dst, const struct edge_key *key,
		     const struct edge_asked *who, int64_t now_s,
		     uint32_t salt)
{
	(void)re_snprintf(dst, HEAD + 1, "%08x%08x", (uint32_t)now_s, salt);

	return mac_of(dst + HEAD, key, who, dst);
}


enum edge_nonce edge_nonce_read(const struct pl *text,
				const struct edge_key *key,
				const struct edge_asked *who, int64_t now_s)
{
	char mac[2 * MAC + 1];
	uint32_t age;

	if (text->l != EDGE_NONCE_LEN || mac_of(mac, key, who, text->p) ||
	    !secret_equal(mac, text->p + HEAD, 2 * MAC))
		return EDGE_NONCE_FOREIGN;

	age = (uint32_t)now_s - edge_nonce_time(text);

	return age > EDGE_NONCE_S ? EDGE_NONCE_STALE : EDGE_NONCE_GOOD;
}


uint32_t edge_nonce_time(const struct pl *text)
{
	const struct pl time = { text->p, text->l < TIME ? text->l : TIME };

	return pl_x32(&time);
}


uint64_t edge_nonce_id(const struct pl *text)
{
	const struct pl id = { text->p + HEAD, 16 };

	return text->l < HEAD + id.l ? 0 : pl_x64(&id);
}
