/**
 * @file contacts.c  The Contacts of one REGISTER; RFC 3261 10.2.1, pure
 */

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include "sipis/edge/contacts.h"


enum { EXPIRES = 3600 };


struct edge_contacts edge_contacts_of(const struct sip_msg *msg)
{
	return (struct edge_contacts){ .le = msg->hdrl.head };
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


bool edge_contact_next(struct pl *one, struct edge_contacts *c)
{
	while (!c->rest.l && c->le) {
		const struct sip_hdr *hdr = c->le->data;

		c->le = c->le->next;
		if (hdr->id == SIP_HDR_CONTACT)
			c->rest = hdr->val;
	}
	if (!c->rest.l)
		return false;

	one->p = c->rest.p;
	one->l = one_len(&c->rest);
	pl_advance(&c->rest, (ssize_t)one->l);
	if (c->rest.l)
		pl_advance(&c->rest, 1);
	while (one->l && strchr(" \t\r\n", *one->p))
		pl_advance(one, 1);
	while (one->l && strchr(" \t\r\n", one->p[one->l - 1]))
		--one->l;

	return true;
}


/* A sips: Contact means that nobody but TLS may reach it; RFC 5630 */
bool edge_contact_read(struct sip_addr *addr, const struct pl *one,
		       const struct sip_msg *msg)
{
	return !sip_addr_decode(addr, one) &&
	       (!pl_strcasecmp(&addr->uri.scheme, "sip") ||
		(msg->tp == SIP_TRANSP_TLS &&
		 !pl_strcasecmp(&addr->uri.scheme, "sips")));
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


uint32_t edge_contact_expires(const struct sip_addr *addr,
			      const struct sip_msg *msg)
{
	struct pl pl;

	if (!msg_param_decode(&addr->params, "expires", &pl))
		return seconds(&pl);

	return edge_contacts_expires(msg);
}


uint32_t edge_contact_reg_id(const struct sip_addr *addr)
{
	struct pl pl;

	return msg_param_decode(&addr->params, "reg-id", &pl) ? 0
							      : pl_u32(&pl);
}


/* The phone that speaks has one way, which is its flow */
bool edge_contact_main(struct pl *main, const struct sip_msg *msg)
{
	struct edge_contacts c = edge_contacts_of(msg);
	bool found = false;
	struct pl one;

	while (edge_contact_next(&one, &c)) {
		struct sip_addr addr;
		const bool lives = edge_contact_read(&addr, &one, msg) &&
				   edge_contact_expires(&addr, msg);

		if (lives || !found)
			*main = one;
		if (lives)
			return true;
		found = true;
	}

	return found;
}


bool edge_contact_of(struct sip_addr *addr, const struct sip_msg *msg)
{
	struct pl main;

	return edge_contact_main(&main, msg) &&
	       edge_contact_read(addr, &main, msg);
}


static bool has_instance(const struct sip_addr *addr)
{
	return !re_regex(addr->params.p, addr->params.l,
			 "+sip.instance[ \t]*=", NULL);
}


static int installation_of(char *buf, size_t size, const struct sip_addr *addr)
{
	struct pl urn;
	int n;

	if (!re_regex(addr->params.p, addr->params.l,
		      "+sip.instance[ \t]*=[ \t]*\"<[^>\"]+>\"", NULL, NULL,
		      &urn))
		n = re_snprintf(buf, size, "%r", &urn);
	else
		n = re_snprintf(buf, size, "contact:%r", &addr->uri.user);

	return n < 0 ? EOVERFLOW : 0;
}


int edge_installation(char *buf, size_t size, const struct sip_msg *msg)
{
	struct sip_addr addr;

	return edge_contact_of(&addr, msg) ? installation_of(buf, size, &addr)
					   : ENOENT;
}


/* Without an instance its address tells it from others of its kind */
uint32_t edge_contact_hash(const struct sip_addr *addr)
{
	const struct uri *uri = &addr->uri;
	char name[EDGE_URI];
	int err = 0;

	if (has_instance(addr))
		err = installation_of(name, sizeof(name), addr);
	else if (re_snprintf(name, sizeof(name), "contact:%r@%r:%u",
			     &uri->user, &uri->host, uri->port) < 0)
		err = EOVERFLOW;

	return err ? 0 : hash_joaat_str(name);
}


uint32_t edge_installation_hash(const struct sip_msg *msg)
{
	struct sip_addr addr;

	return edge_contact_of(&addr, msg) ? edge_contact_hash(&addr) : 0;
}


bool edge_contact_is_plain(const struct sip_addr *addr)
{
	struct pl prid;

	return !has_instance(addr) &&
	       msg_param_decode(&addr->uri.params, "pn-prid", &prid);
}


bool edge_is_plain(const struct sip_msg *msg)
{
	struct sip_addr addr;

	return edge_contact_of(&addr, msg) && edge_contact_is_plain(&addr);
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
void edge_contact_params(char *dst, size_t size, const struct sip_addr *addr)
{
	struct pl rest = addr->params;
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
