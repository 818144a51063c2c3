/**
 * @file test_reason.c  What SIP headers say about a call
 */

#include <string.h>
#include "sipis/call/reason.h"
#include "tests/unit/common/unit.h"


static struct sip_msg *message(const char *headers, const char *body)
{
	struct mbuf *mb = mbuf_alloc(2048);
	struct sip_msg *msg = NULL;

	assert_int_equal(
		mbuf_printf(mb,
			    "INVITE sip:c0@192.0.2.1:5060 SIP/2.0\r\n"
			    "Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKx\r\n"
			    "From: \"Bob\" <sip:200@pbx.example>;tag=1\r\n"
			    "To: <sip:100@pbx.example>\r\n"
			    "Call-ID: abc\r\n"
			    "CSeq: 1 INVITE\r\n"
			    "%s"
			    "Content-Length: %zu\r\n"
			    "\r\n"
			    "%s",
			    headers, strlen(body), body),
		0);
	mb->pos = 0;
	assert_int_equal(sip_msg_decode(&msg, mb), 0);
	mem_deref(mb);
	return msg;
}


static void test_reason_of_cancel(void **state)
{
	static const struct {
		const char *header, *why;
	} v[] = {
		{ "", "cancelled" },
		{ "Q.850;cause=127", "cancelled" },
		{ "Q.850;cause=0", "cancelled" },
		{ "Q.850;cause=16;text=\"Normal\"", "cancelled" },
		{ "SIP;cause=487", "cancelled" },
		{ "SIP;cause=200;text=\"Call completed elsewhere\"",
		  "answered_elsewhere" },
		{ "sip ; cause=200", "answered_elsewhere" },
		{ "Q.850;cause=26", "answered_elsewhere" },
		{ "SIP;cause=600", "declined_elsewhere" },
		{ "SIP;cause=603;text=\"Decline\"", "declined_elsewhere" },
		{ "Q.850;cause=200", "cancelled" },
		{ "SIP;cause=26", "cancelled" },
		{ "SIP;cause=2000", "cancelled" },
		{ "Q.850;cause=16, SIP;cause=200", "answered_elsewhere" },
		{ "SIP;text=\"a, SIP;cause=200\";cause=487", "cancelled" },
		{ "SIP;text=\"never ends, SIP;cause=200", "cancelled" },
		{ "SIP;text=\"\\", "cancelled" },
		{ ",,, ,", "cancelled" },
		{ ";;;", "cancelled" },
	};
	(void)state;

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		/* exactly as long as it is: whoever reads on is caught */
		struct pl pl = { mem_alloc(strlen(v[i].header) + 1, NULL),
				 strlen(v[i].header) };

		memcpy((char *)pl.p, v[i].header, pl.l);
		if (strcmp(reason_of_cancel(&pl), v[i].why) != 0)
			fail_msg("%s: %s", v[i].header, reason_of_cancel(&pl));
		mem_deref((void *)pl.p);
	}

	assert_string_equal(reason_of_cancel(NULL), "cancelled");
	assert_string_equal(reason_of_cancel(&pl_null), "cancelled");
}


static void test_reason_diverted_by(void **state)
{
	static const struct {
		const char *headers;
		bool yes;
	} v[] = {
		{ "", false },
		{ "Diversion: <sip:100@127.0.0.10>;reason=unknown\r\n", true },
		{ "Diversion: \"100\" <sip:100@pbx>;reason=unknown\r\n",
		  true },
		{ "Diversion: <sip:1001@pbx>;reason=unknown\r\n", false },
		{ "Diversion: <sip:103@pbx>, <sip:100@pbx>\r\n", true },
		{ "Diversion: sip:100@pbx\r\n", false },
		{ "Diversion: <sip:10%30@pbx>\r\n", true },
		{ "History-Info: <sip:9@x>;index=1, "
		  "<sip:100@y?Reason=SIP%3Bcause%3D302>;index=1.1\r\n",
		  true },
		{ "Diversion: <\r\n", false },
		{ "Diversion: <sip:>\r\n", false },
	};
	(void)state;

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct sip_msg *msg = message(v[i].headers, "");

		if (reason_diverted_by(msg, "100") != v[i].yes)
			fail_msg("%s", v[i].headers);
		mem_deref(msg);
	}
}


