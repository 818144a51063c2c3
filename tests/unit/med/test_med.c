/**
 * @file test_med.c  The links against mediators that misbehave
 *
 * The mediators are TLS servers of this process that speak the wire; each
 * records what it was sent and answers as it was told.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/ssl.h>
#include <re/re.h>
#include "common/clock.h"
#include "common/log.h"
#include "common/tlsctx.h"
#include "sipis/med/med.h"
#include "tests/unit/common/testcerts.h"
#include "tests/unit/common/unit.h"

enum { DEADLINE_MS = 15000, PUSH_MS = 1200, SEEN_MAX = 512, CONNS = 8 };

enum mode {
	MODE_ANSWER, /**< DELIVERED at once */
	MODE_SILENT,
	MODE_LATER, /**< RETRY_LATER */
	MODE_GONE,  /**< TOKEN_GONE */
	MODE_DROP,  /**< closes at the first push */
	MODE_NO_HELLO,
	MODE_OLD_HELLO, /**< speaks another version */
	MODE_HOLD,      /**< keeps them until it is told */
};

struct server;

struct conn {
	struct server *sv;
	struct tcp_conn *tc;
	struct tls_conn *tlsc;
	struct wire_dec *dec;
};

struct server {
	struct tls *tls;
	struct tcp_sock *ts;
	struct sa addr;
	enum mode mode;
	uint32_t window;
	struct conn connv[CONNS];
	unsigned connc, hellos, pings;
	struct {
		uint8_t id[WIRE_ID_LEN];
		Wire__Use use;
		struct conn *conn;
	} seen[SEEN_MAX];
	unsigned seenc, held, most;
	char node[64];
};

struct fix {
	struct testcerts *certs;
	struct server sv[2];
	struct med *med;
	struct tmr deadline, poll;
	bool late;
	bool (*cond)(struct fix *f);
	struct {
		unsigned n;
		int err;
		Wire__Outcome outcome;
		char reason[64], mediator[64];
		uint64_t at;
	} res;
	unsigned results;
	unsigned gone;
	unsigned want;
};


static int srv_send(struct conn *c, const Wire__Envelope *env)
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


static void srv_hello(struct conn *c)
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
	hello.now_ms = clock_wall_ms();
	env.body_case = WIRE__ENVELOPE__BODY_HELLO;
	env.hello = &hello;
	assert_int_equal(srv_send(c, &env), 0);
}


static void srv_result(struct conn *c, uint8_t *id, Wire__Outcome outcome)
{
	Wire__Result r = WIRE__RESULT__INIT;
	Wire__Envelope env = WIRE__ENVELOPE__INIT;

	r.id.data = id;
	r.id.len = WIRE_ID_LEN;
	r.outcome = outcome;
	r.status = 200;
	r.reason = (char *)"because";
	r.provider_id = (char *)"p1";
	r.received_us = 1;
	r.sent_us = 2;
	r.answered_us = 3;
	env.body_case = WIRE__ENVELOPE__BODY_RESULT;
	env.result = &r;
	(void)srv_send(c, &env);
}


static void conn_drop(struct conn *c)
{
	c->tlsc = mem_deref(c->tlsc);
	c->tc = mem_deref(c->tc);
}


static void srv_push(struct conn *c, const Wire__Push *p)
{
	struct server *sv = c->sv;

	assert_true(sv->seenc < SEEN_MAX);
	memcpy(sv->seen[sv->seenc].id, p->id.data, WIRE_ID_LEN);
	sv->seen[sv->seenc].use = p->use;
	sv->seen[sv->seenc++].conn = c;

	switch (sv->mode) {
	case MODE_ANSWER:
		srv_result(c, p->id.data, WIRE__OUTCOME__DELIVERED);
		break;
	case MODE_LATER:
		srv_result(c, p->id.data, WIRE__OUTCOME__RETRY_LATER);
		break;
	case MODE_GONE:
		srv_result(c, p->id.data, WIRE__OUTCOME__TOKEN_GONE);
		break;
	case MODE_DROP:
		conn_drop(c);
		break;
	default:
		if (++sv->held > sv->most)
			sv->most = sv->held;
		break;
	}
}


