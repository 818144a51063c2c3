/**
 * @file testcerts.c  Certificates made on the spot, for whoever tests TLS
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include "tests/unit/common/testcerts.h"


enum { FILES = 32, PATH = 96 };

struct testcerts {
	char dir[40];
	char path[FILES][PATH];
	size_t n;
	long serial;
};

struct pair {
	X509 *cert;
	EVP_PKEY *key;
};


int testcerts_alloc(struct testcerts **tp)
{
	struct testcerts *t = calloc(1, sizeof(*t));

	if (!t)
		return ENOMEM;

	(void)snprintf(t->dir, sizeof(t->dir), "/tmp/testcerts.XXXXXX");
	if (!mkdtemp(t->dir)) {
		free(t);
		return EIO;
	}

	*tp = t;
	return 0;
}


void testcerts_close(struct testcerts *t)
{
	if (!t)
		return;

	for (size_t i = 0; i < t->n; i++)
		(void)unlink(t->path[i]);
	(void)rmdir(t->dir);
	free(t);
}


static const char *path_of(struct testcerts *t, const char *file,
			   const char *suffix)
{
	char path[PATH];

	(void)snprintf(path, sizeof(path), "%s/%s%s", t->dir, file, suffix);

	for (size_t i = 0; i < t->n; i++) {
		if (!strcmp(t->path[i], path))
			return t->path[i];
	}
	if (t->n == FILES)
		abort();

	memcpy(t->path[t->n], path, sizeof(path));
	return t->path[t->n++];
}


const char *testcerts_path(struct testcerts *t, const char *file)
{
	return path_of(t, file, ".pem");
}


const char *testcerts_put(struct testcerts *t, const char *file,
			  const char *text)
{
	const char *path = path_of(t, file, "");
	FILE *f = fopen(path, "w");

	if (!f || fputs(text, f) < 0 || fclose(f))
		abort();

	return path;
}


static void pair_free(struct pair *p)
{
	X509_free(p->cert);
	EVP_PKEY_free(p->key);
}


static int pair_read(struct pair *p, const char *path)
{
	FILE *f = fopen(path, "r");

	if (!f)
		return EIO;

	p->cert = PEM_read_X509(f, NULL, NULL, NULL);
	p->key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
	(void)fclose(f);

	return p->cert && p->key ? 0 : EIO;
}


static int pair_write(const struct pair *p, const char *path)
{
	FILE *f = fopen(path, "w");
	int ok;

	if (!f)
		return EIO;

	ok = PEM_write_X509(f, p->cert) &&
	     PEM_write_PrivateKey(f, p->key, NULL, NULL, 0, NULL, NULL);

	return fclose(f) || !ok ? EIO : 0;
}


static int add_ext(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *ext;
	X509V3_CTX ctx;
	int ok;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	ok = ext && X509_add_ext(cert, ext, -1);
	X509_EXTENSION_free(ext);

	return ok ? 0 : EIO;
}


static void add_name(GENERAL_NAMES *names, int type, const void *p, size_t len)
{
	GENERAL_NAME *gn = GENERAL_NAME_new();
	ASN1_STRING *s;

	s = type == GEN_IPADD ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
	(void)ASN1_STRING_set(s, p, (int)len);
	GENERAL_NAME_set0_value(gn, type, s);
	(void)sk_GENERAL_NAME_push(names, gn);
}


static int add_sans(X509 *cert, const struct testcert *c)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	int ok = 1;

	if (c->dns)
		add_name(names, GEN_DNS, c->dns, strlen(c->dns));
	if (c->ip) {
		ASN1_OCTET_STRING *ip = a2i_IPADDRESS(c->ip);

		add_name(names, GEN_IPADD, ASN1_STRING_get0_data(ip),
			 (size_t)ASN1_STRING_length(ip));
		ASN1_OCTET_STRING_free(ip);
	}
	for (size_t i = 0; i < 3 && c->uri[i]; i++)
		add_name(names, GEN_URI, c->uri[i],
			 !i && c->uri_len ? c->uri_len : strlen(c->uri[i]));

	if (sk_GENERAL_NAME_num(names))
		ok = X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0,
				       X509V3_ADD_DEFAULT);
	GENERAL_NAMES_free(names);

	return ok == 1 ? 0 : EIO;
}


static int fill(struct testcerts *t, struct pair *p, const struct pair *issuer,
		const struct testcert *c)
{
	X509_NAME *name = X509_get_subject_name(p->cert);
	const long begin = c->expired ? -7200 : -3600;
	int err = 0;

	(void)X509_set_version(p->cert, 2);
	(void)ASN1_INTEGER_set(X509_get_serialNumber(p->cert), ++t->serial);
	(void)X509_gmtime_adj(X509_getm_notBefore(p->cert), begin);
	(void)X509_gmtime_adj(X509_getm_notAfter(p->cert), begin + 7000);
	(void)X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
					 (const unsigned char *)c->file, -1,
					 -1, 0);
	(void)X509_set_issuer_name(p->cert,
				   X509_get_subject_name(issuer->cert));
	(void)X509_set_pubkey(p->cert, p->key);

	err |= add_ext(p->cert, issuer->cert, NID_basic_constraints,
		       c->ca ? "critical,CA:FALSE" : "critical,CA:TRUE");
	err |= add_ext(p->cert, issuer->cert, NID_subject_key_identifier,
		       "hash");
	if (c->ca)
		err |= add_ext(p->cert, issuer->cert,
			       NID_authority_key_identifier, "keyid");
	if (c->eku)
		err |= add_ext(p->cert, issuer->cert, NID_ext_key_usage,
			       c->eku);
	err |= add_sans(p->cert, c);

	return err || !X509_sign(p->cert, issuer->key, EVP_sha256()) ? EIO : 0;
}


int testcerts_make(struct testcerts *t, const struct testcert *c)
{
	struct pair p = { NULL, NULL }, issuer = { NULL, NULL };
	int err;

	p.cert = X509_new();
	p.key = EVP_EC_gen("P-256");
	err = p.cert && p.key ? 0 : EIO;

	if (!err && c->ca)
		err = pair_read(&issuer, testcerts_path(t, c->ca));
	if (!err)
		err = fill(t, &p, c->ca ? &issuer : &p, c);
	if (!err)
		err = pair_write(&p, testcerts_path(t, c->file));

	pair_free(&issuer);
	pair_free(&p);

	return err;
}
