/**
 * @file caller.c  A PBX that calls sleeping users at a fixed rate
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <arpa/inet.h>
#include "caller.h"
#include "tally.h"

enum {
	T1_MS = 500,
	GIVE_UP_MS = 64 * T1_MS, /**< without any final */
	SWEEP_MS = 50,
};

struct call {
	uint64_t sent_us; /**< wall clock, just before the system call */
	uint64_t prov_us, ringing_us, final_us;
	uint32_t resend_ms; /**< after sent_us */
	uint32_t user;
	uint16_t code; /**< of the final; 0: none yet */
	uint8_t resent;
	bool lost;
};

struct caller {
	struct udp *udp;
	const struct users *users;
	struct caller_prm prm;
	char domain[64];
	uint32_t run;
	struct call *v;
	uint32_t started, oldest; /**< all before oldest have ended */
	uint32_t finals, lost, resent, unbound;
	uint64_t t0_ns, sweep_ns;
};


static uint64_t mono_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}


int caller_alloc(struct caller **cp, struct udp *udp,
		 const struct users *users)
{
	struct caller *c = calloc(1, sizeof(*c));

	if (!c)
		return ENOMEM;
	c->udp = udp;
	c->users = users;
	*cp = c;
	return 0;
}


void caller_free(struct caller *c)
{
	free(c->v);
	free(c);
}


int caller_start(struct caller *c, const struct caller_prm *prm)
{
	struct call *v;

	if (c->oldest < c->prm.count)
		return EBUSY;
	if (!prm->count || !prm->users || !(prm->rate > 0) ||
	    prm->first + prm->users > c->users->n)
		return EINVAL;
	v = calloc(prm->count, sizeof(*v));
	if (!v)
		return ENOMEM;

	free(c->v);
	c->v = v;
	c->prm = *prm;
	(void)snprintf(c->domain, sizeof(c->domain), "%s", prm->domain);
	c->prm.domain = c->domain;
	++c->run;
	c->started = c->oldest = 0;
	c->finals = c->lost = c->resent = c->unbound = 0;
	c->t0_ns = c->sweep_ns = mono_ns();
	return 0;
}


static struct sockaddr_in target(const struct caller *c, uint32_t user)
{
	return c->prm.target.sin_port ? c->prm.target : c->users->v[user].from;
}


static void request_line(const struct caller *c, const char *method,
			 const struct call *call, char *buf, size_t sz)
{
	const struct user *u = &c->users->v[call->user];

	if (c->prm.target.sin_port)
		(void)snprintf(buf, sz, "%s sip:u%u@%s SIP/2.0", method,
			       call->user, c->domain);
	else
		(void)snprintf(buf, sz, "%s %s SIP/2.0", method,
			       u->contact ? u->contact : "sip:unbound");
}


/** INVITE and the ACK to its non-2xx share all of this */
static int head(const struct caller *c, const char *method, uint32_t n,
		const char *branch, struct sv to, char *buf, size_t sz)
{
	const struct sockaddr_in *me = udpsock_laddr(c->udp);
	char ip[INET_ADDRSTRLEN], line[512];

	(void)inet_ntop(AF_INET, &me->sin_addr, ip, sizeof(ip));
	request_line(c, method, &c->v[n], line, sizeof(line));
	return snprintf(buf, sz,
			"%s\r\n"
			"Via: SIP/2.0/UDP %s:%u;branch=z9hG4bK%s%u-%u\r\n"
			"Max-Forwards: 69\r\n"
			"From: \"Caller %u\" <sip:c%u@%s>;tag=f%u\r\n"
			"To: %.*s\r\n"
			"Call-ID: r%u-%u@caller.bench\r\n"
			"CSeq: 1 %s\r\n",
			line, ip, ntohs(me->sin_port), branch, c->run, n, n, n,
			c->domain, n, (int)to.l, to.p, c->run, n, method);
}


static void send_invite(struct caller *c, uint32_t n)
{
	static const char sdp[] =
		"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\n"
		"c=IN IP4 192.0.2.1\r\nt=0 0\r\n"
		"m=audio 30000 RTP/AVP 8 0 101\r\n"
		"a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n"
		"a=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n";
	const struct sockaddr_in *me = udpsock_laddr(c->udp);
	const struct sockaddr_in to = target(c, c->v[n].user);
	char *buf = udpsock_next(c->udp);
	char ip[INET_ADDRSTRLEN], uri[128];
	int l;

	(void)inet_ntop(AF_INET, &me->sin_addr, ip, sizeof(ip));
	(void)snprintf(uri, sizeof(uri), "<sip:u%u@%s>", c->v[n].user,
		       c->domain);
	l = head(c, "INVITE", n, "", (struct sv){ uri, strlen(uri) }, buf,
		 UDP_MSG);
	l += snprintf(buf + l, UDP_MSG - (size_t)l,
		      "Contact: <sip:c%u@%s:%u>\r\n"
		      "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS\r\n"
		      "Content-Type: application/sdp\r\n"
		      "Content-Length: %zu\r\n\r\n%s",
		      n, ip, ntohs(me->sin_port), sizeof(sdp) - 1, sdp);
	udpsock_commit(c->udp, (size_t)l, &to);
}


