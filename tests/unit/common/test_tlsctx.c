/**
 * @file test_tlsctx.c  Who gets in and who does not, over loopback
 *
 * A link counts as up when a byte has come through in both directions: a TLS
 * 1.3 client is "established" before the server has judged its certificate.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <re/re.h>
#include <openssl/ssl.h>
#include "common/tlsctx.h"
#include "tests/unit/common/testcerts.h"
#include "tests/unit/common/unit.h"
#include "tests/unit/common/loop.h"


/** One connection, both its ends */
struct link {
	struct tls *stls, *ctls;
	struct tcp_sock *ts;
	struct tcp_conn *stc, *ctc;
	struct tls_conn *ssc, *csc;
	struct sa addr;
	bool client_up; /**< the server's answer arrived */
	bool server_up; /**< the client's byte arrived */
	bool failed;
	char uri[128];
	int uri_err;
	char sni[64];
};

struct certs {
	struct testcerts *t;
};


static const char *path(void **state, const char *file)
{
	return testcerts_path(((struct certs *)*state)->t, file);
}


static void stop(struct link *l, bool failed)
{
	l->failed = l->failed || failed;
	re_cancel();
}


static void close_handler(int err, void *arg)
{
	(void)err;
	stop(arg, true);
}


static void send_byte(struct tcp_conn *tc, struct link *l)
{
	struct mbuf *mb = mbuf_alloc(1);

	(void)mbuf_write_u8(mb, 'x');
	mb->pos = 0;
	if (tcp_send(tc, mb))
		stop(l, true);
	mem_deref(mb);
}


static SSL *ssl_of(const struct tls_conn *sc)
{
	SSL *ssl;

	memcpy(&ssl, sc, sizeof(ssl));
	return ssl;
}


static void server_recv(struct mbuf *mb, void *arg)
{
	struct link *l = arg;
	const char *sni;

	(void)mb;

	l->server_up = true;
	l->uri_err = tlsctx_peer_uri(l->ssc, l->uri, sizeof(l->uri));
	sni = SSL_get_servername(ssl_of(l->ssc), TLSEXT_NAMETYPE_host_name);
	(void)re_snprintf(l->sni, sizeof(l->sni), "%s", sni ? sni : "");
	if (l->ctc)
		send_byte(l->stc, l);
	else
		stop(l, false); /* a SIP stack is the client */
}


static void client_recv(struct mbuf *mb, void *arg)
{
	struct link *l = arg;

	(void)mb;

	l->client_up = true;
	stop(l, false);
}


static void client_estab(void *arg)
{
	struct link *l = arg;

	send_byte(l->ctc, l);
}


static void conn_handler(const struct sa *peer, void *arg)
{
	struct link *l = arg;

	(void)peer;

	if (l->stc) {
		tcp_reject(l->ts);
		return;
	}
	if (tcp_accept(&l->stc, l->ts, NULL, server_recv, close_handler, l) ||
	    tls_start_tcp(&l->ssc, l->stls, l->stc, 0))
		stop(l, true);
}


static void serve(struct link *l, const char *addr)
{
	struct sa laddr;

	assert_int_equal(sa_set_str(&laddr, addr, 0), 0);
	assert_int_equal(tcp_listen(&l->ts, &laddr, conn_handler, l), 0);
	assert_int_equal(tcp_sock_local_get(l->ts, &l->addr), 0);
}


static void link_close(struct link *l)
{
	mem_deref(l->csc);
	mem_deref(l->ctc);
	mem_deref(l->ssc);
	mem_deref(l->stc);
	mem_deref(l->ts);
	mem_deref(l->ctls);
	mem_deref(l->stls);
}


static struct tls *make(const struct tlsctx_prm *prm)
{
	char reason[256];
	struct tls *tls = NULL;

	if (tlsctx_alloc(&tls, prm, reason, sizeof(reason)))
		print_error("%s\n", reason);
	assert_non_null(tls);
	assert_string_equal(tlsctx_last_error(tls), "");

	return tls;
}


/* Both sides as the mediator's port uses them */
struct side {
	const char *cert, *ca, *name;
	int version;
	const char *alpn;
};


