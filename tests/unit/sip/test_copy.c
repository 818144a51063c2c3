/**
 * @file test_copy.c  A message as a proxy sends it on
 */

#include <stdio.h>
#include <string.h>
#include <re/re.h>
#include "sipis/sip/copy.h"
#include "tests/unit/common/unit.h"

#define SDP "v=0\r\nm=audio 1 RTP/AVP 0\r\n\0x"


static struct sip_msg *decode(const char *text, size_t len, const char *src)
{
	struct mbuf *mb = mbuf_alloc(len);
	struct sip_msg *msg;

	assert_non_null(mb);
	assert_int_equal(mbuf_write_mem(mb, (const uint8_t *)text, len), 0);
	mb->pos = 0;
	assert_int_equal(sip_msg_decode(&msg, mb), 0);
	assert_int_equal(sa_decode(&msg->src, src, strlen(src)), 0);
	mem_deref(mb);

	return msg;
}


static void is(struct mbuf *mb, const char *text, size_t len)
{
	assert_int_equal(mbuf_get_left(mb), len);
	assert_memory_equal(mbuf_buf(mb), text, len);
	mem_deref(mb);
}


static void test_request(void **state)
{
	static const char in[] =
		"INVITE sip:a@b SIP/2.0\r\n"
		"Via: SIP/2.0/UDP 10.0.0.1:5060;rport;branch=z9hG4bK1, "
		"SIP/2.0/UDP 10.0.0.2;branch=z9hG4bK0\r\n"
		"max-forwards: 70\r\n"
		"Route: <sip:x@us;lr>, <sip:y@us;lr>,<sip:next;lr>\r\n"
		"X-Odd:   kept, as; it is  \r\n"
		"f: \"A, B\" <sip:c@d>;tag=1\r\n"
		"To: <sip:a@b>\r\n"
		"Call-ID: 1\r\n"
		"CSeq: 7 INVITE\r\n"
		"Record-Route: <sip:p;lr>, <sip:q;lr>\r\n"
		"Content-Length: 28\r\n\r\n" SDP;
	static const char out[] =
		"Max-Forwards: 69\r\n"
		"Max-Breadth: 60\r\n"
		"Record-Route: <sip:us;lr>\r\n"
		"Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1;rport=9;"
		"received=192.0.2.7\r\n"
		"Via: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bK0\r\n"
		"Route: <sip:next;lr>\r\n"
		"X-Odd: kept, as; it is\r\n"
		"f: \"A, B\" <sip:c@d>;tag=1\r\n"
		"To: <sip:a@b>\r\n"
		"Call-ID: 1\r\n"
		"CSeq: 9 INVITE\r\n"
		"Record-Route: <sip:p;lr>, <sip:q;lr>\r\n"
		"Content-Length: 28\r\n\r\n" SDP;
	const struct copy_prm prm = {
		.pop = 2,
		.record_route = "Record-Route: <sip:us;lr>\r\n",
		.cseq_add = 2,
	};
	struct sip_msg *msg = decode(in, sizeof(in) - 1, "192.0.2.7:9");
	struct mbuf *mb;
	(void)state;

	assert_int_equal(copy_request(&mb, msg, &prm), 0);
	is(mb, out, sizeof(out) - 1);
	mem_deref(msg);
}


static bool header(struct mbuf *mb, const struct sip_hdr *hdr, int *err,
		   void *arg)
{
	if (hdr->id == SIP_HDR_RACK)
		*err |= mbuf_write_str(mb, arg);

	return hdr->id == SIP_HDR_RACK || hdr->id == SIP_HDR_AUTHORIZATION;
}