static void start_one(struct caller *c)
{
	const uint32_t n = c->started++;
	struct call *call = &c->v[n];
	const struct user *u;

	call->user = c->prm.first + n % c->prm.users;
	call->resend_ms = T1_MS;
	u = &c->users->v[call->user];
	if (!c->prm.target.sin_port && u->expires_ms <= tally_mono_ms()) {
		call->lost = true;
		++c->lost;
		++c->unbound;
		return;
	}

	call->sent_us = tally_wall_us();
	send_invite(c, n);
}


static void sweep_one(struct caller *c, uint32_t n, uint64_t now_us)
{
	struct call *call = &c->v[n];
	const uint64_t age_ms = (now_us - call->sent_us) / 1000;

	if (call->code || call->lost)
		return;
	/* behind a provisional answer the callee's own deadlines rule */
	if (age_ms > (call->prov_us ? 5 * GIVE_UP_MS : GIVE_UP_MS)) {
		call->lost = true;
		++c->lost;
		return;
	}
	if (call->prov_us || age_ms < call->resend_ms)
		return;

	call->resend_ms = 2 * call->resend_ms + T1_MS;
	++call->resent;
	++c->resent;
	send_invite(c, n);
}


static void sweep(struct caller *c)
{
	const uint64_t now_us = tally_wall_us();

	for (uint32_t i = c->oldest; i < c->started; i++) {
		sweep_one(c, i, now_us);
		if (i == c->oldest && (c->v[i].code || c->v[i].lost))
			++c->oldest;
	}
}


uint64_t caller_poll(struct caller *c)
{
	uint64_t now = mono_ns(), due = UINT64_MAX;

	if (c->oldest == c->prm.count)
		return UINT64_MAX;

	while (c->started < c->prm.count) {
		due = c->t0_ns + (uint64_t)(c->started / c->prm.rate * 1e9);
		if (due > now)
			break;
		start_one(c);
		due = UINT64_MAX;
	}

	if (now >= c->sweep_ns) {
		sweep(c);
		c->sweep_ns = now + SWEEP_MS * 1000000ULL;
	}
	if (c->sweep_ns < due)
		due = c->sweep_ns;
	now = mono_ns();
	return due > now ? due - now : 0;
}


static void send_ack(struct caller *c, uint32_t n, const struct text *t)
{
	const struct sockaddr_in to = target(c, c->v[n].user);
	char *buf = udpsock_next(c->udp);
	int l = head(c, "ACK", n, t->scode < 300 ? "a" : "", t->to, buf,
		     UDP_MSG);

	l += snprintf(buf + l, UDP_MSG - (size_t)l,
		      "Content-Length: 0\r\n\r\n");
	udpsock_commit(c->udp, (size_t)l, &to);
}


static bool call_of(const struct caller *c, const struct text *t, uint32_t *n)
{
	const char *dash = memchr(t->callid.p, '-', t->callid.l);
	struct sv v;

	if (!dash || t->callid.p[0] != 'r' ||
	    sv_u32((struct sv){ t->callid.p + 1, t->callid.l - 1 }) != c->run)
		return false;

	v.p = dash + 1;
	v.l = t->callid.l - (size_t)(v.p - t->callid.p);
	*n = sv_u32(v);
	return *n < c->started;
}


bool caller_response(struct caller *c, const struct text *t)
{
	struct call *call;
	uint32_t n;

	if (!sv_is(t->cseq_method, "INVITE") || !call_of(c, t, &n))
		return false;

	call = &c->v[n];
	if (!call->prov_us)
		call->prov_us = tally_wall_us();
	if (t->scode > 100 && !call->ringing_us)
		call->ringing_us = tally_wall_us();
	if (t->scode < 200)
		return true;

	send_ack(c, n, t);
	if (!call->code && !call->lost) {
		call->code = (uint16_t)t->scode;
		call->final_us = tally_wall_us();
		++c->finals;
	}
	return true;
}


void caller_print(const struct caller *c, FILE *f)
{
	fprintf(f,
		"{\"ok\":true,\"run\":%u,\"count\":%u,\"started\":%u,"
		"\"finals\":%u,\"lost\":%u,\"unbound\":%u,\"resent\":%u,"
		"\"open\":%u}\n",
		c->run, c->prm.count, c->started, c->finals, c->lost,
		c->unbound, c->resent, c->started - c->finals - c->lost);
}


int caller_dump(const struct caller *c, const char *path)
{
	FILE *f = fopen(path, "w");

	if (!f)
		return errno;
	for (uint32_t i = 0; i < c->started; i++) {
		const struct call *v = &c->v[i];
		const char *contact = c->users->v[v->user].contact;

		fprintf(f,
			"{\"n\":%u,\"call_id\":\"r%u-%u@caller.bench\","
			"\"from_tag\":\"f%u\",\"user\":%u,"
			"\"contact\":\"%s\","
			"\"branch\":\"z9hG4bK%u-%u\","
			"\"sent_us\":%llu,\"prov_us\":%llu,"
			"\"ringing_us\":%llu,\"final_us\":%llu,"
			"\"code\":%u,\"resent\":%u,\"lost\":%s}\n",
			i, c->run, i, i, v->user, contact ? contact : "",
			c->run, i, (unsigned long long)v->sent_us,
			(unsigned long long)v->prov_us,
			(unsigned long long)v->ringing_us,
			(unsigned long long)v->final_us, v->code, v->resent,
			v->lost ? "true" : "false");
	}

	return fclose(f) ? errno : 0;
}
