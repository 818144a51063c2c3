/**
 * @file tests/bench/edge/phone.c  One phone
 *
 * Digest with qop=auth.  The nonce is kept as long as it is taken.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <openssl/evp.h>
#include "call.h"
#include "phone.h"

enum {
	STALLED_US = 20 * 1000000,
	PER_ADDRESS = 10000, /**< connections from one of our addresses */
};


static void md5(char dst[33], const char *text)
{
	uint8_t sum[16];
	size_t len = sizeof(sum);

	(void)EVP_Q_digest(NULL, "MD5", NULL, text, strlen(text), sum, &len);
	for (unsigned i = 0; i < 16; i++)
		(void)sprintf(dst + 2 * i, "%02x", sum[i]);
}


static void authorize(struct phone *p, struct out *o)
{
	char a1[33], a2[33], r[33], text[512];

	++p->nc;
	(void)snprintf(text, sizeof(text), "u%u:%s:pw-u%u", p->n, p->realm,
		       p->n);
	md5(a1, text);
	md5(a2, "REGISTER:sip:" SITE_DOMAIN);
	(void)snprintf(text, sizeof(text), "%s:%s:%08x:c%u:auth:%s", a1,
		       p->nonce, p->nc, p->n, a2);
	md5(r, text);
	out_add(o,
		"Authorization: Digest username=\"u%u\", realm=\"%s\", "
		"nonce=\"%s\", uri=\"sip:" SITE_DOMAIN "\", algorithm=MD5, "
		"qop=auth, nc=%08x, cnonce=\"c%u\", response=\"%s\"\r\n",
		p->n, p->realm, p->nonce, p->nc, p->n, r);
}


static void enrol(struct phone *p)
{
	struct out o = { .len = 0 };
	char text[128], branch[64];

	++p->cseq;
	out_add(&o, "REGISTER sip:" SITE_DOMAIN " SIP/2.0\r\n");
	(void)snprintf(branch, sizeof(branch), "r%u-%u", p->n, p->cseq);
	site_via(p->site, p, &o, branch);
	out_add(&o,
		"Max-Forwards: 70\r\n"
		"From: <sip:u%u@" SITE_DOMAIN ">;tag=f%u\r\n"
		"To: <sip:u%u@" SITE_DOMAIN ">\r\n"
		"Call-ID: reg-%u@phone\r\n"
		"CSeq: %u REGISTER\r\n"
		"Contact: <%s>;+sip.instance=\"<urn:uuid:00000000-0000-4000-"
		"8000-%012x>\";reg-id=1\r\n"
		"Expires: 3600\r\n"
		"Supported: path, outbound\r\n",
		p->n, p->n, p->n, p->n, p->cseq,
		site_contact(p->site, p, text, sizeof(text)), p->n);
	if (p->nonce[0])
		authorize(p, &o);
	out_add(&o, "Content-Length: 0\r\n\r\n");
	site_send(p->site, p, &o, NULL);
}


static void settled(struct phone *p, bool good)
{
	struct site *s = p->site;

	if (!p->waiting)
		return;
	p->waiting = false;
	--s->pending;
	++*(good ? &s->answered : &s->failed);
	if (good && !p->bound) {
		p->bound = true;
		++s->bound;
	}
}


static void answer(struct phone *p, const struct msg *m)
{
	char val[512];

	if (m->cseq != p->cseq)
		return;
	if (m->code == 200) {
		settled(p, true);
		return;
	}
	if (m->code != 401 ||
	    !msg_header(m, "WWW-Authenticate", val, sizeof(val)) ||
	    (p->nonce[0] && p->nc == 1)) {
		p->site->refusal = m->code;
		settled(p, false);
		return;
	}

	p->nc = 0;
	if (msg_param(val, "realm", p->realm, sizeof(p->realm)) &&
	    msg_param(val, "nonce", p->nonce, sizeof(p->nonce)))
		enrol(p);
}


static void msg_handler(const struct msg *m, const struct sockaddr_in *from,
			void *arg)
{
	struct phone *p = arg;

	if (m->code && !strcmp(m->method, "REGISTER"))
		answer(p, m);
	else
		call_msg(p->site, p, m, from);
}


static void up_handler(void *arg)
{
	enrol(arg);
}


static void lost_handler(void *arg)
{
	struct phone *p = arg;

	settled(p, false);
	if (p->bound)
		--p->site->bound;
	p->bound = false;
}


/* 127.0.1.0 and up: a port of ours is good for one connection */
static void begin(struct site *s, unsigned n)
{
	struct phone *p = &s->phonev[n];
	struct way_prm w = { .epoll = s->epoll,
			     .tp = s->prm.tp,
			     .ctx = s->ctx,
			     .peer = &s->prm.edge,
			     .uph = up_handler,
			     .msgh = msg_handler,
			     .losth = lost_handler,
			     .arg = p };

	p->site = s;
	p->n = n;
	w.local.sin_family = AF_INET;
	w.local.sin_addr.s_addr = htonl(0x7f000101 + n / PER_ADDRESS);
	if (way_alloc(&p->way, &w)) {
		++s->failed;
		return;
	}

	p->waiting = true;
	++s->pending;
	if (s->prm.tp == WAY_UDP)
		enrol(p);
}


/* Until no more than so many wait; false: nothing moves */
static bool drain(struct site *s, unsigned most)
{
	uint64_t moved = site_now_us();

	while (s->pending > most) {
		const unsigned was = s->pending;

		site_turn(s, 100);
		if (s->pending != was)
			moved = site_now_us();
		else if (site_now_us() - moved > STALLED_US)
			return false;
	}

	return true;
}


void phones_open(struct site *s, unsigned count, unsigned window)
{
	phones_close(s);
	s->phonev = calloc(count, sizeof(*s->phonev));
	if (!s->phonev)
		return;

	for (; s->phonec < count; s->phonec++) {
		if (!drain(s, window - 1))
			return;
		begin(s, s->phonec);
	}
	(void)drain(s, 0);
}


void phones_refresh(struct site *s, unsigned rate, unsigned count)
{
	const uint64_t t0 = site_now_us();

	s->answered = s->failed = 0;
	for (unsigned i = 0; i < count;) {
		const uint64_t due = t0 + (uint64_t)i * 1000000 / rate;
		struct phone *p = &s->phonev[i % s->phonec];

		if (site_now_us() < due) {
			site_turn(s, 1);
			continue;
		}
		++i;
		if (p->waiting) {
			++s->failed;
			continue;
		}
		p->waiting = true;
		++s->pending;
		enrol(p);
	}
	(void)drain(s, 0);
	s->failed += s->pending;
}


void phones_close(struct site *s)
{
	for (unsigned i = 0; i < s->phonec; i++)
		way_free(s->phonev[i].way);
	free(s->phonev);
	s->phonev = NULL;
	s->phonec = s->pending = s->bound = s->failed = s->answered = 0;
}
