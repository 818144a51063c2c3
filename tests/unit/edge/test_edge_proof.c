/**
 * @file test_edge_proof.c  Which answer to a challenge it is, and is it right?
 */

#include <stdlib.h>
#include <string.h>
#include <re/re.h>
#include "common/clock.h"
#include "sipis/edge/proof.h"
#include "sipis/sip/digest.h"
#include "tests/unit/common/unit.h"

#define NONCE_7616 "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
#define ANSWER_7616                                                          \
	"Authorization: Digest username=\"Mufasa\", "                        \
	"realm=\"http-auth@example.org\", uri=\"/dir/index.html\", "         \
	"nonce=\"" NONCE_7616 "\", nc=00000001, "                            \
	"cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", "          \
	"qop=auth, opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"," \
	" algorithm=%s, response=\"%s\"\r\n"

int __real_httpauth_digest_response_decode(struct httpauth_digest_resp *resp,
					   const struct pl *hval);
int __wrap_httpauth_digest_response_decode(struct httpauth_digest_resp *resp,
					   const struct pl *hval);
size_t __wrap_edge_ha1(uint8_t ha1[CRED_HA1_MAX], const struct edge *e,
		       const struct acct_row *row, enum digest_alg alg,
		       const struct pl *realm);

struct fix {
	struct edge e;
	struct sip_msg *msg;
	struct edge_proof p;
	struct acct_row row;
	char good[EDGE_NONCE_LEN + 1];
	unsigned decoded;
};

/** Who counts; libre's decoders have no argument of ours */
static struct fix *fix;


int __wrap_httpauth_digest_response_decode(struct httpauth_digest_resp *resp,
					   const struct pl *hval)
{
	++fix->decoded;

	return __real_httpauth_digest_response_decode(resp, hval);
}


/* RFC 7616 3.9.1 */
size_t __wrap_edge_ha1(uint8_t ha1[CRED_HA1_MAX], const struct edge *e,
		       const struct acct_row *row, enum digest_alg alg,
		       const struct pl *realm)
{
	static const char text[] =
		"Mufasa:http-auth@example.org:Circle of Life";
	const struct digest_part part = { text, sizeof(text) - 1 };
	(void)e;
	(void)row;
	(void)realm;

	return digest_hash(ha1, alg, &part, 1);
}


static void comes(struct fix *f, const char *met, const char *lines)
{
	struct mbuf *mb = mbuf_alloc(2048);

	assert_int_equal(mbuf_printf(mb,
				     "%s sip:h SIP/2.0\r\n"
				     "Via: SIP/2.0/TLS h;branch=z9hG4bKx\r\n"
				     "From: <sip:100@h>;tag=a\r\n"
				     "To: <sip:100@h>\r\n"
				     "Call-ID: x\r\nCSeq: 1 %s\r\n"
				     "%sContent-Length: 0\r\n\r\n",
				     met, met, lines),
			 0);
	mb->pos = 0;
	f->msg = mem_deref(f->msg);
	assert_int_equal(sip_msg_decode(&f->msg, mb), 0);
	mem_deref(mb);
	assert_int_equal(sa_set_str(&f->msg->src, "1.2.3.4", 5), 0);
}


/* One for each pair of realm and nonce */
static void answers(struct fix *f, const char *const *pairs)
{
	char lines[1024] = "";
	size_t n = 0;

	for (; *pairs; pairs += 2)
		n += (size_t)re_snprintf(
			lines + n, sizeof(lines) - n,
			"Authorization: Digest username=\"100\", "
			"realm=\"%s\", nonce=\"%s\", uri=\"sip:h\", "
			"response=\"00000000000000000000000000000000\"\r\n",
			pairs[0], pairs[1]);
	comes(f, "REGISTER", lines);
	f->decoded = 0;
	edge_proof_read(&f->p, &f->e, f->msg);
}


static void chosen(struct fix *f, const char *realm)
{
	f->row.realm = "pbx";
	edge_proof_choose(&f->p, f->msg, &f->row);
	assert_int_equal(pl_strcmp(&f->p.resp.realm, realm), 0);
	assert_int_equal(edge_proof_amiss(&f->row, &f->p.resp),
			 strcmp(realm, "pbx") != 0);
}


static void test_none(void **state)
{
	struct fix *f = *state;
	const char *const none[] = { NULL };
	const char *const foreign[] = { "pbx", "abc", NULL };

	answers(f, none);
	assert_int_equal(f->p.nonce, EDGE_NONCE_FOREIGN);
	answers(f, foreign);
	assert_int_equal(f->p.nonce, EDGE_NONCE_FOREIGN);
}


