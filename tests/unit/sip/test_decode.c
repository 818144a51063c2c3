/**
 * @file test_decode.c  libre's SIP decoders: ours, and libre's own behind them
 *
 * tests/fuzz/fuzz_decode.c says whether both find the same.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <re/re.h>
#include "sipis/sip/decode.h"

#define START "INVITE sip:bob@192.0.2.4:5060;ob SIP/2.0\r\n"
#define HEADERS                                                    \
	"Via: SIP/2.0/TLS a.example.com;branch=z9hG4bK1;rport\r\n" \
	"Via: SIP/2.0/UDP 192.0.2.5;branch=z9hG4bK2,"              \
	" SIP/2.0/UDP 192.0.2.6;branch=z9hG4bK3\r\n"               \
	"To: <sip:bob@example.com>\r\n"                            \
	"f: \"Alice, A\" <sip:alice@example.com>;tag=19\r\n"       \
	"Call-ID: a84b4c76e66710\r\n"                              \
	"CSeq: 314159 INVITE\r\n"                                  \
	"Contact: \"A, B\" <sip:a@192.0.2.7>;q=0.1, <sip:c@d>\r\n" \
	"X-Empty:\r\n"                                             \
	"Content-Length: 4\r\n"                                    \
	"\r\n"


static struct sip_msg *decode(const char *text, int expected)
{
	struct mbuf *mb = mbuf_alloc(512);
	struct sip_msg *msg = NULL;

	assert_non_null(mb);
	assert_int_equal(mbuf_write_str(mb, text), 0);
	mb->pos = 0;
	assert_int_equal(sip_msg_decode(&msg, mb), expected);
	if (expected)
		assert_null(msg);
	mem_deref(mb);

	return msg;
}


static const struct sip_hdr *nth(const struct sip_msg *msg, enum sip_hdrid id,
				 unsigned n)
{
	struct le *le = list_head(hash_list(msg->hdrht, id));

	for (; le; le = le->next) {
		const struct sip_hdr *hdr = le->data;

		if (hdr->id == id && !n--)
			return hdr;
	}

	return NULL;
}


static void is_in_use(void **state)
{
	(void)state;
	assert_int_equal(decode_check(), 0);
}


static void request(const char *text, unsigned lines)
{
	struct sip_msg *msg = decode(text, 0);

	assert_true(msg->req);
	assert_int_equal(pl_strcmp(&msg->met, "INVITE"), 0);
	assert_int_equal(pl_strcmp(&msg->uri.user, "bob"), 0);
	assert_int_equal(pl_strcmp(&msg->uri.host, "192.0.2.4"), 0);
	assert_int_equal(pl_strcmp(&msg->uri.params, ";ob"), 0);
	assert_int_equal(msg->uri.port, 5060);
	assert_int_equal(msg->uri.af, AF_INET);

	assert_int_equal(msg->via.tp, SIP_TRANSP_TLS);
	assert_int_equal(pl_strcmp(&msg->via.sentby, "a.example.com"), 0);
	assert_int_equal(pl_strcmp(&msg->via.branch, "z9hG4bK1"), 0);
	assert_int_equal(sip_msg_hdr_count(msg, SIP_HDR_VIA), 3);
	assert_int_equal(pl_strcmp(&nth(msg, SIP_HDR_VIA, 2)->val,
				   "SIP/2.0/UDP 192.0.2.6;branch=z9hG4bK3"),
			 0);

	assert_false(pl_isset(&msg->to.tag));
	assert_int_equal(pl_strcmp(&msg->from.dname, "Alice, A"), 0);
	assert_int_equal(pl_strcmp(&msg->from.tag, "19"), 0);
	assert_int_equal(pl_strcmp(&msg->callid, "a84b4c76e66710"), 0);
	assert_int_equal(msg->cseq.num, 314159);
	assert_int_equal(pl_strcmp(&msg->clen, "4"), 0);
	assert_int_equal(sip_msg_hdr_count(msg, SIP_HDR_CONTACT), 2);
	assert_int_equal(
		pl_strcmp(&nth(msg, SIP_HDR_CONTACT, 1)->val, "<sip:c@d>"), 0);
	assert_int_equal(sip_msg_xhdr(msg, "X-Empty")->val.l, 0);

	/* Via by value */
	assert_int_equal(list_count(&msg->hdrl), lines);
	assert_memory_equal(mbuf_buf(msg->mb), "v=0\n", 4);

	mem_deref(msg);
}


