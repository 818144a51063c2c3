/**
 * @file scan.c  Checks a JSON text (RFC 8259) in one pass, without objects
 *
 * Building objects of every payload would cost a third of all the fake does.
 * The scan tells members of the outermost object and of one object in it;
 * who needs more reads the text again with jansson.
 */

#include "pns.h"

#define DEPTH_MAX 64

struct scan {
	const uint8_t *p, *end;
	int depth;  /**< containers we are in */
	int arrays; /**< of these, arrays */
	const char *inner;
	size_t innerlen; /**< of the member we are in at depth 2 */
	pns_scan_h *h;
	void *arg;
};

static bool value(struct scan *s, struct pns_scan_value *v);


static void space(struct scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' ||
				 *s->p == '\r' || *s->p == '\t'))
		++s->p;
}


static bool take(struct scan *s, uint8_t c)
{
	if (s->p >= s->end || *s->p != c)
		return false;
	++s->p;

	return true;
}


/* One character of more than one byte; RFC 3629 */
static bool utf8(struct scan *s)
{
	const uint8_t c = *s->p++;
	const int more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
	uint8_t low = 0x80, high = 0xbf;

	if (c < 0xc2 || c > 0xf4)
		return false;
	if (c == 0xe0)
		low = 0xa0;
	else if (c == 0xed)
		high = 0x9f;
	else if (c == 0xf0)
		low = 0x90;
	else if (c == 0xf4)
		high = 0x8f;

	for (int i = 0; i < more; i++) {
		if (s->p >= s->end || *s->p < low || *s->p > high)
			return false;
		++s->p;
		low = 0x80;
		high = 0xbf;
	}

	return true;
}


static bool escape(struct scan *s)
{
	static const char hex[] = "0123456789abcdefABCDEF";
	uint8_t c;

	if (s->p >= s->end)
		return false;
	c = *s->p++;
	if (c != 'u')
		return c && strchr("\"\\/bfnrt", c) != NULL;
	if (s->end - s->p < 4)
		return false;
	for (int i = 0; i < 4; i++) {
		if (!*s->p || !strchr(hex, *s->p++))
			return false;
	}

	return true;
}


static bool string(struct scan *s, struct pns_scan_value *v)
{
	v->type = JSON_STRING;
	v->p = (const char *)s->p;
	while (s->p < s->end) {
		const uint8_t c = *s->p;

		if (c == '"') {
			v->len = (size_t)((const char *)s->p - v->p);
			++s->p;
			return true;
		}
		if (c < 0x20)
			return false;
		if (c >= 0x80) {
			if (!utf8(s))
				return false;
			continue;
		}
		++s->p;
		if (c == '\\' && !escape(s))
			return false;
	}

	return false;
}


static bool digits(struct scan *s)
{
	const uint8_t *start = s->p;

	while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
		++s->p;

	return s->p > start;
}


static bool number(struct scan *s, struct pns_scan_value *v)
{
	v->type = JSON_INTEGER;
	v->p = (const char *)s->p;
	(void)take(s, '-');
	if (!take(s, '0') && !digits(s))
		return false;
	if (take(s, '.') && (v->type = JSON_REAL, !digits(s)))
		return false;
	if (s->p < s->end && (*s->p | 0x20) == 'e') {
		v->type = JSON_REAL;
		++s->p;
		if (!take(s, '+'))
			(void)take(s, '-');
		if (!digits(s))
			return false;
	}
	v->len = (size_t)((const char *)s->p - v->p);

	return true;
}


static bool word(struct scan *s, struct pns_scan_value *v, const char *w,
		 json_type type)
{
	const size_t n = strlen(w);

	v->type = type;
	if ((size_t)(s->end - s->p) < n || memcmp(s->p, w, n))
		return false;
	s->p += n;

	return true;
}


static bool member(struct scan *s)
{
	struct pns_scan_value key = { 0 }, v = { 0 };

	space(s);
	if (!take(s, '"') || !string(s, &key))
		return false;
	space(s);
	if (!take(s, ':'))
		return false;
	if (s->depth == 1) {
		s->inner = key.p;
		s->innerlen = key.len;
	}
	if (!value(s, &v))
		return false;

	/* what stands in an array is no member of the object around it */
	if (s->arrays)
		return true;
	if (s->depth == 1)
		s->h("", 0, &key, &v, s->arg);
	else if (s->depth == 2)
		s->h(s->inner, s->innerlen, &key, &v, s->arg);

	return true;
}


static bool element(struct scan *s)
{
	struct pns_scan_value v = { 0 };

	return value(s, &v);
}


static bool container(struct scan *s, uint8_t close, bool(one)(struct scan *))
{
	const int array = close == ']';

	++s->p;
	s->arrays += array;
	if (++s->depth > DEPTH_MAX)
		return false;
	space(s);
	if (!take(s, close)) {
		do {
			if (!one(s))
				return false;
			space(s);
		} while (take(s, ','));
		if (!take(s, close))
			return false;
	}
	s->arrays -= array;
	--s->depth;

	return true;
}


static bool value(struct scan *s, struct pns_scan_value *v)
{
	space(s);
	if (s->p >= s->end)
		return false;

	switch (*s->p) {

	case '{':
		v->type = JSON_OBJECT;
		return container(s, '}', member);

	case '[':
		v->type = JSON_ARRAY;
		return container(s, ']', element);

	case '"':
		++s->p;
		return string(s, v);

	case 't':
		return word(s, v, "true", JSON_TRUE);

	case 'f':
		return word(s, v, "false", JSON_FALSE);

	case 'n':
		return word(s, v, "null", JSON_NULL);

	default:
		return number(s, v);
	}
}


bool pns_scan_is(const char *p, size_t len, const char *name)
{
	return strlen(name) == len && !memcmp(p, name, len);
}


bool pns_scan_object(const char *text, size_t len, pns_scan_h *h, void *arg)
{
	struct scan s = { .p = (const uint8_t *)text,
			  .end = (const uint8_t *)text + len,
			  .h = h,
			  .arg = arg };
	struct pns_scan_value v = { 0 };

	if (!value(&s, &v) || v.type != JSON_OBJECT)
		return false;
	space(&s);

	return s.p == s.end;
}
