/**
 * @file reason.c  What SIP headers say about a call; pure
 */

#include <ctype.h>
#include <string.h>
#include "sipis/call/reason.h"


/* The next piece up to sep; a separator inside quotes does not count */
static bool next_piece(struct pl *piece, struct pl *rest, char sep)
{
	bool quoted = false;
	size_t i;

	if (!rest->l)
		return false;

	for (i = 0; i < rest->l; i++) {
		if (rest->p[i] == '\\' && quoted)
			++i;
		else if (rest->p[i] == '"')
			quoted = !quoted;
		else if (rest->p[i] == sep && !quoted)
			break;
	}

#ifndef PLANT_BUG /* for tests/fuzz/run.sh planted, never for use */
	if (i > rest->l)
		i = rest->l;
#endif
	piece->p = rest->p;
	piece->l = i;
	pl_advance(rest, (ssize_t)(i < rest->l ? i + 1 : i));
	return true;
}


static void trim(struct pl *pl)
{
	while (pl->l && strchr(" \t\r\n", pl->p[0]))
		pl_advance(pl, 1);
	while (pl->l && strchr(" \t\r\n", pl->p[pl->l - 1]))
		--pl->l;
}


static bool cause_decode(struct pl *val, const struct pl *piece)
{
	struct pl name = *piece;

	*val = *piece;
	for (name.l = 0; name.l < piece->l && piece->p[name.l] != '=';)
		++name.l;
	if (name.l == piece->l)
		return false;

	pl_advance(val, (ssize_t)name.l + 1);
	trim(&name);
	trim(val);
	return !pl_strcasecmp(&name, "cause");
}


/* One value, "SIP;cause=200;text=..."; NULL: it says nothing special */
static const char *one_reason(const struct pl *val)
{
	struct pl rest = *val, proto, piece, cause;
	uint32_t n = 0;

	if (!next_piece(&proto, &rest, ';'))
		return NULL;

	trim(&proto);
	while (!n && next_piece(&piece, &rest, ';')) {
		trim(&piece);
		if (cause_decode(&cause, &piece))
			n = pl_u32(&cause);
	}

	if (!pl_strcasecmp(&proto, "SIP")) {
		if (n == 200)
			return "answered_elsewhere";
		if (n == 600 || n == 603)
			return "declined_elsewhere";
	}
	else if (!pl_strcasecmp(&proto, "Q.850") && n == 26) {
		return "answered_elsewhere"; /* non-selected user clearing */
	}

	return NULL;
}


const char *reason_of_cancel(const struct pl *reason)
{
	struct pl rest, val;
	const char *why;

	if (!reason || !reason->p)
		return "cancelled";

	rest = *reason;
	while (next_piece(&val, &rest, ',')) {
		why = one_reason(&val);
		if (why)
			return why;
	}

	return "cancelled";
}


static bool same_user(const struct pl *uri, const char *user)
{
	struct uri u;
	char buf[256];

	if (uri_decode(&u, uri))
		return false;
	if (re_snprintf(buf, sizeof(buf), "%H", uri_user_unescape, &u.user) <
	    0)
		return false;

	return !strcmp(buf, user);
}


static bool diverted(const struct sip_hdr *hdr, const struct sip_msg *msg,
		     void *arg)
{
	struct pl rest = hdr->val;
	(void)msg;

	while (rest.l) {
		const char *a = pl_strchr(&rest, '<');
		struct pl uri;

		if (!a)
			return false;
		pl_advance(&rest, a + 1 - rest.p);
		uri.p = rest.p;
		for (uri.l = 0; uri.l < rest.l && uri.p[uri.l] != '>';)
			++uri.l;
		if (same_user(&uri, arg))
			return true;
		pl_advance(&rest, (ssize_t)uri.l);
	}

	return false;
}


bool reason_diverted_by(const struct sip_msg *msg, const char *user)
{
	return sip_msg_xhdr_apply(msg, true, "Diversion", diverted,
				  (void *)user) ||
	       sip_msg_hdr_apply(msg, true, SIP_HDR_HISTORY_INFO, diverted,
				 (void *)user);
}


