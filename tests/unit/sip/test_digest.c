/**
 * @file test_digest.c  Digest: RFC 7616, RFC 2617 and what PBXs make of them
 */

#include "tests/unit/common/unit.h"
#include <errno.h>
#include <string.h>
#include <re/re.h>
#include "sipis/sip/cred.h"
#include "sipis/sip/digest.h"

#define MUFASA                                                     \
	"realm=\"http-auth@example.org\", "                        \
	"nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", " \
	"opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""

static const char cnonce[] = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";


/* A response with these header lines */
static struct sip_msg *response(unsigned scode, const char *headers)
{
	struct mbuf *mb = mbuf_alloc(2048);
	struct sip_msg *msg = NULL;

	assert_int_equal(0,
			 mbuf_printf(mb,
				     "SIP/2.0 %u X\r\n"
				     "Via: SIP/2.0/UDP a;branch=z9hG4bK1\r\n"
				     "From: <sip:a@b>;tag=1\r\n"
				     "To: <sip:a@b>\r\n"
				     "Call-ID: 1\r\n"
				     "CSeq: 1 REGISTER\r\n"
				     "%s"
				     "Content-Length: 0\r\n\r\n",
				     scode, headers));
	mb->pos = 0;
	assert_int_equal(0, sip_msg_decode(&msg, mb));
	mem_deref(mb);

	return msg;
}


/* Both kinds of answers say the same */
static unsigned count(struct digest_chall *v, unsigned max, unsigned *seen,
		      const struct sip_msg *msg)
{
	struct digest_chall raw[DIGEST_CHALLENGES];
	struct answer ans, wire;
	unsigned n;

	answer_of_msg(&ans, msg);
	n = digest_challenges(v, max, seen, &ans);
	assert_int_equal(
		0, answer_decode(&wire, (char *)msg->mb->buf, msg->mb->end));
	assert_int_equal(n, digest_challenges(raw, max, NULL, &wire));
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(0, pl_cmp(&raw[i].nonce, &v[i].nonce));
		assert_int_equal(raw[i].alg, v[i].alg);
	}

	return n;
}


static unsigned challenges(struct digest_chall *v, struct sip_msg **msgp,
			   const char *headers)
{
	*msgp = response(401, headers);

	return count(v, DIGEST_CHALLENGES, NULL, *msgp);
}


/* The Authorization line for a challenge, as a string to be freed */
static char *authorize(const char *header, const char *user,
		       const char *password, const char *cn, const char *met,
		       const char *uri)
{
	struct digest_chall v[DIGEST_CHALLENGES];
	struct digest_nonce *n;
	struct sip_msg *msg;
	uint8_t ha1[CRED_HA1_MAX];
	char realm[64], *line;
	struct mbuf *mb;

	assert_int_equal(1, challenges(v, &msg, header));
	assert_int_equal(0, digest_nonce_alloc(&n, &v[0]));
	mem_deref(msg);
	assert_int_equal(0, digest_nonce_set_cnonce(n, cn));
	assert_int_equal(0, digest_nonce_realm(realm, sizeof(realm), n));
	assert_int_not_equal(
		0, cred_ha1(ha1, digest_nonce_alg(n), user, realm, password));

	mb = mbuf_alloc(512);
	assert_int_equal(0, digest_authorize(mb, n, user, ha1, met, uri));
	mb->pos = 0;
	assert_int_equal(0, mbuf_strdup(mb, &line, mb->end));
	mem_deref(mb);
	mem_deref(n);

	return line;
}


static void has(const char *line, const char *part)
{
	if (!strstr(line, part))
		fail_msg("\"%s\" is not in \"%s\"", part, line);
}


static void check_response(const char *params, const char *wanted)
{
	char header[512], *line;

	(void)re_snprintf(header, sizeof(header),
			  "WWW-Authenticate: Digest " MUFASA "%s\r\n", params);
	line = authorize(header, "Mufasa", "Circle of Life", cnonce, "GET",
			 "/dir/index.html");
	has(line, wanted);
	mem_deref(line);
}


static void test_digest_rfc7616_examples(void **state)
{
	(void)state;

	check_response(", qop=\"auth, auth-int\", algorithm=MD5",
		       "response=\"8ca523f5e9506fed4657c9700eebdbec\"");
	check_response(", qop=\"auth, auth-int\", algorithm=SHA-256",
		       "response=\"753927fa0e85d155564e2e272a28d1802ca10daf4"
		       "496794697cf8db5856cb6c1\"");
}


static void test_digest_sess_and_no_qop(void **state)
{
	(void)state;

	check_response(", qop=\"auth\", algorithm=MD5-sess",
		       "response=\"e783283f46242139c486a698fec7211d\"");
	check_response(", qop=auth, algorithm=SHA-256-sess",
		       "response=\"2fd51b3a77ad75bad6afad6003e818d767133c46d"
		       "9e2749e7f5232ae1ea3efd7\"");
	check_response("", "response=\"7b2cc3b30e75b4777ea31027084363fd\"");
	check_response(", algorithm=\"SHA-256\"",
		       "response=\"a1306b0595a6c7fe96c448631fb5cfbd5107bd1fe"
		       "1da729d978dd7446b812363\"");
}


