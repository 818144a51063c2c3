/**
 * @file test_grant.c  What 200 answers of PBXs say of the bindings
 */

#include "tests/unit/common/unit.h"
#include <stdio.h>
#include <string.h>
#include <re/re.h>
#include "sipis/reg/grant.h"

#define USER "000102030405060708090a0b0c0d0e0f"

static const uint8_t contact[STORE_CONTACT] = { 0, 1, 2,  3,  4,  5,  6,  7,
						8, 9, 10, 11, 12, 13, 14, 15 };
static const struct grant_home home = { .tp = SIP_TRANSP_UDP };


static struct sip_msg *answer(const char *headers)
{
	struct mbuf *mb = mbuf_alloc(2048);
	struct sip_msg *msg = NULL;

	assert_int_equal(
		0, mbuf_printf(mb,
			       "SIP/2.0 200 OK\r\n"
			       "Via: SIP/2.0/UDP a;branch=z9hG4bK1\r\n"
			       "From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\n"
			       "Call-ID: 1\r\nCSeq: 1 REGISTER\r\n%s"
			       "Content-Length: 0\r\n\r\n",
			       headers));
	mb->pos = 0;
	assert_int_equal(0, sip_msg_decode(&msg, mb));
	mem_deref(mb);

	return msg;
}


static void check(const char *headers, bool ours, unsigned others,
		  uint32_t seconds)
{
	struct sip_msg *msg = answer(headers);

	/* As libre has it, and as it came off the wire */
	for (int wire = 0; wire < 2; wire++) {
		struct answer ans;
		struct grant g;
		uint32_t s;

		answer_of_msg(&ans, msg);
		if (wire)
			assert_int_equal(0, answer_decode(&ans,
							  (char *)msg->mb->buf,
							  msg->mb->end));
		grant_parse(&g, &ans, contact, &home);
		s = grant_seconds(&g, &ans, 600);
		if (g.ours != ours || g.others != others || s != seconds)
			fail_msg("%d: ours %d others %u seconds %u of: %s",
				 wire, g.ours, g.others, s, headers);
	}
	mem_deref(msg);
}


static void test_grant_ours(void **state)
{
	char mark[GRANT_MARK_LEN + 1], headers[256];
	(void)state;

	check("Contact: <sip:" USER "@1.2.3.4:5070;sipis=x>;expires=300\r\n",
	      true, 0, 300);
	check("Contact: <sip:" USER "@9.9.9.9>;q=0.5;expires=\"300\"\r\n",
	      true, 0, 300);
	check("m: \"a <b>, c\" <sip:" USER "@h>; Expires = 300\r\n", true, 0,
	      300);
	check("Contact: sip:" USER "@h;expires=300\r\n", true, 0, 300);
	check("Contact: <sip:" USER "@h>\r\nExpires: 120\r\n", true, 0, 120);
	check("Contact: <sip:" USER "@h>\r\n", true, 0, 600);

	/* The user was rewritten, our parameter was not */
	grant_mark(mark, contact);
	(void)re_snprintf(headers, sizeof(headers),
			  "Contact: <sip:100@h;x=y;sipis=%s>;expires=99\r\n",
			  mark);
	check(headers, true, 0, 99);
}


/* promises.md F6: the PBX put another contact in place of ours */
static void test_grant_lowest_if_not_ours(void **state)
{
	(void)state;

	check("Contact: <sip:100@h1>;expires=400\r\n"
	      "Contact: <sip:100@h2>;expires=200, "
	      "<sip:100@h3>;expires=300\r\n",
	      false, 3, 200);
	check("Contact: <sip:100@h1>;expires=90,"
	      " <sip:" USER "@h>;expires=500\r\n",
	      true, 1, 500);
	check("", false, 0, 600);
	check("Expires: 77\r\n", false, 0, 77);
	check("Contact: *\r\n", false, 0, 600);
}


/* promises.md F4 */
static void test_grant_clamps(void **state)
{
	(void)state;

#define OURS(e) "Contact: <sip:" USER "@h>;expires=" e "\r\n"
	check(OURS("0"), true, 0, 60);
	check(OURS("1"), true, 0, 60);
	check(OURS("59"), true, 0, 60);
	check(OURS("60"), true, 0, 60);
	check(OURS("7200"), true, 0, 7200);
	check(OURS("7201"), true, 0, 7200);
	check(OURS("2147483648"), true, 0, 7200);
	check(OURS("4294967295"), true, 0, 7200);
	check(OURS("4294967296"), true, 0, 7200);
	check(OURS("99999999999999999999999"), true, 0, 7200);
	check(OURS("-1"), true, 0, 600);
	check(OURS("x"), true, 0, 600);
	check(OURS(""), true, 0, 600);
}