static void srv_enrol(struct conn *c, const Wire__Enrol *e)
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
	(void)srv_send(c, &env);
}


static int srv_frame(const Wire__Envelope *env, void *arg)
{
	struct conn *c = arg;

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
		break;
	default:
		break;
	}

	return 0;
}


static void srv_recv(struct mbuf *mb, void *arg)
{
	struct conn *c = arg;

	(void)wire_dec_feed(c->dec, mbuf_buf(mb), mbuf_get_left(mb));
}


static void srv_close(int err, void *arg)
{
	(void)err;
	conn_drop(arg);
}


static void srv_conn(const struct sa *peer, void *arg)
{
	struct server *sv = arg;
	struct conn *c = &sv->connv[sv->connc % CONNS];
	(void)peer;

	++sv->connc;
	conn_drop(c);
	wire_dec_free(c->dec);
	c->sv = sv;
	assert_int_equal(wire_dec_alloc(&c->dec, WIRE_MAX_FRAME, srv_frame, c),
			 0);
	assert_int_equal(
		tcp_accept(&c->tc, sv->ts, NULL, srv_recv, srv_close, c), 0);
	assert_int_equal(tls_start_tcp(&c->tlsc, sv->tls, c->tc, 0), 0);
}


static void srv_listen(struct server *sv)
{
	assert_int_equal(tcp_listen(&sv->ts, &sv->addr, srv_conn, sv), 0);
	assert_int_equal(tcp_local_get(sv->ts, &sv->addr), 0);
}


static void srv_stop(struct server *sv)
{
	sv->ts = mem_deref(sv->ts);
	for (unsigned i = 0; i < CONNS; i++)
		conn_drop(&sv->connv[i]);
}


static void srv_open(struct fix *f, unsigned i, const char *cert)
{
	struct server *sv = &f->sv[i];
	char reason[256];
	const struct tlsctx_prm prm = {
		.cert = testcerts_path(f->certs, cert),
		.ca = testcerts_path(f->certs, "ca"),
		.min_version = TLS1_3_VERSION,
		.require_client = true,
	};

	sv->window = 10;
	assert_int_equal(tlsctx_alloc(&sv->tls, &prm, reason, sizeof(reason)),
			 0);
	assert_int_equal(sa_set_str(&sv->addr, "127.0.0.1", 0), 0);
	srv_listen(sv);
}


static void srv_free(struct server *sv)
{
	srv_stop(sv);
	for (unsigned i = 0; i < CONNS; i++)
		wire_dec_free(sv->connv[i].dec);
	sv->tls = mem_deref(sv->tls);
	memset(sv, 0, sizeof(*sv));
}


/* --- the client side --- */

static void gone_handler(const uint8_t *handle, size_t len, const char *reason,
			 void *arg)
{
	struct fix *f = arg;
	(void)reason;

	assert_int_equal(len, 3);
	assert_memory_equal(handle, "abc", 3);
	++f->gone;
}


static void result_handler(const struct med_result *res, void *arg)
{
	struct fix *f = arg;

	++f->results;
	f->res.n = f->results;
	f->res.err = res->err;
	f->res.outcome = res->outcome;
	f->res.at = clock_mono_ms();
	str_ncpy(f->res.reason, res->reason ? res->reason : "",
		 sizeof(f->res.reason));
	str_ncpy(f->res.mediator, res->mediator ? res->mediator : "",
		 sizeof(f->res.mediator));
}