static void test_digest_rfc2617_example(void **state)
{
	char *line = authorize("WWW-Authenticate: Digest "
			       "realm=\"testrealm@host.com\", "
			       "qop=\"auth,auth-int\", "
			       "nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", "
			       "opaque=\"5ccc069c403ebaf9f0171e9517f40e41\""
			       "\r\n",
			       "Mufasa", "Circle Of Life", "0a4f113b", "GET",
			       "/dir/index.html");
	(void)state;

	has(line, "Authorization: Digest username=\"Mufasa\"");
	has(line, "response=\"6629fae49393a05397450978507c4ef1\"");
	has(line, "opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"");
	has(line, "qop=auth, nc=00000001, cnonce=\"0a4f113b\"");
	assert_null(strstr(line, "algorithm"));
	mem_deref(line);
}


static void test_digest_writes_what_was_offered(void **state)
{
	char *line;
	(void)state;

	line = authorize("Proxy-Authenticate: DIGEST nonce=n,realm=\"r\","
			 "algorithm=md5\r\n",
			 "a\"b\\c\r\nX: y", "p", "c", "REGISTER", "sip:d");
	has(line, "Proxy-Authorization: Digest "
		  "username=\"a\\\"b\\\\cX: y\", realm=\"r\", nonce=\"n\"");
	has(line, "algorithm=MD5");
	assert_null(strstr(line, "qop"));
	assert_null(strstr(line, "opaque"));
	mem_deref(line);
}


static void test_digest_several_in_any_order(void **state)
{
	static const char *const headers[] = {
		"WWW-Authenticate: Digest realm=\"r\",nonce=\"m\"\r\n"
		"WWW-Authenticate: Digest realm=\"r\",nonce=\"s\","
		"algorithm=SHA-256,qop=\"auth\"\r\n",

		"WWW-Authenticate: Digest realm=\"r\",nonce=\"s\","
		"algorithm=SHA-256,qop=\"auth\"\r\n"
		"WWW-Authenticate: Digest realm=\"r\",nonce=\"m\"\r\n",

		"WWW-Authenticate: Digest realm=\"r\", nonce=\"s\", "
		"algorithm=SHA-256, qop=\"auth-int,auth\", Digest "
		"realm=\"r\", nonce=\"m\"\r\n",

		"WWW-Authenticate: Basic realm=\"r\"\r\n"
		"WWW-Authenticate: Digest algorithm=SHA-512-256,realm=\"r\","
		"nonce=\"x\",qop=\"auth\"\r\n"
		"WWW-Authenticate: Digest algorithm=SHA-256,nonce=\"s\","
		"realm=\"r\",stale=FALSE,qop=\"auth\"\r\n"
		"WWW-Authenticate: Digest realm=\"r\",nonce=\"m\"\r\n",
	};
	const struct digest_pin pin = { .realm = NULL };
	(void)state;

	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		struct digest_chall v[DIGEST_CHALLENGES];
		const struct digest_chall *ch;
		struct sip_msg *msg;

		assert_int_equal(2, challenges(v, &msg, headers[i]));
		assert_int_equal(0, digest_choose(&ch, v, 2, &pin));
		assert_int_equal(DIGEST_SHA256, ch->alg);
		assert_int_equal(0, pl_strcmp(&ch->nonce, "s"));
		mem_deref(msg);
	}
}


static void test_digest_pinning(void **state)
{
	struct digest_chall v[DIGEST_CHALLENGES];
	const struct digest_chall *ch;
	struct sip_msg *msg;
	const unsigned n = challenges(
		v, &msg,
		"WWW-Authenticate: Digest realm=\"a\\\"b\",nonce=\"m\"\r\n"
		"WWW-Authenticate: Digest realm=\"evil\",nonce=\"s\","
		"algorithm=SHA-256,qop=\"auth\"\r\n");
	struct digest_pin pin = { .realm = "a\"b" };
	(void)state;

	assert_int_equal(2, n);
	assert_int_equal(0, digest_choose(&ch, v, n, &pin));
	assert_int_equal(DIGEST_MD5, ch->alg);

	/* Never below what it was */
	pin.alg = DIGEST_SHA256;
	assert_int_equal(ENOTSUP, digest_choose(&ch, v, n, &pin));

	/* Never for another realm */
	pin.realm = "c";
	assert_int_equal(EACCES, digest_choose(&ch, v, n, &pin));

	/* There is but the MD5 hash: the better one is of no use */
	pin.realm = "evil";
	pin.alg = DIGEST_MD5;
	pin.exact = true;
	assert_int_equal(ENOTSUP, digest_choose(&ch, v, n, &pin));
	pin.exact = false;
	assert_int_equal(0, digest_choose(&ch, v, n, &pin));

	assert_int_equal(ENOENT, digest_choose(&ch, v, 0, &pin));
	mem_deref(msg);
}


