/**
 * @file cidr.c  A range of addresses
 */

#include <errno.h>
#include <string.h>
#include "sipis/sip/cidr.h"


enum { TEXT_MAX = 64, ADDR_MAX = 16 };


/* In network order; the number of bits */
static unsigned raw_address(uint8_t raw[ADDR_MAX], const struct sa *sa)
{
	if (sa_af(sa) == AF_INET6) {
		memcpy(raw, &sa->u.in6.sin6_addr, 16);
		return 128;
	}

	memcpy(raw, &sa->u.in.sin_addr, 4);
	return 32;
}


static bool equal(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	const unsigned rest = bits % 8;

	if (memcmp(a, b, bits / 8))
		return false;

	return !rest || !((a[bits / 8] ^ b[bits / 8]) >> (8 - rest));
}


static bool zero_behind(const uint8_t *raw, unsigned bits, unsigned all)
{
	for (unsigned i = bits; i < all; i++) {
		if (raw[i / 8] & (0x80u >> i % 8))
			return false;
	}

	return true;
}


static int decode_bits(unsigned *bits, const char *text, unsigned all)
{
	const size_t n = strspn(text, "0123456789");
	struct pl pl = { text, n };

	if (!n || n > 3 || text[n])
		return EINVAL;

	*bits = pl_u32(&pl);
	if (*bits > all)
		return EINVAL;

	return *bits ? 0 : ERANGE;
}


int cidr_decode(struct cidr *c, const char *text)
{
	char buf[TEXT_MAX];
	const char *slash;
	uint8_t raw[ADDR_MAX];
	unsigned all;
	size_t n;
	int err;

	if (!c || !text)
		return EINVAL;

	slash = strchr(text, '/');
	n = slash ? (size_t)(slash - text) : strlen(text);
	if (n >= sizeof(buf))
		return EINVAL;

	memcpy(buf, text, n);
	buf[n] = '\0';
	if (sa_set_str(&c->addr, buf, 0))
		return EINVAL;

	all = raw_address(raw, &c->addr);
	c->bits = all;
	err = slash ? decode_bits(&c->bits, slash + 1, all) : 0;
	if (err)
		return err;

	return zero_behind(raw, c->bits, all) ? 0 : EDOM;
}


bool cidr_has(const struct cidr *c, const struct sa *addr)
{
	uint8_t a[ADDR_MAX], b[ADDR_MAX];

	if (!c || !addr || sa_af(&c->addr) != sa_af(addr))
		return false;

	(void)raw_address(a, &c->addr);
	(void)raw_address(b, addr);

	return equal(a, b, c->bits);
}
