/**
 * @file secret.c  Things that must not be seen
 */

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/sha256.h"
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include "common/ident.h"
#include "common/secret.h"


enum { KEY_LEN = 32 };

/* Drawn once and then constant: tags of two runs cannot be joined */
static uint8_t tag_key[KEY_LEN];
static pthread_once_t tag_once = PTHREAD_ONCE_INIT;


static void draw_tag_key(void)
{
	/* Without a generator the tag would tell something of the secret */
	if (ident_random(tag_key, sizeof(tag_key)))
		abort();
}


const char *secret_tag(char *dst, const void *secret, size_t len)
{
	uint8_t md[EVP_MAX_MD_SIZE];

	if (!dst)
		return "";

	(void)pthread_once(&tag_once, draw_tag_key);

	if (HMAC(EVP_sha256(), tag_key, KEY_LEN, secret ? secret : "",
		 secret ? len : 0, md, NULL))
		ident_hex(dst, md, SECRET_TAG_LEN / 2);
	else
		memcpy(dst, "--------", SECRET_TAG_LEN + 1);

	return dst;
}


int secret_sha256(uint8_t md[32], const void *data, size_t len)
{
	SHA256_CTX ctx;
	bool ok;

	if (!md || (!data && len))
		return EINVAL;

	ok = SHA256_Init(&ctx) == 1 && SHA256_Update(&ctx, data, len) == 1 &&
	     SHA256_Final(md, &ctx) == 1;
	explicit_bzero(&ctx, sizeof(ctx));

	return ok ? 0 : EIO;
}


bool secret_equal(const void *a, const void *b, size_t len)
{
	return a && b && CRYPTO_memcmp(a, b, len) == 0;
}


void secret_free(char *s)
{
	if (!s)
		return;

	explicit_bzero(s, malloc_usable_size(s));
	free(s);
}


static int judge(const struct stat *st, size_t max)
{
	if (!S_ISREG(st->st_mode))
		return EINVAL;
	if (st->st_mode & (S_IWGRP | S_IRWXO))
		return EPERM;
	if (!st->st_size)
		return ENODATA;

	return (uint64_t)st->st_size > max ? EFBIG : 0;
}


static int read_all(int fd, char *buf, size_t len)
{
	char more;

	while (len) {
		ssize_t n = read(fd, buf, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? errno : EIO;

		buf += n;
		len -= (size_t)n;
	}

	/* A file that grows meanwhile is not whole */
	return read(fd, &more, 1) == 0 ? 0 : EIO;
}


int secret_read_file(char **bufp, size_t *lenp, const char *path, size_t max)
{
	char *buf = NULL;
	struct stat st;
	int fd, err;

	if (!bufp || !lenp || !path)
		return EINVAL;

	/* Opening a fifo must not hang */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return errno;

	err = fstat(fd, &st) ? errno : judge(&st, max);
	if (err)
		goto out;

	buf = calloc(1, (size_t)st.st_size + 1);
	err = buf ? read_all(fd, buf, (size_t)st.st_size) : ENOMEM;

out:
	(void)close(fd);
	if (err) {
		secret_free(buf);
		return err;
	}

	*bufp = buf;
	*lenp = (size_t)st.st_size;
	return 0;
}
