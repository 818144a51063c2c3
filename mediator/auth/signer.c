/**
 * @file auth/signer.c  Who holds the private keys and signs with them
 *
 * A job travels to the thread and back; it is plain memory, because libre's
 * references belong to one thread.  The request is what the caller holds.
 */

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <re/re.h>
#include "common/mailbox.h"
#include "mediator/auth/signer.h"

enum { ES256_HALF = P256_HALF };

struct signer {
	struct mailbox *jobs; /**< of the thread */
	struct mailbox *done; /**< of the loop */
	pthread_t tid;
	bool running;
};

struct signer_key {
	enum signer_alg alg;
	EVP_PKEY *pkey;
};

struct job {
	struct mail mail;
	struct signer_req *req; /**< NULL once given up */
	enum signer_alg alg;
	EVP_PKEY *pkey; /**< reference; OpenSSL counts atomically */
	uint8_t *data;
	size_t len;
	int err;
	uint8_t sig[SIGNER_SIG_MAX];
	size_t sig_len;
};

struct signer_req {
	struct job *job; /**< NULL once it came back */
	signer_h *h;
	void *arg;
};


static void job_free(struct job *j)
{
	EVP_PKEY_free(j->pkey);
	free(j->data);
	free(j);
}


/* DER of two integers into two fixed halves, padded on the left */
static int raw_from_der(uint8_t *sig, size_t *lenp, const uint8_t *der,
			size_t len)
{
	ECDSA_SIG *es = d2i_ECDSA_SIG(NULL, &der, (long)len);
	int ok;

	if (!es)
		return EPROTO;

	ok = BN_bn2binpad(ECDSA_SIG_get0_r(es), sig, ES256_HALF) ==
		     ES256_HALF &&
	     BN_bn2binpad(ECDSA_SIG_get0_s(es), sig + ES256_HALF,
			  ES256_HALF) == ES256_HALF;
	ECDSA_SIG_free(es);
	*lenp = sizeof(uint8_t[2 * ES256_HALF]);

	return ok ? 0 : EPROTO;
}


static int job_sign(struct job *j)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t out[SIGNER_SIG_MAX];
	size_t n = sizeof(out);
	int err = 0;

	if (!ctx)
		return ENOMEM;

	if (EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, j->pkey) != 1 ||
	    EVP_DigestSign(ctx, out, &n, j->data, j->len) != 1)
		err = EPROTO;
	EVP_MD_CTX_free(ctx);
	if (err)
		return err;

	if (j->alg == SIGNER_ES256)
		return raw_from_der(j->sig, &j->sig_len, out, n);

	memcpy(j->sig, out, n);
	j->sig_len = n;
	return 0;
}


static void *thread(void *arg)
{
	struct signer *s = arg;
	struct mail *mail;

	while ((mail = mailbox_wait(s->jobs, -1))) {
		while (mail) {
			struct job *j = (struct job *)mail;

			mail = mail->next;
			j->err = job_sign(j);
			mailbox_put(s->done, &j->mail);
		}
	}

	return NULL;
}


static void done_handler(struct mail *mail, void *arg)
{
	struct job *j = (struct job *)mail;
	struct signer_req *r = j->req;
	(void)arg;

	if (r) {
		r->job = NULL;
		r->h(j->err, j->sig, j->sig_len, r->arg);
	}
	job_free(j);
}


static void destructor(void *arg)
{
	struct signer *s = arg;

	if (s->running) {
		mailbox_stop(s->jobs);
		(void)pthread_join(s->tid, NULL);
	}
	mem_deref(s->done);
	mem_deref(s->jobs);
}


int signer_alloc(struct signer **sp)
{
	struct signer *s;
	int err;

	if (!sp)
		return EINVAL;

	s = mem_zalloc(sizeof(*s), destructor);
	if (!s)
		return ENOMEM;

	err = mailbox_alloc_thread(&s->jobs);
	if (!err)
		err = mailbox_alloc(&s->done, done_handler, s);
	if (!err)
		err = pthread_create(&s->tid, NULL, thread, s);
	s->running = !err;

	if (err)
		mem_deref(s);
	else
		*sp = s;

	return err;
}