static void med_open(struct fix *f, unsigned n, const char *cert,
		     const char *name)
{
	static char addr[2][32];
	static char *addresses[2] = { addr[0], addr[1] };
	struct med_cfg cfg = {
		.addresses = addresses,
		.addresses_count = n,
		.push_timeout_ms = PUSH_MS,
		.name = (char *)name,
		.ca = (char *)testcerts_path(f->certs, "ca"),
		.certificate = (char *)testcerts_path(f->certs, cert),
	};
	char reason[256] = "";

	for (unsigned i = 0; i < n; i++)
		(void)re_snprintf(addr[i], sizeof(addr[i]), "%J",
				  &f->sv[i].addr);
	assert_int_equal(med_alloc(&f->med, &cfg, "node-1", NULL, gone_handler,
				   f, reason, sizeof(reason)),
			 0);
}


static void poll_handler(void *arg)
{
	struct fix *f = arg;

	if (f->cond(f))
		re_cancel();
	else
		tmr_start(&f->poll, 1, poll_handler, f);
}


static void late_handler(void *arg)
{
	struct fix *f = arg;

	f->late = true;
	re_cancel();
}


static void until(struct fix *f, bool (*cond)(struct fix *f))
{
	f->cond = cond;
	f->late = false;
	tmr_start(&f->deadline, DEADLINE_MS, late_handler, f);
	tmr_start(&f->poll, 0, poll_handler, f);
	(void)re_main(NULL);
	tmr_cancel(&f->deadline);
	tmr_cancel(&f->poll);
	assert_false(f->late);
}


static bool is_up(struct fix *f)
{
	return med_up(f->med) == f->want;
}


static void wait_up(struct fix *f, unsigned n)
{
	f->want = n;
	until(f, is_up);
}


static bool has_results(struct fix *f)
{
	return f->results >= f->want;
}


static void wait_results(struct fix *f, unsigned n)
{
	f->want = n;
	until(f, has_results);
}


static void push(struct fix *f, struct med_req **reqp, uint8_t id,
		 Wire__Use use)
{
	const struct med_push p = {
		.id = { id, 1, 2, 3 },
		.handle = (const uint8_t *)"abc",
		.handle_len = 3,
		.use = use,
		.trace = "t",
		.call = "c",
		.instance = "i",
		.from = "sip:a@b",
		.display_name = "A",
	};
	const unsigned before = f->results;

	assert_int_equal(med_push(reqp, f->med, &p, 0, result_handler, f), 0);
	assert_int_equal(f->results, before);
}


static int setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));
	static const struct testcert certv[] = {
		{ .file = "ca" },
		{ .file = "other-ca" },
		{ .file = "server",
		  .ca = "ca",
		  .ip = "127.0.0.1",
		  .dns = "push.example.com",
		  .eku = "serverAuth" },
		{ .file = "stranger",
		  .ca = "other-ca",
		  .ip = "127.0.0.1",
		  .dns = "push.example.com",
		  .eku = "serverAuth" },
		{ .file = "client",
		  .ca = "ca",
		  .uri = { "urn:sipis:tenant:t1" },
		  .eku = "clientAuth" },
		{ .file = "nobody",
		  .ca = "other-ca",
		  .uri = { "urn:sipis:tenant:t1" },
		  .eku = "clientAuth" },
	};

	log_set_level(LOG_ERROR_);
	if (!f || libre_init() || testcerts_alloc(&f->certs))
		return -1;
	for (size_t i = 0; i < sizeof(certv) / sizeof(certv[0]); i++)
		if (testcerts_make(f->certs, &certv[i]))
			return -1;
	*state = f;
	return 0;
}


static int teardown(void **state)
{
	struct fix *f = *state;

	testcerts_close(f->certs);
	free(f);
	libre_close();
	return 0;
}


static int start(void **state)
{
	struct fix *f = *state;

	f->results = f->gone = 0;
	memset(&f->res, 0, sizeof(f->res));
	srv_open(f, 0, "server");
	srv_open(f, 1, "server");
	return 0;
}


static int stop(void **state)
{
	struct fix *f = *state;

	f->med = mem_deref(f->med);
	srv_free(&f->sv[0]);
	srv_free(&f->sv[1]);
	return 0;
}