static void test_digest_stale_and_count(void **state)
{
	struct digest_chall v[DIGEST_CHALLENGES];
	struct digest_nonce *n, *next;
	struct sip_msg *msg;
	struct answer ans;
	const uint8_t ha1[CRED_HA1_MAX] = { 0 };
	struct mbuf *mb = mbuf_alloc(512);
	(void)state;

	assert_int_equal(1, challenges(v, &msg,
				       "WWW-Authenticate: Digest realm=\"r\","
				       "nonce=\"n\",stale=TRUE,qop=\"auth\""
				       "\r\n"));
	assert_true(v[0].stale);
	assert_int_equal(0, digest_nonce_alloc(&n, &v[0]));
	assert_true(digest_nonce_equal(n, &v[0]));
	mem_deref(msg);

	for (unsigned i = 1; i <= 17; i++) {
		assert_int_equal(0, digest_authorize(mb, n, "u", ha1,
						     "REGISTER", "sip:d"));
		assert_int_equal(i, digest_nonce_count(n));
	}
	assert_non_null(memmem(mb->buf, mb->end, "nc=00000011", 11));

	msg = response(200, "Authentication-Info: qop=auth, "
			    "rspauth=\"x\", nextnonce=\"n2\"\r\n");
	answer_of_msg(&ans, msg);
	assert_int_equal(0, digest_nonce_next(&next, n, &ans));
	mem_deref(next);
	assert_int_equal(
		0, answer_decode(&ans, (char *)msg->mb->buf, msg->mb->end));
	assert_int_equal(0, digest_nonce_next(&next, n, &ans));
	assert_int_equal(0, digest_nonce_count(next));
	mb->pos = mb->end = 0;
	assert_int_equal(
		0, digest_authorize(mb, next, "u", ha1, "REGISTER", "sip:d"));
	assert_non_null(memmem(mb->buf, mb->end, "nonce=\"n2\"", 10));
	mem_deref(msg);

	msg = response(200, "");
	answer_of_msg(&ans, msg);
	assert_int_equal(ENOENT, digest_nonce_next(&next, n, &ans));
	mem_deref(msg);
	mem_deref(next);
	mem_deref(n);
	mem_deref(mb);
}


static void test_digest_garbage_is_no_challenge(void **state)
{
	static const char *const headers[] = {
		"WWW-Authenticate:\r\n",
		"WWW-Authenticate: Digest\r\n",
		"WWW-Authenticate: Digest realm=\"r\"\r\n",
		"WWW-Authenticate: Digest nonce=\"n\"\r\n",
		"WWW-Authenticate: Digest realm=\"r\",nonce=\"\"\r\n",
		"WWW-Authenticate: Digest realm=\"r\",nonce=\"n\r\n",
		"WWW-Authenticate: Digest realm=\"r\",nonce=\"n\\\r\n",
		"WWW-Authenticate: Digest realm=\"r\",nonce=\"n\","
		"qop=\"auth-int\"\r\n",
		"WWW-Authenticate: Digest realm=\"r\",nonce=\"n\","
		"algorithm=AKAv1-MD5\r\n",
		"WWW-Authenticate: Digest realm=\"r\",nonce=\"n\","
		"algorithm=MD5-sess\r\n",
		"WWW-Authenticate: realm=\"r\",nonce=\"n\"\r\n",
		"WWW-Authenticate: Negotiate abcd==\r\n",
		"WWW-Authenticate: ,,,=,\"=\",;;\\\r\n",
	};
	struct digest_chall v[DIGEST_CHALLENGES];
	(void)state;

	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		struct sip_msg *msg;

		if (challenges(v, &msg, headers[i]))
			fail_msg("taken for a challenge: %s", headers[i]);
		mem_deref(msg);
	}
}


static void test_digest_more_than_we_take(void **state)
{
	char headers[4096] = "";
	struct digest_chall v[2];
	struct sip_msg *msg;
	unsigned seen;
	(void)state;

	for (int i = 0; i < 20; i++) {
		const size_t len = strlen(headers);

		(void)re_snprintf(headers + len, sizeof(headers) - len,
				  "WWW-Authenticate: Digest realm=\"r\","
				  "nonce=\"n\"\r\n");
	}
	msg = response(401, headers);
	assert_int_equal(2, count(v, 2, &seen, msg));
	assert_int_equal(20, seen);
	assert_int_equal(0, count(NULL, 0, &seen, msg));
	mem_deref(msg);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_digest_rfc7616_examples),
		cmocka_unit_test(test_digest_sess_and_no_qop),
		cmocka_unit_test(test_digest_rfc2617_example),
		cmocka_unit_test(test_digest_writes_what_was_offered),
		cmocka_unit_test(test_digest_several_in_any_order),
		cmocka_unit_test(test_digest_pinning),
		cmocka_unit_test(test_digest_stale_and_count),
		cmocka_unit_test(test_digest_garbage_is_no_challenge),
		cmocka_unit_test(test_digest_more_than_we_take),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
