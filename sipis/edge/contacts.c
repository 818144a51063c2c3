/**
 * @file contacts.c  The Contacts of one REGISTER; RFC 3261 10.2.1, pure
 */

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include "common/ident.h"
#include "common/secret.h"
#include "sipis/edge/contacts.h"


enum { EXPIRES = 3600 };


struct edge_contacts edge_contacts_of(const struct sip_msg *msg)
{
	return (struct edge_contacts){ .msg = msg, .le = msg->hdrl.head };
}


/* The length up to the next comma that parts two; libre does not part them */
static size_t one_len(const struct pl *pl)
{
	bool quoted = false, angled = false;
	size_t n;

	for (n = 0; n < pl->l && (quoted || angled || pl->p[n] != ','); n++) {
		const char c = pl->p[n];

		if (quoted && c == '\\')
			++n;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && (c == '<' || c == '>'))
			angled = c == '<';
	}

	return n < pl->l ? n : pl->l;
}


static bool text_next(struct pl *text, struct edge_contacts *walk)
{
	while (!walk->rest.l && walk->le) {
		const struct sip_hdr *hdr = walk->le->data;

		walk->le = walk->le->next;
		if (hdr->id == SIP_HDR_CONTACT)
			walk->rest = hdr->val;
	}
	if (!walk->rest.l)
		return false;

	text->p = walk->rest.p;
	text->l = one_len(&walk->rest);
	pl_advance(&walk->rest, (ssize_t)text->l);
	if (walk->rest.l)
		pl_advance(&walk->rest, 1);
	while (text->l && strchr(" \t\r\n", *text->p))
		pl_advance(text, 1);
	while (text->l && strchr(" \t\r\n", text->p[text->l - 1]))
		--text->l;

	return true;
}


/* A sips: Contact means that nobody but TLS may reach it; RFC 5630 */
static bool is_reachable(const struct sip_addr *addr,
			 const struct sip_msg *msg)
{
	return !pl_strcasecmp(&addr->uri.scheme, "sip") ||
	       (msg->tp == SIP_TRANSP_TLS &&
		!pl_strcasecmp(&addr->uri.scheme, "sips"));
}


/* RFC 3261 10.2.1.1, 20.19: what is no number is an hour */
static uint32_t seconds(const struct pl *pl)
{
	size_t n = 0;

	while (n < pl->l && isdigit((unsigned char)pl->p[n]))
		++n;
	if (!n || n < pl->l)
		return EXPIRES;

	return n > 9 ? UINT32_MAX : pl_u32(pl);
}


uint32_t edge_contacts_expires(const struct sip_msg *msg)
{
	return pl_isset(&msg->expires) ? seconds(&msg->expires) : EXPIRES;
}


static void instance_read(struct edge_contact *c)
{
	const struct pl *params = &c->addr.params;

	c->instance =
		!re_regex(params->p, params->l, "+sip.instance[ \t]*=", NULL);
	if (c->instance)
		(void)re_regex(params->p, params->l,
			       "+sip.instance[ \t]*=[ \t]*\"<[^>\"]+>\"", NULL,
			       NULL, &c->urn);
}


int edge_contact_next(struct edge_contact *c, struct edge_contacts *walk)
{
	struct pl pl;

	memset(c, 0, sizeof(*c));
	if (!text_next(&c->text, walk))
		return ENOENT;

	if (sip_addr_decode(&c->addr, &c->text) ||
	    !is_reachable(&c->addr, walk->msg)) {
		memset(&c->addr, 0, sizeof(c->addr));
		return EBADMSG;
	}

	c->expires_s = msg_param_decode(&c->addr.params, "expires", &pl)
			       ? edge_contacts_expires(walk->msg)
			       : seconds(&pl);
	if (!msg_param_decode(&c->addr.params, "reg-id", &pl))
		c->reg_id = pl_u32(&pl);
	instance_read(c);

	return 0;
}


static struct pl pn_param(const struct edge_contact *c, const char *name)
{
	struct pl pl = PL_INIT;

	(void)msg_param_decode(&c->addr.uri.params, name, &pl);

	return pl;
}


