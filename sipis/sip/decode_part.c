/**
 * @file decode_part.c  Via, address, URI, CSeq and parameter, RFC 3261 25.1
 *
 * Each function looks first and writes last: what it leaves to libre it has
 * not touched.
 */

#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <strings.h>
#include "sipis/sip/decode.h"
#include "sipis/sip/decode_priv.h"

#define VIA_START "SIP/2.0/"

typedef int(via_h)(struct sip_via *via, const struct pl *pl);
typedef int(addr_h)(struct sip_addr *addr, const struct pl *pl);
typedef int(cseq_h)(struct sip_cseq *cseq, const struct pl *pl);
typedef int(uri_h)(struct uri *uri, const struct pl *pl);


#pragma GCC visibility push(default)
int sip_via_decode(struct sip_via *via, const struct pl *pl);
int sip_addr_decode(struct sip_addr *addr, const struct pl *pl);
int sip_cseq_decode(struct sip_cseq *cseq, const struct pl *pl);
int uri_decode(struct uri *uri, const struct pl *pl);
int msg_param_decode(const struct pl *pl, const char *name, struct pl *val);
int msg_param_exists(const struct pl *pl, const char *name, struct pl *val);
#pragma GCC visibility pop


void *decode_theirs(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}


static struct pl span(const char *p, const char *end)
{
	return (struct pl){ .p = p, .l = (size_t)(end - p) };
}


static const char *find(const char *p, const char *end, char c)
{
	return p < end ? memchr(p, c, (size_t)(end - p)) : NULL;
}


/* The first of any of those, or the end */
static const char *until(const char *p, const char *end, const char *any)
{
	for (; p < end; p++)
		for (const char *a = any; *a; a++)
			if (*p == *a)
				return p;

	return end;
}


static const char *digits(const char *p, const char *end)
{
	while (p < end && *p >= '0' && *p <= '9')
		++p;

	return p;
}


/* --- hostport --- */

/* Behind the opening bracket of an IPv6 address */
static const char *reference_end(const char *p, const char *end)
{
	while (p < end && (isxdigit((uint8_t)*p) || *p == ':'))
		++p;

	return p;
}


static bool hostport(const struct pl *pl, struct pl *host, struct pl *port)
{
	const char *p = pl->p, *end = p + pl->l, *stop;
	const bool bracket = p < end && *p == '[';

	if (bracket) {
		stop = reference_end(++p, end);
		if (stop == end || *stop != ']')
			return false;
	}
	else {
		if (find(p, end, '['))
			return false;
		stop = find(p, end, ':');
		if (!stop)
			stop = end;
	}

	*host = span(p, stop);
	for (p = stop + bracket; p < end && *p == ':'; p++)
		;
	*port = span(p, digits(p, end));

	return host->l > 0;
}


/* What has no colon and begins with no digit is no address */
static int host_addr(struct sa *sa, const struct pl *host)
{
	return isdigit((uint8_t)*host->p) ||
			       find(host->p, host->p + host->l, ':')
		       ? sa_set(sa, host, 0)
		       : EINVAL;
}


/* --- parameter --- */

/* A value, with what stands between double quotes in it */
static const char *value_end(const char *p, const char *end)
{
	bool quoted = false;

	for (; p < end; p++) {
#ifndef PLANT_BUG /* for tests/fuzz/run.sh planted, never for use */
		if (*p == '\\') {
			if (++p == end)
				break;
			continue;
		}
#endif
		if (*p == '"')
			quoted = !quoted;
		else if (!quoted && (*p == ';' || decode_is_ws(*p)))
			break;
	}

	return p;
}


static bool param_value(struct pl *val, const char *p, const char *end)
{
	*val = span(p, value_end(p, end));

	if (val->l > 1 && *p == '"' && p[val->l - 1] == '"') {
		++val->p;
		val->l -= 2;
	}

	return val->l > 0;
}


