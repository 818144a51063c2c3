/**
 * @file token.c  What our Record-Route says of a dialog; pure
 *
 *     version (1) | flags (1) | phone (16) | account (8) | PBX (4) |
 *     CSeq base (2) | HMAC-SHA256 of all before it and of the dialog's
 *     Call-ID, cut to 96 bits
 *
 *     version: 2; 1 had no Call-ID under its MAC, and is still read: a call
 *     that is up while we are upgraded has it
 *     flags: 0x80 the CSeq is strided, 0x07 the turn; stride.h;
 *     0x40 the request that it stands in began the dialog
 */

#include <errno.h>
#include <string.h>
#include "common/ident.h"
#include "common/secret.h"
#include "sipis/edge/token.h"


enum {
	FORMAT = 2,
	FORMAT_LOOSE = 1,
	PLAIN = 32,
	MAC = 12,
	RAW = PLAIN + MAC,
	STRIDED = 0x80,
	BEGINS = 0x40,
	TURN = EDGE_TURNS - 1,
};


static int derive(struct edge_mac *key, const struct cred_key *from,
		  const char *label)
{
	struct edge_mac mac;
	uint8_t raw[EDGE_MAC];
	int err;

	err = edge_mac_key(&mac, from->key, sizeof(from->key));
	err = err ? err : edge_mac(raw, &mac, label, strlen(label));
	err = err ? err : edge_mac_key(key, raw, sizeof(raw));
	explicit_bzero(&mac, sizeof(mac));
	explicit_bzero(raw, sizeof(raw));

	return err;
}


int edge_key_derive(struct edge_key *key, const struct cred_key *from)
{
	int err;

	if (!key || !from)
		return EINVAL;

	err = derive(&key->route, from, "sipis edge route 1");

	err = err ? err : derive(&key->nonce, from, "sipis edge nonce 1");

	return err ? err : derive(&key->purr, from, "sipis edge purr 1");
}


uint32_t edge_token_pbx(const char *name)
{
	return hash_joaat_str(name);
}


static void put(uint8_t **p, uint64_t v, unsigned n)
{
	while (n--)
		*(*p)++ = (uint8_t)(v >> 8 * n);
}


static uint64_t get(const uint8_t **p, unsigned n)
{
	uint64_t v = 0;

	while (n--)
		v = v << 8 | *(*p)++;

	return v;
}


static uint8_t flags(const struct edge_token *t)
{
	const struct edge_stride *s = &t->stride;
	const unsigned stride = s->on ? STRIDED | (s->turn & TURN) : 0;

	return (uint8_t)(stride | (t->begins ? BEGINS : 0));
}


/* callid NULL: none is under it.  Two steps, so that a long one costs no
   buffer */
static int seal(uint8_t mac[EDGE_MAC], const struct edge_key *key,
		const uint8_t plain[PLAIN], const struct pl *callid)
{
	uint8_t both[PLAIN + EDGE_MAC];
	int err;

	if (!callid)
		return edge_mac(mac, &key->route, plain, PLAIN);

	memcpy(both, plain, PLAIN);
	err = edge_mac(both + PLAIN, &key->route, callid->p, callid->l);

	return err ? err : edge_mac(mac, &key->route, both, sizeof(both));
}


int edge_token_write(char *dst, const struct edge_key *key,
		     const struct edge_token *t, const struct pl *callid)
{
	uint8_t raw[RAW], mac[EDGE_MAC], *p = raw;
	int err;

	put(&p, FORMAT, 1);
	put(&p, flags(t), 1);
	memcpy(p, t->phone, EDGE_PHONE);
	p += EDGE_PHONE;
	put(&p, t->acct, 8);
	put(&p, t->pbx, 4);
	put(&p, t->stride.base, 2);

	err = seal(mac, key, raw, callid);
	if (err)
		return err;

	memcpy(p, mac, MAC);

	return ident_b64url(dst, raw, RAW) == EDGE_TOKEN_LEN ? 0 : EINVAL;
}


static int digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;

	return c == '-' ? 62 : c == '_' ? 63 : -1;
}


static int decode(uint8_t *dst, const struct pl *text)
{
	uint32_t bits = 0;
	unsigned n = 0;

	for (size_t i = 0; i < text->l; i++) {
		const int d = digit(text->p[i]);

		if (d < 0)
			return EBADMSG;
		bits = bits << 6 | (uint32_t)d;
		n += 6;
		if (n >= 8) {
			n -= 8;
			*dst++ = (uint8_t)(bits >> n);
		}
	}

	return bits & ((1u << n) - 1) ? EBADMSG : 0;
}


int edge_token_read(struct edge_token *t, const struct edge_key *key,
		    const struct pl *text, const struct pl *callid)
{
	const uint8_t *p;
	uint8_t raw[RAW], mac[EDGE_MAC];
	int err;

	if (text->l != EDGE_TOKEN_LEN)
		return EBADMSG;

	err = decode(raw, text);
	if (!err && raw[0] != FORMAT && raw[0] != FORMAT_LOOSE)
		err = EBADMSG;
	if (!err)
		err = seal(mac, key, raw, raw[0] == FORMAT ? callid : NULL);
	if (err)
		return err;
	if (!secret_equal(mac, raw + PLAIN, MAC))
		return EBADMSG;

	p = raw + 2;
	memcpy(t->phone, p, EDGE_PHONE);
	p += EDGE_PHONE;
	t->acct = get(&p, 8);
	t->pbx = (uint32_t)get(&p, 4);
	t->stride.base = (uint16_t)get(&p, 2);
	t->stride.on = raw[1] & STRIDED;
	t->stride.turn = raw[1] & TURN;
	t->begins = raw[1] & BEGINS;
	t->bound = raw[0] == FORMAT;

	return 0;
}