bool edge_contact_is_pn(const struct edge_contact *c)
{
	const struct pl prid = pn_param(c, "pn-prid");

	return !pl_isset(&c->urn) && pl_isset(&prid);
}


bool edge_contact_is_plain(const struct edge_contact *c)
{
	return pl_isset(&c->addr.auri) && !c->instance &&
	       !edge_contact_is_pn(c);
}


/* RFC 8599 5.3: these three say which one it is */
static int pn_name(char *buf, size_t size, const struct edge_contact *c)
{
	const struct pl provider = pn_param(c, "pn-provider");
	const struct pl param = pn_param(c, "pn-param");
	const struct pl prid = pn_param(c, "pn-prid");
	char text[EDGE_URI], hex[2 * 16 + 1];
	uint8_t md[32];
	int err, n = re_snprintf(text, sizeof(text), "%r %r %r", &provider,
				 &param, &prid);

	if (n < 0)
		return EOVERFLOW;

	err = secret_sha256(md, text, (size_t)n);
	if (err)
		return err;

	ident_hex(hex, md, 16);

	return re_snprintf(buf, size, "pn:%s", hex) < 0 ? EOVERFLOW : 0;
}


int edge_contact_name(char *buf, size_t size, const struct edge_contact *c)
{
	int n;

	if (!pl_isset(&c->addr.auri))
		return ENOENT;
	if (edge_contact_is_pn(c))
		return pn_name(buf, size, c);

	n = pl_isset(&c->urn)
		    ? re_snprintf(buf, size, "%r", &c->urn)
		    : re_snprintf(buf, size, "contact:%r", &c->addr.uri.user);

	return n < 0 ? EOVERFLOW : 0;
}


/* Without a name of its own its address tells it from others of its kind */
uint32_t edge_contact_hash(const struct edge_contact *c)
{
	const struct uri *uri = &c->addr.uri;
	char name[EDGE_URI];
	int err;

	if (!edge_contact_is_plain(c))
		err = edge_contact_name(name, sizeof(name), c);
	else
		err = re_snprintf(name, sizeof(name), "contact:%r@%r:%u",
				  &uri->user, &uri->host, uri->port) < 0;

	return err ? 0 : hash_joaat_str(name);
}


/* One parameter with its semicolon; a quoted one may hold semicolons */
static struct pl next_param(struct pl *rest)
{
	struct pl p = { rest->p, 0 };
	bool quoted = false;

	while (p.l < rest->l && (!p.l || quoted || rest->p[p.l] != ';')) {
		if (rest->p[p.l] == '"')
			quoted = !quoted;
		++p.l;
	}
	rest->p += p.l;
	rest->l -= p.l;

	return p;
}


static bool named(const struct pl *param, const char *name)
{
	const size_t len = strlen(name);

	return param->l > len && !strncasecmp(param->p + 1, name, len);
}


/* It goes back as it came, but for what we decide; RFC 3261 10.3, 5627 5.1 */
void edge_contact_params(char *dst, size_t size, const struct edge_contact *c)
{
	struct pl rest = c->addr.params;
	size_t n = 0;

	*dst = '\0';
	while (rest.l) {
		const struct pl p = next_param(&rest);
		const bool ours = named(&p, "expires") ||
				  named(&p, "pub-gruu") ||
				  named(&p, "temp-gruu");

		if (p.l < 2 || *p.p != ';' || ours || n + p.l >= size)
			continue;
		memcpy(dst + n, p.p, p.l);
		n += p.l;
		dst[n] = '\0';
	}
}


/* A phone's tokens for pushes are for nobody else */
int edge_contact_public(struct re_printf *pf, const char *contact)
{
	const struct pl text = { contact, strlen(contact) };
	struct uri uri;
	struct pl rest;
	int err;

	if (uri_decode(&uri, &text))
		return 0;

	rest = uri.params;
	err = re_hprintf(pf, "%b", text.p,
			 rest.l ? (size_t)(rest.p - text.p) : text.l);
	while (rest.l && !err) {
		const struct pl p = next_param(&rest);

		if (p.l > 1 && !named(&p, "pn-"))
			err = re_hprintf(pf, "%r", &p);
	}

	return err;
}
