/**
 * @file grant.c  What the answer to a REGISTER says of the bindings
 */

#include <string.h>
#include "common/ident.h"
#include "sipis/reg/grant.h"
#include "sipis/reg/reg_fsm.h"


struct one {
	struct pl uri;    /* without brackets */
	struct pl params; /* of the header, from the first semicolon */
};

struct look {
	struct grant *g;
	const struct grant_home *home;
	char user[2 * STORE_CONTACT + 1];
	char mark[sizeof(GRANT_PARAM) + 1 + GRANT_MARK_LEN + 1];
	uint32_t other_s;
};


void grant_mark(char *mark, const uint8_t contact[STORE_CONTACT])
{
	uint8_t x[GRANT_MARK_LEN / 2] = { 0 };

	/* Folded: the mark gives away nothing of the contact user */
	for (size_t i = 0; i < STORE_CONTACT; i++)
		x[i % sizeof(x)] ^= contact[i];
	ident_hex(mark, x, sizeof(x));
}


uint32_t grant_number(const struct pl *pl)
{
	uint64_t v = 0;

	if (!pl->l)
		return UINT32_MAX;

	for (size_t i = 0; i < pl->l; i++) {
		if (pl->p[i] < '0' || pl->p[i] > '9')
			return UINT32_MAX;
		v = v * 10 + (uint64_t)(pl->p[i] - '0');
		if (v >= UINT32_MAX)
			v = UINT32_MAX - 1;
	}

	return (uint32_t)v;
}


/* addr-spec or name-addr; a quoted display name may contain anything */
static bool split(struct one *one, const struct pl *val)
{
	const char *p = val->p, *end = val->p + val->l, *open;

	if (p < end && *p == '"') {
		for (++p; p < end && *p != '"'; p++) {
			if (*p == '\\')
				++p;
		}
		if (p >= end)
			return false;
	}

	open = memchr(p, '<', (size_t)(end - p));
	if (open) {
		const char *close = memchr(open, '>', (size_t)(end - open));

		if (!close)
			return false;
		one->uri.p = open + 1;
		one->uri.l = (size_t)(close - open - 1);
		p = close + 1;
	}
	else {
		const char *semi = memchr(p, ';', (size_t)(end - p));

		one->uri.p = p;
		one->uri.l = (size_t)((semi ? semi : end) - p);
		p = semi ? semi : end;
	}

	one->params.p = p;
	one->params.l = (size_t)(end - p);

	return one->uri.l != 0;
}


static bool contains(const struct pl *pl, const char *s)
{
	const size_t l = strlen(s);

	for (size_t i = 0; i + l <= pl->l; i++) {
		if (!strncasecmp(pl->p + i, s, l))
			return true;
	}

	return false;
}


static uint32_t expires(const struct pl *params)
{
	const char *p = params->p, *end = params->p + params->l;

	while (p < end) {
		static const char name[] = "expires";
		struct pl val;

		if (*p++ != ';')
			continue;
		while (p < end && (*p == ' ' || *p == '\t'))
			++p;
		if ((size_t)(end - p) < sizeof(name) ||
		    strncasecmp(p, name, sizeof(name) - 1))
			continue;
		p += sizeof(name) - 1;
		while (p < end && (*p == ' ' || *p == '\t'))
			++p;
		if (p >= end || *p != '=')
			continue;
		++p;
		while (p < end && (*p == ' ' || *p == '\t' || *p == '"'))
			++p;
		val.p = p;
		while (p < end && *p >= '0' && *p <= '9')
			++p;
		val.l = (size_t)(p - val.p);

		return grant_number(&val);
	}

	return UINT32_MAX;
}


static void keep_other(struct look *l, const struct one *one, uint32_t s)
{
	struct grant *g = l->g;

	if (g->hashc < GRANT_HASHES)
		g->hashes[g->hashc++] = hash_joaat_pl(&one->uri);
	if (g->others++ && s < l->other_s)
		return;
	if (one->uri.l >= sizeof(g->other))
		return;

	l->other_s = s;
	(void)pl_strcpy(&one->uri, g->other, sizeof(g->other));
}


static enum sip_transp transport_of(const struct uri *uri)
{
	static const struct pl name = PL("transport");
	struct pl val;

