/**
 * @file test_edge_sdp.c  The SDP in a message, and another one in its place
 */

#include <errno.h>
#include <string.h>
#include <re/re.h>
#include "sipis/edge/sdp.h"
#include "tests/unit/common/unit.h"

#define HEAD                                            \
	"INVITE sip:a@b SIP/2.0\r\n"                    \
	"Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKx\r\n" \
	"f: <sip:c@d>;tag=1\r\n"                        \
	"To: <sip:a@b>\r\n"                             \
	"Call-ID: x\r\nCSeq: 1 INVITE\r\n"              \
	"X-Odd:  as it   is\r\n"


static struct sip_msg *message(const char *head, const char *body)
{
	struct mbuf *mb = mbuf_alloc(512);
	struct sip_msg *msg = NULL;

	assert_int_equal(mbuf_printf(mb, "%sContent-Length: %zu\r\n\r\n%s",
				     head, strlen(body), body),
			 0);
	mb->pos = 0;
	assert_int_equal(sip_msg_decode(&msg, mb), 0);
	mem_deref(mb);

	return msg;
}


static struct sip_msg *multipart(const char *params, const char *body)
{
	char head[512];

	(void)re_snprintf(head, sizeof(head),
			  HEAD "Content-Type: multipart/mixed%s\r\n", params);

	return message(head, body);
}


static void found(struct sip_msg *msg, const char *sdp)
{
	struct pl pl;

	assert_int_equal(edge_sdp(&pl, msg), sdp != NULL);
	if (sdp)
		assert_int_equal(pl_strcmp(&pl, sdp), 0);
	mem_deref(msg);
}


static void test_sdp_found(void **state)
{
	(void)state;

	found(message(HEAD "Content-Type: application/sdp\r\n", "v=0\r\n"),
	      "v=0\r\n");
	found(message(HEAD "c: Application/SDP;x=y\r\n", "v"), "v");
	found(message(HEAD "Content-Type: application/sdp\r\n", ""), NULL);
	found(message(HEAD "Content-Type: text/plain\r\n", "v=0\r\n"), NULL);
	found(message(HEAD, "v=0\r\n"), NULL);
}


static void test_sdp_in_parts(void **state)
{
	static const char two[] = "--b\r\nContent-Type: text/plain\r\n\r\nx"
				  "\r\n--b\r\ncontent-type:application/sdp"
				  "\r\n\r\nv=0\r\n\r\n--b--\r\n";
	(void)state;

	found(multipart(";boundary=b", two), "v=0\r\n");
	found(multipart(";boundary=\"b\"", two), "v=0\r\n");
	found(multipart("", two), NULL);
	found(multipart(";boundary=", two), NULL);
	found(multipart(";boundary=c", two), NULL);
	found(multipart(";boundary=b", "--b"), NULL);
	found(multipart(";boundary=b", "--b\r\n\r\nv=0\r\n--b--"), NULL);
	found(multipart(";boundary=b",
			"--b\r\nContent-Type: application/sdp\r\n\r\nv=0"),
	      NULL);
	found(multipart(";boundary=b",
			"--b\r\nContent-Type: application/sdp\r\n\r\n\r\n--b"),
	      NULL);
	/* longer than RFC 2046 has it */
	found(multipart(";boundary=bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
			"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
			two),
	      NULL);
}


static void replaced(struct sip_msg *msg, const char *sdp, const char *text)
{
	struct sip_msg *m = NULL;
	char seen[1024];
	struct pl pl, all;

	pl_set_str(&pl, sdp);
	msg->tp = SIP_TRANSP_TCP;
	(void)sa_set_str(&msg->src, "10.0.0.9", 5);
	assert_int_equal(edge_sdp_replace(&m, msg, &pl), 0);
	all.p = (const char *)m->mb->buf;
	all.l = m->mb->end;
	assert_int_equal(pl_strcpy(&all, seen, sizeof(seen)), 0);
	assert_string_equal(seen, text);
	assert_int_equal(m->tp, SIP_TRANSP_TCP);
	assert_true(sa_cmp(&m->src, &msg->src, SA_ALL));
	mem_deref(m);
	mem_deref(msg);
}


static void test_sdp_replaced(void **state)
{
	static const char type[] = "Content-Type: application/sdp\r\n";
	struct sip_msg *msg = message(HEAD, "");
	struct sip_msg *m = NULL;
	char head[512], text[1024];
	(void)state;

	(void)re_snprintf(head, sizeof(head), HEAD "%s", type);
	(void)re_snprintf(text, sizeof(text),
			  "INVITE sip:a@b SIP/2.0\r\n"
			  "Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKx\r\n"
			  "f: <sip:c@d>;tag=1\r\n"
			  "To: <sip:a@b>\r\n"
			  "Call-ID: x\r\nCSeq: 1 INVITE\r\n"
			  "X-Odd: as it   is\r\n"
			  "%sContent-Length: 7\r\n\r\nv=1 %%s\n",
			  type);
	replaced(message(head, "v=0\r\n"), "v=1 %s\n", text);

	replaced(message("SIP/2.0 183 Well  well\r\n"
			 "Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKx\r\n"
			 "From: <sip:c@d>;tag=1\r\nTo: <sip:a@b>;tag=2\r\n"
			 "Call-ID: x\r\nCSeq: 1 INVITE\r\n"
			 "Content-Type: multipart/mixed;boundary=b\r\n",
			 "--b\r\nContent-Type: application/sdp\r\n\r\nold\r\n"
			 "--b\r\n\r\nother\r\n--b--"),
		 "newer",
		 "SIP/2.0 183 Well  well\r\n"
		 "Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKx\r\n"
		 "From: <sip:c@d>;tag=1\r\nTo: <sip:a@b>;tag=2\r\n"
		 "Call-ID: x\r\nCSeq: 1 INVITE\r\n"
		 "Content-Type: multipart/mixed;boundary=b\r\n"
		 "Content-Length: 64\r\n\r\n"
		 "--b\r\nContent-Type: application/sdp\r\n\r\nnewer\r\n"
		 "--b\r\n\r\nother\r\n--b--");

	assert_int_equal(edge_sdp_replace(&m, msg, &msg->callid), ENOENT);
	mem_deref(msg);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sdp_found),
		cmocka_unit_test(test_sdp_in_parts),
		cmocka_unit_test(test_sdp_replaced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
