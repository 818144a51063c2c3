/**
 * @file decode_msg.c  A SIP message, RFC 3261 7, read line by line
 *
 * One block of memory has the message and all of its headers:
 *
 *     struct sip_msg | struct sip_hdr, as many as there are
 *
 * A header of one value is in the list of lines and in the table by id.  One
 * with several, separated by commas, is in the table value by value and in the
 * list as a whole; Via and Route are in both value by value.
 */

#include <dlfcn.h>
#include <errno.h>
#include "sipis/sip/decode.h"
#include "sipis/sip/decode_priv.h"

#define TABLE   32 /**< lists in the table by id */
#define HDR_MAX 64 /**< headers of an ordinary message */

/** What a header is to become */
struct found {
	struct pl name, val;
	enum sip_hdrid id;
	bool in_table, in_list;
};

struct reading {
	struct pl first, second, third; /**< words of the start-line */
	struct found v[HDR_MAX];
	unsigned n;
	const char *body;
};

struct block {
	struct sip_msg msg;
	struct sip_hdr hdrv[];
};

typedef int(decode_h)(struct sip_msg **msgp, struct mbuf *mb);


#pragma GCC visibility push(default)
int sip_msg_decode(struct sip_msg **msgp, struct mbuf *mb);
#pragma GCC visibility pop


/* The headers go with the block */
static void destructor(void *arg)
{
	struct sip_msg *msg = arg;

	mem_deref(msg->hdrht);
	mem_deref(msg->sock);
	mem_deref(msg->mb);
}


/* --- ids --- */

static enum sip_hdrid compact_id(char c)
{
	switch (c | 0x20) {

	case 'a':
		return SIP_HDR_ACCEPT_CONTACT;
	case 'b':
		return SIP_HDR_REFERRED_BY;
	case 'c':
		return SIP_HDR_CONTENT_TYPE;
	case 'd':
		return SIP_HDR_REQUEST_DISPOSITION;
	case 'e':
		return SIP_HDR_CONTENT_ENCODING;
	case 'f':
		return SIP_HDR_FROM;
	case 'i':
		return SIP_HDR_CALL_ID;
	case 'j':
		return SIP_HDR_REJECT_CONTACT;
	case 'k':
		return SIP_HDR_SUPPORTED;
	case 'l':
		return SIP_HDR_CONTENT_LENGTH;
	case 'm':
		return SIP_HDR_CONTACT;
	case 'n':
		return SIP_HDR_IDENTITY_INFO;
	case 'o':
		return SIP_HDR_EVENT;
	case 'r':
		return SIP_HDR_REFER_TO;
	case 's':
		return SIP_HDR_SUBJECT;
	case 't':
		return SIP_HDR_TO;
	case 'u':
		return SIP_HDR_ALLOW_EVENTS;
	case 'v':
		return SIP_HDR_VIA;
	case 'x':
		return SIP_HDR_SESSION_EXPIRES;
	case 'y':
		return SIP_HDR_IDENTITY;
	default:
		return SIP_HDR_NONE;
	}
}


/* Headers that nearly each message has, written as all write them */
static enum sip_hdrid usual_id(const struct pl *name)
{
#define IS(s) !memcmp(name->p, s, sizeof(s) - 1)
	switch (name->l) {

	case 2:
		return IS("To") ? SIP_HDR_TO : SIP_HDR_NONE;
	case 3:
		return IS("Via") ? SIP_HDR_VIA : SIP_HDR_NONE;
	case 4:
		return IS("From")   ? SIP_HDR_FROM
		       : IS("CSeq") ? SIP_HDR_CSEQ
				    : SIP_HDR_NONE;
	case 5:
		return IS("Route")   ? SIP_HDR_ROUTE
		       : IS("Allow") ? SIP_HDR_ALLOW
				     : SIP_HDR_NONE;
	case 7:
		return IS("Call-ID")   ? SIP_HDR_CALL_ID
		       : IS("Contact") ? SIP_HDR_CONTACT
		       : IS("Expires") ? SIP_HDR_EXPIRES
				       : SIP_HDR_NONE;
	case 12:
		return IS("Max-Forwards")   ? SIP_HDR_MAX_FORWARDS
		       : IS("Record-Route") ? SIP_HDR_RECORD_ROUTE
		       : IS("Content-Type") ? SIP_HDR_CONTENT_TYPE
					    : SIP_HDR_NONE;
	case 14:
		return IS("Content-Length") ? SIP_HDR_CONTENT_LENGTH
					    : SIP_HDR_NONE;
	default:
		return SIP_HDR_NONE;
	}
#undef IS
}


