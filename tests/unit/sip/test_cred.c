/**
 * @file test_cred.c  Sealed credentials open for their own account only
 */

#include "tests/unit/common/unit.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/ident.h"
#include "sipis/sip/cred.h"


static const struct cred_key key = { .key = { 1, 2, 3 }, .id = 42 };


static struct acct_row row(void)
{
	return (struct acct_row){
		.id = 7,
		.user = "alice",
		.domain = "example.org",
		.outbound_proxy = "proxy.example.org",
	};
}


static void test_cred_round_trip(void **state)
{
	const struct acct_row acct = row();
	uint8_t sealed[CRED_SEALED_MAX];
	size_t len = sizeof(sealed), plain_len;
	char plain[64];
	(void)state;

	assert_int_equal(0, cred_seal(&key, &acct, "secret", 6, sealed, &len));
	assert_int_equal(4 + 6 + 28, len);
	assert_null(memmem(sealed, len, "secret", 6));

	plain_len = sizeof(plain);
	assert_int_equal(
		0, cred_open(&key, &acct, sealed, len, plain, &plain_len));
	assert_int_equal(6, plain_len);
	assert_memory_equal("secret", plain, 6);

	plain_len = 5;
	assert_int_equal(EOVERFLOW, cred_open(&key, &acct, sealed, len, plain,
					      &plain_len));
	len = 4 + 6 + 27;
	assert_int_equal(EOVERFLOW,
			 cred_seal(&key, &acct, "secret", 6, sealed, &len));
}


static void refused(const struct cred_key *k, const struct acct_row *acct,
		    const uint8_t *sealed, size_t len)
{
	char plain[64];
	size_t n = sizeof(plain);

	assert_int_equal(EBADMSG, cred_open(k, acct, sealed, len, plain, &n));
}


/* promises.md T9: a row moved to another account does not open */
static void test_cred_belongs_to_one_account(void **state)
{
	uint8_t sealed[CRED_SEALED_MAX];
	size_t len = sizeof(sealed);
	struct acct_row acct = row();
	struct cred_key other = key;
	(void)state;

	assert_int_equal(0, cred_seal(&key, &acct, "secret", 6, sealed, &len));

	acct.id = 8;
	refused(&key, &acct, sealed, len);
	acct = row();
	acct.user = "alicf";
	refused(&key, &acct, sealed, len);
	acct = row();
	acct.domain = "example.com";
	refused(&key, &acct, sealed, len);
	acct = row();
	acct.outbound_proxy = "evil.example";
	refused(&key, &acct, sealed, len);
	acct.outbound_proxy = NULL;
	refused(&key, &acct, sealed, len);

	/* What moves from one part to the next is not the same */
	acct = row();
	acct.user = "aliceexample.org";
	acct.domain = "";
	refused(&key, &acct, sealed, len);

	acct = row();
	other.id = 43;
	refused(&other, &acct, sealed, len);
	other = key;
	other.key[31] = 1;
	refused(&other, &acct, sealed, len);

	for (size_t i = 0; i < len; i++) {
		sealed[i] ^= 1;
		refused(&key, &acct, sealed, len);
		sealed[i] ^= 1;
	}
	for (size_t i = 0; i < len; i++)
		refused(&key, &acct, sealed, i);
}


static void test_cred_ha1(void **state)
{
	uint8_t ha1[CRED_HA1_MAX];
	char hex[2 * CRED_HA1_MAX + 1];
	(void)state;

	assert_int_equal(16, cred_ha1(ha1, DIGEST_MD5, "Mufasa",
				      "testrealm@host.com", "Circle Of Life"));
	ident_hex(hex, ha1, 16);
	assert_string_equal("939e7578ed9e3c518a452acee763bce9", hex);

	assert_int_equal(32, cred_ha1(ha1, DIGEST_SHA256, "u", "r", "p"));
	ident_hex(hex, ha1, 32);
	assert_string_equal("dcb021102e491e701a4a236daa8923af"
			    "2161447bce7bb7260a351ee83e9f8154",
			    hex);
	assert_int_equal(0, cred_ha1(ha1, DIGEST_MD5, "u", NULL, "p"));
}


static void write_file(const char *path, const void *data, size_t len,
		       mode_t mode)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);

	assert_true(fd >= 0);
	assert_int_equal(len, write(fd, data, len));
	assert_int_equal(0, fchmod(fd, mode));
	close(fd);
}


static void test_cred_key_file(void **state)
{
	char dir[] = "/tmp/credXXXXXX", path[64];
	uint8_t raw[32];
	struct cred_key a, b;
	char hex[65];
	(void)state;

	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/key", dir);
	for (int i = 0; i < 32; i++)
		raw[i] = (uint8_t)(i * 7);
	ident_hex(hex, raw, 32);
	hex[64] = '\n';

	write_file(path, raw, 32, 0400);
	assert_int_equal(0, cred_key_read(&a, path));
	assert_memory_equal(raw, a.key, 32);
	assert_int_equal(0, unlink(path));

	write_file(path, hex, 65, 0400);
	assert_int_equal(0, cred_key_read(&b, path));
	assert_memory_equal(raw, b.key, 32);
	assert_int_equal(a.id, b.id);
	assert_int_equal(0, unlink(path));

	hex[3] = 'x';
	write_file(path, hex, 64, 0400);
	assert_int_not_equal(0, cred_key_read(&b, path));
	assert_int_equal(0, unlink(path));

	write_file(path, raw, 31, 0400);
	assert_int_equal(EBADMSG, cred_key_read(&b, path));
	assert_int_equal(0, unlink(path));

	write_file(path, raw, 32, 0444);
	assert_int_equal(EPERM, cred_key_read(&b, path));
	assert_int_equal(0, unlink(path));

	assert_int_equal(ENOENT, cred_key_read(&b, path));
	(void)rmdir(dir);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cred_round_trip),
		cmocka_unit_test(test_cred_belongs_to_one_account),
		cmocka_unit_test(test_cred_ha1),
		cmocka_unit_test(test_cred_key_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