static void link_up(struct link *l, void **state, const struct side *server,
		    const struct side *client)
{
	const struct tlsctx_prm sprm = {
		.cert = path(state, server->cert),
		.ca = path(state, server->ca),
		.min_version =
			server->version ? server->version : TLS1_3_VERSION,
		.require_client = true,
		.alpn = server->alpn,
	};
	const struct tlsctx_prm cprm = {
		.cert = client->cert ? path(state, client->cert) : NULL,
		.ca = path(state, client->ca),
		.min_version =
			client->version ? client->version : TLS1_3_VERSION,
		.peer_name = client->name,
		.alpn = client->alpn,
	};

	memset(l, 0, sizeof(*l));
	l->stls = make(&sprm);
	l->ctls = make(&cprm);
	serve(l, "127.0.0.1");

	assert_int_equal(tcp_connect(&l->ctc, &l->addr, client_estab,
				     client_recv, close_handler, l),
			 0);
	assert_int_equal(tls_start_tcp(&l->csc, l->ctls, l->ctc, 0), 0);
	loop_run();
}


static const struct side good_server = { .cert = "server", .ca = "ca" };
static const struct side good_client = { .cert = "client",
					 .ca = "ca",
					 .name = "m1.example" };


static void expect_up(void **state, const struct side *server,
		      const struct side *client, const char *uri,
		      const char *sni)
{
	struct link l;

	link_up(&l, state, server, client);
	assert_true(l.server_up && l.client_up && !l.failed);
	assert_int_equal(l.uri_err, 0);
	assert_string_equal(l.uri, uri);
	assert_string_equal(l.sni, sni);
	link_close(&l);
}


/* why: what one of the two sides must say */
static void expect_refused(void **state, const struct side *server,
			   const struct side *client, const char *why)
{
	const char *s, *c;
	struct link l;

	link_up(&l, state, server, client);
	assert_true(l.failed);
	assert_false(l.client_up);

	s = tlsctx_last_error(l.stls);
	c = tlsctx_last_error(l.ctls);
	if (!strstr(s, why) && !strstr(c, why))
		print_error("server: %s\nclient: %s\n", s, c);
	assert_true(strstr(s, why) || strstr(c, why));
	link_close(&l);
}


static void test_tlsctx_right_name(void **state)
{
	expect_up(state, &good_server, &good_client, "urn:sipis:tenant:acme",
		  "m1.example");
}


static void test_tlsctx_address_as_name(void **state)
{
	const struct side client = { .cert = "client",
				     .ca = "ca",
				     .name = "127.0.0.1" };
	const struct side other = { .cert = "client",
				    .ca = "ca",
				    .name = "127.0.0.2" };

	expect_up(state, &good_server, &client, "urn:sipis:tenant:acme", "");
	expect_refused(state, &good_server, &other, "IP address mismatch");
}


static void test_tlsctx_wrong_name(void **state)
{
	const struct side client = { .cert = "client",
				     .ca = "ca",
				     .name = "m2.example" };
	const struct side part = { .cert = "client",
				   .ca = "ca",
				   .name = "xm1.example" };

	expect_refused(state, &good_server, &client, "hostname mismatch");
	expect_refused(state, &good_server, &part, "hostname mismatch");
}


/* The name stands in the CN only: RFC 9525 does not count it */
static void test_tlsctx_common_name_is_no_name(void **state)
{
	const struct side server = { .cert = "cnonly.example", .ca = "ca" };
	const struct side client = { .cert = "client",
				     .ca = "ca",
				     .name = "cnonly.example" };

	expect_refused(state, &server, &client, "hostname mismatch");
}


static void test_tlsctx_unknown_ca(void **state)
{
	const struct side server = { .cert = "server-foreign", .ca = "ca" };

	expect_refused(state, &server, &good_client,
		       "unable to get local issuer certificate");
}


static void test_tlsctx_expired(void **state)
{
	const struct side server = { .cert = "server-old", .ca = "ca" };
	const struct side client = { .cert = "client-old",
				     .ca = "ca",
				     .name = "m1.example" };

	expect_refused(state, &server, &good_client,
		       "certificate has expired");
	expect_refused(state, &good_server, &client,
		       "certificate has expired");
}


static void test_tlsctx_no_client_certificate(void **state)
{
	const struct side client = { .ca = "ca", .name = "m1.example" };

	expect_refused(state, &good_server, &client, "certificate required");
}