/* As it comes with each REGISTER */
static void test_one_is_read_once(void **state)
{
	struct fix *f = *state;
	const char *const one[] = { "pbx", f->good, NULL };

	answers(f, one);
	assert_int_equal(f->p.nonce, EDGE_NONCE_GOOD);
	chosen(f, "pbx");
	assert_int_equal(f->decoded, 1);
}


static void test_nonces(void **state)
{
	struct fix *f = *state;
	char moved[EDGE_NONCE_LEN + 1];
	const char *const both[] = {
		"a", "abc", "b", f->good, "c", moved, NULL
	};
	const char *const old[] = { "a", "abc", "pbx", moved, NULL };

	(void)str_ncpy(moved, f->good, sizeof(moved));
	moved[EDGE_NONCE_LEN - 1] ^= 1;
	answers(f, both);
	assert_int_equal(f->p.nonce, EDGE_NONCE_GOOD);
	assert_int_equal(pl_strcmp(&f->p.resp.realm, "b"), 0);
	assert_false(f->p.several);
	answers(f, old);
	assert_int_equal(f->p.nonce, EDGE_NONCE_STALE);
	assert_int_equal(pl_strcmp(&f->p.resp.nonce, moved), 0);
}


/* One nonce for several realms: that of the account, wherever it stands */
static void test_realms(void **state)
{
	struct fix *f = *state;
	const char *const first[] = { "pbx", f->good, "h", f->good, NULL };
	const char *const last[] = { "x",   "abc",   "h", f->good,
				     "pbx", f->good, NULL };
	const char *const no[] = { "h", f->good, "i", f->good, NULL };

	answers(f, first);
	assert_true(f->p.several);
	chosen(f, "pbx");
	answers(f, last);
	assert_true(f->p.several);
	chosen(f, "pbx");
	answers(f, no);
	chosen(f, "h");
}


/* RFC 7616 3.9.1 */
static void test_right(void **state)
{
	static const char *const v[][2] = {
		{ "MD5", "8ca523f5e9506fed4657c9700eebdbec" },
		{ "SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf449"
			     "6794697cf8db5856cb6c1" },
	};
	struct fix *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		struct httpauth_digest_resp r;
		char lines[1024];

		(void)re_snprintf(lines, sizeof(lines), ANSWER_7616, v[i][0],
				  v[i][1]);
		comes(f, "GET", lines);
		assert_int_equal(
			httpauth_digest_response_decode(
				&r, &sip_msg_hdr(f->msg, SIP_HDR_AUTHORIZATION)
					     ->val),
			0);
		assert_true(edge_proof_right(&f->e, f->msg, &f->row, &r));
		++r.nc.l;
		assert_false(edge_proof_right(&f->e, f->msg, &f->row, &r));
	}
}


static void test_bearer(void **state)
{
	static const struct {
		enum sip_transp tp;
		const char *text;
		bool good;
	} v[] = {
		{ SIP_TRANSP_TLS, "Bearer %s.%s", true },
		{ SIP_TRANSP_TCP, "Bearer %s.%s", false },
		{ SIP_TRANSP_TLS, "Bearer %s-%s", false },
		{ SIP_TRANSP_TLS, "Bearer %s.%s0", false },
		{ SIP_TRANSP_TLS, "Basic %s.%s", false },
	};
	char id[STORE_ID_LEN + 1], secret[STORE_SECRET_LEN + 1];
	struct fix *f = *state;

	memset(id, 'a', STORE_ID_LEN);
	memset(secret, 'b', STORE_SECRET_LEN);
	id[STORE_ID_LEN] = secret[STORE_SECRET_LEN] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		char value[256], lines[300], read[STORE_ID_LEN + 1];
		uint8_t sha256[32];

		(void)re_snprintf(value, sizeof(value), v[i].text, id, secret);
		(void)re_snprintf(lines, sizeof(lines),
				  "Authorization: %s\r\n", value);
		comes(f, "REGISTER", lines);
		f->msg->tp = v[i].tp;
		assert_int_equal(edge_proof_bearer(read, sha256, f->msg),
				 v[i].good);
		if (v[i].good)
			assert_string_equal(read, id);
	}
}


static int setup(void **state)
{
	static const struct cred_key from;
	struct sa sa;
	const struct edge_asked who = { &sa, "100@h" };

	fix = calloc(1, sizeof(*fix));
	if (!fix || sa_set_str(&sa, "1.2.3.4", 5) ||
	    edge_key_derive(&fix->e.key, &from))
		return -1;

	*state = fix;

	return edge_nonce_write(fix->good, &fix->e.key, &who,
				clock_wall_ms() / 1000, 7);
}


static int teardown(void **state)
{
	mem_deref(fix->msg);
	free(fix);
	*state = NULL;

	return 0;
}


#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_none),   T(test_one_is_read_once),
		T(test_nonces), T(test_realms),
		T(test_right),  T(test_bearer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