/* libre's ids are hashes of the names */
static enum sip_hdrid id_of(const struct pl *name)
{
	enum sip_hdrid id;

	if (name->l == 1)
		return compact_id(*name->p);

	id = usual_id(name);
	if (id != SIP_HDR_NONE)
		return id;

	if ((*name->p == 'x' || *name->p == 'X') && name->p[1] == '-')
		return SIP_HDR_NONE;

	return (enum sip_hdrid)(hash_joaat_ci(name->p, name->l) & 0xfff);
}


static bool by_commas(enum sip_hdrid id)
{
	switch (id) {

	case SIP_HDR_ACCEPT:
	case SIP_HDR_ACCEPT_CONTACT:
	case SIP_HDR_ACCEPT_ENCODING:
	case SIP_HDR_ACCEPT_LANGUAGE:
	case SIP_HDR_ACCEPT_RESOURCE_PRIORITY:
	case SIP_HDR_ALERT_INFO:
	case SIP_HDR_ALLOW:
	case SIP_HDR_ALLOW_EVENTS:
	case SIP_HDR_AUTHENTICATION_INFO:
	case SIP_HDR_CALL_INFO:
	case SIP_HDR_CONTACT:
	case SIP_HDR_CONTENT_ENCODING:
	case SIP_HDR_CONTENT_LANGUAGE:
	case SIP_HDR_ERROR_INFO:
	case SIP_HDR_HISTORY_INFO:
	case SIP_HDR_IN_REPLY_TO:
	case SIP_HDR_P_ASSERTED_IDENTITY:
	case SIP_HDR_P_ASSOCIATED_URI:
	case SIP_HDR_P_EARLY_MEDIA:
	case SIP_HDR_P_MEDIA_AUTHORIZATION:
	case SIP_HDR_P_PREFERRED_IDENTITY:
	case SIP_HDR_P_REFUSED_URI_LIST:
	case SIP_HDR_P_VISITED_NETWORK_ID:
	case SIP_HDR_PATH:
	case SIP_HDR_PERMISSION_MISSING:
	case SIP_HDR_PROXY_REQUIRE:
	case SIP_HDR_REASON:
	case SIP_HDR_RECORD_ROUTE:
	case SIP_HDR_REJECT_CONTACT:
	case SIP_HDR_REQUEST_DISPOSITION:
	case SIP_HDR_REQUIRE:
	case SIP_HDR_RESOURCE_PRIORITY:
	case SIP_HDR_ROUTE:
	case SIP_HDR_SECURITY_CLIENT:
	case SIP_HDR_SECURITY_SERVER:
	case SIP_HDR_SECURITY_VERIFY:
	case SIP_HDR_SERVICE_ROUTE:
	case SIP_HDR_SUPPORTED:
	case SIP_HDR_TRIGGER_CONSENT:
	case SIP_HDR_UNSUPPORTED:
	case SIP_HDR_VIA:
	case SIP_HDR_WARNING:
		return true;

	default:
		return false;
	}
}


/* --- reading; false: not ordinary --- */

