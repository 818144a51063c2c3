/**
 * @file challenge.c  What those get who are not known
 *
 * Stateless: no transaction, no table, no database.  The realm is the one in
 * which the PBX of that domain asks, so that a client needs one password.
 */

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include "common/clock.h"
#include "common/log.h"
#include "sipis/edge/priv.h"


enum { REALMS_MAX = 4 /* in one 401 */ };

struct realm {
	struct le le;
	char *domain, *realm;
	enum digest_alg alg;
};


static void destructor(void *data)
{
	struct realm *r = data;

	list_unlink(&r->le);
	mem_deref(r->domain);
	mem_deref(r->realm);
}


void edge_learn(struct edge *e, const struct acct_row *acct)
{
	struct realm *r;

	if (!e || !acct || !str_isset(acct->realm))
		return;

	for (struct le *le = e->realms.head; le; le = le->next) {
		r = le->data;
		if (!str_casecmp(r->domain, acct->domain) &&
		    !str_cmp(r->realm, acct->realm) && r->alg == acct->alg)
			return;
	}

	r = mem_zalloc(sizeof(*r), destructor);
	if (!r)
		return;

	r->alg = acct->alg;
	if (str_dup(&r->domain, acct->domain) ||
	    str_dup(&r->realm, acct->realm))
		mem_deref(r);
	else
		list_prepend(&e->realms, &r->le, r);
}


static int quoted_print(struct re_printf *pf, const char *s)
{
	int err = 0;

	for (; *s && !err; s++) {
		if (*s == '"' || *s == '\\')
			err = pf->vph("\\", 1, pf->arg);
		err |= pf->vph(s, 1, pf->arg);
	}

	return err;
}


static int line(struct mbuf *mb, const char *realm, enum digest_alg alg,
		const char *nonce, bool stale)
{
	return mbuf_printf(mb,
			   "WWW-Authenticate: Digest realm=\"%H\", "
			   "nonce=\"%s\", algorithm=%s, qop=\"auth\"%s\r\n",
			   quoted_print, realm, nonce,
			   alg == DIGEST_SHA256 ? "SHA-256" : "MD5",
			   stale ? ", stale=true" : "");
}


/* The newest that was learned comes first; a domain has one or two */
static int lines(struct mbuf *mb, const struct edge *e, const char *domain,
		 const char *nonce, bool stale)
{
	unsigned n = 0;
	int err = 0;

	for (struct le *le = e->realms.head; le && !err && n < REALMS_MAX;
	     le = le->next) {
		const struct realm *r = le->data;

		if (str_casecmp(r->domain, domain))
			continue;
		++n;
		err = line(mb, r->realm, r->alg, nonce, stale);
	}

	return err || n ? err : line(mb, domain, DIGEST_MD5, nonce, stale);
}


void edge_aor_print(char dst[EDGE_AOR], const struct sip_msg *msg)
{
	const struct uri *to = &msg->to.uri;
	int n = re_snprintf(dst, EDGE_AOR, "%H", uri_user_unescape, &to->user);
	char *p = dst + (n < 0 ? 0 : n);

	if (n < 0 ||
	    re_snprintf(p, (size_t)(EDGE_AOR - n), "@%r", &to->host) < 0) {
		*dst = '\0';
		return;
	}
	for (; *p; p++)
		*p = (char)tolower((unsigned char)*p);
}


void edge_challenge(struct edge *e, const struct sip_msg *msg, bool stale)
{
	char nonce[EDGE_NONCE_LEN + 1], domain[256], aor[EDGE_AOR];
	const struct edge_asked who = { &msg->src, aor };
	struct mbuf *mb = mbuf_alloc(256);

	(void)pl_strcpy(&msg->to.uri.host, domain, sizeof(domain));
	edge_aor_print(aor, msg);
	if (mb &&
	    !edge_nonce_write(nonce, &e->key, &who, clock_wall_ms() / 1000,
			      rand_u32()) &&
	    !lines(mb, e, domain, nonce, stale))
		(void)sip_replyf(e->sip, msg, 401, "Unauthorized",
				 "%bContent-Length: 0\r\n\r\n", mb->buf,
				 mb->end);

	metric_inc(&e->metricv[EDGE_M_CHALLENGES]);
	mem_deref(mb);
}


bool edge_may_log(struct edge *e, const struct sa *src)
{
	char addr[EDGE_ADDR];

	edge_addr_print(addr, src);

	return limit_take(e->lines, addr, 1, clock_mono_ms());
}


void edge_refuse(struct edge *e, const struct sip_msg *msg, uint16_t scode,
		 const char *phrase, const char *why)
{
	char aor[128], from[64];

	(void)re_snprintf(aor, sizeof(aor), "%r", &msg->to.auri);
	(void)re_snprintf(from, sizeof(from), "%J", &msg->src);
	if (edge_may_log(e, &msg->src))
		log_info("edge", NULL, "%u from=%s to=%s: %s", scode, from,
			 aor, why);
	metric_inc(&e->metricv[EDGE_M_REFUSED]);
	(void)sip_reply(e->sip, msg, scode, phrase);
}


struct tags {
	char *dst;
	size_t size, at;
};


/* One option tag; RFC 3261 20.32 */
static void tag_take(struct tags *t, const struct pl *tag)
{
	static const char *const known[] = { "path", "outbound", "gruu" };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!pl_strcasecmp(tag, known[i]))
			return;

	if (t->at + tag->l + 3 < t->size)
		t->at += (size_t)re_snprintf(t->dst + t->at, t->size - t->at,
					     "%s%r", t->at ? ", " : "", tag);
}


static bool tags_handler(const struct sip_hdr *hdr, const struct sip_msg *msg,
			 void *arg)
{
	struct pl rest = hdr->val;
	(void)msg;

	while (rest.l) {
		struct pl tag = rest;

		tag.l = 0;
		while (tag.l < rest.l && !strchr(", \t\r\n", tag.p[tag.l]))
			++tag.l;
		if (tag.l)
			tag_take(arg, &tag);
		pl_advance(&rest, (ssize_t)(tag.l ? tag.l : 1));
	}

	return false;
}


bool edge_requires_more(struct edge *e, const struct sip_msg *msg)
{
	char tags[128] = "";
	struct tags t = { tags, sizeof(tags), 0 };

	(void)sip_msg_hdr_apply(msg, true, SIP_HDR_REQUIRE, tags_handler, &t);
	if (!t.at)
		return false;

	(void)sip_treplyf(NULL, NULL, e->sip, msg, false, 420, "Bad Extension",
			  "Unsupported: %s\r\nContent-Length: 0\r\n\r\n",
			  tags);

	return true;
}
