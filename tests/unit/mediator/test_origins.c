/**
 * @file test_origins.c  Push services come and go, within bounds
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <re/re.h>
#include "tests/unit/common/unit.h"
#include "tests/unit/common/loop.h"
#include "mediator/route/origins.h"

struct lab {
	struct origins_prm prm;
	struct origins *o;
};


static void result_handler(struct push *p, void *arg)
{
	(void)p;
	(void)arg;
}


static struct signer_key *key_make(void)
{
	EVP_PKEY *pkey = EVP_EC_gen("P-256");
	BIO *bio = BIO_new(BIO_s_mem());
	struct signer_key *k = NULL;
	char *data, *pem, reason[128];
	long n;

	assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL,
						       0, NULL, NULL),
			 1);
	n = BIO_get_mem_data(bio, &data);
	pem = strndup(data, (size_t)n);
	assert_int_equal(
		signer_key_load(&k, SIGNER_ES256, pem, reason, sizeof(reason)),
		0);
	free(pem);
	BIO_free(bio);
	EVP_PKEY_free(pkey);
	return k;
}


static void open_lab(struct lab *l, char **endpoints, uint32_t count)
{
	struct mcfg_webpush cfg = {
		.subject = (char *)"mailto:push@example.com",
		.endpoints = endpoints,
		.endpoints_count = count,
		.link = { .connections = 1, .streams = 1 },
	};

	memset(l, 0, sizeof(*l));
	l->prm.name = "browsers";
	l->prm.cfg = &cfg;
	l->prm.resulth = result_handler;
	l->prm.key = key_make();
	assert_int_equal(signer_alloc(&l->prm.signer), 0);
	assert_int_equal(origins_alloc(&l->o, &l->prm), 0);
}


static void close_lab(struct lab *l)
{
	mem_deref(l->o);
	mem_deref(l->prm.key);
	mem_deref(l->prm.signer);
}


static int route(const struct lab *l, const char *app, const char *url,
		 struct dest **dp, struct dest_line **lp)
{
	*dp = NULL;
	*lp = NULL;
	return origins_route(l->o, app, url, dp, lp);
}


static void test_places(void **state)
{
	char *endpoints[] = { (char *)"*.push.example" };
	struct dest_line *la, *lb;
	struct dest *a, *b;
	struct lab l;
	(void)state;

	open_lab(&l, endpoints, 1);
	assert_int_equal(route(&l, "app", "https://a.push.example/1", &a, &la),
			 0);
	assert_int_equal(
		route(&l, "app", "https://A.push.example/2 k k", &b, &lb), 0);
	assert_ptr_equal(a, b);
	assert_ptr_equal(la, lb);
	assert_int_equal(route(&l, "two", "https://a.push.example/1", &b, &lb),
			 0);
	assert_ptr_equal(a, b);
	assert_ptr_not_equal(la, lb);
	assert_int_equal(route(&l, "app", "https://b.push.example/1", &b, &lb),
			 0);
	assert_ptr_not_equal(a, b);
	assert_int_equal(route(&l, "app", "https://push.example/1", &b, &lb),
			 EACCES);
	assert_int_equal(route(&l, "app", "https://a.push.example", &b, &lb),
			 EACCES);
	close_lab(&l);
}


static void test_browsers(void **state)
{
	static const char *const good[] = {
		"https://fcm.googleapis.com/fcm/send/x:y",
		"https://updates.push.services.mozilla.com/wpush/v2/x",
		"https://web.push.apple.com/x",
		"https://wns2-by3p.notify.windows.com/w/?token=x",
	};
	struct dest_line *line;
	struct dest *dest;
	struct lab l;
	(void)state;

	open_lab(&l, NULL, 0);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(route(&l, "app", good[i], &dest, &line), 0);
	assert_int_equal(
		route(&l, "app", "https://ntfy.example/x", &dest, &line),
		EACCES);
	close_lab(&l);
}


/* The place unused for the longest goes, but none that a push is at */
static void test_bound(void **state)
{
	char *endpoints[] = { (char *)"*" };
	struct dest *first = NULL, *dest, *held[ORIGINS_MAX];
	struct dest_line *line;
	struct lab l;
	char url[64];
	(void)state;

	open_lab(&l, endpoints, 1);
	assert_int_equal(
		route(&l, "app", "https://first.example/x", &first, &line), 0);
	mem_ref(first);
	assert_true(origins_allow(l.o, "https://other.example/x"));
	assert_false(origins_allow(l.o, "https://127.0.0.1/x"));
	for (unsigned i = 0; i < 2 * ORIGINS_MAX; i++) {
		(void)re_snprintf(url, sizeof(url), "https://h%u.example/x",
				  i);
		assert_int_equal(route(&l, "app", url, &dest, &line), 0);
	}
	assert_int_equal(
		route(&l, "app", "https://first.example/y", &dest, &line), 0);
	assert_ptr_equal(dest, first);
	mem_deref(first);

	for (unsigned i = 0; i < ORIGINS_MAX; i++) {
		(void)re_snprintf(url, sizeof(url), "https://k%u.example/x",
				  i);
		assert_int_equal(route(&l, "app", url, &held[i], &line), 0);
		mem_ref(held[i]);
	}
	assert_int_equal(
		route(&l, "app", "https://more.example/x", &dest, &line),
		ENOSPC);
	mem_deref(held[7]);
	assert_int_equal(
		route(&l, "app", "https://more.example/x", &dest, &line), 0);
	for (unsigned i = 0; i < ORIGINS_MAX; i++)
		if (i != 7)
			mem_deref(held[i]);
	close_lab(&l);
}