static void test_med_push_and_result(void **state)
{
	struct fix *f = *state;
	struct med_req *req = NULL;

	med_open(f, 2, "client", NULL);
	wait_up(f, 2);
	assert_string_equal(f->sv[0].node, "node-1");

	push(f, &req, 1, WIRE__USE__USE_CALL);
	assert_non_null(req);
	wait_results(f, 1);
	assert_null(req);
	assert_int_equal(f->res.err, 0);
	assert_int_equal(f->res.outcome, WIRE__OUTCOME__DELIVERED);
	assert_string_equal(f->res.reason, "because");
	assert_int_equal(f->sv[0].seenc, 1);
	assert_int_equal(f->sv[1].seenc, 0);
}


static void test_med_waits_for_the_first_hello(void **state)
{
	struct fix *f = *state;

	med_open(f, 2, "client", NULL);
	assert_int_equal(med_up(f->med), 0);
	push(f, NULL, 1, WIRE__USE__USE_CALL);
	wait_results(f, 1);
	assert_int_equal(f->res.err, 0);
}


static void test_med_name_is_verified(void **state)
{
	struct fix *f = *state;

	med_open(f, 1, "client", "push.example.com");
	wait_up(f, 1);
	f->med = mem_deref(f->med);

	med_open(f, 1, "client", "other.example.com");
	push(f, NULL, 1, WIRE__USE__USE_CALL);
	wait_results(f, 1);
	assert_int_equal(f->res.err, ENOTCONN);
	assert_int_equal(med_up(f->med), 0);
	assert_int_equal(f->sv[0].seenc, 0);
}


static void test_med_foreign_server(void **state)
{
	struct fix *f = *state;

	srv_free(&f->sv[0]);
	srv_open(f, 0, "stranger");
	med_open(f, 1, "client", NULL);
	push(f, NULL, 1, WIRE__USE__USE_CALL);
	wait_results(f, 1);
	assert_int_equal(f->res.err, ENOTCONN);
	assert_int_equal(f->sv[0].hellos, 0);
}


/* TLS 1.3 calls us established before the server has seen our certificate */
static void test_med_our_certificate_refused(void **state)
{
	struct fix *f = *state;

	med_open(f, 1, "nobody", NULL);
	push(f, NULL, 1, WIRE__USE__USE_CALL);
	wait_results(f, 1);
	assert_int_equal(f->res.err, ENOTCONN);
	assert_int_equal(f->sv[0].hellos, 0);
}


static void test_med_foreign_version(void **state)
{
	struct fix *f = *state;

	f->sv[0].mode = MODE_OLD_HELLO;
	med_open(f, 2, "client", NULL);
	wait_up(f, 1);
	push(f, NULL, 1, WIRE__USE__USE_CALL);
	wait_results(f, 1);
	assert_int_equal(f->sv[1].seenc, 1);
}


static void test_med_no_hello_is_not_up(void **state)
{
	struct fix *f = *state;

	f->sv[0].mode = MODE_NO_HELLO;
	med_open(f, 2, "client", NULL);
	wait_up(f, 1);
	push(f, NULL, 1, WIRE__USE__USE_CALL);
	wait_results(f, 1);
	assert_int_equal(f->sv[0].seenc, 0);
	assert_int_equal(f->sv[1].seenc, 1);
}


/* Refused everywhere, and the pause is longer than the call has */
static void test_med_nobody_there_fails_soon(void **state)
{
	struct fix *f = *state;
	uint64_t t0;

	srv_stop(&f->sv[0]);
	srv_stop(&f->sv[1]);
	med_open(f, 2, "client", NULL);
	t0 = clock_mono_ms();
	push(f, NULL, 1, WIRE__USE__USE_CALL);
	wait_results(f, 1);
	assert_int_equal(f->res.err, ENOTCONN);
	assert_true(f->res.at - t0 <= PUSH_MS + 200);
}