static void test_tlsctx_foreign_client(void **state)
{
	const struct side client = { .cert = "client-foreign",
				     .ca = "ca",
				     .name = "m1.example" };

	expect_refused(state, &good_server, &client, "refused");
}


/* A server's certificate does not make a tenant, nor the reverse */
static void test_tlsctx_purpose(void **state)
{
	const struct side client = { .cert = "server",
				     .ca = "ca",
				     .name = "m1.example" };
	const struct side server = { .cert = "client", .ca = "ca" };

	expect_refused(state, &good_server, &client, "purpose");
	expect_refused(state, &server, &good_client, "purpose");
}


static void test_tlsctx_version(void **state)
{
	const struct side old = { .cert = "client",
				  .ca = "ca",
				  .name = "m1.example",
				  .version = TLS1_2_VERSION };

	expect_up(state, &good_server, &old, "urn:sipis:tenant:acme",
		  "m1.example");
}


static void test_tlsctx_alpn(void **state)
{
	const struct side server = { .cert = "server",
				     .ca = "ca",
				     .alpn = "sipis/1" };
	const struct side same = { .cert = "client",
				   .ca = "ca",
				   .name = "m1.example",
				   .alpn = "sipis/1" };
	const struct side other = { .cert = "client",
				    .ca = "ca",
				    .name = "m1.example",
				    .alpn = "http/1.1" };

	expect_up(state, &server, &same, "urn:sipis:tenant:acme",
		  "m1.example");
	expect_refused(state, &server, &other, "no application protocol");
}


static void uri_case(void **state, const char *cert, int want)
{
	const struct side client = { .cert = cert,
				     .ca = "ca",
				     .name = "m1.example" };
	struct link l;

	link_up(&l, state, &good_server, &client);
	assert_true(l.server_up);
	assert_int_equal(l.uri_err, want);
	assert_string_equal(l.uri, "");
	link_close(&l);
}


static void test_tlsctx_peer_uri(void **state)
{
	uri_case(state, "client-two", EBADMSG);
	uri_case(state, "client-none", ENOENT);
	uri_case(state, "client-nul", EBADMSG);
	uri_case(state, "client-space", EBADMSG);
	uri_case(state, "client-long", EBADMSG);
}


static void request_handler(int err, const struct sip_msg *msg, void *arg)
{
	(void)err;
	(void)msg;
	stop(arg, true);
}


/* Through libre's SIP stack, which by itself checks nothing in 1.1.0 */
static void sip_case(void **state, const char *name, bool up)
{
	const struct tlsctx_prm sprm = { .cert = path(state, "server"),
					 .ca = path(state, "ca"),
					 .min_version = TLS1_2_VERSION,
					 .require_client = true };
	const struct tlsctx_prm cprm = { .cert = path(state, "client"),
					 .ca = path(state, "ca"),
					 .min_version = TLS1_2_VERSION,
					 .peer_name = name };
	struct sip_request *req = NULL;
	struct sip *sip = NULL;
	struct uri route;
	struct link l;
	struct sa laddr;
	struct pl pl;
	char *s = NULL;

	memset(&l, 0, sizeof(l));
	l.stls = make(&sprm);
	l.ctls = make(&cprm);
	serve(&l, "127.0.0.1");

	assert_int_equal(sip_alloc(&sip, NULL, 32, 32, 32, "test", NULL, NULL),
			 0);
	assert_int_equal(sa_set_str(&laddr, "127.0.0.1", 0), 0);
	assert_int_equal(sip_transp_add(sip, SIP_TRANSP_TLS, &laddr, l.ctls),
			 0);
	assert_int_equal(re_sdprintf(&s, "sip:%J;transport=tls", &l.addr), 0);
	pl_set_str(&pl, s);
	assert_int_equal(uri_decode(&route, &pl), 0);
	assert_int_equal(sip_requestf(&req, sip, true, "OPTIONS",
				      "sip:pbx.example", &route, NULL, NULL,
				      request_handler, &l,
				      "To: <sip:pbx.example>\r\n"
				      "From: <sip:pbx.example>;tag=1\r\n"
				      "Call-ID: 1\r\nCSeq: 1 OPTIONS\r\n"
				      "Content-Length: 0\r\n\r\n"),
			 0);
	loop_run();

	assert_int_equal(l.server_up, up);
	if (up)
		assert_string_equal(l.sni, name);
	else
		assert_non_null(strstr(tlsctx_last_error(l.ctls), "mismatch"));

	mem_deref(req);
	sip_close(sip, true);
	mem_deref(sip);
	mem_deref(s);
	link_close(&l);
}


