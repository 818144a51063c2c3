/**
 * @file jw.c  JSON text into a growing buffer
 *
 * For the request log, where building objects first would cost more than the
 * request did.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "pns.h"


void pns_jw_raw(struct pns_jw *w, const char *s, size_t len)
{
	if (w->len + len > w->size) {
		const size_t size = (w->len + len) * 2 + 256;
		char *p = realloc(w->p, size);

		if (!p)
			return;
		w->p = p;
		w->size = size;
	}
	memcpy(w->p + w->len, s, len);
	w->len += len;
}


static void escaped(struct pns_jw *w, const char *s)
{
	size_t run = 0;
	char esc[8];

	for (; s[run]; run++) {
		const unsigned char c = (unsigned char)s[run];

		if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\')
			continue;
		/* foreign bytes may not be UTF-8: what is not printable
		   ASCII becomes the code point of the same number */
		pns_jw_raw(w, s, run);
		(void)snprintf(esc, sizeof(esc), "\\u%04x", c);
		pns_jw_raw(w, esc, 6);
		s += run + 1;
		run = (size_t)-1;
	}
	pns_jw_raw(w, s, run);
}


static void put_key(struct pns_jw *w, const char *key)
{
	if (w->len && w->p[w->len - 1] != '{')
		pns_jw_raw(w, ",", 1);
	pns_jw_raw(w, "\"", 1);
	pns_jw_raw(w, key, strlen(key));
	pns_jw_raw(w, "\":", 2);
}


void pns_jw_text(struct pns_jw *w, const char *key, const char *text)
{
	if (!text || !*text)
		return;

	put_key(w, key);
	pns_jw_raw(w, "\"", 1);
	escaped(w, text);
	pns_jw_raw(w, "\"", 1);
}


void pns_jw_int(struct pns_jw *w, const char *key, int64_t v)
{
	char num[24];

	put_key(w, key);
	pns_jw_raw(w, num, (size_t)snprintf(num, sizeof(num), "%" PRId64, v));
}


void pns_jw_bool(struct pns_jw *w, const char *key, bool v)
{
	put_key(w, key);
	pns_jw_raw(w, v ? "true" : "false", v ? 4 : 5);
}
