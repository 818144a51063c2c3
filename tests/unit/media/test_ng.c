/**
 * @file test_ng.c  What rtpengine is asked, and what it answers
 */

#include <errno.h>
#include <string.h>
#include <re/re.h>
#include "sipis/media/ng.h"
#include "tests/unit/common/unit.h"

#define COOKIE "0123456789abcdef"


static char *written(const struct ng_question *q)
{
	struct mbuf *mb = mbuf_alloc(64);
	char *text = NULL;

	assert_non_null(mb);
	assert_int_equal(ng_encode(mb, COOKIE, q), 0);
	assert_int_equal(mbuf_strdup(mb, &text, mbuf_get_left(mb)), 0);
	mem_deref(mb);

	return text;
}


static void says(const struct ng_question *q, const char *part, bool yes)
{
	char *text = written(q);

	if (!strstr(text, part) == yes)
		fail_msg("%s%s in %s", yes ? "no " : "", part, text);
	mem_deref(text);
}


static struct ng_question offer(const char *sdp)
{
	struct ng_question q = { .command = NG_OFFER };

	pl_set_str(&q.call, "c/1");
	pl_set_str(&q.from_tag, "A");
	pl_set_str(&q.sdp, sdp);

	return q;
}


static void test_ng_ping(void **state)
{
	const struct ng_question q = { .command = NG_PING };
	char *text = written(&q);
	(void)state;

	assert_string_equal(text, COOKIE " d7:command4:pinge");
	mem_deref(text);
}


static void test_ng_delete(void **state)
{
	struct ng_question q = { .command = NG_DELETE };
	char *text;
	(void)state;

	pl_set_str(&q.call, "c/1");
	text = written(&q);
	assert_string_equal(text, COOKIE " d7:command6:delete7:call-id3:c/1"
					 "12:delete-delayi0ee");
	mem_deref(text);
}


static void test_ng_offer(void **state)
{
	struct ng_question q = offer("v=0");
	(void)state;

	says(&q, "8:from-tag1:A", true);
	says(&q, "6:to-tag", false);
	says(&q, "10:via-branch", true);
	says(&q, "9:direction", false);
	says(&q, "14:address-family", false);
	says(&q, "3:ICE6:remove", true);
	says(&q, "11:passthrough", false);

	pl_set_str(&q.to_tag, "B");
	q.from_side = "in";
	q.to_side = "out";
	q.af = AF_INET6;
	says(&q, "6:to-tag1:B", true);
	says(&q, "10:via-branch", false);
	says(&q, "9:directionl2:in3:oute", true);
	says(&q, "14:address-family3:IP6", true);

	q.command = NG_ANSWER;
	says(&q, "10:via-branch", true);
	says(&q, "9:direction", false);
}


/* Keys are the ends' own */
static void test_ng_keys(void **state)
{
	struct ng_question q = offer("a=crypto:1 AES inline:x\r\n");
	(void)state;

	says(&q, "11:passthrough2:on", true);
	q = offer("a=fingerprint:sha-256 AA\r\na=ice-ufrag:x\r\n");
	says(&q, "11:passthrough2:on", true);
	says(&q, "3:ICE5:force", true);
}


static void test_ng_too_long(void **state)
{
	static char sdp[NG_SIZE];
	struct ng_question q;
	struct mbuf *mb = mbuf_alloc(64);
	(void)state;

	memset(sdp, 'x', sizeof(sdp) - 1);
	q = offer(sdp);
	assert_int_equal(ng_encode(mb, COOKIE, &q), EMSGSIZE);
	mem_deref(mb);
}


static int read_text(struct ng_answer *a, const char *text)
{
	struct pl cookie, in;
	int err;

	pl_set_str(&in, text);
	err = ng_decode(&cookie, a, &in);
	if (!err)
		assert_int_equal(pl_strcmp(&cookie, "c1"), 0);

	return err;
}


static void test_ng_answers(void **state)
{
	struct ng_answer a;
	(void)state;

	assert_int_equal(read_text(&a, "c1 d6:result4:ponge"), 0);
	assert_int_equal(a.result, NG_OK);
	assert_int_equal(read_text(&a, "c1 d3:sdp3:v=06:result2:oke"), 0);
	assert_int_equal(a.result, NG_OK);
	assert_int_equal(pl_strcmp(&a.sdp, "v=0"), 0);
	assert_int_equal(read_text(&a, "c1 d6:result5:error12:error-reason"
				       "15:Unknown call-ide"),
			 0);
	assert_int_equal(a.result, NG_UNKNOWN);
	assert_int_equal(read_text(&a, "c1 d7:warning18:Call-ID not found "
				       "6:result2:oke"),
			 0);
	assert_int_equal(a.result, NG_UNKNOWN);
	assert_int_equal(read_text(&a, "c1 d6:result10:load limit7:message4:"
				       "fulle"),
			 0);
	assert_int_equal(a.result, NG_REFUSED);
	assert_int_equal(read_text(&a, "c1 d6:result5:error12:error-reason"
				       "16:Ran out of portse"),
			 0);
	assert_int_equal(a.result, NG_REFUSED);
	assert_int_equal(pl_strcmp(&a.reason, "Ran out of ports"), 0);
}


static void test_ng_garbage(void **state)
{
	static const char *const badv[] = {
		"",
		"c1",
		"c1 ",
		"c1 d",
		"c1 de",
		"c1 le",
		"c1 d6:resulti1ee",
		"c1 d6:result2:oke ",
		"c1 d6:result2:ok",
		"0123456789abcdef0 d6:result2:oke",
	};
	struct ng_answer a;
	(void)state;

	for (size_t i = 0; i < sizeof(badv) / sizeof(*badv); i++)
		assert_int_equal(read_text(&a, badv[i]), EBADMSG);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ng_ping),
		cmocka_unit_test(test_ng_delete),
		cmocka_unit_test(test_ng_offer),
		cmocka_unit_test(test_ng_keys),
		cmocka_unit_test(test_ng_too_long),
		cmocka_unit_test(test_ng_answers),
		cmocka_unit_test(test_ng_garbage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