static void test_med_comes_back_within_the_time(void **state)
{
	struct fix *f = *state;

	med_open(f, 2, "client", NULL);
	wait_up(f, 2);
	srv_stop(&f->sv[0]);
	srv_stop(&f->sv[1]);
	wait_up(f, 0);
	push(f, NULL, 1, WIRE__USE__USE_CALL);
	srv_listen(&f->sv[1]);
	wait_results(f, 1);
	assert_int_equal(f->res.err, 0);
	assert_int_equal(f->sv[1].seenc, 1);
}


static void test_med_link_dies_same_id_over_the_other(void **state)
{
	struct fix *f = *state;

	f->sv[0].mode = MODE_DROP;
	med_open(f, 2, "client", NULL);
	wait_up(f, 2);
	push(f, NULL, 7, WIRE__USE__USE_CALL);
	wait_results(f, 1);
	assert_int_equal(f->res.err, 0);
	assert_int_equal(f->sv[0].seenc, 1);
	assert_int_equal(f->sv[1].seenc, 1);
	assert_memory_equal(f->sv[0].seen[0].id, f->sv[1].seen[0].id,
			    WIRE_ID_LEN);
}


static void test_med_silence_goes_to_the_other(void **state)
{
	struct fix *f = *state;
	uint64_t t0;

	f->sv[0].mode = MODE_SILENT;
	med_open(f, 2, "client", NULL);
	wait_up(f, 2);
	t0 = clock_mono_ms();
	push(f, NULL, 7, WIRE__USE__USE_CALL);
	wait_results(f, 1);
	assert_int_equal(f->res.err, 0);
	assert_in_range(f->res.at - t0, PUSH_MS / 2 - 20, PUSH_MS - 20);

	/* the late result of the first one disturbs nobody */
	srv_result(f->sv[0].seen[0].conn, f->sv[0].seen[0].id,
		   WIRE__OUTCOME__REJECTED);
	f->sv[0].mode = MODE_ANSWER;
	push(f, NULL, 8, WIRE__USE__USE_CALL);
	wait_results(f, 2);
	assert_int_equal(f->results, 2);
	assert_int_equal(f->res.outcome, WIRE__OUTCOME__DELIVERED);
}


static void test_med_all_silent_fails_in_time(void **state)
{
	struct fix *f = *state;
	uint64_t t0;

	f->sv[0].mode = f->sv[1].mode = MODE_SILENT;
	med_open(f, 2, "client", NULL);
	wait_up(f, 2);
	t0 = clock_mono_ms();
	push(f, NULL, 7, WIRE__USE__USE_CALL);
	wait_results(f, 1);
	assert_int_equal(f->res.err, ETIMEDOUT);
	assert_in_range(f->res.at - t0, PUSH_MS - 20, PUSH_MS + 1000);
	assert_int_equal(f->sv[0].seenc + f->sv[1].seenc, 2);
}


static void test_med_retry_later_goes_to_the_other(void **state)
{
	struct fix *f = *state;

	f->sv[0].mode = MODE_LATER;
	med_open(f, 2, "client", NULL);
	wait_up(f, 2);
	push(f, NULL, 7, WIRE__USE__USE_CALL);
	wait_results(f, 1);
	assert_int_equal(f->res.outcome, WIRE__OUTCOME__DELIVERED);
	assert_int_equal(f->sv[0].seenc, 1);
	assert_int_equal(f->sv[1].seenc, 1);
}


static void test_med_all_say_later(void **state)
{
	struct fix *f = *state;

	f->sv[0].mode = f->sv[1].mode = MODE_LATER;
	med_open(f, 2, "client", NULL);
	wait_up(f, 2);
	push(f, NULL, 7, WIRE__USE__USE_CALL);
	wait_results(f, 1);
	assert_int_equal(f->res.outcome, WIRE__OUTCOME__RETRY_LATER);
	assert_string_equal(f->res.reason, "because");
}


