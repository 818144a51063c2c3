/**
 * @file tests/bench/edge/call.c  One call, INVITE to BYE
 *
 *     caller             proxy             called
 *       |---INVITE-------->|---INVITE-------->|
 *       |<--180, 200-------|<--180, 200-------|
 *       |---ACK (Route)--->|---ACK----------->|
 *       |   BYE: of the caller in an even call, of the called in an odd one
 *
 * Whoever gets a request again answers again; nobody here sends one again,
 * so what the proxy loses is lost.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "call.h"
#include "phone.h"

enum { PATIENCE_US = 15 * 1000000 };

static const char sdp[] = "v=0\r\n"
			  "o=bench 7 7 IN IP4 127.0.0.1\r\n"
			  "s=-\r\n"
			  "c=IN IP4 127.0.0.1\r\n"
			  "t=0 0\r\n"
			  "m=audio 40000 RTP/AVP 8 0 101\r\n"
			  "a=rtpmap:8 PCMA/8000\r\n"
			  "a=rtpmap:0 PCMU/8000\r\n"
			  "a=rtpmap:101 telephone-event/8000\r\n"
			  "a=fmtp:101 0-16\r\n"
			  "a=sendrecv\r\n";

struct call {
	bool over, acked;
	char *uri, *routes; /**< of the called one, for its BYE */
};

/** Stands in the Call-ID */
struct name {
	unsigned run, n;
};


static bool name_of(struct name *c, const struct site *s, const struct msg *m)
{
	char id[128];

	return msg_header(m, "Call-ID", id, sizeof(id)) &&
	       sscanf(id, "c%u-%u@", &c->run, &c->n) == 2 &&
	       c->run == s->run && c->n < s->callc;
}


static void ended(struct site *s, const struct name *c)
{
	if (s->callv[c->n].over)
		return;
	s->callv[c->n].over = true;
	++s->done;
}


static void reply(struct site *s, struct phone *p, const struct msg *m,
		  const struct sockaddr_in *from, const char *status,
		  const char *body)
{
	struct out o = { .len = 0 };
	char text[512];

	out_add(&o, "SIP/2.0 %s\r\n", status);
	out_copy(&o, m, "Via", "Via", false);
	out_copy(&o, m, "Record-Route", "Record-Route", false);
	out_copy(&o, m, "From", "From", false);
	if (msg_header(m, "To", text, sizeof(text)))
		out_add(&o, "To: %s%s\r\n", text,
			strstr(text, ";tag=") ? "" : ";tag=called");
	out_copy(&o, m, "Call-ID", "Call-ID", false);
	out_copy(&o, m, "CSeq", "CSeq", false);
	if (!strcmp(m->method, "INVITE"))
		out_add(&o, "Contact: <%s>\r\n",
			site_contact(s, p, text, sizeof(text)));
	if (body)
		out_add(&o, "Content-Type: application/sdp\r\n");
	out_add(&o, "Content-Length: %zu\r\n\r\n%s", body ? strlen(body) : 0,
		body ? body : "");
	site_send(s, p, &o, from);
}


/* m: the answer that the caller got, or the ACK that the called one got */
static void in_dialog(struct site *s, struct phone *p, const struct msg *m,
		      const char *method, const char *uri, const char *routes,
		      const struct sockaddr_in *to)
{
	struct out o = { .len = 0 };
	const bool caller = m->code != 0;
	char branch[64], id[128];
	struct name c;

	if (!name_of(&c, s, m) || !msg_header(m, "Call-ID", id, sizeof(id)))
		return;
	(void)snprintf(branch, sizeof(branch), "%s%u-%u-%c", method, c.run,
		       c.n, caller ? 'a' : 'b');
	out_add(&o, "%s %s SIP/2.0\r\n", method, uri);
	site_via(s, p, &o, branch);
	out_add(&o, "Max-Forwards: 70\r\n%s", routes);
	out_copy(&o, m, caller ? "From" : "To", "From", false);
	out_copy(&o, m, caller ? "To" : "From", "To", false);
	out_add(&o, "Call-ID: %s\r\nCSeq: %u %s\r\n", id,
		strcmp(method, "ACK") ? 2 : 1, method);
	out_add(&o, "Content-Length: 0\r\n\r\n");
	site_send(s, p, &o, to);
}


static void answered(struct site *s, struct phone *p, const struct msg *m,
		     const struct sockaddr_in *from, const struct name *c)
{
	struct out routes = { .len = 0 };
	char uri[512];

	if (!msg_uri(m, "Contact", uri, sizeof(uri)))
		return;
	out_copy(&routes, m, "Record-Route", "Route", true);
	routes.buf[routes.len] = '\0';
	in_dialog(s, p, m, "ACK", uri, routes.buf, from);
	if (c->n % 2 == 0 && !s->callv[c->n].acked) {
		s->callv[c->n].acked = true;
		in_dialog(s, p, m, "BYE", uri, routes.buf, from);
	}
}