static void test_tlsctx_sip_stack(void **state)
{
	sip_case(state, "m1.example", true);
	sip_case(state, "m2.example", false);
}


/* Two SSLs over a pair of buffers, until neither has anything to do */
static bool handshake(SSL *c, SSL *s)
{
	BIO *a, *b;
	char byte;

	assert_int_equal(BIO_new_bio_pair(&a, 0, &b, 0), 1);
	SSL_set_bio(c, a, a);
	SSL_set_bio(s, b, b);
	SSL_set_connect_state(c);
	SSL_set_accept_state(s);

	for (int i = 0; i < 10; i++) {
		(void)SSL_do_handshake(c);
		(void)SSL_do_handshake(s);
	}
	(void)SSL_write(s, "x", 1);
	(void)SSL_read(c, &byte, 1);

	return SSL_is_init_finished(c) && SSL_is_init_finished(s);
}


/* Without a session id context, whoever resumes is thrown out */
static void test_tlsctx_resumption_keeps_the_tenant(void **state)
{
	const struct tlsctx_prm sprm = { .cert = path(state, "server"),
					 .ca = path(state, "ca"),
					 .min_version = TLS1_3_VERSION,
					 .require_client = true };
	const struct tlsctx_prm cprm = { .cert = path(state, "client"),
					 .ca = path(state, "ca"),
					 .min_version = TLS1_3_VERSION,
					 .peer_name = "m1.example" };
	struct tls *stls = make(&sprm), *ctls = make(&cprm);
	SSL_SESSION *ses = NULL;
	char uri[64];

	for (int round = 0; round < 2; round++) {
		SSL *c = SSL_new(tls_openssl_context(ctls));
		SSL *s = SSL_new(tls_openssl_context(stls));

		if (ses)
			assert_int_equal(SSL_set_session(c, ses), 1);
		assert_true(handshake(c, s));
		assert_int_equal(SSL_session_reused(s), round);

		assert_int_equal(tlsctx_peer_uri((struct tls_conn *)(void *)&s,
						 uri, sizeof(uri)),
				 0);
		assert_string_equal(uri, "urn:sipis:tenant:acme");

		SSL_SESSION_free(ses);
		ses = SSL_get1_session(c);
		(void)SSL_shutdown(c);
		(void)SSL_shutdown(s);
		SSL_free(c);
		SSL_free(s);
	}

	SSL_SESSION_free(ses);
	mem_deref(ctls);
	mem_deref(stls);
}


static void refuse(const struct tlsctx_prm *prm, const char *why)
{
	char reason[256];
	struct tls *tls = NULL;

	assert_int_not_equal(tlsctx_alloc(&tls, prm, reason, sizeof(reason)),
			     0);
	assert_null(tls);
	if (!strstr(reason, why))
		print_error("got: %s\n", reason);
	assert_non_null(strstr(reason, why));
}


static void test_tlsctx_bad_files(void **state)
{
	struct testcerts *t = ((struct certs *)*state)->t;
	struct tlsctx_prm prm = { .cert = "/nonexistent/x.pem",
				  .ca = path(state, "ca"),
				  .min_version = TLS1_3_VERSION,
				  .peer_name = "m1.example" };

	refuse(&prm, "cannot use certificate /nonexistent/x.pem: "
		     "No such file or directory");

	prm.cert = testcerts_put(t, "junk", "no certificate\n");
	refuse(&prm, "cannot use certificate /tmp/");

	prm.cert = path(state, "client");
	prm.key = testcerts_put(t, "empty", "");
	refuse(&prm, "cannot use private key /tmp/");

	prm.key = path(state, "server");
	refuse(&prm, "key values mismatch");

	prm.key = NULL;
	prm.ca = prm.cert = testcerts_put(t, "empty", "");
	prm.cert = NULL;
	refuse(&prm, "cannot use CA certificate /tmp/");
	prm.ca = "/nonexistent/ca.pem";
	refuse(&prm, "/nonexistent/ca.pem: No such file or directory");
}


