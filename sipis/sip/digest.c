/**
 * @file digest.c  Digest authentication, the client's side; RFC 7616, 8760
 *
 * WWW-Authenticate is one line of many shapes:
 *
 *     Digest realm="a", nonce="b", Basic realm="c", Digest algorithm=...
 *
 * A word that is followed by "=" is a parameter of the scheme before it, any
 * other word starts a new scheme.  What is not understood is skipped.
 */

#include <errno.h>
#include <string.h>
#include "common/sha256.h"
#include <openssl/evp.h>
#include "common/ident.h"
#include "sipis/sip/digest.h"


enum {
	CNONCE = 8,
	SHORT = 512,
	MD5_LEN = 16,
};

struct digest_nonce {
	char *realm, *nonce, *opaque; /* as quoted */
	enum digest_alg alg;
	bool alg_given, sess, qop, proxy;
	uint32_t nc;
	char cnonce[64];
};


/* OpenSSL 3's EVP looks an algorithm up by name for each hash; for short texts
   that is most of the price.  libre's MD5 and plain SHA-256 do not */
static bool md5_short(uint8_t md[DIGEST_MAX], const struct digest_part *v,
		      size_t n)
{
	uint8_t buf[SHORT];
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		if (v[i].l > sizeof(buf) - len)
			return false;
		if (v[i].l)
			memcpy(buf + len, v[i].p, v[i].l);
		len += v[i].l;
	}

	md5(buf, len, md);
	explicit_bzero(buf, len);

	return true;
}


static bool sha256(uint8_t md[DIGEST_MAX], const struct digest_part *v,
		   size_t n)
{
	SHA256_CTX ctx;
	bool ok = SHA256_Init(&ctx) == 1;

	for (size_t i = 0; ok && i < n; i++)
		ok = SHA256_Update(&ctx, v[i].p, v[i].l) == 1;
	ok = ok && SHA256_Final(md, &ctx) == 1;
	explicit_bzero(&ctx, sizeof(ctx));

	return ok;
}


static unsigned md5_long(uint8_t md[DIGEST_MAX], const struct digest_part *v,
			 size_t n)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned len = 0;
	bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_md5(), NULL) == 1;

	for (size_t i = 0; ok && i < n; i++)
		ok = EVP_DigestUpdate(ctx, v[i].p, v[i].l) == 1;
	ok = ok && EVP_DigestFinal_ex(ctx, md, &len) == 1;
	EVP_MD_CTX_free(ctx);

	return ok ? len : 0;
}


size_t digest_hash(uint8_t md[DIGEST_MAX], enum digest_alg alg,
		   const struct digest_part *v, size_t n)
{
	if (alg == DIGEST_SHA256)
		return sha256(md, v, n) ? SHA256_DIGEST_LENGTH : 0;

	return md5_short(md, v, n) ? MD5_LEN : md5_long(md, v, n);
}


static size_t alg_len(enum digest_alg alg)
{
	return alg == DIGEST_SHA256 ? 32 : 16;
}


static bool is_word(char c)
{
	return c > ' ' && c < 0x7f && !strchr("()<>@,;:\\\"/[]?={}", c);
}


static void skip(struct pl *pl, const char *chars)
{
	while (pl->l && strchr(chars, *pl->p) && *pl->p) {
		++pl->p;
		--pl->l;
	}
}


static void advance(struct pl *pl, size_t n)
{
	pl->p += n;
	pl->l -= n;
}


static struct pl take_word(struct pl *pl)
{
	struct pl w = { pl->p, 0 };

	while (w.l < pl->l && is_word(w.p[w.l]))
		++w.l;
	advance(pl, w.l);

	return w;
}


/* A quoted string without its quotes, or a word */
static bool take_value(struct pl *pl, struct pl *val)
{
	size_t i;

	skip(pl, " \t");
	if (!pl->l || *pl->p != '"') {
		*val = take_word(pl);
		return true;
	}

	for (i = 1; i < pl->l && pl->p[i] != '"'; i++) {
		if (pl->p[i] == '\\')
			++i;
		else if (pl->p[i] == '\r' || pl->p[i] == '\n')
			return false;
	}
	if (i >= pl->l)
		return false;

	val->p = pl->p + 1;
	val->l = i - 1;
	advance(pl, i + 1);

	return true;
}


/* A list of words, quoted or not: is w among them? */
static bool has_word(const struct pl *list, const char *w)
{
	struct pl l = *list;

	while (l.l) {
		struct pl x;

		skip(&l, " \t,");
		x = take_word(&l);
		if (!pl_strcasecmp(&x, w))
			return true;
		if (!x.l && l.l)
			advance(&l, 1);
	}

	return false;
}


