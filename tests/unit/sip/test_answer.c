/**
 * @file test_answer.c  Responses off the wire, without libre's help
 */

#include "tests/unit/common/unit.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "sipis/sip/answer.h"

enum { SEEN = 512 };

static const char whole[] = "SIP/2.0 200 Very OK\r\n"
			    "v :  SIP/2.0/UDP a;rport;branch=z9hG4bKx ;x=y\r\n"
			    "Via: SIP/2.0/UDP b;branch=z9hG4bKz\r\n"
			    "Contacts: no\r\n"
			    "CONTACT: <sip:a@b>;expires=5 \r\n"
			    "m:<sip:c@d>\n"
			    "Expires:\t60\r\n"
			    "\r\nContact: body";


static int decode(struct answer *a, const char *s)
{
	return answer_decode(a, s, strlen(s));
}


static bool take_handler(enum sip_hdrid id, const struct pl *val, void *arg)
{
	char *buf = arg;
	const size_t len = strlen(buf);
	(void)id;

	assert_true(re_snprintf(buf + len, SEEN - len, "[%r]", val) > 0);

	return false;
}


static void has(const struct answer *a, enum sip_hdrid id, const char *wanted)
{
	char buf[SEEN] = "";

	(void)answer_each(a, id, take_handler, buf);
	assert_string_equal(wanted, buf);
}


static void test_answer_whole(void **state)
{
	struct answer a;
	struct pl branch;
	(void)state;

	assert_int_equal(0, decode(&a, whole));
	assert_int_equal(200, a.scode);
	assert_int_equal(0, pl_strcmp(&a.reason, "Very OK"));
	has(&a, SIP_HDR_CONTACT, "[<sip:a@b>;expires=5][<sip:c@d>]");
	has(&a, SIP_HDR_EXPIRES, "[60]");
	has(&a, SIP_HDR_RETRY_AFTER, "");
	has(&a, SIP_HDR_SUBJECT, "");
	assert_int_equal(0, answer_branch(&a, &branch));
	assert_int_equal(0, pl_strcmp(&branch, "z9hG4bKx"));
}


/* Every prefix of it is refused or understood, and never read past */
static void test_answer_cut_anywhere(void **state)
{
	const size_t end = (size_t)(strstr(whole, "\r\n\r\n") - whole) + 3;
	(void)state;

	for (size_t n = 0; n < sizeof(whole); n++) {
		char *copy = malloc(n ? n : 1);
		struct answer a;
		int err;

		memcpy(copy, whole, n);
		err = answer_decode(&a, copy, n);
		if (n < end)
			assert_int_equal(EBADMSG, err);
		else
			assert_int_equal(0, err);
		free(copy);
	}
}


static void test_answer_bad(void **state)
{
	static const char *const texts[] = {
		"",
		"SIP/2.0 200",
		"SIP/2.0 20x OK\r\n\r\n",
		"SIP/2.0 099 OK\r\n\r\n",
		"SIP/2.0  200 OK\r\n\r\n",
		"sip/2.0 200 OK\r\n\r\n",
		"SIP/3.0 200 OK\r\n\r\n",
		"INVITE sip:a SIP/2.0\r\n\r\n",
		"SIP/2.0 200 OK\r\nA: b\r\n",
	};
	struct answer a;
	(void)state;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(EBADMSG, decode(&a, texts[i]));

	assert_int_equal(ENOSYS, decode(&a, "SIP/2.0 200 OK\r\nContact:\r\n"
					    " <sip:a@b>\r\n\r\n"));
	assert_int_equal(0, decode(&a, "SIP/2.0 999\r\n\r\n"));
	assert_int_equal(999, a.scode);
	assert_int_equal(0, a.reason.l);
}


static void test_answer_without_branch(void **state)
{
	struct answer a;
	struct pl branch;
	(void)state;

	assert_int_equal(0, decode(&a, "SIP/2.0 200 OK\r\n\r\n"));
	assert_int_equal(EBADMSG, answer_branch(&a, &branch));
	assert_int_equal(0, decode(&a, "SIP/2.0 200 OK\r\nVia: x\r\n"
				       "Via: y;branch=z\r\n\r\n"));
	assert_int_equal(EBADMSG, answer_branch(&a, &branch));
	assert_int_equal(0, decode(&a, "SIP/2.0 200 OK\r\n"
				       "Via: x;branch=\r\n\r\n"));
	assert_int_equal(EBADMSG, answer_branch(&a, &branch));
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answer_whole),
		cmocka_unit_test(test_answer_cut_anywhere),
		cmocka_unit_test(test_answer_bad),
		cmocka_unit_test(test_answer_without_branch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
