/**
 * @file queue/utf8.c  Foreign text into text that providers accept
 */

#include <stdint.h>
#include <string.h>
#include "mediator/queue/utf8.h"


/* Length of the character at s, 0 if there is none.  RFC 3629 section 4: no
   overlong forms, no surrogates, nothing above U+10FFFF */
static size_t char_len(const uint8_t *s)
{
	size_t n;
	uint8_t lo = 0x80, hi = 0xbf;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		n = 2;
	else if ((s[0] & 0xf0) == 0xe0)
		n = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		n = 4;
	else
		return 0;

	switch (s[0]) {
	case 0xe0:
		lo = 0xa0;
		break;
	case 0xed:
		hi = 0x9f;
		break;
	case 0xf0:
		lo = 0x90;
		break;
	case 0xf4:
		hi = 0x8f;
		break;
	default:
		break;
	}
	if (s[1] < lo || s[1] > hi)
		return 0;
	for (size_t i = 2; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;

	return n;
}


size_t utf8_copy(char *dst, const char *src, size_t max)
{
	const uint8_t *s = (const uint8_t *)src;
	size_t len = 0;

	while (*s) {
		size_t n, w;

		/* What nearly all of it is */
		while (len < max && *s >= 0x20 && *s < 0x7f)
			dst[len++] = (char)*s++;
		if (!*s)
			break;

		n = char_len(s);
		w = n ? n : UTF8_GROWTH;

		if (len + w > max)
			break;
		if (!n)
			memcpy(dst + len, "\xef\xbf\xbd", UTF8_GROWTH);
		else if (*s < 0x20 || *s == 0x7f)
			dst[len] = ' ';
		else
			memcpy(dst + len, s, n);
		len += w;
		s += n ? n : 1;
	}

	dst[len] = '\0';
	return len;
}
