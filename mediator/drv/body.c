/**
 * @file drv/body.c  JSON into a buffer, for the bodies of all providers
 */

#include <errno.h>
#include <string.h>
#include "mediator/drv/body.h"


void body_begin(struct body *b, char *buf, size_t max)
{
	b->buf = buf;
	b->len = 0;
	b->max = max;
	b->full = false;
	b->comma = false;
}


static void put(struct body *b, const char *s, size_t n)
{
	if (n > b->max - b->len) {
		b->full = true;
		return;
	}

	memcpy(b->buf + b->len, s, n);
	b->len += n;
}


/* RFC 8259 section 7: what must be escaped */
static void put_escaped(struct body *b, char c)
{
	static const char hex[] = "0123456789abcdef";
	const char two[] = { '\\', c };
	const char six[] = { '\\',       'u', '0', '0', hex[(uint8_t)c >> 4],
			     hex[c & 15] };

	if (c == '"' || c == '\\')
		put(b, two, sizeof(two));
	else
		put(b, six, sizeof(six));
}


static void put_string(struct body *b, const char *s)
{
	const char *p = s;

	put(b, "\"", 1);
	for (; *p; p++) {
		if ((uint8_t)*p >= 0x20 && *p != '"' && *p != '\\')
			continue;
		put(b, s, (size_t)(p - s));
		put_escaped(b, *p);
		s = p + 1;
	}
	put(b, s, (size_t)(p - s));
	put(b, "\"", 1);
}


static void put_key(struct body *b, const char *key)
{
	if (b->comma)
		put(b, ",", 1);
	b->comma = true;
	if (!key)
		return;

	put(b, "\"", 1);
	put(b, key, strlen(key));
	put(b, "\":", 2);
}


void body_open(struct body *b, const char *key)
{
	put_key(b, key);
	put(b, "{", 1);
	b->comma = false;
}


void body_close(struct body *b)
{
	put(b, "}", 1);
	b->comma = true;
}


void body_text(struct body *b, const char *key, const char *text)
{
	if (!*text)
		return;

	put_key(b, key);
	put_string(b, text);
}


void body_int(struct body *b, const char *key, int64_t n)
{
	uint64_t u = n < 0 ? -(uint64_t)n : (uint64_t)n;
	char text[24];
	size_t at = sizeof(text);

	do {
		text[--at] = (char)('0' + u % 10);
		u /= 10;
	} while (u);
	if (n < 0)
		text[--at] = '-';

	put_key(b, key);
	put(b, text + at, sizeof(text) - at);
}


void body_bool(struct body *b, const char *key, bool on)
{
	put_key(b, key);
	put(b, on ? "true" : "false", on ? 4 : 5);
}


int body_end(struct body *b, size_t *lenp)
{
	if (b->full)
		return EMSGSIZE;

	*lenp = b->len;
	return 0;
}