static void test_med_token_gone(void **state)
{
	struct fix *f = *state;

	f->sv[0].mode = MODE_GONE;
	med_open(f, 2, "client", NULL);
	wait_up(f, 2);
	push(f, NULL, 7, WIRE__USE__USE_CALL);
	wait_results(f, 1);
	assert_int_equal(f->res.outcome, WIRE__OUTCOME__TOKEN_GONE);
	assert_int_equal(f->sv[1].seenc, 0);
}


static bool was_gone(struct fix *f)
{
	return f->gone > 0;
}


static void test_med_token_gone_outside_a_result(void **state)
{
	struct fix *f = *state;
	Wire__TokenGone gone = WIRE__TOKEN_GONE__INIT;
	Wire__Envelope env = WIRE__ENVELOPE__INIT;

	med_open(f, 1, "client", NULL);
	wait_up(f, 1);
	gone.handle.data = (uint8_t *)"abc";
	gone.handle.len = 3;
	gone.reason = (char *)"Unregistered";
	env.body_case = WIRE__ENVELOPE__BODY_TOKEN_GONE;
	env.token_gone = &gone;
	assert_int_equal(srv_send(&f->sv[0].connv[0], &env), 0);
	until(f, was_gone);
}


static bool all_seen(struct fix *f)
{
	return f->sv[0].seenc >= f->want;
}


static void release_all(struct server *sv, unsigned from)
{
	for (unsigned i = from; i < sv->seenc; i++) {
		--sv->held;
		srv_result(sv->seen[i].conn, sv->seen[i].id,
			   WIRE__OUTCOME__DELIVERED);
	}
}


/* No more in flight than the window, and calls pass those who wait */
static void test_med_window_and_lanes(void **state)
{
	struct fix *f = *state;
	struct server *sv = &f->sv[0];
	unsigned done = 0;

	sv->mode = MODE_HOLD;
	med_open(f, 1, "client", NULL);
	wait_up(f, 1);
	for (unsigned i = 0; i < 30; i++)
		push(f, NULL, (uint8_t)(10 + i), WIRE__USE__USE_MESSAGE);
	push(f, NULL, 100, WIRE__USE__USE_ENDED);
	push(f, NULL, 101, WIRE__USE__USE_CALL);

	for (f->want = 10; done < 32; f->want = done + 10) {
		if (f->want > 32)
			f->want = 32;
		until(f, all_seen);
		release_all(sv, done);
		done = f->want;
	}

	wait_results(f, 32);
	assert_int_equal(sv->most, 10);
	assert_int_equal(sv->seen[10].use, WIRE__USE__USE_CALL);
	assert_int_equal(sv->seen[11].use, WIRE__USE__USE_ENDED);
	assert_int_equal(sv->seen[12].use, WIRE__USE__USE_MESSAGE);
}


/* What was given up still fills the mediator's window */
static void test_med_given_up_keeps_its_place(void **state)
{
	struct fix *f = *state;
	struct server *sv = &f->sv[0];
	struct med_req *reqv[10];

	sv->mode = MODE_HOLD;
	med_open(f, 1, "client", NULL);
	wait_up(f, 1);
	for (unsigned i = 0; i < 10; i++)
		push(f, &reqv[i], (uint8_t)(1 + i), WIRE__USE__USE_CALL);
	f->want = 10;
	until(f, all_seen);
	for (unsigned i = 0; i < 10; i++)
		mem_deref(reqv[i]);

	push(f, NULL, 50, WIRE__USE__USE_CALL);
	srv_result(sv->seen[3].conn, sv->seen[3].id, WIRE__OUTCOME__DELIVERED);
	--sv->held;
	f->want = 11;
	until(f, all_seen);
	assert_int_equal(sv->most, 10);
	assert_int_equal(f->results, 0);
	srv_result(sv->seen[10].conn, sv->seen[10].id,
		   WIRE__OUTCOME__DELIVERED);
	wait_results(f, 1);
}


