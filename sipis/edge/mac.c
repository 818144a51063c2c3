/**
 * @file edge/mac.c  HMAC-SHA256 under a key that is used often; pure
 */

#include <errno.h>
#include <string.h>
#include "sipis/edge/mac.h"


static int half(SHA256_CTX *ctx, const uint8_t *key, size_t len, uint8_t pad)
{
	uint8_t block[SHA256_CBLOCK];
	int ok;

	memset(block, pad, sizeof(block));
	for (size_t i = 0; i < len; i++)
		block[i] ^= key[i];

	ok = SHA256_Init(ctx) && SHA256_Update(ctx, block, sizeof(block));
	explicit_bzero(block, sizeof(block));

	return ok ? 0 : EIO;
}


int edge_mac_key(struct edge_mac *m, const uint8_t *key, size_t len)
{
	int err;

	if (!m || !key || len > SHA256_CBLOCK)
		return EINVAL;

	err = half(&m->inner, key, len, 0x36);

	return err ? err : half(&m->outer, key, len, 0x5c);
}


int edge_mac(uint8_t dst[EDGE_MAC], const struct edge_mac *m, const void *text,
	     size_t len)
{
	SHA256_CTX ctx = m->inner;
	uint8_t md[EDGE_MAC];

	if (!SHA256_Update(&ctx, text, len) || !SHA256_Final(md, &ctx))
		return EIO;

	ctx = m->outer;

	return SHA256_Update(&ctx, md, sizeof(md)) && SHA256_Final(dst, &ctx)
		       ? 0
		       : EIO;
}