int msg_param_decode(const struct pl *pl, const char *name, struct pl *val)
{
	const size_t len = name ? strlen(name) : 0;
	const char *p, *end;
	struct pl found;

	if (!pl || !name || !val)
		return EINVAL;
	if (!pl->p)
		return ENOENT;

	end = pl->p + pl->l;
	for (p = pl->p; (p = find(p, end, ';'));) {
		const char *q = decode_skip_ws(++p, end);

		if ((size_t)(end - q) <= len || strncasecmp(q, name, len) != 0)
			continue;
		q = decode_skip_ws(q + len, end);
		if (q == end || *q != '=')
			continue;
		if (!param_value(&found, decode_skip_ws(q + 1, end), end))
			continue;

		*val = found;
		return 0;
	}

	return ENOENT;
}


/* The first that begins with the name decides, as in libre */
int msg_param_exists(const struct pl *pl, const char *name, struct pl *val)
{
	const size_t len = name ? strlen(name) : 0;
	const char *p, *end;

	if (!pl || !name || !val)
		return EINVAL;
	if (!pl->p)
		return ENOENT;

	end = pl->p + pl->l;
	for (p = pl->p; (p = find(p, end, ';')); p++) {
		const char *q = decode_skip_ws(p + 1, end);

		if ((size_t)(end - q) < len || strncasecmp(q, name, len) != 0)
			continue;
		q += len;
		if (q < end && *q != ';' && *q != '=' && !decode_is_ws(*q))
			return ENOENT;

		*val = span(p, q);
		return 0;
	}

	return ENOENT;
}


/* --- URI --- */

static bool uri_read(struct uri *uri, const struct pl *pl)
{
	const char *p = pl->p, *end = p + pl->l, *colon, *at;
	struct pl hp, port;
	struct uri u;
	struct sa sa;

	memset(&u, 0, sizeof(u));

	colon = find(p, end, ':');
	if (!colon || colon == p || find(p, end, ' '))
		return false;
	u.scheme = span(p, colon);

	p = colon + 1;
	at = find(p, end, '@');
	if (at) {
		if (find(p, at, ':'))
			return false;
		u.user = span(p, at);
		u.password = span(at, at);
		p = at + 1;
	}

	hp = span(p, until(p, end, "/;?"));
	if (!hostport(&hp, &u.host, &port))
		return false;

	p += hp.l;
	u.path = span(p, until(p, end, ";?"));
	p += u.path.l;
	u.params = span(p, until(p, end, "?"));
	p += u.params.l;
	u.headers = span(p, end);

	u.af = host_addr(&sa, &u.host) ? AF_UNSPEC : sa_af(&sa);
	if (pl_isset(&port))
		u.port = (uint16_t)pl_u32(&port);

	*uri = u;
	return true;
}


int uri_decode(struct uri *uri, const struct pl *pl)
{
	uri_h *h;

	if (!uri || !pl)
		return EINVAL;
	if (pl->p && uri_read(uri, pl))
		return 0;

	h = (uri_h *)decode_theirs("uri_decode");
	return h ? h(uri, pl) : ENOSYS;
}


/* --- address: <uri>params, with a name in front or none --- */

/* Returns where the URI begins; NULL: not ordinary */
static const char *quoted_name(struct pl *name, const char *p, const char *end)
{
	const char *close = find(p + 1, end, '"');

	if (!close || find(p, close, '\\'))
		return NULL;
	if (close > p + 1)
		*name = span(p + 1, close);

	p = decode_skip_ws(close + 1, end);
	return p < end && *p == '<' ? p : NULL;
}


/* Of several words libre takes the last */
static const char *token_name(struct pl *name, const char *p, const char *end)
{
	const char *open = find(p, end, '<'), *start, *stop;

	if (!open || find(p, open, '"') || find(p, open, '\\'))
		return NULL;

	for (stop = open; stop > p && decode_is_ws(stop[-1]);)
		--stop;
	for (start = stop; start > p && !decode_is_ws(start[-1]);)
		--start;
	if (start < stop)
		*name = span(start, stop);

	return open;
}


