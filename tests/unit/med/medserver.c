/**
 * @file medserver.c  A mediator that does as it is told
 */

#include <errno.h>
#include <string.h>
#include <openssl/ssl.h>
#include "common/clock.h"
#include "common/tlsctx.h"
#include "tests/unit/common/unit.h"
#include "tests/unit/med/medserver.h"


int medserver_send(struct medserver_conn *c, const Wire__Envelope *env)
{
	uint8_t buf[1024];
	struct mbuf mb;
	size_t len;

	assert_int_equal(wire_enc(buf, sizeof(buf), &len, env), 0);
	mbuf_init(&mb);
	mb.buf = buf;
	mb.size = sizeof(buf);
	mb.end = len;
	return tcp_send(c->tc, &mb);
}


static void srv_hello(struct medserver_conn *c)
{
	Wire__Hello hello = WIRE__HELLO__INIT;
	Wire__Envelope env = WIRE__ENVELOPE__INIT;
	const bool old = c->sv->mode == MODE_OLD_HELLO;

	hello.version_min = old ? 77 : 1;
	hello.version_max = old ? 78 : 1;
	hello.software = (char *)"test";
	hello.node = (char *)"m";
	hello.max_frame = WIRE_MAX_FRAME;
	hello.window = c->sv->window;
	hello.now_ms = clock_wall_ms() + c->sv->ahead_ms;
	env.body_case = WIRE__ENVELOPE__BODY_HELLO;
	env.hello = &hello;
	assert_int_equal(medserver_send(c, &env), 0);
}


void medserver_result(struct medserver_conn *c, uint8_t *id,
		      Wire__Outcome outcome)
{
	Wire__Result r = WIRE__RESULT__INIT;
	Wire__Envelope env = WIRE__ENVELOPE__INIT;

	r.id.data = id;
	r.id.len = WIRE_ID_LEN;
	r.outcome = outcome;
	r.status = 200;
	r.reason = (char *)"because";
	r.provider_id = (char *)"p1";
	r.received_us = clock_wall_us() + 1000 * c->sv->ahead_ms;
	r.sent_us = r.received_us + 1;
	env.body_case = WIRE__ENVELOPE__BODY_RESULT;
	env.result = &r;
	(void)medserver_send(c, &env);
}


void medserver_drop(struct medserver_conn *c)
{
	c->tlsc = mem_deref(c->tlsc);
	c->tc = mem_deref(c->tc);
}


static void srv_push(struct medserver_conn *c, const Wire__Push *p)
{
	struct medserver *sv = c->sv;
	struct medserver_push *seen;

	assert_true(sv->seenc < MEDSERVER_SEEN);
	seen = &sv->seen[sv->seenc++];
	memcpy(seen->id, p->id.data, WIRE_ID_LEN);
	seen->use = p->use;
	seen->video = p->video;
	seen->received_ms = p->received_at_ms;
	seen->expires_ms = p->expires_at_ms;
	seen->send_by_ms = p->send_by_ms;
	seen->conn = c;
	str_ncpy(seen->call, p->call, sizeof(seen->call));
	str_ncpy(seen->instance, p->instance, sizeof(seen->instance));
	str_ncpy(seen->from, p->from, sizeof(seen->from));
	str_ncpy(seen->display_name, p->display_name,
		 sizeof(seen->display_name));
	str_ncpy(seen->reason, p->reason, sizeof(seen->reason));
	(void)re_snprintf(seen->handle, sizeof(seen->handle), "%b",
			  p->handle.data, p->handle.len);

	switch (sv->mode) {
	case MODE_ANSWER:
		medserver_result(c, p->id.data, WIRE__OUTCOME__DELIVERED);
		break;
	case MODE_LATER:
		medserver_result(c, p->id.data, WIRE__OUTCOME__RETRY_LATER);
		break;
	case MODE_GONE:
		medserver_result(c, p->id.data, WIRE__OUTCOME__TOKEN_GONE);
		break;
	case MODE_DROP:
		medserver_drop(c);
		break;
	default:
		if (++sv->held > sv->most)
			sv->most = sv->held;
		break;
	}
}


static void srv_enrol(struct medserver_conn *c, const Wire__Enrol *e)
{
	Wire__Enrolled r = WIRE__ENROLLED__INIT;
	Wire__Envelope env = WIRE__ENVELOPE__INIT;

	r.id = e->id;
	r.outcome = WIRE__OUTCOME__DELIVERED;
	r.reason = (char *)"";
	r.handle.data = (uint8_t *)e->token;
	r.handle.len = strlen(e->token);
	env.body_case = WIRE__ENVELOPE__BODY_ENROLLED;
	env.enrolled = &r;
	(void)medserver_send(c, &env);
}


