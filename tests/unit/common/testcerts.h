/**
 * @file testcerts.h  Certificates made on the spot, for whoever tests TLS
 *
 * Files land in a directory of mkdtemp(); testcerts_close() removes them.
 */

#ifndef TESTS_UNIT_COMMON_TESTCERTS_H
#define TESTS_UNIT_COMMON_TESTCERTS_H

#include <stdbool.h>
#include <stddef.h>

struct testcerts;

/** One certificate; zero fields are left out */
struct testcert {
	const char *file; /**< FILE.pem gets the certificate and its key */
	const char *ca;   /**< FILE of the issuer; NULL = self-signed CA */
	const char *dns;
	const char *ip;
	const char *uri[3];
	size_t uri_len;  /**< of uri[0], if it has NUL bytes */
	const char *eku; /**< "serverAuth", "clientAuth" */
	bool expired;
};

int testcerts_alloc(struct testcerts **tp);
void testcerts_close(struct testcerts *t);

/** 0 or EIO */
int testcerts_make(struct testcerts *t, const struct testcert *c);

/** Path of FILE.pem; lives as long as t */
const char *testcerts_path(struct testcerts *t, const char *file);

/** Any other file in the directory: path of it */
const char *testcerts_put(struct testcerts *t, const char *file,
			  const char *text);

#endif