/* There is no way to ask for a context that does not verify */
static void test_tlsctx_bad_wishes(void **state)
{
	const char *cert = path(state, "server"), *ca = path(state, "ca");
	const struct tlsctx_prm none = { .min_version = TLS1_3_VERSION },
				noca = { .cert = cert,
					 .min_version = TLS1_3_VERSION,
					 .require_client = true },
				nocert = { .ca = ca,
					   .min_version = TLS1_3_VERSION,
					   .require_client = true },
				old = { .min_version = TLS1_1_VERSION,
					.peer_name = "a" },
				empty = { .min_version = TLS1_2_VERSION,
					  .peer_name = "" };

	refuse(&none, "neither");
	refuse(&noca, "CA of their own");
	refuse(&nocert, "needs a certificate");
	refuse(&old, "least version");
	refuse(&empty, "cannot set up TLS");
}


static int make_all(struct testcerts *t)
{
	static const char nul[] = "urn:sipis:tenant:acme\0.evil";
	const char *acme = "urn:sipis:tenant:acme";
	char big[200];
	const struct testcert v[] = {
		{ .file = "ca" },
		{ .file = "ca2" },
		{ .file = "server",
		  .ca = "ca",
		  .dns = "m1.example",
		  .ip = "127.0.0.1",
		  .eku = "serverAuth" },
		{ .file = "server-foreign", .ca = "ca2", .dns = "m1.example" },
		{ .file = "server-old",
		  .ca = "ca",
		  .dns = "m1.example",
		  .expired = true },
		{ .file = "cnonly.example", .ca = "ca", .eku = "serverAuth" },
		{ .file = "client",
		  .ca = "ca",
		  .uri = { acme },
		  .eku = "clientAuth" },
		{ .file = "client-foreign", .ca = "ca2", .uri = { acme } },
		{ .file = "client-old",
		  .ca = "ca",
		  .uri = { acme },
		  .expired = true },
		{ .file = "client-two",
		  .ca = "ca",
		  .uri = { acme, "urn:sipis:tenant:evil" } },
		{ .file = "client-none", .ca = "ca", .dns = "acme.example" },
		{ .file = "client-nul",
		  .ca = "ca",
		  .uri = { nul },
		  .uri_len = sizeof(nul) - 1 },
		{ .file = "client-space",
		  .ca = "ca",
		  .uri = { "urn:sipis:tenant:ac me" } },
		{ .file = "client-long", .ca = "ca", .uri = { big } },
	};
	int err = 0;

	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';

	for (size_t i = 0; i < ARRAY_SIZE(v) && !err; i++)
		err = testcerts_make(t, &v[i]);

	return err;
}


static int setup(void **state)
{
	static struct certs certs;
	int err;

	err = libre_init();
	err = err ? err : testcerts_alloc(&certs.t);
	err = err ? err : make_all(certs.t);
	*state = &certs;

	return err;
}


static int teardown(void **state)
{
	struct certs *c = *state;

	testcerts_close(c->t);
	libre_close();

	return 0;
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tlsctx_address_as_name),
		cmocka_unit_test(test_tlsctx_alpn),
		cmocka_unit_test(test_tlsctx_bad_files),
		cmocka_unit_test(test_tlsctx_bad_wishes),
		cmocka_unit_test(test_tlsctx_common_name_is_no_name),
		cmocka_unit_test(test_tlsctx_expired),
		cmocka_unit_test(test_tlsctx_foreign_client),
		cmocka_unit_test(test_tlsctx_no_client_certificate),
		cmocka_unit_test(test_tlsctx_peer_uri),
		cmocka_unit_test(test_tlsctx_purpose),
		cmocka_unit_test(test_tlsctx_resumption_keeps_the_tenant),
		cmocka_unit_test(test_tlsctx_right_name),
		cmocka_unit_test(test_tlsctx_sip_stack),
		cmocka_unit_test(test_tlsctx_unknown_ca),
		cmocka_unit_test(test_tlsctx_version),
		cmocka_unit_test(test_tlsctx_wrong_name),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
