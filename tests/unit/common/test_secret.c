/**
 * @file test_secret.c  Things that must not be seen
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/ident.h"
#include "common/secret.h"
#include "tests/unit/common/unit.h"


static const uint8_t key[32] = "an even 32 bytes of key material";
static const char aad[] = "account|user|domain|registrar|key";
static const char plain[] = "correct horse battery staple";

enum { PLAIN = sizeof(plain), SEALED = PLAIN + SEAL_OVERHEAD };


static void seal(uint8_t *sealed)
{
	assert_int_equal(
		seal_close(sealed, key, aad, sizeof(aad), plain, PLAIN), 0);
}


static void test_seal_round_trip(void **state)
{
	uint8_t a[SEALED], b[SEALED];
	char out[PLAIN];

	(void)state;

	seal(a);
	seal(b);
	assert_memory_not_equal(a, b, SEALED);
	assert_null(memmem(a, SEALED, plain, 8));

	assert_int_equal(seal_open(out, key, aad, sizeof(aad), a, SEALED), 0);
	assert_memory_equal(out, plain, PLAIN);
}


static void test_seal_every_bit_counts(void **state)
{
	static const char zero[PLAIN];
	uint8_t sealed[SEALED];
	char out[PLAIN];

	(void)state;

	seal(sealed);
	for (size_t bit = 0; bit < 8 * (size_t)SEALED; bit++) {
		sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
		memset(out, 'x', sizeof(out));
		assert_int_equal(
			seal_open(out, key, aad, sizeof(aad), sealed, SEALED),
			EBADMSG);
		assert_memory_equal(out, zero, PLAIN);
		sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_int_equal(seal_open(out, key, aad, sizeof(aad), sealed, SEALED),
			 0);
}


static void test_seal_key_and_aad_count(void **state)
{
	uint8_t sealed[SEALED], other[32];
	char out[PLAIN], where[sizeof(aad)];

	(void)state;

	seal(sealed);

	for (size_t bit = 0; bit < 8 * sizeof(other); bit++) {
		memcpy(other, key, sizeof(other));
		other[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(seal_open(out, other, aad, sizeof(aad),
					   sealed, SEALED),
				 EBADMSG);
	}
	for (size_t i = 0; i < sizeof(where); i++) {
		memcpy(where, aad, sizeof(where));
		where[i] ^= 1;
		assert_int_equal(seal_open(out, key, where, sizeof(where),
					   sealed, SEALED),
				 EBADMSG);
	}
	assert_int_equal(
		seal_open(out, key, aad, sizeof(aad) - 1, sealed, SEALED),
		EBADMSG);
	assert_int_equal(seal_open(out, key, NULL, 0, sealed, SEALED),
			 EBADMSG);
}


static void test_seal_every_cut(void **state)
{
	uint8_t sealed[SEALED];
	char out[PLAIN];

	(void)state;

	seal(sealed);
	for (size_t n = 0; n < SEALED; n++)
		assert_int_equal(
			seal_open(out, key, aad, sizeof(aad), sealed, n),
			EBADMSG);
}


static void test_seal_nothing(void **state)
{
	uint8_t sealed[SEAL_OVERHEAD];

	(void)state;

	assert_int_equal(seal_close(sealed, key, NULL, 0, NULL, 0), 0);
	assert_int_equal(seal_open(NULL, key, NULL, 0, sealed, sizeof(sealed)),
			 0);
	sealed[0] ^= 1;
	assert_int_equal(seal_open(NULL, key, NULL, 0, sealed, sizeof(sealed)),
			 EBADMSG);
}


static void test_secret_tag(void **state)
{
	char a[SECRET_TAG_LEN + 1], b[SECRET_TAG_LEN + 1];

	(void)state;

	assert_string_equal(secret_tag(a, "token", 5),
			    secret_tag(b, "token", 5));
	assert_int_equal(strlen(a), SECRET_TAG_LEN);
	assert_string_not_equal(a, secret_tag(b, "tokem", 5));
	assert_int_equal(strlen(secret_tag(a, NULL, 0)), SECRET_TAG_LEN);
}


static void test_secret_sha256(void **state)
{
	uint8_t md[32], want[32];

	(void)state;

	assert_int_equal(ident_unhex(want, 32,
				     "ba7816bf8f01cfea414140de5dae2223"
				     "b00361a396177a9cb410ff61f20015ad"),
			 0);
	assert_int_equal(secret_sha256(md, "abc", 3), 0);
	assert_memory_equal(md, want, 32);
	assert_true(secret_equal(md, want, 32));
	md[31] ^= 1;
	assert_false(secret_equal(md, want, 32));
	assert_false(secret_equal(md, NULL, 32));
}


static void put(const char *path, const char *text, mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
}


static void test_secret_read_file(void **state)
{
	static const mode_t open_modes[] = { 0604, 0602, 0601, 0620, 0666 };
	char dir[] = "/tmp/test_secret.XXXXXX", path[64];
	char *buf = NULL;
	size_t len;

	(void)state;

	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/key", dir);

	assert_int_equal(secret_read_file(&buf, &len, path, 64), ENOENT);

	put(path, "0123456789", 0600);
	assert_int_equal(secret_read_file(&buf, &len, path, 10), 0);
	assert_int_equal(len, 10);
	assert_string_equal(buf, "0123456789");
	secret_free(buf);
	buf = NULL;
	assert_int_equal(secret_read_file(&buf, &len, path, 9), EFBIG);

	put(path, "0123456789", 0440);
	assert_int_equal(secret_read_file(&buf, &len, path, 10), 0);
	secret_free(buf);
	buf = NULL;

	for (size_t i = 0; i < sizeof(open_modes) / sizeof(mode_t); i++) {
		put(path, "0123456789", open_modes[i]);
		assert_int_equal(secret_read_file(&buf, &len, path, 10),
				 EPERM);
	}

	put(path, "", 0600);
	assert_int_equal(secret_read_file(&buf, &len, path, 10), ENODATA);
	assert_int_equal(unlink(path), 0);

	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(secret_read_file(&buf, &len, path, 10), EINVAL);
	assert_int_equal(secret_read_file(&buf, &len, dir, 10), EINVAL);

	assert_null(buf);
	(void)unlink(path);
	(void)rmdir(dir);
	secret_free(NULL);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seal_every_bit_counts),
		cmocka_unit_test(test_seal_every_cut),
		cmocka_unit_test(test_seal_key_and_aad_count),
		cmocka_unit_test(test_seal_nothing),
		cmocka_unit_test(test_seal_round_trip),
		cmocka_unit_test(test_secret_read_file),
		cmocka_unit_test(test_secret_sha256),
		cmocka_unit_test(test_secret_tag),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