static bool addr_read(struct sip_addr *addr, const struct pl *pl)
{
	const char *end = pl->p + pl->l, *open, *close;
	struct pl dname = PL_INIT;

	open = pl->l && *pl->p == '"' ? quoted_name(&dname, pl->p, end)
				      : token_name(&dname, pl->p, end);
	close = open ? find(open, end, '>') : NULL;
	if (!close || close == open + 1)
		return false;

	memset(addr, 0, sizeof(*addr));
	addr->dname = dname;
	addr->auri = span(open + 1, close);
	if (close + 1 < end)
		addr->params = span(close + 1, end);
	return true;
}


int sip_addr_decode(struct sip_addr *addr, const struct pl *pl)
{
	addr_h *h;
	int err;

	if (!addr || !pl)
		return EINVAL;
	if (pl->p && addr_read(addr, pl)) {
		err = uri_decode(&addr->uri, &addr->auri);
		if (err)
			memset(addr, 0, sizeof(*addr));
		return err;
	}

	h = (addr_h *)decode_theirs("sip_addr_decode");
	return h ? h(addr, pl) : ENOSYS;
}


/* --- CSeq --- */

static bool cseq_read(struct sip_cseq *cseq, const struct pl *pl)
{
	const char *end = pl->p + pl->l;
	const char *p = digits(pl->p, end), *met = decode_skip_ws(p, end);
	const struct pl num = span(pl->p, p);

	if (!num.l || met == p || met == end)
		return false;

	cseq->met = span(met, until(met, end, " \t\r\n"));
	cseq->num = pl_u32(&num);
	return true;
}


int sip_cseq_decode(struct sip_cseq *cseq, const struct pl *pl)
{
	cseq_h *h;

	if (!cseq || !pl)
		return EINVAL;

	if (pl->p && cseq_read(cseq, pl))
		return 0;

	h = (cseq_h *)decode_theirs("sip_cseq_decode");
	return h ? h(cseq, pl) : ENOSYS;
}


/* --- Via --- */

static enum sip_transp via_transp(const struct pl *pl)
{
	static const struct {
		const char *name;
		enum sip_transp tp;
	} tpv[] = { { "UDP", SIP_TRANSP_UDP },
		    { "TCP", SIP_TRANSP_TCP },
		    { "TLS", SIP_TRANSP_TLS } };

	for (size_t i = 0; i < ARRAY_SIZE(tpv); i++)
		if (!pl_strcmp(pl, tpv[i].name))
			return tpv[i].tp;

	return SIP_TRANSP_NONE;
}


static bool via_read(struct sip_via *via, const struct pl *pl)
{
	const size_t start = sizeof(VIA_START) - 1;
	const char *p = pl->p, *end = p + pl->l;
	struct pl transp, sentby, host, port;
	enum sip_transp tp;

	if (pl->l < start || memcmp(p, VIA_START, start) != 0)
		return false;

	p += start;
	transp = span(p, until(p, end, " "));
	tp = via_transp(&transp);
	if (tp == SIP_TRANSP_NONE)
		return false;

	p = decode_skip_ws(p + transp.l, end);
	sentby = span(p, until(p, end, "; \t\r\n"));
	if (!hostport(&sentby, &host, &port))
		return false;

	p = decode_skip_ws(p + sentby.l, end);
	via->tp = tp;
	via->sentby = sentby;
	via->params = span(p, end);
	via->val = *pl;

	sa_init(&via->addr, AF_INET);
	(void)host_addr(&via->addr, &host);
	if (pl_isset(&port))
		sa_set_port(&via->addr, (uint16_t)pl_u32(&port));

	return true;
}


int sip_via_decode(struct sip_via *via, const struct pl *pl)
{
	via_h *h;

	if (!via || !pl)
		return EINVAL;
	if (pl->p && via_read(via, pl))
		return msg_param_decode(&via->params, "branch", &via->branch);

	h = (via_h *)decode_theirs("sip_via_decode");
	return h ? h(via, pl) : ENOSYS;
}
