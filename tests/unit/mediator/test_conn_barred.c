/**
 * @file test_conn_barred.c  Which addresses of a host make it a private one
 */

#include <string.h>
#include <re/re.h>
#include "tests/unit/common/unit.h"
#include "tests/unit/common/loop.h"
#include "mediator/net/conn.h"

enum { DEADLINE_MS = 20000 };

struct lab {
	struct conn *c;
	struct req *r;
	enum net_fail fail;
	bool done;
};


static void done_handler(struct conn *c, struct req *r, enum net_fail fail,
			 uint32_t status, void *arg)
{
	struct lab *l = arg;
	(void)c;
	(void)r;

	assert_int_equal(status, 0);
	l->fail = fail;
	l->done = true;
	re_cancel();
}


static void room_handler(struct conn *c, void *arg)
{
	(void)c;
	(void)arg;
}


static void send_one(struct lab *l, const char *addresses)
{
	struct curl_slist *names = curl_slist_append(NULL, addresses);
	struct hdrs *h;

	assert_int_equal(hdrs_alloc(&h), 0);
	(void)curl_easy_setopt(l->r->easy, CURLOPT_RESOLVE, names);
	/* From there nothing gets out: the kernel refuses at once */
	(void)curl_easy_setopt(l->r->easy, CURLOPT_INTERFACE,
			       "host!127.0.0.1");
	str_ncpy(l->r->url, "https://push.example/x", sizeof(l->r->url));
	req_ready(l->r, h, DEADLINE_MS);
	assert_int_equal(conn_send(l->c, l->r), 0);
	loop_run();
	assert_true(l->done);
	req_clear(l->r);
	mem_deref(h);
	curl_slist_free_all(names);
}


static enum net_fail fail_of(const char *addresses)
{
	const struct req_prm rprm = { .connect_timeout_ms = DEADLINE_MS,
				      .outside_only = true };
	struct lab l;
	struct conn_prm prm = {
		.name = "test",
		.streams = 1,
		.doneh = done_handler,
		.roomh = room_handler,
		.arg = &l,
	};

	memset(&l, 0, sizeof(l));
	assert_int_equal(conn_alloc(&l.c, &prm), 0);
	assert_int_equal(req_alloc(&l.r, &rprm), 0);
	send_one(&l, addresses);
	mem_deref(l.r);
	mem_deref(l.c);
	return l.fail;
}


static void test_private(void **state)
{
	(void)state;

	assert_int_equal(fail_of("push.example:443:127.0.0.1"), NET_BARRED);
	assert_int_equal(fail_of("push.example:443:10.0.0.1,192.168.0.1"),
			 NET_BARRED);
}


/* Refused by the one that is outside: to be tried again */
static void test_mixed(void **state)
{
	(void)state;

	assert_int_equal(fail_of("push.example:443:8.8.8.8"), NET_UNSENT);
	assert_int_equal(fail_of("push.example:443:10.0.0.1,8.8.8.8"),
			 NET_UNSENT);
	assert_int_equal(fail_of("push.example:443:8.8.8.8,10.0.0.1"),
			 NET_UNSENT);
}


static int setup(void **state)
{
	(void)state;
	curl_global_init(CURL_GLOBAL_DEFAULT);
	return libre_init();
}


static int teardown(void **state)
{
	(void)state;
	libre_close();
	curl_global_cleanup();
	return 0;
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_private),
		cmocka_unit_test(test_mixed),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