/* m=video with a port of 0 is a stream that was refused; RFC 4566 5.14 */
bool reason_has_video(const struct sip_msg *msg)
{
	static const char media[] = "\nm=video ";
	const size_t len = sizeof(media) - 1;
	const char *p = (const char *)mbuf_buf(msg->mb), *end;
	bool video = false;

	if (!p)
		return false;

	end = p + mbuf_get_left(msg->mb);
	p = memmem(p, (size_t)(end - p), media, len);
	for (p = p ? p + len : end; p < end && isdigit((uint8_t)*p); p++)
		video |= *p != '0';

	return video;
}


/* Bytes of the UTF-8 character at p, 0 if it is none */
static size_t utf8_len(const uint8_t *p, size_t l)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const size_t n = p[0] < 0x80             ? 1
			 : (p[0] & 0xe0) == 0xc0 ? 2
			 : (p[0] & 0xf0) == 0xe0 ? 3
			 : (p[0] & 0xf8) == 0xf0 ? 4
						 : 0;
	uint32_t cp;

	if (!n || n > l)
		return 0;

	cp = n == 1 ? p[0] : p[0] & (0xffu >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		cp = cp << 6 | (p[i] & 0x3f);
	}

	if (cp < least[n] || cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000))
		return 0;

	return n;
}


void reason_text(char *dst, size_t size, const struct pl *pl)
{
	const uint8_t *p = (const uint8_t *)pl->p;
	size_t l = p ? pl->l : 0, at = 0;

	while (l) {
		const size_t n = utf8_len(p, l);
		const size_t len = n ? n : 1;

		if (at + len >= size)
			break;
		if (!n || p[0] < 0x20 || p[0] == 0x7f)
			dst[at++] = n ? ' ' : '?';
		else
			memcpy(dst + at, p, len), at += len;
		p += len;
		l -= len;
	}

	dst[at] = '\0';
}


struct tags {
	char *dst;
	size_t size, at;
	bool agent; /* else a proxy */
	bool any;
};


/* RFC 3261 25.1 token */
static bool is_token_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	       (c >= 'A' && c <= 'Z') || (c && strchr("-.!%*_+`'~", c));
}


/* 100rel: no 180 then, so there is nothing to PRACK.  timer, replaces: of a
   session that we never begin */
static bool is_known(const struct pl *tag)
{
	static const char *const known[] = { "100rel", "timer", "replaces" };

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (!pl_strcasecmp(tag, known[i]))
			return true;

	return false;
}


static void tag_add(struct tags *t, const struct pl *tag)
{
	const char *sep = t->at ? ", " : "";

	if (t->agent && is_known(tag))
		return;

	t->any = true;
	if (t->at + strlen(sep) + tag->l >= t->size)
		return;

	t->at += (size_t)re_snprintf(t->dst + t->at, t->size - t->at, "%s%r",
				     sep, tag);
}


static bool tags_handler(const struct sip_hdr *hdr, const struct sip_msg *msg,
			 void *arg)
{
	struct pl rest = hdr->val, tag;
	(void)msg;

	while (rest.l) {
		tag = rest;
		for (tag.l = 0; tag.l < rest.l && is_token_char(tag.p[tag.l]);)
			++tag.l;
		if (tag.l)
			tag_add(arg, &tag);
		pl_advance(&rest, (ssize_t)(tag.l ? tag.l : 1));
	}

	return false;
}


bool reason_unsupported(char *dst, size_t size, const struct sip_msg *msg,
			enum sip_hdrid id)
{
	struct tags t = { .dst = dst,
			  .size = size,
			  .agent = id == SIP_HDR_REQUIRE };

	*dst = '\0';
	(void)sip_msg_hdr_apply(msg, true, id, tags_handler, &t);

	return t.any;
}


uint32_t reason_expires(const struct sip_msg *msg, uint32_t max)
{
	const uint32_t s = pl_isset(&msg->expires) ? pl_u32(&msg->expires) : 0;

	return s && s < max ? s : max;
}
