/**
 * @file text.c  Views into a SIP message
 */

#include <errno.h>
#include <string.h>
#include <strings.h>
#include "text.h"


bool sv_is(struct sv v, const char *s)
{
	return strlen(s) == v.l && !memcmp(v.p, s, v.l);
}


bool sv_isi(struct sv v, const char *s)
{
	return strlen(s) == v.l && !strncasecmp(v.p, s, v.l);
}


uint32_t sv_u32(struct sv v)
{
	uint64_t n = 0;

	for (size_t i = 0; i < v.l && v.p[i] >= '0' && v.p[i] <= '9'; i++) {
		n = n * 10 + (uint64_t)(v.p[i] - '0');
		if (n > UINT32_MAX)
			return UINT32_MAX;
	}

	return (uint32_t)n;
}


uint64_t sv_hash(uint64_t h, struct sv v)
{
	for (size_t i = 0; i < v.l; i++)
		h = (h ^ (uint8_t)v.p[i]) * 0x100000001b3ULL;

	return h;
}


static struct sv trim(struct sv v)
{
	while (v.l && (*v.p == ' ' || *v.p == '\t')) {
		++v.p;
		--v.l;
	}
	while (v.l && (v.p[v.l - 1] == ' ' || v.p[v.l - 1] == '\t'))
		--v.l;

	return v;
}


bool sv_param(struct sv v, const char *name, struct sv *val)
{
	const char *end = v.p + v.l;
	const char *p = memchr(v.p, '>', v.l);
	const size_t nl = strlen(name);

	for (p = p ? p : v.p; p < end; p++) {
		const char *q;

		if (*p != ';')
			continue;
		q = memchr(p + 1, ';', (size_t)(end - p - 1));
		q = q ? q : end;
		if ((size_t)(q - p - 1) < nl || strncasecmp(p + 1, name, nl))
			continue;
		if (p + 1 + nl == q) {
			*val = (struct sv){ q, 0 };
			return true;
		}
		if (p[1 + nl] == '=') {
			*val = (struct sv){ p + 2 + nl,
					    (size_t)(q - p - 2) - nl };
			return true;
		}
	}

	return false;
}


/** One name=value; *p moves behind the comma */
static bool auth_next(const char **p, const char *end, struct sv *name,
		      struct sv *val)
{
	const char *q = *p, *eq;

	while (q < end && (*q == ' ' || *q == ',' || *q == '\t'))
		++q;
	eq = memchr(q, '=', (size_t)(end - q));
	if (!eq)
		return false;

	*name = trim((struct sv){ q, (size_t)(eq - q) });
	q = eq + 1;
	if (q < end && *q == '"') {
		const char *e = memchr(q + 1, '"', (size_t)(end - q - 1));

		if (!e)
			return false;
		*val = (struct sv){ q + 1, (size_t)(e - q - 1) };
		*p = e + 1;
		return true;
	}

	eq = memchr(q, ',', (size_t)(end - q));
	*p = eq ? eq : end;
	*val = trim((struct sv){ q, (size_t)(*p - q) });
	return true;
}


bool sv_auth(struct sv v, const char *name, struct sv *val)
{
	const char *end = v.p + v.l;
	const char *p = memchr(v.p, ' ', v.l); /* behind "Digest" */
	struct sv n;

	while (p && auth_next(&p, end, &n, val))
		if (sv_isi(n, name))
			return true;

	return false;
}


struct sv sv_uri(struct sv v)
{
	const char *a = memchr(v.p, '<', v.l);
	const char *b;

	if (a) {
		++a;
		b = memchr(a, '>', (size_t)(v.p + v.l - a));
		return (struct sv){ a, b ? (size_t)(b - a) : 0 };
	}

	b = memchr(v.p, ';', v.l);
	return trim((struct sv){ v.p, b ? (size_t)(b - v.p) : v.l });
}


bool sv_user(struct sv v, struct sv *user)
{
	struct sv uri = sv_uri(v);
	const char *a = memchr(uri.p, ':', uri.l);
	const char *b = memchr(uri.p, '@', uri.l);

	if (!a || !b || b < a)
		return false;

	*user = (struct sv){ a + 1, (size_t)(b - a - 1) };
	return true;
}


static void header(struct text *t, struct sv name, struct sv val)
{
	const struct {
		const char *name, *compact;
		struct sv *val;
	} v[] = {
		{ "From", "f", &t->from },
		{ "To", "t", &t->to },
		{ "Call-ID", "i", &t->callid },
		{ "CSeq", "", &t->cseq_line },
		{ "Contact", "m", &t->contact },
		{ "Expires", "", &t->expires_line },
		{ "Authorization", "", &t->auth },
	};

	if (sv_isi(name, "Via") || sv_isi(name, "v")) {
		if (t->vian < TEXT_VIAS)
			t->via[t->vian++] = val;
		return;
	}

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++)
		if (sv_isi(name, v[i].name) ||
		    (name.l == 1 && sv_isi(name, v[i].compact))) {
			*v[i].val = val;
			return;
		}
}


static int first_line(struct text *t, struct sv line)
{
	const char *a = memchr(line.p, ' ', line.l), *b;
	size_t left;

	if (!a)
		return EBADMSG;

	left = line.l - (size_t)(a + 1 - line.p);
	if (line.l > 12 && !memcmp(line.p, "SIP/2.0 ", 8)) {
		t->scode = sv_u32((struct sv){ a + 1, left });
		return t->scode < 100 || t->scode > 699 ? EBADMSG : 0;
	}

	b = memchr(a + 1, ' ', left);
	if (!b)
		return EBADMSG;
	t->method = (struct sv){ line.p, (size_t)(a - line.p) };
	t->ruri = (struct sv){ a + 1, (size_t)(b - a - 1) };
	return 0;
}


static int finish(struct text *t)
{
	struct sv v;
	const char *p;

	if (!t->vian || !t->from.l || !t->to.l || !t->callid.l ||
	    !t->cseq_line.l)
		return EBADMSG;
	if (!sv_param(t->via[0], "branch", &t->branch))
		return EBADMSG;

	p = memchr(t->cseq_line.p, ' ', t->cseq_line.l);
	if (!p)
		return EBADMSG;
	t->cseq = sv_u32(t->cseq_line);
	v = (struct sv){ p, t->cseq_line.l - (size_t)(p - t->cseq_line.p) };
	t->cseq_method = trim(v);

	t->expires = 3600;
	if (t->expires_line.l)
		t->expires = sv_u32(t->expires_line);
	if (t->contact.l && sv_param(t->contact, "expires", &v))
		t->expires = sv_u32(v);

	return 0;
}


int text_read(struct text *t, const char *buf, size_t len)
{
	const char *p = buf, *end = buf + len;
	bool first = true;

	memset(t, 0, sizeof(*t));
	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		const char *colon;
		struct sv line;

		if (!nl)
			return EBADMSG;
		line = (struct sv){ p, (size_t)(nl - p) };
		if (line.l && line.p[line.l - 1] == '\r')
			--line.l;
		p = nl + 1;
		if (!line.l)
			return first ? EBADMSG : finish(t);

		if (first) {
			if (first_line(t, line))
				return EBADMSG;
			first = false;
			continue;
		}

		colon = memchr(line.p, ':', line.l);
		if (!colon)
			return EBADMSG;
		header(t,
		       trim((struct sv){ line.p, (size_t)(colon - line.p) }),
		       trim((struct sv){
			       colon + 1,
			       line.l - (size_t)(colon + 1 - line.p) }));
	}

	return EBADMSG;
}