static void refused(struct site *s, struct phone *p, const struct msg *m,
		    const struct sockaddr_in *from, const struct name *c)
{
	char uri[64];

	++s->refused;
	s->refusal = m->code;
	(void)snprintf(uri, sizeof(uri), "sip:nobody@" SITE_DOMAIN);
	in_dialog(s, p, m, "ACK", uri, "", from);
	ended(s, c);
}


static void response(struct site *s, struct phone *p, const struct msg *m,
		     const struct sockaddr_in *from, const struct name *c)
{
	if (m->code < 200)
		return;
	if (!strcmp(m->method, "BYE")) {
		if (m->code >= 300) {
			++s->refused;
			s->refusal = m->code;
		}
		ended(s, c);
	}
	else if (!strcmp(m->method, "INVITE")) {
		if (m->code < 300)
			answered(s, p, m, from, c);
		else
			refused(s, p, m, from, c);
	}
}


static void invited(struct site *s, struct phone *p, const struct msg *m,
		    const struct sockaddr_in *from, struct call *call)
{
	struct out routes = { .len = 0 };
	char uri[512];

	if (call->uri)
		++s->repeats;
	else if (msg_uri(m, "Contact", uri, sizeof(uri))) {
		out_copy(&routes, m, "Record-Route", "Route", false);
		routes.buf[routes.len] = '\0';
		call->uri = strdup(uri);
		call->routes = strdup(routes.buf);
		reply(s, p, m, from, "180 Ringing", NULL);
	}
	reply(s, p, m, from, "200 OK", sdp);
}


static void request(struct site *s, struct phone *p, const struct msg *m,
		    const struct sockaddr_in *from, const struct name *c)
{
	struct call *call = &s->callv[c->n];

	if (!strcmp(m->method, "INVITE")) {
		invited(s, p, m, from, call);
	}
	else if (!strcmp(m->method, "BYE")) {
		reply(s, p, m, from, "200 OK", NULL);
	}
	else if (!strcmp(m->method, "ACK") && c->n % 2 && !call->acked) {
		call->acked = true;
		in_dialog(s, p, m, "BYE", call->uri, call->routes, from);
	}
}


void call_msg(struct site *s, struct phone *p, const struct msg *m,
	      const struct sockaddr_in *from)
{
	struct name c;

	if (!name_of(&c, s, m))
		return;
	if (m->code)
		response(s, p, m, from, &c);
	else
		request(s, p, m, from, &c);
}


static void call(struct site *s, unsigned n, bool in)
{
	struct phone *p = &s->phonev[n % s->phonec];
	struct out o = { .len = 0 };
	char aor[64], branch[64], text[512];
	const char *uri = aor;

	(void)snprintf(aor, sizeof(aor), "sip:u%u@" SITE_DOMAIN, p->n);
	if (in && s->contacts[p->n])
		uri = s->contacts[p->n];
	else if (!in)
		uri = "sip:desk@" SITE_DOMAIN;

	out_add(&o, "INVITE %s SIP/2.0\r\n", uri);
	(void)snprintf(branch, sizeof(branch), "INVITE%u-%u", s->run, n);
	site_via(s, in ? NULL : p, &o, branch);
	out_add(&o,
		"Max-Forwards: 70\r\n"
		"From: <%s>;tag=caller%u\r\n"
		"To: <%s>\r\n"
		"Call-ID: c%u-%u@bench\r\n"
		"CSeq: 1 INVITE\r\n"
		"Contact: <%s>\r\n"
		"Allow: INVITE, ACK, CANCEL, BYE, UPDATE, PRACK, REFER\r\n"
		"Supported: timer, 100rel\r\n"
		"User-Agent: bench\r\n"
		"Content-Type: application/sdp\r\n"
		"Content-Length: %zu\r\n\r\n%s",
		in ? "sip:desk@" SITE_DOMAIN : aor, n,
		in ? aor : "sip:desk@" SITE_DOMAIN, s->run, n,
		site_contact(s, in ? NULL : p, text, sizeof(text)),
		sizeof(sdp) - 1, sdp);
	site_send(s, in ? NULL : p, &o, &s->prm.proxy);
	++s->started;
}


static void forget(struct site *s)
{
	for (unsigned i = 0; i < s->callc; i++) {
		free(s->callv[i].uri);
		free(s->callv[i].routes);
	}
	free(s->callv);
	s->callv = NULL;
	s->callc = 0;
}


void calls_run(struct site *s, unsigned rate, unsigned count,
	       enum call_way way)
{
	const uint64_t t0 = site_now_us();
	uint64_t last = t0;

	++s->run;
	s->started = s->done = s->refused = s->repeats = 0;
	s->refusal = 0;
	s->callv = s->phonec ? calloc(count, sizeof(*s->callv)) : NULL;
	if (!s->callv)
		return;

	s->callc = count;
	while (s->done < count && site_now_us() - last < PATIENCE_US) {
		const uint64_t now = site_now_us();
		const unsigned n = s->started;

		if (n == count || now < t0 + (uint64_t)n * 1000000 / rate) {
			site_turn(s, n == count ? 20 : 1);
			continue;
		}
		/* pairs: in each way both ends hang up */
		call(s, n, way == CALL_IN || (way == CALL_BOTH && n / 2 % 2));
		last = now;
	}
	forget(s);
}