	if (!pl_strcasecmp(&uri->scheme, "sips"))
		return SIP_TRANSP_TLS;
	if (uri_param_get(&uri->params, &name, &val) ||
	    !pl_strcasecmp(&val, "udp"))
		return SIP_TRANSP_UDP;

	return !pl_strcasecmp(&val, "tcp")   ? SIP_TRANSP_TCP
	       : !pl_strcasecmp(&val, "tls") ? SIP_TRANSP_TLS
					     : SIP_TRANSP_NONE;
}


/* RFC 3261 19.1.2: which port it is where none is said */
static bool leads_home(const struct grant_home *home, const struct pl *pl)
{
	struct uri uri;
	struct sa sa;

	if (uri_decode(&uri, pl) || transport_of(&uri) != home->tp)
		return false;
	if (sa_set(&sa, &uri.host,
		   uri.port                     ? uri.port
		   : home->tp == SIP_TRANSP_TLS ? SIP_PORT_TLS
						: SIP_PORT))
		return false;

	return sa_cmp(&sa, &home->addr, SA_ALL);
}


static bool has_gruu(const struct one *one, const char *gruu)
{
	char param[600];

	return gruu &&
	       re_snprintf(param, sizeof(param), ";pub-gruu=\"%s\"", gruu) >
		       0 &&
	       contains(&one->params, param);
}


/* One of before may be listed beside it */
static void keep_ours(struct look *l, const struct one *one, uint32_t s)
{
	struct grant *g = l->g;
	const bool here = leads_home(l->home, &one->uri);

	if (g->here && !here)
		return;

	g->ours = true;
	g->here = here;
	g->gruu = has_gruu(one, l->home->gruu);
	g->ours_s = s;
}


static void see_contact(struct look *l, const struct pl *val)
{
	struct one one;
	uint32_t s;

	if (!split(&one, val) || (one.uri.l == 1 && one.uri.p[0] == '*'))
		return;

	s = expires(&one.params);
	if (s < l->g->low_s)
		l->g->low_s = s;

	if (contains(&one.uri, l->user) || contains(&one.uri, l->mark))
		keep_ours(l, &one, s);
	else
		keep_other(l, &one, s == UINT32_MAX ? 0 : s);
}


/* One line may list several; commas in quotes and brackets do not count */
static bool contact_handler(enum sip_hdrid id, const struct pl *val, void *arg)
{
	const char *p = val->p, *end = p + val->l;
	struct pl one = { p, 0 };
	bool quoted = false, inside = false;
	(void)id;

	for (; p < end; p++) {
		if (*p == '"' && !inside)
			quoted = !quoted;
		else if (*p == '\\' && quoted)
			++p;
		else if (!quoted && (*p == '<' || *p == '>'))
			inside = *p == '<';
		else if (*p == ',' && !quoted && !inside) {
			one.l = (size_t)(p - one.p);
			see_contact(arg, &one);
			one.p = p + 1;
			while (one.p < end && *one.p == ' ')
				++one.p;
		}
	}
	if (one.p < end) {
		one.l = (size_t)(end - one.p);
		see_contact(arg, &one);
	}

	return false;
}


void grant_parse(struct grant *g, const struct answer *ans,
		 const uint8_t contact[STORE_CONTACT],
		 const struct grant_home *home)
{
	struct look l = { .g = g, .home = home };
	const size_t n = sizeof(GRANT_PARAM);

	memset(g, 0, sizeof(*g));
	g->ours_s = g->low_s = UINT32_MAX;

	ident_hex(l.user, contact, STORE_CONTACT);
	memcpy(l.mark, GRANT_PARAM "=", n);
	grant_mark(l.mark + n, contact);

	(void)answer_each(ans, SIP_HDR_CONTACT, contact_handler, &l);
}


static bool expires_handler(enum sip_hdrid id, const struct pl *val, void *arg)
{
	(void)id;
	*(uint32_t *)arg = grant_number(val);

	return true;
}


uint32_t grant_seconds(const struct grant *g, const struct answer *ans,
		       uint32_t asked)
{
	uint32_t s = g->ours ? g->ours_s : g->low_s;

	if (s == UINT32_MAX)
		(void)answer_each(ans, SIP_HDR_EXPIRES, expires_handler, &s);
	if (s == UINT32_MAX)
		s = asked;

	if (s < REG_GRANT_MIN)
		s = REG_GRANT_MIN;
	if (s > REG_GRANT_MAX)
		s = REG_GRANT_MAX;

	return s;
}