static bool add(struct reading *r, const struct found *f, const char *p,
		const char *end, bool in_table, bool in_list)
{
	struct found *dst = &r->v[r->n];

	if (r->n == ARRAY_SIZE(r->v))
		return false;

	while (end > p && decode_is_ws(end[-1]))
		--end;
	*dst = *f;
	dst->val.p = p;
	dst->val.l = (size_t)(end - p);
	dst->in_table = in_table;
	dst->in_list = in_list;
	++r->n;

	return true;
}


/* A comma that is not between double quotes, or the end */
static const char *element_end(const char *p, const char *end)
{
	bool quoted = false;

	for (; p < end; p++)
		if (*p == '"')
			quoted = !quoted;
		else if (*p == ',' && !quoted)
			break;

	return p;
}


static bool values(struct reading *r, const struct found *f, const char *p,
		   const char *end)
{
	const bool split = f->id == SIP_HDR_VIA || f->id == SIP_HDR_ROUTE;
	const char *start = p, *comma;

	for (;; p = decode_skip_ws(comma + 1, end)) {
		comma = element_end(p, end);
		if (comma == end && p == start)
			return add(r, f, p, end, true, true);
		if (p == comma || !add(r, f, p, comma, true, split))
			return false;
		if (comma == end)
			break;
	}

	return split || add(r, f, start, end, false, true);
}


static bool header(struct reading *r, const char *p, const char *end)
{
	const char *colon = memchr(p, ':', (size_t)(end - p));
	struct found f = { .name.p = p };

	while (p<end && * p> ' ' && *p != ':')
		++p;
	f.name.l = (size_t)(p - f.name.p);
	while (p < end && (*p == ' ' || *p == '\t'))
		++p;
	if (!f.name.l || p != colon)
		return false;

	f.id = id_of(&f.name);
	if (f.id == SIP_HDR_RACK || f.id == SIP_HDR_RSEQ)
		return false; /* a later libre has a place for them */

	p = decode_skip_ws(p + 1, end);
	if (p == end)
		return false;

	return by_commas(f.id) && memchr(p, ',', (size_t)(end - p))
		       ? values(r, &f, p, end)
		       : add(r, &f, p, end, true, true);
}


static bool word(struct pl *pl, const char **p, const char *end)
{
	pl->p = *p;
	while (*p < end && **p != ' ' && **p != '\t' && **p != '\r')
		++*p;
	pl->l = (size_t)(*p - pl->p);

	return pl->l && *p < end && *(*p)++ == ' ';
}


static bool start_line(struct reading *r, const char *p, const char *end)
{
	if (!word(&r->first, &p, end) || !word(&r->second, &p, end) ||
	    memchr(p, '\r', (size_t)(end - p)))
		return false;

	r->third.p = p;
	r->third.l = (size_t)(end - p);
	return true;
}


/* A line ends with CRLF, and the next is no continuation of it */
static const char *line_end(const char *p, const char *end)
{
	const char *lf = p < end ? memchr(p, '\n', (size_t)(end - p)) : NULL;

	if (!lf || lf == p || lf[-1] != '\r')
		return NULL;

	return lf + 1 < end && (lf[1] == ' ' || lf[1] == '\t') ? NULL : lf - 1;
}


static bool read_all(struct reading *r, const char *p, const char *end)
{
	const char *eol = line_end(p, end);

	if (!eol || !start_line(r, p, eol))
		return false;

	for (;;) {
		p = eol + 2;
		eol = line_end(p, end);
		if (!eol)
			return false;
		if (eol == p)
			break;
		if (!header(r, p, eol))
			return false;
	}

	r->body = eol + 2;
	return r->n > 0;
}


/* --- the message --- */

static int taddr(struct sip_taddr *addr, const struct pl *val)
{
	const int err = sip_addr_decode((struct sip_addr *)addr, val);

	if (err)
		return err;

	(void)msg_param_decode(&addr->params, "tag", &addr->tag);
	addr->val = *val;

	return 0;
}