/* What a challenge said so far */
struct scan {
	struct digest_chall ch;
	bool digest; /* the scheme is ours */
	bool known;  /* its algorithm too */
	bool qop_given;
};

struct scanner {
	struct digest_chall *v;
	unsigned n, max, seen;
	struct scan s;
	bool proxy;
};


static void scan_algorithm(struct scan *s, const struct pl *val)
{
	static const struct {
		const char *name;
		enum digest_alg alg;
		bool sess;
	} table[] = {
		{ "MD5", DIGEST_MD5, false },
		{ "MD5-sess", DIGEST_MD5, true },
		{ "SHA-256", DIGEST_SHA256, false },
		{ "SHA-256-sess", DIGEST_SHA256, true },
	};

	s->known = false;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (pl_strcasecmp(val, table[i].name))
			continue;
		s->known = true;
		s->ch.alg = table[i].alg;
		s->ch.sess = table[i].sess;
		s->ch.alg_given = true;
	}
}


static void scan_param(struct scan *s, const struct pl *name,
		       const struct pl *val)
{
	if (!pl_strcasecmp(name, "realm"))
		s->ch.realm = *val;
	else if (!pl_strcasecmp(name, "nonce"))
		s->ch.nonce = *val;
	else if (!pl_strcasecmp(name, "opaque"))
		s->ch.opaque = *val;
	else if (!pl_strcasecmp(name, "stale"))
		s->ch.stale = !pl_strcasecmp(val, "true");
	else if (!pl_strcasecmp(name, "algorithm"))
		scan_algorithm(s, val);
	else if (!pl_strcasecmp(name, "qop")) {
		s->qop_given = true;
		s->ch.qop = has_word(val, "auth");
	}
}


/* The scheme is complete: keep it if it can be answered */
static void scan_end(struct scanner *sc)
{
	const struct scan *s = &sc->s;

	if (!s->digest)
		return;

	++sc->seen;
	if (s->known && s->ch.realm.p && pl_isset(&s->ch.nonce) &&
	    (s->ch.qop || (!s->qop_given && !s->ch.sess)) && sc->n < sc->max)
		sc->v[sc->n++] = s->ch;
}


static void scan_begin(struct scanner *sc, const struct pl *scheme)
{
	scan_end(sc);

	memset(&sc->s, 0, sizeof(sc->s));
	sc->s.digest = !pl_strcasecmp(scheme, "Digest");
	sc->s.known = true; /* RFC 7616 3.3: MD5 if it is not said */
	sc->s.ch.alg = DIGEST_MD5;
	sc->s.ch.proxy = sc->proxy;
}


static void scan_line(struct scanner *sc, struct pl pl)
{
	memset(&sc->s, 0, sizeof(sc->s));

	for (;;) {
		struct pl word, val;

		skip(&pl, " \t\r\n,");
		if (!pl.l)
			break;

		word = take_word(&pl);
		if (!word.l) {
			advance(&pl, 1);
			continue;
		}

		skip(&pl, " \t");
		if (!pl.l || *pl.p != '=') {
			scan_begin(sc, &word);
			continue;
		}

		advance(&pl, 1);
		if (!take_value(&pl, &val))
			return; /* cut off: what came before is not whole */
		scan_param(&sc->s, &word, &val);
	}

	scan_end(sc);
}


static bool www_handler(enum sip_hdrid id, const struct pl *val, void *arg)
{
	struct scanner *sc = arg;

	sc->proxy = id == SIP_HDR_PROXY_AUTHENTICATE;
	scan_line(sc, *val);

	return false;
}


unsigned digest_challenges(struct digest_chall *v, unsigned max,
			   unsigned *seen, const struct answer *ans)
{
	struct scanner sc = { .v = v, .max = v ? max : 0 };

	(void)answer_each(ans, SIP_HDR_WWW_AUTHENTICATE, www_handler, &sc);
	(void)answer_each(ans, SIP_HDR_PROXY_AUTHENTICATE, www_handler, &sc);
	if (seen)
		*seen = sc.seen;

	return sc.n;
}


/* Without the backslashes of a quoted string; false if it does not fit */
static bool unescape(char *buf, size_t size, const struct pl *pl)
{
	size_t n = 0;

	for (size_t i = 0; i < pl->l; i++) {
		if (pl->p[i] == '\\' && i + 1 < pl->l)
			++i;
		if (n + 1 >= size)
			return false;
		buf[n++] = pl->p[i];
	}
	if (!size)
		return false;
	buf[n] = '\0';

	return true;
}


static bool realm_fits(const struct digest_chall *ch, const char *realm)
{
	char buf[256];

	if (!realm)
		return true;

	return unescape(buf, sizeof(buf), &ch->realm) && !strcmp(buf, realm);
}