static void test_request_headers(void **state)
{
	static const char in[] = "PRACK sip:a@b SIP/2.0\r\n"
				 "Via: SIP/2.0/TCP 10.0.0.1;branch=z9\r\n"
				 "Authorization: Bearer secret\r\n"
				 "RAck: 1 2 INVITE\r\n"
				 "CSeq: 3 PRACK\r\n"
				 "Content-Length: 0\r\n\r\n";
	static const char out[] = "Max-Forwards: 70\r\n"
				  "Max-Breadth: 60\r\n"
				  "Via: SIP/2.0/TCP 10.0.0.1;branch=z9\r\n"
				  "RAck: 1 17 INVITE\r\n"
				  "CSeq: 24 PRACK\r\n"
				  "Content-Length: 0\r\n\r\n";
	char rack[] = "RAck: 1 17 INVITE\r\n";
	const struct copy_prm prm = {
		.cseq_add = 21,
		.headerh = header,
		.arg = rack,
	};
	struct sip_msg *msg = decode(in, sizeof(in) - 1, "10.0.0.1:5060");
	struct mbuf *mb;
	(void)state;

	assert_int_equal(copy_request(&mb, msg, &prm), 0);
	is(mb, out, sizeof(out) - 1);
	mem_deref(msg);
}


static void test_request_hops(void **state)
{
	static const char *const hops[] = { "Max-Forwards: 0\r\n", "",
					    "Max-Forwards: 4294967295\r\n" };
	static const char *const want[] = { NULL, "Max-Forwards: 70\r\n",
					    "Max-Forwards: 254\r\n" };
	(void)state;

	for (unsigned i = 0; i < 3; i++) {
		const struct copy_prm prm = { .pop = 0 };
		struct sip_msg *msg;
		struct mbuf *mb;
		char in[256];
		int n = re_snprintf(in, sizeof(in),
				    "BYE sip:a@b SIP/2.0\r\n"
				    "Via: SIP/2.0/TCP 10.0.0.1;branch=z9\r\n"
				    "%sCSeq: 1 BYE\r\n\r\njunk",
				    hops[i]);

		msg = decode(in, (size_t)n, "10.0.0.1:5060");
		if (!want[i]) {
			assert_int_equal(copy_request(&mb, msg, &prm), ELOOP);
			mem_deref(msg);
			continue;
		}
		assert_int_equal(copy_request(&mb, msg, &prm), 0);
		assert_memory_equal(mb->buf, want[i], strlen(want[i]));
		/* no length was given: all of the datagram, and we say so */
		assert_non_null(memmem(mb->buf, mb->end,
				       "Content-Length: 4\r\n\r\njunk", 25));
		mem_deref(mb);
		mem_deref(msg);
	}
}


/* RFC 3325 5: what a phone says to be; what it would like to be goes on */
static void test_request_asserted(void **state)
{
	static const char in[] = "INVITE sip:a@b SIP/2.0\r\n"
				 "Via: SIP/2.0/TCP 10.0.0.1;branch=z9\r\n"
				 "p-asserted-identity: <sip:boss@b>\r\n"
				 "P-Preferred-Identity: <sip:c@b>\r\n"
				 "REMOTE-PARTY-ID: <sip:boss@b>\r\n"
				 "CSeq: 1 INVITE\r\n"
				 "Content-Length: 0\r\n\r\n";
	(void)state;

	for (unsigned trusted = 0; trusted < 2; trusted++) {
		const struct copy_prm prm = { .asserts_nothing = !trusted };
		struct sip_msg *msg =
			decode(in, sizeof(in) - 1, "10.0.0.1:5060");
		struct mbuf *mb;

		assert_int_equal(copy_request(&mb, msg, &prm), 0);
		assert_int_equal(memmem(mb->buf, mb->end, "boss", 4) != NULL,
				 trusted);
		assert_int_equal(memmem(mb->buf, mb->end, "REMOTE-P", 8) !=
					 NULL,
				 trusted);
		assert_non_null(memmem(mb->buf, mb->end, "<sip:c@b>", 9));
		mem_deref(mb);
		mem_deref(msg);
	}
}