static void test_med_stop(void **state)
{
	struct fix *f = *state;
	struct server *sv = &f->sv[0];
	struct med_req *out = NULL, *waiting = NULL;

	sv->mode = MODE_HOLD;
	sv->window = 1;
	med_open(f, 1, "client", NULL);
	wait_up(f, 1);
	push(f, &out, 1, WIRE__USE__USE_CALL);
	push(f, &waiting, 2, WIRE__USE__USE_CALL);
	f->want = 1;
	until(f, all_seen);

	assert_false(med_req_stop(&waiting));
	assert_null(waiting);
	assert_true(med_req_stop(&out));
	assert_non_null(out);

	/* it is not sent again, though its link dies */
	conn_drop(sv->seen[0].conn);
	wait_results(f, 1);
	assert_int_equal(f->res.err, ETIMEDOUT);
	assert_null(out);
	wait_up(f, 1);
	assert_int_equal(sv->seenc, 1);
}


/* A duplicate means: in flight already, the result will come */
static void test_med_duplicate_is_no_result(void **state)
{
	struct fix *f = *state;
	struct server *sv = &f->sv[0];

	sv->mode = MODE_HOLD;
	med_open(f, 1, "client", NULL);
	wait_up(f, 1);
	push(f, NULL, 1, WIRE__USE__USE_CALL);
	f->want = 1;
	until(f, all_seen);
	srv_result(sv->seen[0].conn, sv->seen[0].id, WIRE__OUTCOME__DUPLICATE);
	srv_result(sv->seen[0].conn, sv->seen[0].id, WIRE__OUTCOME__DELIVERED);
	wait_results(f, 1);
	assert_int_equal(f->res.outcome, WIRE__OUTCOME__DELIVERED);
}


static bool reconnected(struct fix *f)
{
	return f->sv[0].connc >= 2;
}


static void test_med_drain(void **state)
{
	struct fix *f = *state;
	struct server *sv = &f->sv[0];
	Wire__Drain drain = WIRE__DRAIN__INIT;
	Wire__Envelope env = WIRE__ENVELOPE__INIT;

	sv->mode = MODE_HOLD;
	med_open(f, 2, "client", NULL);
	wait_up(f, 2);
	push(f, NULL, 1, WIRE__USE__USE_CALL);
	f->want = 1;
	until(f, all_seen);

	drain.grace_ms = 10000;
	env.body_case = WIRE__ENVELOPE__BODY_DRAIN;
	env.drain = &drain;
	assert_int_equal(srv_send(sv->seen[0].conn, &env), 0);
	wait_up(f, 1);

	/* new work goes to the other one, the old result still counts */
	push(f, NULL, 2, WIRE__USE__USE_CALL);
	wait_results(f, 1);
	assert_int_equal(f->sv[1].seenc, 1);
	assert_int_equal(sv->seenc, 1);
	srv_result(sv->seen[0].conn, sv->seen[0].id, WIRE__OUTCOME__DELIVERED);
	wait_results(f, 2);
	assert_int_equal(f->res.err, 0);

	/* then that connection goes, and a new one comes */
	until(f, reconnected);
	wait_up(f, 2);
}


static void enrol_handler(int err, Wire__Outcome outcome, const char *reason,
			  const uint8_t *handle, size_t len, void *arg)
{
	struct fix *f = arg;
	(void)reason;

	++f->results;
	f->res.err = err;
	f->res.outcome = outcome;
	assert_int_equal(len, 5);
	assert_memory_equal(handle, "token", 5);
}


static void test_med_enrol(void **state)
{
	struct fix *f = *state;
	const struct med_token t = {
		.app = "a",
		.provider = "apns",
		.token = "token",
		.uses = 1u << WIRE__USE__USE_CALL,
	};

	med_open(f, 1, "client", NULL);
	assert_int_equal(med_enrol(NULL, f->med, &t, enrol_handler, f), 0);
	wait_results(f, 1);
	assert_int_equal(f->res.err, 0);
	assert_int_equal(f->res.outcome, WIRE__OUTCOME__DELIVERED);
}