static void key_destructor(void *arg)
{
	struct signer_key *k = arg;

	EVP_PKEY_free(k->pkey);
}


static bool key_fits(EVP_PKEY *pkey, enum signer_alg alg)
{
	char group[32] = "";

	if (alg == SIGNER_RS256)
		return EVP_PKEY_is_a(pkey, "RSA") &&
		       EVP_PKEY_get_bits(pkey) >= 2048 &&
		       EVP_PKEY_get_size(pkey) <= SIGNER_SIG_MAX;

	return EVP_PKEY_is_a(pkey, "EC") &&
	       EVP_PKEY_get_group_name(pkey, group, sizeof(group), NULL) &&
	       !strcmp(group, "prime256v1");
}


/* An encrypted key must not make us ask the terminal */
static int no_password(char *buf, int size, int rw, void *arg)
{
	(void)buf;
	(void)size;
	(void)rw;
	(void)arg;

	return -1;
}


int signer_key_load(struct signer_key **kp, enum signer_alg alg,
		    const char *pem, char *reason, size_t reason_sz)
{
	struct signer_key *k;
	BIO *bio;

	if (!kp || !pem)
		return EINVAL;

	k = mem_zalloc(sizeof(*k), key_destructor);
	bio = BIO_new_mem_buf(pem, -1);
	if (!k || !bio) {
		BIO_free(bio);
		mem_deref(k);
		return ENOMEM;
	}

	k->alg = alg;
	k->pkey = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
	BIO_free(bio);
	if (!k->pkey) {
		(void)re_snprintf(reason, reason_sz,
				  "it holds no private key; give a PEM file "
				  "with BEGIN PRIVATE KEY");
		mem_deref(k);
		return EBADMSG;
	}
	if (!key_fits(k->pkey, alg)) {
		(void)re_snprintf(reason, reason_sz, "%s",
				  alg == SIGNER_ES256
					  ? "its key is not of the curve P-256"
					  : "its key is not RSA of 2048 bits "
					    "or more");
		mem_deref(k);
		return EINVAL;
	}

	*kp = k;
	return 0;
}


void signer_key_print(uint8_t md[32], const struct signer_key *k)
{
	uint8_t *der = NULL;
	int n = i2d_PUBKEY(k->pkey, &der);

	memset(md, 0, 32);
	if (n > 0)
		(void)EVP_Digest(der, (size_t)n, md, NULL, EVP_sha256(), NULL);
	OPENSSL_free(der);
}


int signer_key_point(uint8_t point[P256_POINT], const struct signer_key *k)
{
	return k && k->alg == SIGNER_ES256 ? p256_point(point, k->pkey)
					   : EINVAL;
}


static void req_destructor(void *arg)
{
	struct signer_req *r = arg;

	if (r->job)
		r->job->req = NULL;
}


static struct job *job_new(const struct signer_key *k, const void *data,
			   size_t len)
{
	struct job *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;

	j->alg = k->alg;
	j->len = len;
	j->data = malloc(len ? len : 1);
	if (!j->data || !EVP_PKEY_up_ref(k->pkey)) {
		free(j->data);
		free(j);
		return NULL;
	}
	j->pkey = k->pkey;
	memcpy(j->data, data, len);

	return j;
}


int signer_sign(struct signer_req **rp, struct signer *s,
		const struct signer_key *k, const void *data, size_t len,
		signer_h *h, void *arg)
{
	struct signer_req *r;

	if (!rp || !s || !k || !data || !h)
		return EINVAL;

	r = mem_zalloc(sizeof(*r), req_destructor);
	if (!r)
		return ENOMEM;

	r->h = h;
	r->arg = arg;
	r->job = job_new(k, data, len);
	if (!r->job) {
		mem_deref(r);
		return ENOMEM;
	}

	r->job->req = r;
	mailbox_put(s->jobs, &r->job->mail);

	*rp = r;
	return 0;
}