static void srv_pong(struct medserver_conn *c, const Wire__Ping *ping)
{
	Wire__Pong pong = WIRE__PONG__INIT;
	Wire__Envelope env = WIRE__ENVELOPE__INIT;

	pong.nonce = ping->nonce;
	pong.now_ms = clock_wall_ms() + c->sv->ahead_ms;
	env.body_case = WIRE__ENVELOPE__BODY_PONG;
	env.pong = &pong;
	(void)medserver_send(c, &env);
}


static int srv_frame(const Wire__Envelope *env, void *arg)
{
	struct medserver_conn *c = arg;

	if (!c->tc)
		return ECONNABORTED;

	switch (env->body_case) {
	case WIRE__ENVELOPE__BODY_HELLO:
		++c->sv->hellos;
		(void)re_snprintf(c->sv->node, sizeof(c->sv->node), "%s",
				  env->hello->node);
		if (c->sv->mode != MODE_NO_HELLO)
			srv_hello(c);
		break;
	case WIRE__ENVELOPE__BODY_PUSH:
		srv_push(c, env->push);
		break;
	case WIRE__ENVELOPE__BODY_ENROL:
		srv_enrol(c, env->enrol);
		break;
	case WIRE__ENVELOPE__BODY_PING:
		++c->sv->pings;
		if (c->sv->ponging)
			srv_pong(c, env->ping);
		break;
	case WIRE__ENVELOPE__BODY_PONG:
		++c->sv->pongs;
		break;
	default:
		break;
	}

	return 0;
}


void medserver_ping(struct medserver_conn *c)
{
	Wire__Ping ping = WIRE__PING__INIT;
	Wire__Envelope env = WIRE__ENVELOPE__INIT;

	ping.nonce = 1;
	env.body_case = WIRE__ENVELOPE__BODY_PING;
	env.ping = &ping;
	(void)medserver_send(c, &env);
}


static void srv_recv(struct mbuf *mb, void *arg)
{
	struct medserver_conn *c = arg;

	(void)wire_dec_feed(c->dec, mbuf_buf(mb), mbuf_get_left(mb));
}


static void srv_close(int err, void *arg)
{
	(void)err;
	medserver_drop(arg);
}


static void srv_conn(const struct sa *peer, void *arg)
{
	struct medserver *sv = arg;
	struct medserver_conn *c = &sv->connv[sv->connc % MEDSERVER_CONNS];
	(void)peer;

	++sv->connc;
	medserver_drop(c);
	wire_dec_free(c->dec);
	c->sv = sv;
	assert_int_equal(wire_dec_alloc(&c->dec, WIRE_MAX_FRAME, srv_frame, c),
			 0);
	assert_int_equal(
		tcp_accept(&c->tc, sv->ts, NULL, srv_recv, srv_close, c), 0);
	assert_int_equal(tls_start_tcp(&c->tlsc, sv->tls, c->tc, 0), 0);
}


void medserver_listen(struct medserver *sv)
{
	assert_int_equal(tcp_listen(&sv->ts, &sv->addr, srv_conn, sv), 0);
	assert_int_equal(tcp_local_get(sv->ts, &sv->addr), 0);
}


void medserver_stop(struct medserver *sv)
{
	sv->ts = mem_deref(sv->ts);
	for (unsigned i = 0; i < MEDSERVER_CONNS; i++)
		medserver_drop(&sv->connv[i]);
}


int medserver_certs(struct testcerts **certsp)
{
	static const struct testcert certv[] = {
		{ .file = "ca" },
		{ .file = "server",
		  .ca = "ca",
		  .ip = "127.0.0.1",
		  .dns = "push.example.com",
		  .eku = "serverAuth" },
		{ .file = "client",
		  .ca = "ca",
		  .uri = { "urn:sipis:tenant:t1" },
		  .eku = "clientAuth" },
	};

	if (testcerts_alloc(certsp))
		return -1;

	for (size_t i = 0; i < sizeof(certv) / sizeof(certv[0]); i++)
		if (testcerts_make(*certsp, &certv[i]))
			return -1;

	return 0;
}


void medserver_open(struct medserver *sv, struct testcerts *certs,
		    const char *cert)
{
	char reason[256];
	const struct tlsctx_prm prm = {
		.cert = testcerts_path(certs, cert),
		.ca = testcerts_path(certs, "ca"),
		.min_version = TLS1_3_VERSION,
		.require_client = true,
	};

	sv->window = 10;
	assert_int_equal(tlsctx_alloc(&sv->tls, &prm, reason, sizeof(reason)),
			 0);
	assert_int_equal(sa_set_str(&sv->addr, "127.0.0.1", 0), 0);
	medserver_listen(sv);
}


void medserver_free(struct medserver *sv)
{
	medserver_stop(sv);
	for (unsigned i = 0; i < MEDSERVER_CONNS; i++)
		wire_dec_free(sv->connv[i].dec);
	sv->tls = mem_deref(sv->tls);
	memset(sv, 0, sizeof(*sv));
}
