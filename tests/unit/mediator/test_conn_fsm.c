/**
 * @file test_conn_fsm.c  Every state of a provider connection, every event
 */

#include <stdlib.h>
#include <string.h>
#include "tests/unit/common/unit.h"
#include "mediator/net/conn_fsm.h"
#include "mediator/net/fail.h"


static void test_table(void **state)
{
	/* clang-format off */
	static const enum conn_state want[CONN_STATES][CONN_EVENTS] = {
		/* SEND, OPENED, PROVED, LOST, FAILED, REST, IDLE */
		{ CONN_PRIMING, CONN_PRIMING, CONN_COLD, CONN_COLD, CONN_DOWN, CONN_COLD, CONN_COLD },
		{ CONN_PRIMING, CONN_PRIMING, CONN_WARM, CONN_COLD, CONN_DOWN, CONN_PRIMING, CONN_PRIMING },
		{ CONN_WARM, CONN_PRIMING, CONN_WARM, CONN_COLD, CONN_DOWN, CONN_WARM, CONN_PRIMING },
		{ CONN_DOWN, CONN_PRIMING, CONN_WARM, CONN_DOWN, CONN_DOWN, CONN_COLD, CONN_DOWN },
	};
	/* clang-format on */
	(void)state;

	for (int s = 0; s < CONN_STATES; s++)
		for (int e = 0; e < CONN_EVENTS; e++)
			assert_int_equal(conn_next((enum conn_state)s,
						   (enum conn_event)e),
					 want[s][e]);
}


/* Only what never left may be sent again without a second thought */
static void test_fail(void **state)
{
	static const int ambiguous[] = {
		CURLE_HTTP2,      CURLE_PARTIAL_FILE, CURLE_GOT_NOTHING,
		CURLE_SEND_ERROR, CURLE_RECV_ERROR,   CURLE_HTTP2_STREAM
	};
	(void)state;

	assert_int_equal(net_fail(CURLE_OK, true), NET_OK);
	assert_int_equal(net_fail(CURLE_COULDNT_CONNECT, false), NET_UNSENT);
	assert_int_equal(net_fail(CURLE_COULDNT_RESOLVE_HOST, false),
			 NET_UNSENT);
	assert_int_equal(net_fail(CURLE_SSL_CONNECT_ERROR, false), NET_UNSENT);
	assert_int_equal(net_fail(CURLE_PEER_FAILED_VERIFICATION, false),
			 NET_UNTRUSTED);
	assert_int_equal(net_fail(CURLE_OPERATION_TIMEDOUT, true),
			 NET_TIMEOUT);
	assert_int_equal(net_fail(CURLE_OPERATION_TIMEDOUT, false),
			 NET_UNSENT);
	for (size_t i = 0; i < sizeof(ambiguous) / sizeof(ambiguous[0]); i++)
		assert_int_equal(net_fail((CURLcode)ambiguous[i], true),
				 NET_LOST);
	for (int rc = 1; rc < 110; rc++)
		assert_int_not_equal(net_fail((CURLcode)rc, true), NET_OK);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