static void test_grant_other(void **state)
{
	struct sip_msg *msg =
		answer("Contact: <sip:100@old>;expires=10\r\n"
		       "Contact: <sip:100@new;pub-gruu=\"x\">;expires=3600"
		       ";+sip.instance=\"<urn:uuid:1>\"\r\n"
		       "Contact: <sip:" USER "@h>;expires=500\r\n");
	struct answer ans;
	struct grant g;
	(void)state;

	answer_of_msg(&ans, msg);
	grant_parse(&g, &ans, contact, &home);
	assert_true(g.ours);
	assert_int_equal(2, g.others);
	assert_string_equal("sip:100@new;pub-gruu=\"x\"", g.other);
	mem_deref(msg);
}


static void parse(struct grant *g, const char *headers)
{
	struct sip_msg *msg = answer(headers);
	struct answer ans;

	answer_of_msg(&ans, msg);
	grant_parse(g, &ans, contact, &home);
	mem_deref(msg);
}


/* A desk phone that refreshes is the same binding, an app is another one */
static void test_grant_hashes(void **state)
{
	struct grant before, after;
	(void)state;

	parse(&before, "Contact: <sip:" USER "@h>;expires=500,"
		       "<sip:100@desk;line=1>;expires=20\r\n"
		       "Contact: sip:100@hall;expires=90\r\n");
	assert_int_equal(2, before.others);
	assert_int_equal(2, before.hashc);
	assert_int_not_equal(before.hashes[0], before.hashes[1]);

	parse(&after, "Contact: <sip:100@app>;expires=9\r\n"
		      "Contact: <sip:100@hall>;q=1;expires=88\r\n"
		      "Contact: \"x\" <sip:100@desk;line=1>;expires=3600\r\n"
		      "Contact: <sip:" USER "@h>;expires=498\r\n");
	assert_int_equal(3, after.hashc);
	assert_int_equal(before.hashes[0], after.hashes[2]);
	assert_int_equal(before.hashes[1], after.hashes[1]);
	assert_int_not_equal(before.hashes[0], after.hashes[0]);
	assert_int_not_equal(before.hashes[1], after.hashes[0]);

	parse(&after, "Contact: <sip:" USER "@h>;expires=498\r\n");
	assert_int_equal(0, after.hashc);
}


static bool is_here(const char *addr, enum sip_transp tp, const char *contacts)
{
	struct grant_home at = { .tp = tp };
	char headers[512];
	struct sip_msg *msg;
	struct answer ans;
	struct grant g;

	assert_int_equal(0, sa_decode(&at.addr, addr, strlen(addr)));
	(void)snprintf(headers, sizeof(headers), "Contact: %s\r\n", contacts);
	msg = answer(headers);
	answer_of_msg(&ans, msg);
	grant_parse(&g, &ans, contact, &at);
	mem_deref(msg);
	assert_true(g.ours);
	assert_int_equal(0, g.others);
	assert_int_equal(77, g.ours_s);

	return g.here;
}


/* A binding of before a restart leads to where we were then */
static void test_grant_here(void **state)
{
	static const struct {
		const char *at;
		enum sip_transp tp;
		const char *contacts;
		bool here;
	} table[] = {
#define UDP  SIP_TRANSP_UDP
#define TCP  SIP_TRANSP_TCP
#define OUR  "<sip:" USER "@"
#define FOR  ">;expires=77"
#define PAST ">;expires=99"
		{ "1.2.3.4:5070", UDP, OUR "1.2.3.4:5070" FOR, true },
		{ "1.2.3.4:5070", UDP, OUR "1.2.3.4:5090" FOR, false },
		{ "1.2.3.4:5070", UDP, OUR "1.2.3.5:5070" FOR, false },
		{ "1.2.3.4:5070", UDP, OUR "h.test:5070" FOR, false },
		{ "1.2.3.4:5070", UDP, OUR "1.2.3.4" FOR, false },
		{ "1.2.3.4:5060", UDP, OUR "1.2.3.4" FOR, true },
		{ "1.2.3.4:5070", UDP,
		  OUR "1.2.3.4:5070;x=y;transport=UDP" FOR, true },
		{ "1.2.3.4:5070", UDP, OUR "1.2.3.4:5070;transport=tcp" FOR,
		  false },
		{ "1.2.3.4:5070", UDP, OUR "1.2.3.4:5070;transport=ws" FOR,
		  false },
		{ "1.2.3.4:5070", TCP, OUR "1.2.3.4:5070;transport=tcp" FOR,
		  true },
		{ "1.2.3.4:5070", TCP, OUR "1.2.3.4:5070" FOR, false },
		{ "1.2.3.4:5061", SIP_TRANSP_TLS, "<sips:" USER "@1.2.3.4" FOR,
		  true },
		{ "[2001:db8::1]:5070", UDP, OUR "[2001:db8::1]:5070" FOR,
		  true },
		{ "[2001:db8::1]:5070", UDP, OUR "[2001:db8::2]:5070" FOR,
		  false },
		/* both are listed */
		{ "1.2.3.4:5070", UDP,
		  OUR "1.2.3.4:5090" PAST "," OUR "1.2.3.4:5070" FOR, true },
		{ "1.2.3.4:5070", UDP,
		  OUR "1.2.3.4:5070" FOR "," OUR "1.2.3.4:5090" PAST, true },
	};
	(void)state;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (is_here(table[i].at, table[i].tp, table[i].contacts) !=
		    table[i].here)
			fail_msg("%zu: at %s: %s", i, table[i].at,
				 table[i].contacts);
}


