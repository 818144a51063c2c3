/**
 * @file test_nonce.c  When a nonce is kept, for whom, and when no more
 */

#include "tests/unit/common/unit.h"
#include <string.h>
#include "sipis/reg/priv.h"

struct fixture {
	struct pbx_cfg cfg;
	struct metric m[M_COUNT];
	struct reg reg;
	struct line ln;
	struct realm realmv[2];
	struct acct a;
	struct answer ans;
};


static int setup(void **state)
{
	static char name[] = "test", r1[] = "r1", r2[] = "r2";
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	f.cfg.name = name;
	f.cfg.nonce = CFG_NONCE_SHARED;
	f.reg.m = f.m;
	f.ln.reg = &f.reg;
	f.ln.cfg = &f.cfg;
	f.realmv[0].name = r1;
	f.realmv[1].name = r2;
	f.ln.realmv = f.realmv;
	f.ln.realmc = 1;
	f.a.line = &f.ln;
	f.a.realm = 1;
	f.a.proven = true;
	f.a.is_ha1 = true;
	f.ans.scode = 200;
	*state = &f;

	return 0;
}


static int teardown(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 2; i++) {
		mem_deref(f->realmv[i].nonce[0]);
		mem_deref(f->realmv[i].nonce[1]);
	}

	return 0;
}


static struct digest_nonce *nonce(const char *s, enum digest_alg alg)
{
	struct digest_chall ch = { .alg = alg, .qop = true };
	struct digest_nonce *n;

	pl_set_str(&ch.realm, "r1");
	pl_set_str(&ch.nonce, s);
	assert_int_equal(0, digest_nonce_alloc(&n, &ch));

	return n;
}


static void good(struct fixture *f, const char *s, enum nonce_use use)
{
	struct digest_nonce *n = nonce(s, DIGEST_MD5);

	nonce_good(&f->ln, &f->a, n, use, &f->ans);
	mem_deref(n);
}


static void test_nonce_is_kept_for_all(void **state)
{
	struct fixture *f = *state;
	struct acct other = f->a;

	assert_null(nonce_kept(&f->ln, &f->a));
	good(f, "n1", NONCE_OWN);
	assert_non_null(nonce_kept(&f->ln, &f->a));
	assert_ptr_equal(nonce_kept(&f->ln, &f->a),
			 nonce_kept(&f->ln, &other));

	/* Not for one that may have a wrong password */
	other.proven = false;
	assert_null(nonce_kept(&f->ln, &other));

	/* Not with another algorithm's hash, nor for another realm */
	other = f->a;
	other.alg = DIGEST_SHA256;
	assert_null(nonce_kept(&f->ln, &other));
	f->ln.realmc = 2;
	other.alg = DIGEST_MD5;
	other.realm = 2;
	assert_null(nonce_kept(&f->ln, &other));
}


/* Brought in with a password: the only realm there is will be its own */
static void test_nonce_for_one_without_realm(void **state)
{
	struct fixture *f = *state;
	struct acct other = f->a;

	other.realm = 0;
	other.is_ha1 = false;
	assert_null(nonce_kept(&f->ln, &other));
	good(f, "n1", NONCE_OWN);
	assert_non_null(nonce_kept(&f->ln, &other));

	other.is_ha1 = true;
	assert_null(nonce_kept(&f->ln, &other));
	other.is_ha1 = false;
	f->ln.realmc = 2;
	assert_null(nonce_kept(&f->ln, &other));
}


static void test_nonce_first_one_stays(void **state)
{
	struct fixture *f = *state;
	struct digest_nonce *n;

	good(f, "n1", NONCE_OWN);
	n = nonce_kept(&f->ln, &f->a);
	good(f, "n2", NONCE_OWN);
	assert_ptr_equal(n, nonce_kept(&f->ln, &f->a));

	/* stale: it goes, unless another is there already */
	nonce_refused(&f->ln, n, true);
	assert_null(nonce_kept(&f->ln, &f->a));
	good(f, "n3", NONCE_OWN);
	n = nonce("n1", DIGEST_MD5);
	nonce_refused(&f->ln, n, true);
	mem_deref(n);
	assert_non_null(nonce_kept(&f->ln, &f->a));
}


static void test_nonce_next(void **state)
{
	static const char lines[] =
		"Authentication-Info: nextnonce=\"next\"\r\n";
	struct fixture *f = *state;
	struct digest_nonce *n;

	good(f, "n1", NONCE_OWN);
	n = nonce_kept(&f->ln, &f->a);
	pl_set_str(&f->ans.headers, lines);
	good(f, "n1", NONCE_KEPT);
	assert_ptr_not_equal(n, nonce_kept(&f->ln, &f->a));
}


/* A wrong password is no reason to do without; a nonce that is refused and
   whose password then is right is one, the third time */
static void test_nonce_of_ones_own(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 10; i++) {
		good(f, "n1", NONCE_OWN);
		assert_non_null(nonce_kept(&f->ln, &f->a));
		nonce_refused(&f->ln, nonce_kept(&f->ln, &f->a), false);
		assert_null(nonce_kept(&f->ln, &f->a));
	}

	good(f, "n2", NONCE_DOUBTED);
	good(f, "n3", NONCE_DOUBTED);
	good(f, "n3", NONCE_KEPT);
	good(f, "n4", NONCE_DOUBTED);
	good(f, "n5", NONCE_DOUBTED);
	assert_non_null(nonce_kept(&f->ln, &f->a));
	good(f, "n6", NONCE_DOUBTED);
	assert_null(nonce_kept(&f->ln, &f->a));
	good(f, "n7", NONCE_OWN);
	assert_null(nonce_kept(&f->ln, &f->a));

	/* Later it may have changed its mind */
	f->ln.keep_not_before = 0;
	good(f, "n8", NONCE_OWN);
	assert_non_null(nonce_kept(&f->ln, &f->a));
}


static void test_nonce_good_for_once(void **state)
{
	struct fixture *f = *state;
	int n = 0;

	for (; n < 200 && !f->ln.keep_not_before; n++) {
		char name[16];

		(void)re_snprintf(name, sizeof(name), "n%d", n);
		good(f, name, NONCE_OWN);
		nonce_refused(&f->ln, nonce_kept(&f->ln, &f->a), true);
	}
	assert_in_range(n, 33, 70);
	assert_null(nonce_kept(&f->ln, &f->a));
}


static void test_nonce_not_wanted(void **state)
{
	struct fixture *f = *state;

	f->cfg.nonce = CFG_NONCE_NONE;
	good(f, "n1", NONCE_OWN);
	assert_null(nonce_kept(&f->ln, &f->a));
}


int main(void)
{
#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_nonce_is_kept_for_all),
		T(test_nonce_for_one_without_realm),
		T(test_nonce_first_one_stays),
		T(test_nonce_next),
		T(test_nonce_of_ones_own),
		T(test_nonce_good_for_once),
		T(test_nonce_not_wanted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
