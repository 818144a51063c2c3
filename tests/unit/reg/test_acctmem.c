/**
 * @file test_acctmem.c  Small blocks under churn: none lies in another
 */

#include "tests/unit/common/unit.h"
#include <stdlib.h>
#include <string.h>
#include "sipis/reg/acctmem.h"

enum { BLOCKS = 3000, STEPS = 40000, SIZE_MAX_ = ACCTMEM_MAX + 40 };


struct piece {
	uint8_t *p;
	size_t size;
	uint8_t mark;
};


static void check(const struct piece *piece)
{
	for (size_t i = 0; i < piece->size; i++)
		assert_int_equal(piece->mark, piece->p[i]);
}


static void drop(struct acctmem *mem, struct piece *piece)
{
	check(piece);
	acctmem_free(mem, piece->p, piece->size);
	piece->p = NULL;
}


static void test_acctmem_churn(void **state)
{
	static struct piece v[BLOCKS];
	struct acctmem mem = { 0 };
	(void)state;

	srandom(1);
	for (int step = 0; step < STEPS; step++) {
		struct piece *piece = &v[random() % BLOCKS];

		if (piece->p) {
			drop(&mem, piece);
			continue;
		}
		piece->size = (size_t)random() % SIZE_MAX_;
		piece->mark = (uint8_t)random();
		piece->p = acctmem_alloc(&mem, piece->size);
		assert_non_null(piece->p);
		assert_int_equal(0, (uintptr_t)piece->p % ACCTMEM_STEP);
		memset(piece->p, piece->mark, piece->size);
	}

	for (int i = 0; i < BLOCKS; i++)
		if (v[i].p)
			drop(&mem, &v[i]);
	acctmem_close(&mem);
}


static void test_acctmem_again(void **state)
{
	struct acctmem mem = { 0 };
	void *a, *b;
	(void)state;

	a = acctmem_alloc(&mem, 61);
	b = acctmem_alloc(&mem, 61);
	acctmem_free(&mem, a, 61);
	acctmem_free(&mem, b, 61);

	/* The same step of 8 takes the same room, any other does not */
	assert_ptr_not_equal(b, acctmem_alloc(&mem, 65));
	assert_ptr_equal(b, acctmem_alloc(&mem, 57));
	assert_ptr_equal(a, acctmem_alloc(&mem, 64));
	acctmem_close(&mem);
}


static void test_acctmem_dense(void **state)
{
	enum { N = 10000, SIZE = 64 };
	struct acctmem mem = { 0 };
	const uint8_t *last = NULL;
	size_t apart = 0;
	(void)state;

	for (int i = 0; i < N; i++) {
		const uint8_t *p = acctmem_alloc(&mem, SIZE);

		assert_non_null(p);
		if (last && p != last + SIZE)
			++apart;
		last = p;
	}

	/* No header between two of them but where a new block begins */
	assert_true(apart < N / 900);
	acctmem_close(&mem);
}


static void test_acctmem_nothing(void **state)
{
	struct acctmem mem = { 0 };
	void *p;
	(void)state;

	acctmem_free(&mem, NULL, 7);
	p = acctmem_alloc(&mem, 0);
	assert_non_null(p);
	acctmem_free(&mem, p, 0);
	acctmem_close(&mem);
	acctmem_close(&mem);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_acctmem_churn),
		cmocka_unit_test(test_acctmem_again),
		cmocka_unit_test(test_acctmem_dense),
		cmocka_unit_test(test_acctmem_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
