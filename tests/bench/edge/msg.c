/**
 * @file tests/bench/edge/msg.c  SIP text, read and written; pure
 *
 * Only what both sides of the bench send: no folded lines, no short names.
 */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "msg.h"

enum { ROUTES = 16 };


/* The value of the next header of that name from p on, with its length */
static const char *next(const char *p, const char *end, const char *name,
			size_t *len)
{
	const size_t n = strlen(name);

	while ((p = memchr(p, '\n', (size_t)(end - p)))) {
		const char *eol;

		if (++p >= end || *p == '\r')
			return NULL;
		if ((size_t)(end - p) <= n || p[n] != ':' ||
		    strncasecmp(p, name, n))
			continue;
		p += n + 1;
		p += strspn(p, " ");
		eol = memchr(p, '\r', (size_t)(end - p));
		*len = eol ? (size_t)(eol - p) : 0;
		return p;
	}

	return NULL;
}


size_t msg_size(const char *buf, size_t len)
{
	size_t skip = 0, vlen;
	const char *end, *v;

	while (skip < len && (buf[skip] == '\r' || buf[skip] == '\n'))
		++skip;
	if (skip == len)
		return skip;

	end = memmem(buf + skip, len - skip, "\r\n\r\n", 4);
	if (!end)
		return 0;
	end += 4;
	v = next(buf + skip, end, "Content-Length", &vlen);
	end += v ? strtoul(v, NULL, 10) : 0;

	return end <= buf + len ? (size_t)(end - buf) : 0;
}


bool msg_read(struct msg *m, const char *buf, size_t len)
{
	char val[64];

	while (len && (*buf == '\r' || *buf == '\n')) {
		++buf;
		--len;
	}
	memset(m, 0, sizeof(*m));
	m->body = memmem(buf, len, "\r\n\r\n", 4);
	if (!m->body)
		return false;

	m->text = buf;
	m->body += 4;
	m->len = len;
	if (!strncmp(buf, "SIP/2.0 ", 8))
		m->code = atoi(buf + 8);

	return msg_header(m, "CSeq", val, sizeof(val)) &&
	       sscanf(val, "%u %15s", &m->cseq, m->method) == 2;
}


bool msg_header(const struct msg *m, const char *name, char *val, size_t size)
{
	size_t len;
	const char *v = next(m->text, m->body, name, &len);

	if (!v || len >= size)
		return false;
	memcpy(val, v, len);
	val[len] = '\0';

	return true;
}


bool msg_uri(const struct msg *m, const char *name, char *val, size_t size)
{
	char *a, *b;

	if (!msg_header(m, name, val, size))
		return false;
	a = strchr(val, '<');
	b = a ? strchr(a, '>') : NULL;
	if (b) {
		*b = '\0';
		memmove(val, a + 1, (size_t)(b - a));
	}
	else {
		val[strcspn(val, ";")] = '\0';
	}

	return true;
}


bool msg_param(const char *val, const char *name, char *dst, size_t size)
{
	const size_t n = strlen(name);
	const char *p = val;
	size_t len;

	while ((p = strcasestr(p, name))) {
		const bool first = p == val || strchr(" ,;", p[-1]);

		p += n;
		if (!first || *p != '=')
			continue;
		++p;
		p += *p == '"';
		len = strcspn(p, "\",;>");
		if (len >= size)
			return false;
		memcpy(dst, p, len);
		dst[len] = '\0';
		return true;
	}

	return false;
}


void out_add(struct out *o, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(o->buf + o->len, sizeof(o->buf) - o->len, fmt, ap);
	va_end(ap);
	if (n > 0 && o->len + (size_t)n < sizeof(o->buf))
		o->len += (size_t)n;
}


/* Several may stand in one line; a Route's URI has no comma */
static unsigned values(const struct msg *m, const char *name,
		       const char *v[ROUTES], size_t len[ROUTES])
{
	const char *p = m->text;
	unsigned n = 0;
	size_t all;

	while (n < ROUTES && (p = next(p, m->body, name, &all))) {
		const char *end = p + all;

		while (p < end && n < ROUTES) {
			const char *comma = memchr(p, ',', (size_t)(end - p));

			v[n] = p;
			len[n++] = (size_t)((comma ? comma : end) - p);
			p = comma ? comma + 1 : end;
		}
	}

	return n;
}


void out_copy(struct out *o, const struct msg *m, const char *name,
	      const char *as, bool reverse)
{
	const char *v[ROUTES];
	size_t len[ROUTES];
	const unsigned n = values(m, name, v, len);

	for (unsigned i = 0; i < n; i++) {
		const unsigned at = reverse ? n - 1 - i : i;

		out_add(o, "%s: %.*s\r\n", as, (int)len[at], v[at]);
	}
}