int digest_choose(const struct digest_chall **chp,
		  const struct digest_chall *v, unsigned n,
		  const struct digest_pin *pin)
{
	const struct digest_chall *best = NULL;
	bool realm = false;

	if (!chp || !pin || (n && !v))
		return EINVAL;
	if (!n)
		return ENOENT;

	for (unsigned i = 0; i < n; i++) {
		if (!realm_fits(&v[i], pin->realm))
			continue;
		realm = true;
		if (pin->exact ? v[i].alg != pin->alg : v[i].alg < pin->alg)
			continue;
		if (!best || v[i].alg > best->alg)
			best = &v[i];
	}

	if (!best)
		return realm ? ENOTSUP : EACCES;

	*chp = best;

	return 0;
}


static void nonce_destructor(void *data)
{
	struct digest_nonce *n = data;

	mem_deref(n->realm);
	mem_deref(n->nonce);
	mem_deref(n->opaque);
}


static int draw_cnonce(struct digest_nonce *n)
{
	uint8_t raw[CNONCE];
	int err = ident_random(raw, sizeof(raw));

	if (!err)
		ident_hex(n->cnonce, raw, sizeof(raw));

	return err;
}


int digest_nonce_alloc(struct digest_nonce **np, const struct digest_chall *ch)
{
	struct digest_nonce *n;
	int err;

	if (!np || !ch)
		return EINVAL;

	n = mem_zalloc(sizeof(*n), nonce_destructor);
	if (!n)
		return ENOMEM;

	n->alg = ch->alg;
	n->alg_given = ch->alg_given;
	n->sess = ch->sess;
	n->qop = ch->qop;
	n->proxy = ch->proxy;

	err = pl_strdup(&n->realm, &ch->realm);
	err |= pl_strdup(&n->nonce, &ch->nonce);
	if (ch->opaque.p)
		err |= pl_strdup(&n->opaque, &ch->opaque);
	err |= draw_cnonce(n);

	if (err)
		mem_deref(n);
	else
		*np = n;

	return err;
}


static bool nextnonce_handler(enum sip_hdrid id, const struct pl *value,
			      void *arg)
{
	struct pl pl = *value, *next = arg;
	(void)id;

	/* libre cuts this header at its commas */
	while (pl.l) {
		struct pl word, val;

		skip(&pl, " \t\r\n,");
		word = take_word(&pl);
		skip(&pl, " \t");
		if (!word.l || !pl.l || *pl.p != '=')
			return false;
		advance(&pl, 1);
		if (!take_value(&pl, &val))
			return false;
		if (!pl_strcasecmp(&word, "nextnonce") && val.l) {
			*next = val;
			return true;
		}
	}

	return false;
}


int digest_nonce_next(struct digest_nonce **np, const struct digest_nonce *old,
		      const struct answer *ans)
{
	struct digest_chall ch = { 0 };

	if (!np || !old || !ans)
		return EINVAL;

	if (!answer_each(ans, SIP_HDR_AUTHENTICATION_INFO, nextnonce_handler,
			 &ch.nonce))
		return ENOENT;

	pl_set_str(&ch.realm, old->realm);
	if (old->opaque)
		pl_set_str(&ch.opaque, old->opaque);
	ch.alg = old->alg;
	ch.alg_given = old->alg_given;
	ch.sess = old->sess;
	ch.qop = old->qop;
	ch.proxy = old->proxy;

	return digest_nonce_alloc(np, &ch);
}


bool digest_nonce_equal(const struct digest_nonce *n,
			const struct digest_chall *ch)
{
	return n && ch && n->alg == ch->alg &&
	       !pl_strcmp(&ch->nonce, n->nonce);
}


enum digest_alg digest_nonce_alg(const struct digest_nonce *n)
{
	return n ? n->alg : DIGEST_MD5;
}


int digest_nonce_realm(char *buf, size_t size, const struct digest_nonce *n)
{
	struct pl pl;

	if (!buf || !n)
		return EINVAL;

	pl_set_str(&pl, n->realm);

	return unescape(buf, size, &pl) ? 0 : EOVERFLOW;
}


uint32_t digest_nonce_count(const struct digest_nonce *n)
{
	return n ? n->nc : 0;
}


int digest_nonce_set_cnonce(struct digest_nonce *n, const char *cnonce)
{
	if (!n || !cnonce)
		return EINVAL;
	if (strlen(cnonce) >= sizeof(n->cnonce))
		return EOVERFLOW;

	memcpy(n->cnonce, cnonce, strlen(cnonce) + 1);

	return 0;
}


