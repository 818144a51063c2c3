/**
 * @file digest.c  Nonces and answers to them
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include "digest.h"

enum {
	RING = 1 << 18,   /**< nonces that may be out at one time */
	WINDOW = 1 << 14, /**< counts that may overtake each other */
};

struct nonce {
	uint32_t serial;
	uint32_t check; /**< not to be guessed */
	uint32_t nc_max;
	uint64_t born_ms;
	uint64_t *seen; /**< WINDOW bits, once it serves a second request */
};

struct digest {
	EVP_MD *md5;
	EVP_MD_CTX *ctx;
	struct nonce *ring;
	char realm[128];
	uint64_t key;
	uint32_t serial;
	uint32_t life_ms;
};


static void md5_hex(struct digest *d, char hex[DIGEST_HEX + 1],
		    const struct sv *v, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	uint8_t raw[16] = { 0 };

	(void)EVP_DigestInit_ex2(d->ctx, d->md5, NULL);
	for (size_t i = 0; i < n; i++) {
		if (i)
			(void)EVP_DigestUpdate(d->ctx, ":", 1);
		(void)EVP_DigestUpdate(d->ctx, v[i].p, v[i].l);
	}
	(void)EVP_DigestFinal_ex(d->ctx, raw, NULL);

	for (size_t i = 0; i < sizeof(raw); i++) {
		hex[2 * i] = digits[raw[i] >> 4];
		hex[2 * i + 1] = digits[raw[i] & 15];
	}
	hex[DIGEST_HEX] = '\0';
}


int digest_alloc(struct digest **dp, const char *realm, uint32_t life_s)
{
	struct digest *d = calloc(1, sizeof(*d));

	if (!d)
		return ENOMEM;

	(void)snprintf(d->realm, sizeof(d->realm), "%s", realm);
	d->ring = calloc(RING, sizeof(*d->ring));
	d->md5 = EVP_MD_fetch(NULL, "MD5", NULL);
	d->ctx = EVP_MD_CTX_new();
	digest_set_life(d, life_s);
	if (!d->ring || !d->md5 || !d->ctx ||
	    RAND_bytes((uint8_t *)&d->key, sizeof(d->key)) != 1) {
		digest_free(d);
		return ENOMEM;
	}

	*dp = d;
	return 0;
}


void digest_free(struct digest *d)
{
	for (size_t i = 0; d->ring && i < RING; i++)
		free(d->ring[i].seen);
	free(d->ring);
	EVP_MD_CTX_free(d->ctx);
	EVP_MD_free(d->md5);
	free(d);
}


void digest_set_life(struct digest *d, uint32_t life_s)
{
	d->life_ms = life_s * 1000;
}


void digest_nonce(struct digest *d, char *buf, uint64_t now_ms)
{
	const uint32_t serial = ++d->serial;
	struct nonce *n = &d->ring[serial % RING];
	uint64_t x = (d->key ^ serial) * 0x9e3779b97f4a7c15ULL;

	free(n->seen);
	*n = (struct nonce){ .serial = serial,
			     .check = (uint32_t)((x ^ (x >> 29)) >> 16),
			     .born_ms = now_ms };
	(void)snprintf(buf, 64, "%08x%08x", n->serial, n->check);
}


void digest_ha1(struct digest *d, char hex[DIGEST_HEX + 1], struct sv user)
{
	char pw[128];
	const int l = snprintf(pw, sizeof(pw), "pw-%.*s", (int)user.l, user.p);
	const struct sv v[] = {
		user,
		{ d->realm, strlen(d->realm) },
		{ pw, (size_t)l },
	};

	md5_hex(d, hex, v, 3);
}


static uint32_t hex32(const char *p)
{
	char copy[9];

	memcpy(copy, p, 8);
	copy[8] = '\0';
	return (uint32_t)strtoul(copy, NULL, 16);
}


static struct nonce *nonce_find(struct digest *d, struct sv v)
{
	struct nonce *n;
	uint32_t serial;

	if (v.l != 16)
		return NULL;

	serial = hex32(v.p);
	n = &d->ring[serial % RING];
	return serial && n->serial == serial && n->check == hex32(v.p + 8)
		       ? n
		       : NULL;
}


static bool seen_test_set(struct nonce *n, uint32_t nc)
{
	const uint32_t at = nc % WINDOW;
	const uint64_t bit = 1ULL << (at % 64);

	if (n->seen[at / 64] & bit)
		return true;

	n->seen[at / 64] |= bit;
	return false;
}


static void seen_advance(struct nonce *n, uint32_t nc)
{
	if (nc - n->nc_max >= WINDOW)
		memset(n->seen, 0, WINDOW / 8);
	else
		for (uint32_t i = n->nc_max + 1; i <= nc; i++)
			n->seen[i % WINDOW / 64] &= ~(1ULL << (i % 64));

	n->nc_max = nc;
}


/** A nonce that lives takes each count once */
static enum digest_verdict count_take(struct nonce *n, uint32_t nc)
{
	if (!nc)
		return DIGEST_BAD;

	if (!n->seen) {
		n->seen = calloc(WINDOW / 64, sizeof(*n->seen));
		if (!n->seen)
			return DIGEST_STALE;
	}

	if (nc > n->nc_max)
		seen_advance(n, nc);
	else if (n->nc_max - nc >= WINDOW)
		return DIGEST_STALE;

	return seen_test_set(n, nc) ? DIGEST_REPLAYED : DIGEST_OK;
}


static bool response_right(struct digest *d, struct sv auth, struct sv method,
			   const char *ha1, struct sv nonce, struct sv nc)
{
	struct sv uri, cnonce, qop, response;
	char ha2[DIGEST_HEX + 1], want[DIGEST_HEX + 1];

	if (!sv_auth(auth, "uri", &uri) || !sv_auth(auth, "qop", &qop) ||
	    !sv_auth(auth, "cnonce", &cnonce) ||
	    !sv_auth(auth, "response", &response) || !sv_is(qop, "auth"))
		return false;

	md5_hex(d, ha2, (const struct sv[]){ method, uri }, 2);
	md5_hex(d, want,
		(const struct sv[]){ { ha1, DIGEST_HEX },
				     nonce,
				     nc,
				     cnonce,
				     qop,
				     { ha2, DIGEST_HEX } },
		6);
	return sv_isi(response, want);
}


enum digest_verdict digest_check(struct digest *d, struct sv auth,
				 struct sv method,
				 const char ha1[DIGEST_HEX + 1],
				 uint64_t now_ms)
{
	struct sv nonce, nc, realm;
	struct nonce *n;

	if (!sv_auth(auth, "nonce", &nonce) || !sv_auth(auth, "nc", &nc) ||
	    !sv_auth(auth, "realm", &realm) || !sv_is(realm, d->realm) ||
	    nc.l != 8)
		return DIGEST_BAD;
	if (!response_right(d, auth, method, ha1, nonce, nc))
		return DIGEST_BAD;

	n = nonce_find(d, nonce);
	if (!n)
		return DIGEST_STALE;
	if (!d->life_ms) { /* good for one */
		if (n->nc_max)
			return DIGEST_STALE;
		n->nc_max = hex32(nc.p);
		return n->nc_max ? DIGEST_OK : DIGEST_BAD;
	}
	if (now_ms - n->born_ms > d->life_ms)
		return DIGEST_STALE;

	return count_take(n, hex32(nc.p));
}