/* RFC 5393 5.3: what it has goes on, or this branch's part of it */
static void test_request_breadth(void **state)
{
	static const struct {
		const char *in;
		uint32_t all, part;
		const char *out;
	} v[] = {
		{ "", 60, 0, "Max-Breadth: 60\r\n" },
		{ "Max-Breadth: 7\r\n", 7, 0, "Max-Breadth: 7\r\n" },
		{ "max-breadth: 7\r\n", 7, 1, "Max-Breadth: 1\r\n" },
		{ "", 60, 1, "Max-Breadth: 1\r\n" },
		{ "Max-Breadth: 0\r\n", 0, 1, NULL },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		const struct copy_prm prm = { .breadth = v[i].part };
		struct sip_msg *msg;
		struct mbuf *mb;
		char in[256];
		int n = re_snprintf(in, sizeof(in),
				    "INVITE sip:a@b SIP/2.0\r\n"
				    "Via: SIP/2.0/TCP 10.0.0.1;branch=z9\r\n"
				    "%sCSeq: 1 INVITE\r\n"
				    "Content-Length: 0\r\n\r\n",
				    v[i].in);

		msg = decode(in, (size_t)n, "10.0.0.1:5060");
		assert_int_equal(copy_breadth(msg), v[i].all);
		if (v[i].out) {
			assert_int_equal(copy_request(&mb, msg, &prm), 0);
			assert_non_null(memmem(mb->buf, mb->end, v[i].out,
					       strlen(v[i].out)));
			/* once */
			assert_null(memmem(mb->buf + 20, mb->end - 20,
					   "max-breadth", 11));
			mem_deref(mb);
		}
		mem_deref(msg);
	}
}


static void test_response(void **state)
{
	static const char in[] =
		"SIP/2.0 603 Not now\r\n"
		"Via: SIP/2.0/TLS us;branch=z9hG4bK2\r\n"
		"Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1;rport=9\r\n"
		"From: <sip:c@d>;tag=1\r\n"
		"To: <sip:a@b>;tag=2\r\n"
		"Call-ID: 1\r\n"
		"CSeq: 7 INVITE\r\n"
		"Content-Length: 2\r\n\r\nokmore";
	static const char rest[] =
		"Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1;rport=9\r\n"
		"From: <sip:c@d>;tag=1\r\n"
		"To: <sip:a@b>;tag=2\r\n"
		"Call-ID: 1\r\n"
		"CSeq: 7 INVITE\r\n"
		"Content-Length: 2\r\n\r\nok";
	struct sip_msg *msg = decode(in, sizeof(in) - 1, "192.0.2.7:9");
	char text[512];
	struct mbuf *mb;
	int n;
	(void)state;

	assert_int_equal(copy_response(&mb, msg, 0, NULL), 0);
	n = re_snprintf(text, sizeof(text), "SIP/2.0 603 Not now\r\n%s", rest);
	is(mb, text, (size_t)n);
	assert_int_equal(copy_response(&mb, msg, 480, "Gone"), 0);
	n = re_snprintf(text, sizeof(text), "SIP/2.0 480 Gone\r\n%s", rest);
	is(mb, text, (size_t)n);
	assert_int_equal(copy_response_to(&mb, msg, 7), 0);
	n = re_snprintf(text, sizeof(text), "SIP/2.0 603 Not now\r\n%s", rest);
	is(mb, text, (size_t)n);
	assert_int_equal(copy_response_to(&mb, msg, 3), 0);
	strstr(text, "CSeq: 7")[6] = '3';
	is(mb, text, (size_t)n);
	mem_deref(msg);
}


/* What one phone cannot do others can: RFC 3261 16.7 (6) */
static void test_response_unavailable(void **state)
{
	static const char in[] =
		"SIP/2.0 503 Maintenance\r\n"
		"Via: SIP/2.0/TLS us;branch=z9hG4bK2\r\n"
		"Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1;rport=9\r\n"
		"From: <sip:c@d>;tag=1\r\n"
		"To: <sip:a@b>;tag=2\r\n"
		"Call-ID: 1\r\n"
		"CSeq: 7 BYE\r\n"
		"Retry-After: 600\r\n"
		"Content-Length: 0\r\n\r\n";
	static const char rest[] =
		"Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1;rport=9\r\n"
		"From: <sip:c@d>;tag=1\r\n"
		"To: <sip:a@b>;tag=2\r\n"
		"Call-ID: 1\r\n"
		"CSeq: 7 BYE\r\n"
		"Content-Length: 0\r\n\r\n";
	struct sip_msg *msg = decode(in, sizeof(in) - 1, "192.0.2.7:9");
	char text[512];
	struct mbuf *mb;
	int n;
	(void)state;

	n = re_snprintf(text, sizeof(text),
			"SIP/2.0 500 Server Internal Error\r\n%s", rest);
	assert_int_equal(copy_response(&mb, msg, 0, NULL), 0);
	is(mb, text, (size_t)n);
	assert_int_equal(copy_response_to(&mb, msg, 7), 0);
	is(mb, text, (size_t)n);
	n = re_snprintf(text, sizeof(text), "SIP/2.0 480 Gone\r\n%s", rest);
	assert_int_equal(copy_response(&mb, msg, 480, "Gone"), 0);
	is(mb, text, (size_t)n);
	mem_deref(msg);
}