static void requests(void **state)
{
	(void)state;
	request(START HEADERS "v=0\n", 10);

	/* a folded line is libre's, and so is a bare LF */
	request(START "Subject: a\r\n b\r\n" HEADERS "v=0\n", 11);
	request(START "Subject: a\n" HEADERS "v=0\n", 11);
}


static void responses(void **state)
{
	struct sip_msg *msg;
	(void)state;

	msg = decode("SIP/2.0 480 Not here, sorry\r\n" HEADERS, 0);
	assert_false(msg->req);
	assert_int_equal(msg->scode, 480);
	assert_int_equal(pl_strcmp(&msg->reason, "Not here, sorry"), 0);
	mem_deref(msg);
}


static void no_messages(void **state)
{
	(void)state;
	assert_null(decode("", ENODATA));
	assert_null(decode(START, ENODATA));
	assert_null(decode(START "To: <sip:a@b>\r\n", ENODATA));
	assert_null(decode(START "To: <sip:a@b>\r\nX", ENODATA));
	assert_null(decode(START "To: <>\r\n\r\n", ENOENT));
	assert_null(decode(START ": x\r\n\r\n", EBADMSG));
	assert_null(decode("INVITE bob SIP/2.0\r\nX: y\r\n\r\n", EBADMSG));
	assert_null(decode("SIP/2.0 x OK\r\nX: y\r\n\r\n", EBADMSG));
	assert_int_equal(sip_msg_decode(NULL, NULL), EINVAL);
}


/* More headers than one reading holds are libre's */
static void many_headers(void **state)
{
	char text[8192];
	struct sip_msg *msg;
	int n;
	(void)state;

	n = snprintf(text, sizeof(text), "%s", START);
	for (int i = 0; i < 100; i++)
		n += snprintf(text + n, sizeof(text) - n, "X-A: b\r\n");
	(void)snprintf(text + n, sizeof(text) - n, "%s", HEADERS);

	msg = decode(text, 0);
	assert_int_equal(sip_msg_xhdr_count(msg, "X-A"), 100);
	mem_deref(msg);
}


static void parameters(void **state)
{
	const struct pl pl = PL(";a=\"x;y\";B = \"q\\\"r\";c=;d=1;+e=<z>");
	struct pl val;
	(void)state;

	assert_int_equal(msg_param_decode(&pl, "b", &val), 0);
	assert_int_equal(pl_strcmp(&val, "q\\\"r"), 0);
	assert_int_equal(msg_param_decode(&pl, "a", &val), 0);
	assert_int_equal(pl_strcmp(&val, "x;y"), 0);
	assert_int_equal(msg_param_decode(&pl, "+E", &val), 0);
	assert_int_equal(pl_strcmp(&val, "<z>"), 0);

	pl_set_str(&val, "as it was");
	assert_int_equal(msg_param_decode(&pl, "c", &val), ENOENT);
	assert_int_equal(msg_param_decode(&pl, "e", &val), ENOENT);
	assert_int_equal(msg_param_decode(&pl, "dd", &val), ENOENT);
	assert_int_equal(pl_strcmp(&val, "as it was"), 0);
	assert_int_equal(msg_param_decode(NULL, "c", &val), EINVAL);

	assert_int_equal(msg_param_exists(&pl, "C", &val), 0);
	assert_int_equal(pl_strcmp(&val, ";c"), 0);
	assert_int_equal(msg_param_exists(&pl, "dd", &val), ENOENT);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_in_use),    cmocka_unit_test(requests),
		cmocka_unit_test(responses),    cmocka_unit_test(no_messages),
		cmocka_unit_test(many_headers), cmocka_unit_test(parameters),
	};
	int err;

	if (libre_init())
		return 1;
	err = cmocka_run_group_tests(tests, NULL, NULL);
	libre_close();

	return err;
}