static unsigned hold_all(const struct lab *l, const char *fmt,
			 struct dest **held)
{
	struct dest_line *line;
	struct dest *dest;
	char url[64];
	unsigned n = 0;

	for (unsigned i = 0; i < 2 * ORIGINS_MAX; i++) {
		(void)re_snprintf(url, sizeof(url), fmt, i);
		if (route(l, "app", url, &dest, &line))
			continue;
		held[n++] = mem_ref(dest);
	}

	return n;
}


static bool has_place(const struct lab *l, const char *host)
{
	char *text = NULL, want[64];
	bool has;

	assert_int_equal(re_sdprintf(&text, "%H", origins_print, l->o), 0);
	(void)re_snprintf(want, sizeof(want), "browsers/%s:", host);
	has = strstr(text, want) != NULL;
	mem_deref(text);
	return has;
}


/* Hosts of strangers drive out none that is named, nor keep one out */
static void test_strangers(void **state)
{
	char *endpoints[] = { (char *)"*", (char *)"own.example",
			      (char *)"*.wide.example",
			      (char *)"in.wide.example" };
	static const char *const named[] = {
		"own.example",        "a.wide.example",     "in.wide.example",
		"fcm.googleapis.com", "web.push.apple.com",
	};
	struct dest *strangers[2 * ORIGINS_MAX], *wide[2 * ORIGINS_MAX];
	const size_t n = sizeof(named) / sizeof(named[0]);
	struct dest_line *line;
	struct dest *dest;
	struct lab l;
	char url[64];
	(void)state;

	open_lab(&l, endpoints, 4);
	for (size_t i = 0; i < n; i++) {
		(void)re_snprintf(url, sizeof(url), "https://%s/x", named[i]);
		assert_int_equal(route(&l, "app", url, &dest, &line), 0);
	}
	assert_int_equal(
		route(&l, "app", "https://idle.example/x", &dest, &line), 0);
	assert_int_equal(hold_all(&l, "https://h%u.example/x", strangers),
			 ORIGINS_MAX);
	assert_false(has_place(&l, "idle.example"));
	for (size_t i = 0; i < n; i++)
		assert_true(has_place(&l, named[i]));
	assert_int_equal(
		route(&l, "app", "https://idle.example/x", &dest, &line),
		ENOSPC);
	assert_int_equal(route(&l, "app",
			       "https://updates.push.services.mozilla.com/x",
			       &dest, &line),
			 0);

	/* A wide domain has its own bound */
	assert_int_equal(hold_all(&l, "https://h%u.wide.example/x", wide),
			 ORIGINS_MAX);
	assert_false(has_place(&l, "a.wide.example"));
	assert_true(has_place(&l, "in.wide.example"));
	for (unsigned i = 0; i < ORIGINS_MAX; i++) {
		mem_deref(strangers[i]);
		mem_deref(wide[i]);
	}
	close_lab(&l);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_browsers),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_strangers),
	};

	return cmocka_run_group_tests(tests, loop_open, loop_close);
}