static void test_trying(void **state)
{
	static const char in[] =
		"INVITE sip:a@b SIP/2.0\r\n"
		"v: SIP/2.0/UDP 10.0.0.1:5060;rport;branch=z9hG4bK1\r\n"
		"Via: SIP/2.0/TCP 10.0.0.2;branch=z9hG4bK0\r\n"
		"Route: <sip:x@us;lr>\r\n"
		"Timestamp: 54\r\n"
		"f: <sip:c@d>;tag=1\r\n"
		"To: <sip:a@b>\r\n"
		"Call-ID: 1\r\n"
		"CSeq: 7 INVITE\r\n"
		"Contact: <sip:c@10.0.0.1>\r\n"
		"Content-Length: 0\r\n\r\n";
	static const char out[] =
		"SIP/2.0 100 Trying\r\n"
		"v: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1;rport=9;"
		"received=192.0.2.7\r\n"
		"Via: SIP/2.0/TCP 10.0.0.2;branch=z9hG4bK0\r\n"
		"Timestamp: 54\r\n"
		"f: <sip:c@d>;tag=1\r\n"
		"To: <sip:a@b>\r\n"
		"Call-ID: 1\r\n"
		"CSeq: 7 INVITE\r\n"
		"Content-Length: 0\r\n\r\n";
	struct sip_msg *msg = decode(in, sizeof(in) - 1, "192.0.2.7:9");
	struct mbuf *mb;
	(void)state;

	assert_int_equal(copy_trying(&mb, msg), 0);
	is(mb, out, sizeof(out) - 1);
	mem_deref(msg);
}


/* RFC 3261 25.1: white space may stand around each semicolon */
static void test_rport_blanks(void **state)
{
	static const char *const via[] = {
		"10.0.0.1;rporty;branch=z9hG4bK1; rport",
		"10.0.0.1;rporty;branch=z9hG4bK1;RPort ",
		"10.0.0.1;rporty; rport ;branch=z9hG4bK1",
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(via); i++) {
		char in[256], out[256];
		struct sip_msg *msg;
		struct mbuf *mb;
		int n = snprintf(in, sizeof(in),
				 "BYE sip:a@b SIP/2.0\r\n"
				 "Via: SIP/2.0/UDP %s\r\n"
				 "From: <sip:c@d>;tag=1\r\nTo: <sip:a@b>\r\n"
				 "Call-ID: 1\r\nCSeq: 7 BYE\r\n"
				 "Content-Length: 0\r\n\r\n",
				 via[i]);

		msg = decode(in, (size_t)n, "192.0.2.7:9");
		assert_int_equal(copy_trying(&mb, msg), 0);
		assert_int_equal(mbuf_read_str(mb, out, 110), 0);
		out[110] = 0;
		assert_non_null(strstr(out, "10.0.0.1;rporty;branch=z9hG4bK1;"
					    "rport=9;received=192.0.2.7\r\n"));
		mem_deref(mb);
		mem_deref(msg);
	}
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rport_blanks),
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_request_headers),
		cmocka_unit_test(test_request_hops),
		cmocka_unit_test(test_request_asserted),
		cmocka_unit_test(test_request_breadth),
		cmocka_unit_test(test_response),
		cmocka_unit_test(test_response_unavailable),
		cmocka_unit_test(test_trying),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
