/**
 * @file answer.c  A response, decoded by libre or as it came off the wire
 */

#include <errno.h>
#include <string.h>
#include "sipis/sip/answer.h"


enum { SCODE_AT = 8 };

static const char version[] = "SIP/2.0 ";

/* The headers that somebody asks for */
static const struct {
	enum sip_hdrid id;
	const char *name;
	char compact; /* 0: none */
} names[] = {
	{ SIP_HDR_CONTACT, "Contact", 'm' },
	{ SIP_HDR_EXPIRES, "Expires", 0 },
	{ SIP_HDR_MIN_EXPIRES, "Min-Expires", 0 },
	{ SIP_HDR_RETRY_AFTER, "Retry-After", 0 },
	{ SIP_HDR_WWW_AUTHENTICATE, "WWW-Authenticate", 0 },
	{ SIP_HDR_PROXY_AUTHENTICATE, "Proxy-Authenticate", 0 },
	{ SIP_HDR_AUTHENTICATION_INFO, "Authentication-Info", 0 },
	{ SIP_HDR_VIA, "Via", 'v' },
};


void answer_of_msg(struct answer *a, const struct sip_msg *msg)
{
	memset(a, 0, sizeof(*a));
	a->msg = msg;
	a->scode = msg->scode;
	a->reason = msg->reason;
}


static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}


/* Up to the empty line; folded lines are for libre */
static int find_end(const char *p, const char *end, struct pl *headers)
{
	headers->p = p;

	while (p < end) {
		const char *lf;

		if (*p == '\r' || *p == '\n') {
			headers->l = (size_t)(p - headers->p);
			return 0;
		}
		if (*p == ' ' || *p == '\t')
			return ENOSYS;

		lf = memchr(p, '\n', (size_t)(end - p));
		if (!lf)
			break;
		p = lf + 1;
	}

	return EBADMSG;
}


int answer_decode(struct answer *a, const char *buf, size_t len)
{
	const char *end = buf + len, *lf, *eol;

	memset(a, 0, sizeof(*a));
	if (len < SCODE_AT + 4 || memcmp(buf, version, SCODE_AT))
		return EBADMSG;

	for (int i = 0; i < 3; i++) {
		if (!is_digit(buf[SCODE_AT + i]))
			return EBADMSG;
		a->scode =
			(uint16_t)(a->scode * 10 + (buf[SCODE_AT + i] - '0'));
	}
	if (a->scode < 100)
		return EBADMSG;

	lf = memchr(buf, '\n', len);
	if (!lf)
		return EBADMSG;
	eol = lf > buf && lf[-1] == '\r' ? lf - 1 : lf;
	a->reason.p = buf + SCODE_AT + 3;
	if (a->reason.p < eol && *a->reason.p == ' ')
		++a->reason.p;
	a->reason.l = a->reason.p < eol ? (size_t)(eol - a->reason.p) : 0;

	return find_end(lf + 1, end, &a->headers);
}


static void trim(struct pl *pl)
{
	while (pl->l && (*pl->p == ' ' || *pl->p == '\t')) {
		++pl->p;
		--pl->l;
	}
	while (pl->l && strchr(" \t\r\n", pl->p[pl->l - 1]))
		--pl->l;
}


/* Does the line start with this name?  *val gets what stands behind the
   colon */
static bool is_header(const struct pl *line, const char *name, size_t len,
		      char compact, struct pl *val)
{
	size_t n = 0;

	if (line->l > len && !strncasecmp(line->p, name, len))
		n = len;
	else if (compact && line->l > 1 && (line->p[0] | 0x20) == compact)
		n = 1;
	else
		return false;

	while (n < line->l && (line->p[n] == ' ' || line->p[n] == '\t'))
		++n;
	if (n >= line->l || line->p[n] != ':')
		return false;

	val->p = line->p + n + 1;
	val->l = line->l - n - 1;
	trim(val);

	return true;
}


static bool each_line(const struct answer *a, enum sip_hdrid id,
		      const char *name, char compact, answer_header_h *h,
		      void *arg)
{
	const char *p = a->headers.p, *end = p + a->headers.l;
	const size_t len = strlen(name);

	while (p < end) {
		const char *lf = memchr(p, '\n', (size_t)(end - p));
		const struct pl line = { p, (size_t)((lf ? lf : end) - p) };
		struct pl val;

		if (is_header(&line, name, len, compact, &val) &&
		    h(id, &val, arg))
			return true;
		if (!lf)
			break;
		p = lf + 1;
	}

	return false;
}


struct relay {
	answer_header_h *h;
	void *arg;
};


static bool msg_handler(const struct sip_hdr *hdr, const struct sip_msg *msg,
			void *arg)
{
	const struct relay *r = arg;
	(void)msg;

	return r->h(hdr->id, &hdr->val, r->arg);
}


bool answer_each(const struct answer *a, enum sip_hdrid id, answer_header_h *h,
		 void *arg)
{
	struct relay r = { h, arg };

	if (!a || !h)
		return false;

	if (a->msg)
		return sip_msg_hdr_apply(a->msg, true, id, msg_handler, &r);

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (names[i].id == id)
			return each_line(a, id, names[i].name,
					 names[i].compact, h, arg);
	}

	return false;
}


static bool via_handler(enum sip_hdrid id, const struct pl *val, void *arg)
{
	static const char name[] = "branch=";
	const size_t n = sizeof(name) - 1;
	struct pl *branch = arg;
	const char *p = memmem(val->p, val->l, name, n);
	const char *end = val->p + val->l;
	(void)id;

	if (p) {
		p += n;
		branch->p = p;
		while (p < end && !strchr(" \t;,", *p))
			++p;
		branch->l = (size_t)(p - branch->p);
	}

	return true; /* the topmost alone */
}


int answer_branch(const struct answer *a, struct pl *branch)
{
	*branch = pl_null;
	(void)answer_each(a, SIP_HDR_VIA, via_handler, branch);

	return branch->l ? 0 : EBADMSG;
}
