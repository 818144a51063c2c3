/**
 * @file ident.c  Random and derived identifiers
 */

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/random.h>
#include "common/ident.h"
#include "common/sha256.h"


enum { UUID_RAW = 16 };

static const char hex_digits[] = "0123456789abcdef";


int ident_random(void *buf, size_t len)
{
	uint8_t *p = buf;

	if (!buf && len)
		return EINVAL;

	while (len) {
		ssize_t n = getrandom(p, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return EIO;

		p += n;
		len -= (size_t)n;
	}

	return 0;
}


void ident_hex(char *dst, const uint8_t *src, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		*dst++ = hex_digits[src[i] >> 4];
		*dst++ = hex_digits[src[i] & 15];
	}
	*dst = '\0';
}


static int nibble(char c)
{
	/* 'A' to 'F' and 'a' to 'f' differ in one bit */
	const unsigned digit = (uint8_t)c - (unsigned)'0';
	const unsigned letter = ((uint8_t)c | 0x20u) - (unsigned)'a';

	return digit < 10 ? (int)digit : letter < 6 ? (int)letter + 10 : -1;
}


/* -1 unless two hex digits; never reads behind a final 0 */
static int octet(const char *s)
{
	const int high = nibble(s[0]);
	const int low = high < 0 ? -1 : nibble(s[1]);

	return low < 0 ? -1 : high << 4 | low;
}


int ident_unhex(uint8_t *dst, size_t len, const char *src)
{
	if (!src || (!dst && len))
		return EINVAL;
	if (strlen(src) != 2 * len)
		return EINVAL;

	for (size_t i = 0; i < len; i++) {
		if (octet(src + 2 * i) < 0)
			return EINVAL;
	}
	for (size_t i = 0; i < len; i++)
		dst[i] = (uint8_t)octet(src + 2 * i);

	return 0;
}


static void stamp(uint8_t raw[UUID_RAW], uint8_t version)
{
	raw[6] = (uint8_t)((raw[6] & 0x0f) | version << 4);
	raw[8] = (uint8_t)((raw[8] & 0x3f) | 0x80);
}


int ident_uuid_random(char *dst)
{
	uint8_t raw[UUID_RAW];
	int err;

	if (!dst)
		return EINVAL;

	err = ident_random(raw, sizeof(raw));
	if (err)
		return err;

	stamp(raw, 4);
	return ident_uuid_encode(dst, raw);
}


/* Each part goes in with its length: ("ab", "c") and ("a", "bc") differ */
static bool add_part(SHA256_CTX *ctx, const char *part)
{
	const uint64_t len = strlen(part);
	uint8_t be[8];

	for (size_t i = 0; i < sizeof(be); i++)
		be[i] = (uint8_t)(len >> (56 - 8 * i));

	return SHA256_Update(ctx, be, sizeof(be)) == 1 &&
	       SHA256_Update(ctx, part, (size_t)len) == 1;
}


int ident_uuid_derive(char *dst, const char *part, ...)
{
	uint8_t md[SHA256_DIGEST_LENGTH];
	SHA256_CTX ctx;
	va_list ap;
	bool ok;

	if (!dst || !part)
		return EINVAL;

	ok = SHA256_Init(&ctx) == 1;
	va_start(ap, part);
	for (; part && ok; part = va_arg(ap, const char *))
		ok = add_part(&ctx, part);
	va_end(ap);
	if (!ok || SHA256_Final(md, &ctx) != 1)
		return EIO;

	stamp(md, 8);
	return ident_uuid_encode(dst, md);
}


static bool is_dash(size_t pos)
{
	return pos == 8 || pos == 13 || pos == 18 || pos == 23;
}


int ident_uuid_encode(char *dst, const uint8_t raw[16])
{
	if (!dst || !raw)
		return EINVAL;

	for (size_t i = 0; i < UUID_RAW; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*dst++ = '-';
		*dst++ = hex_digits[raw[i] >> 4];
		*dst++ = hex_digits[raw[i] & 15];
	}
	*dst = '\0';

	return 0;
}


int ident_uuid_decode(uint8_t raw[16], const char *src)
{
	uint8_t *dst = raw;

	if (!raw || !src)
		return EBADMSG;

	for (size_t i = 0; i < UUID_LEN;) {
		if (is_dash(i)) {
			if (src[i++] != '-')
				return EBADMSG;
			continue;
		}

		const int v = octet(src + i);

		if (v < 0)
			return EBADMSG;
		*dst++ = (uint8_t)v;
		i += 2;
	}

	return src[UUID_LEN] ? EBADMSG : 0;
}


size_t ident_b64url(char *dst, const void *src, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz"
				     "0123456789-_";
	const uint8_t *s = src;
	char *d = dst;

	for (; len >= 3; len -= 3, s += 3) {
		*d++ = digits[s[0] >> 2];
		*d++ = digits[(s[0] & 3) << 4 | s[1] >> 4];
		*d++ = digits[(s[1] & 15) << 2 | s[2] >> 6];
		*d++ = digits[s[2] & 63];
	}
	if (len) {
		const uint8_t last = len == 2 ? s[1] : 0;

		*d++ = digits[s[0] >> 2];
		*d++ = digits[(s[0] & 3) << 4 | last >> 4];
		if (len == 2)
			*d++ = digits[(last & 15) << 2];
	}
	*d = '\0';

	return (size_t)(d - dst);
}


static int digit64(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+' || c == '-')
		return 62;

	return c == '/' || c == '_' ? 63 : -1;
}


int ident_unb64(void *dst, size_t size, size_t *lenp, const char *src)
{
	uint8_t *d = dst;
	uint32_t bits = 0;
	size_t n = 0, digits = 0;
	unsigned have = 0;

	for (; digit64(*src) >= 0; src++, digits++) {
		bits = bits << 6 | (uint32_t)digit64(*src);
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		if (n == size)
			return EOVERFLOW;
		d[n++] = (uint8_t)(bits >> have);
	}

	/* What is left over of the last digit says nothing, so it is 0 */
	if (digits % 4 == 1 || bits & ((1u << have) - 1))
		return EBADMSG;
	for (; *src == '=' && digits % 4; src++)
		digits++;
	if (*src)
		return EBADMSG;

	*lenp = n;
	return 0;
}
