/**
 * @file tests/bench/edge/site.c  A PBX, its phones, and the proxy between
 *
 * The PBX asks for a password and takes any answer: what sipis says to it is
 * measured elsewhere (tests/bench/registrar).
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/epoll.h>
#include "call.h"
#include "phone.h"
#include "site.h"

enum { EVENTS = 256 };


uint64_t site_now_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}


const char *site_contact(const struct site *s, const struct phone *p,
			 char *buf, size_t size)
{
	if (p)
		(void)snprintf(buf, size, "sip:u%u@%s;transport=%s", p->n,
			       way_local(p->way), way_name(s->prm.tp));
	else
		(void)snprintf(buf, size, "sip:pbx@%s", way_local(s->pbx));

	return buf;
}


void site_send(const struct site *s, const struct phone *p,
	       const struct out *o, const struct sockaddr_in *to)
{
	(void)way_send(p ? p->way : s->pbx, o, p ? NULL : to);
}


void site_via(const struct site *s, const struct phone *p, struct out *o,
	      const char *branch)
{
	out_add(o, "Via: SIP/2.0/%s %s;branch=z9hG4bK%s;rport\r\n",
		way_name(p ? s->prm.tp : WAY_UDP),
		way_local(p ? p->way : s->pbx), branch);
}


static void remember(struct site *s, const struct msg *m)
{
	char uri[512], to[256];
	unsigned n;

	if (!msg_uri(m, "Contact", uri, sizeof(uri)) ||
	    !msg_uri(m, "To", to, sizeof(to)) ||
	    sscanf(to, "sip:u%u@", &n) != 1 || n >= s->prm.users)
		return;

	free(s->contacts[n]);
	s->contacts[n] = strdup(uri);
	++s->pbx_registers;
}


static void registered(struct site *s, const struct msg *m,
		       const struct sockaddr_in *from)
{
	char val[512];
	struct out o = { .len = 0 };
	const bool known = msg_header(m, "Authorization", val, sizeof(val));

	out_add(&o, "SIP/2.0 %s\r\n", known ? "200 OK" : "401 Unauthorized");
	out_copy(&o, m, "Via", "Via", false);
	out_copy(&o, m, "From", "From", false);
	if (msg_header(m, "To", val, sizeof(val)))
		out_add(&o, "To: %s;tag=pbx\r\n", val);
	out_copy(&o, m, "Call-ID", "Call-ID", false);
	out_copy(&o, m, "CSeq", "CSeq", false);
	if (known) {
		remember(s, m);
		if (msg_header(m, "Contact", val, sizeof(val)))
			out_add(&o, "Contact: %s;expires=3600\r\n", val);
	}
	else {
		out_add(&o, "WWW-Authenticate: Digest realm=\"" SITE_DOMAIN
			    "\", nonce=\"one\", algorithm=MD5, "
			    "qop=\"auth\"\r\n");
	}
	out_add(&o, "Content-Length: 0\r\n\r\n");
	(void)way_send(s->pbx, &o, from);
}


static void pbx_msg(const struct msg *m, const struct sockaddr_in *from,
		    void *arg)
{
	struct site *s = arg;

	if (!m->code && !strcmp(m->method, "REGISTER"))
		registered(s, m, from);
	else
		call_msg(s, NULL, m, from);
}


static void nothing(void *arg)
{
	(void)arg;
}


int site_open(struct site *s, const struct site_prm *prm)
{
	struct way_prm w = { .tp = WAY_UDP,
			     .local = prm->pbx,
			     .uph = nothing,
			     .msgh = pbx_msg,
			     .losth = nothing,
			     .arg = s };

	s->prm = *prm;
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	s->ctx = SSL_CTX_new(TLS_client_method());
	s->contacts = calloc(prm->users, sizeof(*s->contacts));
	if (s->epoll < 0 || !s->ctx || !s->contacts)
		return ENOMEM;
	(void)SSL_CTX_set_mode(s->ctx, SSL_MODE_RELEASE_BUFFERS);
	w.epoll = s->epoll;

	return way_alloc(&s->pbx, &w);
}


void site_close(struct site *s)
{
	phones_close(s);
	way_free(s->pbx);
	for (unsigned i = 0; s->contacts && i < s->prm.users; i++)
		free(s->contacts[i]);
	free(s->contacts);
	SSL_CTX_free(s->ctx);
	(void)close(s->epoll);
}


void site_turn(struct site *s, int wait_ms)
{
	struct epoll_event v[EVENTS];
	const int n = epoll_wait(s->epoll, v, EVENTS, wait_ms);

	for (int i = 0; i < n; i++)
		if (v[i].data.ptr)
			way_turn(v[i].data.ptr);
}
