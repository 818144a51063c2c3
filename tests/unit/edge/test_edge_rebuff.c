/**
 * @file test_edge_rebuff.c  Phones that were refused
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "sipis/edge/rebuff.h"
#include "tests/unit/common/unit.h"

struct found {
	unsigned n;
	char phones[512];
};


static void handler(const struct edge_rebuff *b, void *arg)
{
	struct found *f = arg;

	const size_t len = strlen(f->phones);

	++f->n;
	(void)snprintf(f->phones + len, sizeof(f->phones) - len, "%s ",
		       b->phone);
}


static void add(struct edge_rebuffs *r, uint64_t acct, const char *phone,
		const char *addr, uint16_t scode)
{
	struct edge_rebuff b = { .acct = acct, .scode = scode };

	assert_int_equal(sa_set_str(&b.peer, addr, 5060), 0);
	(void)snprintf(b.phone, sizeof(b.phone), "%s", phone);
	edge_rebuffs_add(r, &b);
}


static void expect(const struct edge_rebuffs *r, uint64_t acct,
		   const char *phones)
{
	struct found f = { 0 };

	edge_rebuffs_each(r, acct, handler, &f);
	assert_string_equal(f.phones, phones);
}


static void test_last(void **state)
{
	struct edge_rebuffs *r;
	(void)state;

	assert_int_equal(edge_rebuffs_alloc(&r, 0), EINVAL);
	assert_int_equal(edge_rebuffs_alloc(&r, 100), 0);
	add(r, 1, "a", "192.0.2.1", 403);
	add(r, 1, "b", "192.0.2.1", 403);
	add(r, 2, "c", "192.0.2.1", 403);
	expect(r, 1, "a b ");
	expect(r, 2, "c ");
	expect(r, 3, "");

	/* its last one counts */
	add(r, 1, "A", "192.0.2.2", 423);
	expect(r, 1, "b A ");
	assert_int_equal(edge_rebuffs_count(r), 3);
	mem_deref(r);
}


/* Made-up ones from one address push out each other, and not the phone */
static void test_made_up(void **state)
{
	struct edge_rebuffs *r;
	char name[16], addr[32];
	(void)state;

	assert_int_equal(edge_rebuffs_alloc(&r, 100), 0);
	add(r, 1, "phone", "192.0.2.1", 403);
	for (unsigned i = 0; i < 50; i++) {
		(void)snprintf(name, sizeof(name), "x%u", i);
		add(r, 1, name, "192.0.2.66", 401);
	}
	expect(r, 1, "phone x47 x48 x49 ");

	for (unsigned i = 0; i < 50; i++) {
		(void)snprintf(name, sizeof(name), "y%u", i);
		(void)snprintf(addr, sizeof(addr), "198.51.100.%u", i);
		add(r, 1, name, addr, 401);
	}
	expect(r, 1, "y42 y43 y44 y45 y46 y47 y48 y49 ");
	mem_deref(r);
}


static void test_full(void **state)
{
	struct edge_rebuffs *r;
	(void)state;

	assert_int_equal(edge_rebuffs_alloc(&r, 10), 0);
	for (unsigned i = 0; i < 1000; i++)
		add(r, i, "p", "192.0.2.1", 403);
	assert_int_equal(edge_rebuffs_count(r), 10);
	expect(r, 989, "");
	expect(r, 990, "p ");
	expect(r, 999, "p ");
	mem_deref(r);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_last),
		cmocka_unit_test(test_made_up),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