static bool was_pinged(struct fix *f)
{
	return f->sv[0].pings >= 1;
}


/* Pings go out; a mediator that says nothing for 9 s is dead */
static void test_med_ping_and_silence(void **state)
{
	struct fix *f = *state;
	uint64_t t0;

	med_open(f, 1, "client", NULL);
	wait_up(f, 1);
	t0 = clock_mono_ms();
	until(f, was_pinged);
	wait_up(f, 0);
	assert_in_range(clock_mono_ms() - t0, 8500, 12500);
	wait_up(f, 1);
	assert_int_equal(f->sv[0].connc, 2);
}


static void test_med_garbage_closes(void **state)
{
	struct fix *f = *state;
	struct mbuf mb;
	uint8_t junk[] = { 0xff, 0xff, 0xff, 0xff, 1, 2, 3 };

	med_open(f, 1, "client", NULL);
	wait_up(f, 1);
	mbuf_init(&mb);
	mb.buf = junk;
	mb.size = mb.end = sizeof(junk);
	assert_int_equal(tcp_send(f->sv[0].connv[0].tc, &mb), 0);
	wait_up(f, 0);
	wait_up(f, 1);
}


static void test_med_many_in_one_turn(void **state)
{
	struct fix *f = *state;

	f->sv[0].window = 400;
	med_open(f, 1, "client", NULL);
	wait_up(f, 1);
	for (unsigned i = 0; i < 255; i++)
		push(f, NULL, (uint8_t)i, WIRE__USE__USE_CALL);
	wait_results(f, 255);
	assert_int_equal(f->res.err, 0);
}


/* Nobody hears anything after close, and nothing leaks */
static void test_med_close_is_quiet(void **state)
{
	struct fix *f = *state;
	struct med_req *req = NULL;

	f->sv[0].mode = MODE_SILENT;
	med_open(f, 1, "client", NULL);
	wait_up(f, 1);
	push(f, &req, 1, WIRE__USE__USE_CALL);
	med_close(f->med);
	f->med = mem_deref(f->med);
	assert_null(req);
	assert_int_equal(f->results, 0);
}


#define MED_TEST(t) cmocka_unit_test_setup_teardown(t, start, stop)


int main(void)
{
	const struct CMUnitTest tests[] = {
		MED_TEST(test_med_push_and_result),
		MED_TEST(test_med_waits_for_the_first_hello),
		MED_TEST(test_med_name_is_verified),
		MED_TEST(test_med_foreign_server),
		MED_TEST(test_med_our_certificate_refused),
		MED_TEST(test_med_foreign_version),
		MED_TEST(test_med_no_hello_is_not_up),
		MED_TEST(test_med_nobody_there_fails_soon),
		MED_TEST(test_med_comes_back_within_the_time),
		MED_TEST(test_med_link_dies_same_id_over_the_other),
		MED_TEST(test_med_silence_goes_to_the_other),
		MED_TEST(test_med_all_silent_fails_in_time),
		MED_TEST(test_med_retry_later_goes_to_the_other),
		MED_TEST(test_med_all_say_later),
		MED_TEST(test_med_token_gone),
		MED_TEST(test_med_token_gone_outside_a_result),
		MED_TEST(test_med_window_and_lanes),
		MED_TEST(test_med_given_up_keeps_its_place),
		MED_TEST(test_med_stop),
		MED_TEST(test_med_duplicate_is_no_result),
		MED_TEST(test_med_drain),
		MED_TEST(test_med_enrol),
		MED_TEST(test_med_ping_and_silence),
		MED_TEST(test_med_garbage_closes),
		MED_TEST(test_med_many_in_one_turn),
		MED_TEST(test_med_close_is_quiet),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
