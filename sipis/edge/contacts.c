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


static struct pl trimmed(const char *p, size_t len)
{
	while (len && strchr(" \t\r\n", *p)) {
		++p;
		--len;
	}
	while (len && strchr(" \t\r\n", p[len - 1]))
		--len;

	return (struct pl){ p, len };
}


static bool text_next(struct pl *text, struct edge_contacts *walk)
{
	size_t len;

	while (!walk->rest.l && walk->le) {
		const struct sip_hdr *hdr = walk->le->data;

		walk->le = walk->le->next;
		if (hdr->id == SIP_HDR_CONTACT)
			walk->rest = hdr->val;
	}
	if (!walk->rest.l)
		return false;

	len = one_len(&walk->rest);
	*text = trimmed(walk->rest.p, len);
	pl_advance(&walk->rest, (ssize_t)(len < walk->rest.l ? len + 1 : len));

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

	while (pl->p && n < pl->l && isdigit((unsigned char)pl->p[n]))
		++n;
	if (!n || n < pl->l)
		return EXPIRES;

	return n > 9 ? UINT32_MAX : pl_u32(pl);
}


uint32_t edge_contacts_expires(const struct sip_msg *msg)
{
	return pl_isset(&msg->expires) ? seconds(&msg->expires) : EXPIRES;
}


/** One parameter */
struct param {
	struct pl all;       /**< with its semicolon */
	struct pl name, val; /**< val: not set without "=" */
};


/* A quoted one may hold semicolons */
static bool next_param(struct param *param, struct pl *rest)
{
	struct pl all = { rest->p, 0 };
	const char *eq = NULL;
	bool quoted = false;
	size_t head;

	if (!rest->l)
		return false;

	for (; all.l < rest->l && (!all.l || quoted || all.p[all.l] != ';');
	     all.l++) {
		if (all.p[all.l] == '"')
			quoted = !quoted;
		else if (!eq && !quoted && all.p[all.l] == '=')
			eq = all.p + all.l;
	}
	pl_advance(rest, (ssize_t)all.l);

	head = *all.p == ';';
	param->all = all;
	param->name = trimmed(all.p + head,
			      (eq ? (size_t)(eq - all.p) : all.l) - head);
	param->val = eq ? trimmed(eq + 1, (size_t)(all.p + all.l - eq) - 1)
			: (struct pl){ NULL, 0 };

	return true;
}


/* "<urn:uuid:...>", in quotes */
static struct pl urn_of(const struct pl *val)
{
	struct pl urn = { NULL, 0 };

	if (val->l > 4 && !strncmp(val->p, "\"<", 2) &&
	    !strncmp(val->p + val->l - 2, ">\"", 2))
		urn = (struct pl){ val->p + 2, val->l - 4 };

	return pl_strchr(&urn, '>') || pl_strchr(&urn, '"')
		       ? (struct pl){ NULL, 0 }
		       : urn;
}


static void param_take(struct edge_contact *c, const struct param *p)
{
	if (!pl_strcasecmp(&p->name, "+sip.instance") && p->val.p) {
		c->instance = true;
		c->urn = urn_of(&p->val);
	}
	else if (!pl_strcasecmp(&p->name, "expires") && pl_isset(&p->val))
		c->expires_s = seconds(&p->val);
	else if (!pl_strcasecmp(&p->name, "reg-id"))
		c->reg_id = pl_u32(&p->val);
	else if (!pl_strcasecmp(&p->name, "+sip.pnsreg"))
		c->pnsreg = true;
	else if (!pl_strcasecmp(&p->name, "+sip.pnspurr"))
		c->pnspurr = true;
}


int edge_contact_next(struct edge_contact *c, struct edge_contacts *walk)
{
	struct param p;
	struct pl rest;

	memset(c, 0, sizeof(*c));
	if (!text_next(&c->text, walk))
		return ENOENT;

	if (sip_addr_decode(&c->addr, &c->text) ||
	    !is_reachable(&c->addr, walk->msg)) {
		memset(&c->addr, 0, sizeof(c->addr));
		return EBADMSG;
	}

	c->expires_s = edge_contacts_expires(walk->msg);
	for (rest = c->addr.params; next_param(&p, &rest);)
		param_take(c, &p);

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
	struct pl prid;

	if (pl_isset(&c->urn))
		return false;

	prid = pn_param(c, "pn-prid");

	return pl_isset(&prid);
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


static bool is_ours(const struct pl *name)
{
	return !pl_strcasecmp(name, "expires") ||
	       !pl_strcasecmp(name, "pub-gruu") ||
	       !pl_strcasecmp(name, "temp-gruu");
}


/* It goes back as it came, but for what we decide; RFC 3261 10.3, 5627 5.1 */
void edge_contact_params(char *dst, size_t size, const struct edge_contact *c)
{
	struct pl rest = c->addr.params;
	struct param p;
	size_t n = 0;

	*dst = '\0';
	while (next_param(&p, &rest)) {
		if (p.all.l < 2 || *p.all.p != ';' || is_ours(&p.name) ||
		    n + p.all.l >= size)
			continue;
		memcpy(dst + n, p.all.p, p.all.l);
		n += p.all.l;
		dst[n] = '\0';
	}
}


static bool is_pn(const struct pl *name)
{
	return name->l > 3 && !strncasecmp(name->p, "pn-", 3);
}


/* A phone's tokens for pushes are for nobody else */
int edge_contact_public(struct re_printf *pf, const char *contact)
{
	const struct pl text = { contact, strlen(contact) };
	struct param p;
	struct uri uri;
	struct pl rest;
	int err;

	if (uri_decode(&uri, &text))
		return 0;

	rest = uri.params;
	err = re_hprintf(pf, "%b", text.p,
			 rest.l ? (size_t)(rest.p - text.p) : text.l);
	while (!err && next_param(&p, &rest))
		if (p.all.l > 1 && !is_pn(&p.name))
			err = re_hprintf(pf, "%r", &p.all);

	return err;
}