static int common(struct sip_msg *msg, const struct sip_hdr *hdr)
{
	switch (hdr->id) {

	case SIP_HDR_VIA:
		return pl_isset(&msg->via.sentby)
			       ? 0
			       : sip_via_decode(&msg->via, &hdr->val);

	case SIP_HDR_TO:
		return taddr(&msg->to, &hdr->val);

	case SIP_HDR_FROM:
		return taddr(&msg->from, &hdr->val);

	case SIP_HDR_CSEQ:
		return sip_cseq_decode(&msg->cseq, &hdr->val);

	case SIP_HDR_CONTENT_TYPE:
		return msg_ctype_decode(&msg->ctyp, &hdr->val);

	case SIP_HDR_CALL_ID:
		msg->callid = hdr->val;
		return 0;

	case SIP_HDR_MAX_FORWARDS:
		msg->maxfwd = hdr->val;
		return 0;

	case SIP_HDR_CONTENT_LENGTH:
		msg->clen = hdr->val;
		return 0;

	case SIP_HDR_EXPIRES:
		msg->expires = hdr->val;
		return 0;

	default:
		return 0;
	}
}


static int start(struct sip_msg *msg, const struct reading *r)
{
	msg->req = !pl_strcmp(&r->third, "SIP/2.0");
	if (msg->req) {
		msg->met = r->first;
		msg->ruri = r->second;
		msg->ver = r->third;
		return uri_decode(&msg->uri, &msg->ruri) ? EBADMSG : 0;
	}

	msg->ver = r->first;
	msg->scode = (uint16_t)pl_u32(&r->second);
	msg->reason = r->third;
	return msg->scode ? 0 : EBADMSG;
}


static int header_put(struct sip_msg *msg, struct sip_hdr *hdr,
		      const struct found *f)
{
	hdr->name = f->name;
	hdr->val = f->val;
	hdr->id = f->id;

	if (f->in_table)
		hash_append(msg->hdrht, f->id, &hdr->he, hdr);
	if (f->in_list)
		list_append(&msg->hdrl, &hdr->le, hdr);

	return f->in_table ? common(msg, hdr) : 0;
}


static int make(struct sip_msg **msgp, struct mbuf *mb,
		const struct reading *r)
{
	struct block *b =
		mem_zalloc(sizeof(*b) + r->n * sizeof(b->hdrv[0]), destructor);
	struct sip_msg *msg;
	int err;

	if (!b)
		return ENOMEM;

	msg = &b->msg;
	err = hash_alloc(&msg->hdrht, TABLE);
	if (err)
		goto out;

	msg->tag = rand_u64();
	msg->mb = mem_ref(mb);
	err = start(msg, r);
	for (unsigned i = 0; i < r->n && !err; i++)
		err = header_put(msg, &b->hdrv[i], &r->v[i]);

out:
	if (err)
		mem_deref(b);
	else
		*msgp = msg;

	return err;
}


int sip_msg_decode(struct sip_msg **msgp, struct mbuf *mb)
{
	const char *p, *end;
	struct reading r;
	decode_h *h;
	int err;

	if (!msgp || !mb)
		return EINVAL;

	p = (const char *)mbuf_buf(mb);
	end = p + mbuf_get_left(mb);
	r.n = 0;
	if (p && read_all(&r, p, end)) {
		err = make(msgp, mb, &r);
		if (!err)
			mb->pos = mb->end - (size_t)(end - r.body);
		return err;
	}

	h = (decode_h *)decode_theirs("sip_msg_decode");
	return h ? h(msgp, mb) : ENOSYS;
}


int decode_check(void)
{
	return dlsym(RTLD_DEFAULT, "sip_msg_decode") ==
				       (void *)sip_msg_decode &&
			       dlsym(RTLD_DEFAULT, "msg_param_decode") ==
				       (void *)msg_param_decode
		       ? 0
		       : ENOSYS;
}