static void test_reason_has_video(void **state)
{
	static const struct {
		const char *body;
		bool yes;
	} v[] = {
		{ "", false },
		{ "v=0\r\nm=audio 4000 RTP/AVP 0\r\n", false },
		{ "v=0\r\nm=audio 4000 RTP/AVP 0\r\nm=video 4002 RTP/AVP "
		  "96\r\n",
		  true },
		{ "v=0\r\nm=video 0 RTP/AVP 96\r\n", false },
		{ "v=0\r\ns=m=video 4002\r\n", false },
	};
	(void)state;

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct sip_msg *msg = message("", v[i].body);

		if (reason_has_video(msg) != v[i].yes)
			fail_msg("%s", v[i].body);
		mem_deref(msg);
	}
}


static void test_reason_text(void **state)
{
	static const struct {
		const char *in, *out;
		size_t size;
	} v[] = {
		{ "Bob", "Bob", 10 },
		{ "B\r\nob\x7f", "B  ob ", 10 },
		{ "\xc3\xa4\xe2\x82\xac\xf0\x9f\x93\x9e",
		  "\xc3\xa4\xe2\x82\xac\xf0\x9f\x93\x9e", 20 },
		/* never half a character */
		{ "ab\xe2\x82\xac", "ab", 5 },
		{ "ab\xe2\x82\xac", "ab\xe2\x82\xac", 6 },
		/* Latin-1, overlong, surrogate, out of range, cut off */
		{ "M\xfcller", "M?ller", 10 },
		{ "\xc0\xaf", "??", 10 },
		{ "\xed\xa0\x80", "???", 10 },
		{ "\xf5\x80\x80\x80", "????", 10 },
		{ "x\xe2\x82", "x??", 10 },
		{ "abc", "", 1 },
	};
	(void)state;

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		char dst[32];
		struct pl pl;

		pl_set_str(&pl, v[i].in);
		reason_text(dst, v[i].size, &pl);
		assert_string_equal(dst, v[i].out);
	}
}


static void test_reason_expires(void **state)
{
	static const struct {
		const char *headers;
		uint32_t s;
	} v[] = {
		{ "", 120 },
		{ "Expires: 30\r\n", 30 },
		{ "Expires: 0\r\n", 120 },
		{ "Expires: 300\r\n", 120 },
		{ "Expires: 4294967295\r\n", 120 },
		{ "Expires: soon\r\n", 120 },
	};
	(void)state;

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct sip_msg *msg = message(v[i].headers, "");

		if (reason_expires(msg, 120) != v[i].s)
			fail_msg("%s %u", v[i].headers,
				 reason_expires(msg, 120));
		mem_deref(msg);
	}
}


static void test_reason_unsupported(void **state)
{
	static const struct {
		const char *headers;
		const char *agent, *proxy;
	} v[] = {
		{ "", "", "" },
		{ "Require: 100rel, Timer\r\nRequire: replaces\r\n", "", "" },
		{ "Require: foo\r\n", "foo", "" },
		{ "Require: timer,foo , 100rel,bar\r\nRequire: x-1\r\n",
		  "foo, bar, x-1", "" },
		{ "Proxy-Require: foo\r\n", "", "foo" },
		{ "Proxy-Require: timer\r\n", "", "timer" },
		{ "Supported: foo\r\n", "", "" },
		{ "Require: \r\n", "", "" },
		{ "Require: ,\"\r\n ;foo\r\n", "foo", "" },
		{ "Require: much.too.long.to.fit.in, a\r\n", "a", "" },
	};
	char dst[20];
	(void)state;

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct sip_msg *msg = message(v[i].headers, "");

		assert_int_equal(reason_unsupported(dst, sizeof(dst), msg,
						    SIP_HDR_REQUIRE),
				 *v[i].agent != '\0');
		assert_string_equal(dst, v[i].agent);
		assert_int_equal(reason_unsupported(dst, sizeof(dst), msg,
						    SIP_HDR_PROXY_REQUIRE),
				 *v[i].proxy != '\0');
		assert_string_equal(dst, v[i].proxy);
		mem_deref(msg);
	}
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reason_of_cancel),
		cmocka_unit_test(test_reason_diverted_by),
		cmocka_unit_test(test_reason_has_video),
		cmocka_unit_test(test_reason_text),
		cmocka_unit_test(test_reason_expires),
		cmocka_unit_test(test_reason_unsupported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