#define PART(s)                \
	{                      \
		(s), strlen(s) \
	}
#define COUNT(v) (sizeof(v) / sizeof((v)[0]))


/* Hash as hex; false on error */
static bool hex_hash(char hex[2 * DIGEST_MAX + 1], enum digest_alg alg,
		     const struct digest_part *v, size_t n)
{
	uint8_t md[DIGEST_MAX];
	size_t len = digest_hash(md, alg, v, n);

	if (len)
		ident_hex(hex, md, len);

	return len != 0;
}


/* RFC 7616 3.4.2: of a -sess algorithm HA1 is hashed once more */
static bool session_ha1(char hex[2 * DIGEST_MAX + 1],
			const struct digest_nonce *n, const uint8_t *ha1)
{
	const struct digest_part v[] = {
		{ hex, 2 * alg_len(n->alg) },
		PART(":"),
		PART(n->nonce),
		PART(":"),
		PART(n->cnonce),
	};

	ident_hex(hex, ha1, alg_len(n->alg));

	return !n->sess || hex_hash(hex, n->alg, v, COUNT(v));
}


static bool make_response(char hex[2 * DIGEST_MAX + 1],
			  const struct digest_nonce *n, const uint8_t *ha1,
			  const char *nc, const char *met, const char *uri)
{
	char a1[2 * DIGEST_MAX + 1], a2[2 * DIGEST_MAX + 1];
	const struct digest_part va2[] = { PART(met), PART(":"), PART(uri) };

	if (!session_ha1(a1, n, ha1) || !hex_hash(a2, n->alg, va2, COUNT(va2)))
		return false;

	{
		const struct digest_part qop[] = {
			PART(a1),        PART(":"),      PART(n->nonce),
			PART(":"),       PART(nc),       PART(":"),
			PART(n->cnonce), PART(":auth:"), PART(a2),
		};
		const struct digest_part old[] = {
			PART(a1),  PART(":"), PART(n->nonce),
			PART(":"), PART(a2),
		};

		return n->qop ? hex_hash(hex, n->alg, qop, COUNT(qop))
			      : hex_hash(hex, n->alg, old, COUNT(old));
	}
}


static int write_quoted(struct mbuf *mb, const char *s)
{
	int err = 0;

	for (; *s && !err; s++) {
		if (*s == '\r' || *s == '\n')
			continue;
		if (*s == '"' || *s == '\\')
			err |= mbuf_write_u8(mb, '\\');
		err |= mbuf_write_u8(mb, (uint8_t)*s);
	}

	return err;
}


static const char *alg_name(const struct digest_nonce *n)
{
	if (n->alg == DIGEST_SHA256)
		return n->sess ? "SHA-256-sess" : "SHA-256";

	return n->sess ? "MD5-sess" : "MD5";
}


/* Pieces instead of a format: this runs for every refresh */
static int write_v(struct mbuf *mb, const char *const *v)
{
	int err = 0;

	for (; *v; v++)
		err |= mbuf_write_mem(mb, (const uint8_t *)*v, strlen(*v));

	return err;
}


int digest_authorize(struct mbuf *mb, struct digest_nonce *n, const char *user,
		     const uint8_t *ha1, const char *met, const char *uri)
{
	char response[2 * DIGEST_MAX + 1], nc[9];
	uint8_t raw[4];
	int err;

	if (!mb || !n || !user || !ha1 || !met || !uri)
		return EINVAL;

	++n->nc;
	for (int i = 0; i < 4; i++)
		raw[i] = (uint8_t)(n->nc >> (24 - 8 * i));
	ident_hex(nc, raw, sizeof(raw));

	if (!make_response(response, n, ha1, nc, met, uri))
		return ENOMEM;

	err = write_v(mb,
		      (const char *const[]){ n->proxy ? "Proxy-Authorization"
						      : "Authorization",
					     ": Digest username=\"", NULL });
	err |= write_quoted(mb, user);
	err |= write_v(mb, (const char *const[]){
				   "\", realm=\"", n->realm, "\", nonce=\"",
				   n->nonce, "\", uri=\"", uri,
				   "\", response=\"", response, "\"", NULL });
	if (n->alg_given)
		err |= write_v(mb, (const char *const[]){ ", algorithm=",
							  alg_name(n), NULL });
	if (n->opaque)
		err |= write_v(mb,
			       (const char *const[]){ ", opaque=\"", n->opaque,
						      "\"", NULL });
	if (n->qop)
		err |= write_v(mb,
			       (const char *const[]){ ", qop=auth, nc=", nc,
						      ", cnonce=\"", n->cnonce,
						      "\"", NULL });
	err |= mbuf_write_str(mb, "\r\n");

	return err;
}