static void test_grant_more_than_hashes(void **state)
{
	char headers[1024] = "Contact: <sip:0@x>";
	struct grant g;
	(void)state;

	for (int i = 1; i <= GRANT_HASHES; i++) {
		const size_t n = strlen(headers);

		(void)snprintf(headers + n, sizeof(headers) - n,
			       ",<sip:%d@x>%s", i,
			       i == GRANT_HASHES ? "\r\n" : "");
	}

	parse(&g, headers);
	assert_int_equal(GRANT_HASHES + 1, g.others);
	assert_int_equal(GRANT_HASHES, g.hashc);
}


static void test_grant_garbage(void **state)
{
	(void)state;

	check("Contact: \r\n", false, 0, 600);
	check("Contact: <sip:" USER "@h\r\n", false, 0, 600);
	check("Contact: \"" USER "\r\n", false, 0, 600);
	check("Contact: \"a\\\r\n", false, 0, 600);
	check("Contact: <>;expires=5\r\n", false, 0, 600);
	check("Contact: ;;;=;expires\r\n", false, 0, 600);
	check("Contact: <sip:x>;expires\r\n", false, 1, 600);
	check("Contact: <sip:x>;expires=\r\n", false, 1, 600);
	check("Contact: <sip:x>;xexpires=5;expires=80\r\n", false, 1, 80);
}


static void test_grant_number(void **state)
{
	static const struct {
		const char *s;
		uint32_t v;
	} table[] = {
		{ "0", 0 },
		{ "3600", 3600 },
		{ "", UINT32_MAX },
		{ "1x", UINT32_MAX },
		{ "-1", UINT32_MAX },
		{ "4294967294", UINT32_MAX - 1 },
		{ "4294967295", UINT32_MAX - 1 },
		{ "18446744073709551617", UINT32_MAX - 1 },
	};
	(void)state;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct pl pl;

		pl_set_str(&pl, table[i].s);
		assert_int_equal(table[i].v, grant_number(&pl));
	}
}


/* Ours, of our binding, and no other: RFC 5627 */
static void test_grant_gruu(void **state)
{
	static const struct {
		const char *params;
		bool gruu;
	} v[] = {
		{ ";pub-gruu=\"sip:a@b;gr=urn:x\"", true },
		{ ";expires=60;temp-gruu=\"sip:t@b;gr\""
		  ";pub-gruu=\"sip:a@b;gr=urn:x\";+sip.instance=\"<urn:x>\"",
		  true },
		{ ";expires=60", false },
		{ ";pub-gruu=\"sip:a@b;gr=urn:xy\"", false },
		{ ";pub-gruu=\"sip:a@b;gr=other\"", false },
		{ ",<sip:a@c>;pub-gruu=\"sip:a@b;gr=urn:x\"", false },
	};
	struct grant_home at = home;
	(void)state;

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		char headers[256];
		struct sip_msg *msg;
		struct answer ans;
		struct grant g;

		(void)snprintf(headers, sizeof(headers),
			       "Contact: <sip:" USER "@1.2.3.4>%s\r\n",
			       v[i].params);
		msg = answer(headers);
		answer_of_msg(&ans, msg);
		at.gruu = "sip:a@b;gr=urn:x";
		grant_parse(&g, &ans, contact, &at);
		assert_int_equal(g.gruu, v[i].gruu);
		at.gruu = NULL;
		grant_parse(&g, &ans, contact, &at);
		assert_false(g.gruu);
		mem_deref(msg);
	}
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grant_ours),
		cmocka_unit_test(test_grant_lowest_if_not_ours),
		cmocka_unit_test(test_grant_clamps),
		cmocka_unit_test(test_grant_other),
		cmocka_unit_test(test_grant_hashes),
		cmocka_unit_test(test_grant_here),
		cmocka_unit_test(test_grant_more_than_hashes),
		cmocka_unit_test(test_grant_garbage),
		cmocka_unit_test(test_grant_number),
		cmocka_unit_test(test_grant_gruu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
