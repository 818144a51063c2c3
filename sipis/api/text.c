/**
 * @file text.c  JSON, written into a buffer that grows
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "sipis/api/text.h"

#define FIRST 512


void text_init(struct text *t, size_t head)
{
	memset(t, 0, sizeof(*t));
	t->head = head;
}


void text_free(struct text *t)
{
	free(t->buf);
	memset(t, 0, sizeof(*t));
}


static bool room(struct text *t, size_t n)
{
	size_t size = t->size ? t->size : FIRST + t->head;
	char *buf;

	if (t->failed)
		return false;
	if (t->buf && t->size - t->head - t->len >= n)
		return true;

	while (size - t->head - t->len < n)
		size *= 2;
	buf = realloc(t->buf, size);
	if (!buf) {
		t->failed = true;
		return false;
	}

	t->buf = buf;
	t->size = size;
	return true;
}


void text_raw(struct text *t, const char *p, size_t len)
{
	if (!room(t, len))
		return;

	memcpy(t->buf + t->head + t->len, p, len);
	t->len += len;
}


/** Length of the UTF-8 character at p, 0 if it is none; RFC 3629 */
static size_t utf8_len(const unsigned char *p)
{
	static const unsigned char least[] = { 0, 0, 0x80, 0xa0, 0x90 };
	size_t n = p[0] < 0x80                    ? 1
		   : p[0] >= 0xc2 && p[0] <= 0xdf ? 2
		   : (p[0] & 0xf0) == 0xe0        ? 3
		   : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4
						  : 0;

	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 || p[0] == 0xf0) && p[1] < least[n])
		return 0;
	if ((p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}


static void escaped(struct text *t, unsigned char c)
{
	char esc[8];
	int n = snprintf(esc, sizeof(esc), "\\u%04x", c);

	text_raw(t, esc, (size_t)n);
}


static void quoted(struct text *t, const char *s)
{
	const unsigned char *p = (const unsigned char *)s;

	text_raw(t, "\"", 1);
	while (*p) {
		const unsigned char *from = p;
		size_t n;

		/* as much as goes out as it is */
		while (*p >= 0x20 && *p != '"' && *p != '\\' && *p != 0x7f &&
		       (n = utf8_len(p)))
			p += n;
		text_raw(t, (const char *)from, (size_t)(p - from));
		if (!*p)
			break;
		if (*p < 0x80)
			escaped(t, *p);
		++p;
	}
	text_raw(t, "\"", 1);
}


static void begin(struct text *t, const char *name)
{
	if (t->comma)
		text_raw(t, ",", 1);
	t->comma = true;
	if (name) {
		quoted(t, name);
		text_raw(t, ":", 1);
	}
}


void text_object(struct text *t, const char *name)
{
	begin(t, name);
	text_raw(t, "{", 1);
	t->comma = false;
}


void text_object_end(struct text *t)
{
	text_raw(t, "}", 1);
	t->comma = true;
}


void text_list(struct text *t, const char *name)
{
	begin(t, name);
	text_raw(t, "[", 1);
	t->comma = false;
}


void text_list_end(struct text *t)
{
	text_raw(t, "]", 1);
	t->comma = true;
}


void text_str(struct text *t, const char *name, const char *value)
{
	begin(t, name);
	quoted(t, value ? value : "");
}


void text_int(struct text *t, const char *name, int64_t value)
{
	char num[24];
	int n = snprintf(num, sizeof(num), "%lld", (long long)value);

	begin(t, name);
	text_raw(t, num, (size_t)n);
}


void text_bool(struct text *t, const char *name, bool value)
{
	begin(t, name);
	text_raw(t, value ? "true" : "false", value ? 4 : 5);
}


void text_null(struct text *t, const char *name)
{
	begin(t, name);
	text_raw(t, "null", 4);
}


void text_time(struct text *t, const char *name, int64_t ms)
{
	const time_t sec = (time_t)(ms / 1000);
	char buf[40], full[48];
	struct tm tm;

	if (ms <= 0 || !gmtime_r(&sec, &tm) ||
	    !strftime(buf, sizeof(buf), "%Y-%m-%dT%H:%M:%S", &tm)) {
		text_null(t, name);
		return;
	}

	(void)snprintf(full, sizeof(full), "%s.%03dZ", buf, (int)(ms % 1000));
	text_str(t, name, full);
}


void text_json(struct text *t, const char *name, const char *json)
{
	begin(t, name);
	text_raw(t, json, strlen(json));
}
