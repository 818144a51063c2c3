/**
 * @file registrar.c  A registrar as strict as a PBX and faster than any
 */

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include "registrar.h"

struct registrar {
	struct users users;
	struct digest *digest;
	struct tally tally;
	struct udp *udp;
	char realm[128];
	uint32_t grant_s;
};

/** A message that is being written; what does not fit is cut and counted */
struct out {
	char *p;
	size_t l;
};


static void out_f(struct out *o, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static void out_f(struct out *o, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(o->p + o->l, UDP_MSG - o->l, fmt, ap);
	va_end(ap);
	if (n > 0 && o->l + (size_t)n < UDP_MSG)
		o->l += (size_t)n;
}


static void out_sv(struct out *o, const char *name, struct sv v)
{
	const size_t nl = strlen(name);

	if (o->l + nl + v.l + 2 >= UDP_MSG)
		return;
	memcpy(o->p + o->l, name, nl);
	memcpy(o->p + o->l + nl, v.p, v.l);
	memcpy(o->p + o->l + nl + v.l, "\r\n", 2);
	o->l += nl + v.l + 2;
}


int registrar_alloc(struct registrar **rp, const struct registrar_prm *prm)
{
	struct registrar *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return ENOMEM;

	r->udp = prm->udp;
	r->grant_s = prm->grant_s;
	(void)snprintf(r->realm, sizeof(r->realm), "%s", prm->realm);
	tally_reset(&r->tally);
	err = users_alloc(&r->users, prm->users);
	if (!err)
		err = digest_alloc(&r->digest, prm->realm, prm->nonce_life_s);
	if (err)
		registrar_free(r);
	else
		*rp = r;
	return err;
}


void registrar_free(struct registrar *r)
{
	if (r->digest)
		digest_free(r->digest);
	users_free(&r->users);
	free(r);
}


/** Status line and the headers that are the request's */
static struct out reply_begin(struct registrar *r, const struct text *t,
			      const struct sockaddr_in *from,
			      const char *status)
{
	struct out o = { udpsock_next(r->udp), 0 };
	struct sv v;
	char ip[INET_ADDRSTRLEN];

	out_f(&o, "SIP/2.0 %s\r\n", status);
	if (sv_param(t->via[0], "rport", &v) && !v.l) {
		const char *cut = v.p; /* behind ";rport" */

		(void)inet_ntop(AF_INET, &from->sin_addr, ip, sizeof(ip));
		out_f(&o, "Via: %.*s=%u;received=%s%.*s\r\n",
		      (int)(cut - t->via[0].p), t->via[0].p,
		      ntohs(from->sin_port), ip,
		      (int)(t->via[0].l - (size_t)(cut - t->via[0].p)), cut);
	}
	else {
		out_sv(&o, "Via: ", t->via[0]);
	}
	for (unsigned i = 1; i < t->vian; i++)
		out_sv(&o, "Via: ", t->via[i]);
	out_sv(&o, "From: ", t->from);
	if (sv_param(t->to, "tag", &v))
		out_sv(&o, "To: ", t->to);
	else
		out_f(&o, "To: %.*s;tag=r%x\r\n", (int)t->to.l, t->to.p,
		      (unsigned)sv_hash(1, t->callid));
	out_sv(&o, "Call-ID: ", t->callid);
	out_sv(&o, "CSeq: ", t->cseq_line);
	return o;
}


static void reply_end(struct registrar *r, struct out *o,
		      const struct sockaddr_in *from)
{
	out_f(o, "Content-Length: 0\r\n\r\n");
	udpsock_commit(r->udp, o->l, from);
}


static void reply(struct registrar *r, const struct text *t,
		  const struct sockaddr_in *from, const char *status)
{
	struct out o = reply_begin(r, t, from, status);

	reply_end(r, &o, from);
}


static void challenge(struct registrar *r, const struct text *t,
		      const struct sockaddr_in *from, bool stale)
{
	struct out o = reply_begin(r, t, from, "401 Unauthorized");
	char nonce[64];

	digest_nonce(r->digest, nonce, tally_mono_ms());
	out_f(&o,
	      "WWW-Authenticate: Digest realm=\"%s\", nonce=\"%s\", "
	      "algorithm=MD5, qop=\"auth\"%s\r\n",
	      r->realm, nonce, stale ? ", stale=true" : "");
	reply_end(r, &o, from);
}


static void accepted(struct registrar *r, const struct text *t,
		     const struct sockaddr_in *from, const struct user *u)
{
	struct out o = reply_begin(r, t, from, "200 OK");
	const uint64_t now = tally_mono_ms();

	if (u->expires_ms > now)
		out_f(&o, "Contact: <%s>;expires=%u\r\n", u->contact,
		      (unsigned)((u->expires_ms - now + 999) / 1000));
	reply_end(r, &o, from);
}


static void unbind(struct registrar *r, struct user *u)
{
	++r->tally.n[TALLY_ZERO_EXPIRES];
	u->expires_ms = 0;
}


static void count_binding(struct registrar *r, const struct user *u,
			  uint64_t now)
{
	struct tally *t = &r->tally;

	++t->n[TALLY_OK];
	if (!u->expires_ms) {
		++t->n[TALLY_NEW];
		t->last_new_us = tally_wall_us();
	}
	else if (u->expires_ms > now) {
		++t->n[TALLY_REFRESHES];
	}
	else {
		++t->n[TALLY_LAPSED];
		if (now - u->expires_ms > t->lapse_max_ms)
			t->lapse_max_ms = now - u->expires_ms;
	}
}


static int bind_user(struct registrar *r, struct user *u, const struct text *t,
		     const struct sockaddr_in *from)
{
	const struct sv uri = sv_uri(t->contact);
	const uint64_t now = tally_mono_ms();
	const uint32_t s = t->expires < r->grant_s ? t->expires : r->grant_s;

	if (!u->contact || !sv_is(uri, u->contact)) {
		char *copy = strndup(uri.p, uri.l);

		if (!copy)
			return ENOMEM;
		if (u->contact && u->expires_ms)
			++r->tally.n[TALLY_CONTACT_CHANGED];
		free(u->contact);
		u->contact = copy;
	}

	count_binding(r, u, now);
	u->from = *from;
	u->expires_ms = now + (uint64_t)s * 1000;
	return 0;
}


/** 0: not logged in, and told so */
static bool logged_in(struct registrar *r, struct user *u, struct sv name,
		      const struct text *t, const struct sockaddr_in *from)
{
	enum digest_verdict v = DIGEST_BAD;

	u->answered = 401;
	if (!t->auth.l) {
		++r->tally.n[TALLY_CHALLENGES];
		challenge(r, t, from, false);
		return false;
	}

	if (!u->ha1[0])
		digest_ha1(r->digest, u->ha1, name);
	v = digest_check(r->digest, t->auth, t->method, u->ha1,
			 tally_mono_ms());
	switch (v) {
	case DIGEST_OK:
		u->answered = 200;
		return true;
	case DIGEST_BAD:
		++r->tally.n[TALLY_BAD_DIGEST];
		break;
	case DIGEST_REPLAYED:
		++r->tally.n[TALLY_NC_REPLAYED];
		break;
	case DIGEST_STALE:
		++r->tally.n[TALLY_STALE];
		break;
	}

	challenge(r, t, from, v != DIGEST_BAD);
	return false;
}


/** A repeated request gets the same answer and changes nothing */
static bool repeated(struct registrar *r, struct user *u, const struct text *t,
		     const struct sockaddr_in *from)
{
	const uint64_t callid = sv_hash(14695981039346656037ULL, t->callid);
	const uint64_t txn = sv_hash(callid + t->cseq, t->branch);

	if (u->txn == txn) {
		++r->tally.n[TALLY_DUPLICATES];
		if (u->answered == 401)
			challenge(r, t, from, false);
		else
			accepted(r, t, from, u);
		return true;
	}

	tally_register(&r->tally);
	if (u->callid && u->callid != callid && t->contact.l)
		++r->tally.n[TALLY_CALLID_CHANGED];
	else if (u->callid == callid && t->cseq <= u->cseq)
		++r->tally.n[TALLY_CSEQ_LOW];
	u->callid = callid;
	u->cseq = t->cseq;
	u->txn = txn;
	return false;
}


static void do_register(struct registrar *r, const struct text *t,
			const struct sockaddr_in *from)
{
	struct user *u = NULL;
	struct sv name;
	uint32_t index;

	if (sv_user(t->to, &name))
		u = users_find(&r->users, name, &index);
	if (!u) {
		++r->tally.n[TALLY_UNKNOWN_USER];
		reply(r, t, from, "404 Not Found");
		return;
	}

	if (repeated(r, u, t, from) || !logged_in(r, u, name, t, from))
		return;

	if (!t->contact.l)
		++r->tally.n[TALLY_LOOKS];
	else if (!t->expires)
		unbind(r, u);
	else if (bind_user(r, u, t, from))
		return;
	accepted(r, t, from, u);
}


void registrar_recv(struct registrar *r, const struct text *t,
		    const struct sockaddr_in *from)
{
	if (sv_is(t->method, "REGISTER")) {
		do_register(r, t, from);
	}
	else if (!sv_is(t->method, "ACK")) {
		++r->tally.n[TALLY_OTHER_REQUESTS];
		reply(r, t, from,
		      sv_is(t->method, "OPTIONS") || sv_is(t->method, "BYE")
			      ? "200 OK"
			      : "405 Method Not Allowed");
	}
}


void registrar_malformed(struct registrar *r)
{
	++r->tally.n[TALLY_MALFORMED];
}


void registrar_send_failed(struct registrar *r, unsigned n)
{
	r->tally.n[TALLY_SEND_FAILED] += n;
}


void registrar_set_grant(struct registrar *r, uint32_t grant_s)
{
	r->grant_s = grant_s;
}


void registrar_set_nonce_life(struct registrar *r, uint32_t life_s)
{
	digest_set_life(r->digest, life_s);
}


void registrar_reset(struct registrar *r)
{
	tally_reset(&r->tally);
}


void registrar_print(const struct registrar *r, FILE *f)
{
	uint32_t bound, expired;

	users_count(&r->users, tally_mono_ms(), &bound, &expired);
	fprintf(f,
		"{\"ok\":true,\"users\":%u,\"bound\":%u,\"expired\":%u,"
		"\"grant_s\":%u,\"rcvbuf\":%d,",
		r->users.n, bound, expired, r->grant_s,
		udpsock_rcvbuf(r->udp));
	tally_counts(&r->tally, f);
	fputs(",", f);
	tally_seconds(&r->tally, f);
	fputs("}\n", f);
}


void registrar_counts(const struct registrar *r, FILE *f)
{
	fputs("{\"ok\":true,", f);
	tally_counts(&r->tally, f);
	fputs("}\n", f);
}


const struct users *registrar_users(const struct registrar *r)
{
	return &r->users;
}
