/**
 * @file tlsctx.c  TLS contexts that verify
 *
 * libre's own switches are not used: in 1.1.0 its server accepts any client
 * certificate and none, its SIP client checks nothing and sends no SNI, and
 * 2.0.1 checks no name behind an address.  Everything is set on the SSL_CTX,
 * where it holds for every connection, whoever makes it.  RFC 5922 for SIP,
 * RFC 9525 for names.
 */

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <re/re.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include "common/tlsctx.h"


enum { NAME_SIZE = 256, ALPN_SIZE = 64, ERROR_SIZE = 256 };

/** Hangs at the SSL_CTX and goes with it */
struct extra {
	char sni[NAME_SIZE]; /**< "" = send none */
	uint8_t alpn[ALPN_SIZE];
	unsigned alpn_len;
	char last_error[ERROR_SIZE];
};

static int extra_index = -1;
static pthread_once_t extra_once = PTHREAD_ONCE_INIT;


static void extra_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx,
		       long argl, void *argp)
{
	(void)parent;
	(void)ad;
	(void)idx;
	(void)argl;
	(void)argp;

	OPENSSL_free(ptr);
}


static void extra_register(void)
{
	extra_index =
		SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, extra_free);
}


static struct extra *extra_get(const SSL_CTX *ctx)
{
	return ctx && extra_index >= 0 ? SSL_CTX_get_ex_data(ctx, extra_index)
				       : NULL;
}


static int extra_alloc(struct extra **xp, SSL_CTX *ctx)
{
	struct extra *x;

	(void)pthread_once(&extra_once, extra_register);
	if (extra_index < 0)
		return ENOMEM;

	x = OPENSSL_zalloc(sizeof(*x));
	if (!x)
		return ENOMEM;

	if (SSL_CTX_set_ex_data(ctx, extra_index, x) != 1) {
		OPENSSL_free(x);
		return ENOMEM;
	}

	*xp = x;
	return 0;
}


/* What the system said, else what OpenSSL said first; the rest of its queue
   only tells who passed it on */
static const char *ssl_reason(void)
{
	const char *first = NULL;
	unsigned long e;

	while ((e = ERR_get_error())) {
		if (ERR_SYSTEM_ERROR(e)) {
			first = strerror(ERR_GET_REASON(e));
			break;
		}
		if (!first)
			first = ERR_reason_error_string(e);
	}
	ERR_clear_error();

	return first ? first : "not valid PEM";
}


static int fail(char *reason, size_t size, const char *what, const char *path)
{
	(void)snprintf(reason, size, "cannot use %s %s: %s", what, path,
		       ssl_reason());
	return EINVAL;
}


/* OpenSSL would ask the terminal */
static int no_password(char *buf, int size, int rwflag, void *arg)
{
	(void)buf;
	(void)size;
	(void)rwflag;
	(void)arg;

	return -1;
}


static int load_cert(SSL_CTX *ctx, const struct tlsctx_prm *prm, char *reason,
		     size_t size)
{
	const char *key = prm->key ? prm->key : prm->cert;

	if (!prm->cert)
		return 0;

	SSL_CTX_set_default_passwd_cb(ctx, no_password);

	if (SSL_CTX_use_certificate_chain_file(ctx, prm->cert) != 1)
		return fail(reason, size, "certificate", prm->cert);
	if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_check_private_key(ctx) != 1)
		return fail(reason, size, "private key", key);

	return 0;
}


static int load_ca(SSL_CTX *ctx, const struct tlsctx_prm *prm, char *reason,
		   size_t size)
{
	STACK_OF(X509_NAME) * names;

	if (!prm->ca) {
		if (SSL_CTX_set_default_verify_paths(ctx) == 1)
			return 0;
		return fail(reason, size, "CA certificates", "of the system");
	}

	if (SSL_CTX_load_verify_file(ctx, prm->ca) != 1)
		return fail(reason, size, "CA certificate", prm->ca);

	if (prm->require_client) {
		names = SSL_load_client_CA_file(prm->ca);
		if (!names)
			return fail(reason, size, "CA certificate", prm->ca);
		SSL_CTX_set_client_CA_list(ctx, names);
	}

	return 0;
}


static int verify_handler(int ok, X509_STORE_CTX *store)
{
	const SSL *ssl;
	struct extra *x;
	X509 *cert;
	char subject[128] = "";

	if (ok)
		return 1;

	ssl = X509_STORE_CTX_get_ex_data(store,
					 SSL_get_ex_data_X509_STORE_CTX_idx());
	x = ssl ? extra_get(SSL_get_SSL_CTX(ssl)) : NULL;
	if (!x)
		return 0;

	cert = X509_STORE_CTX_get_current_cert(store);
	if (cert)
		(void)X509_NAME_oneline(X509_get_subject_name(cert), subject,
					sizeof(subject));

	(void)snprintf(x->last_error, sizeof(x->last_error),
		       "certificate %s refused: %s", subject,
		       X509_verify_cert_error_string(
			       X509_STORE_CTX_get_error(store)));
	return 0;
}


/* OpenSSL 3.0 has no text for the one that a missing certificate gets */
static const char *alert_name(int ret)
{
	if ((ret & 0xff) == SSL_AD_CERTIFICATE_REQUIRED)
		return "certificate required";

	return SSL_alert_desc_string_long(ret);
}


static void info_handler(const SSL *ssl, int where, int ret)
{
	struct extra *x = extra_get(SSL_get_SSL_CTX(ssl));
	const bool fatal = (ret >> 8) == SSL3_AL_FATAL;

	if (!x)
		return;

	/* libre 1.1.0 sends no SNI; here every client connection of the
	   context passes, also those that its SIP stack opens */
	if (where & SSL_CB_HANDSHAKE_START && !SSL_is_server(ssl) &&
	    x->sni[0] && !SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name))
		(void)SSL_set_tlsext_host_name((SSL *)ssl, x->sni);

	/* Our own verdict is known better from the verify handler */
	if (where & SSL_CB_ALERT && fatal &&
	    (where & SSL_CB_READ || !x->last_error[0]))
		(void)snprintf(x->last_error, sizeof(x->last_error),
			       "%s alert: %s",
			       where & SSL_CB_READ ? "peer sent" : "we sent",
			       alert_name(ret));

	if (where & SSL_CB_HANDSHAKE_START)
		x->last_error[0] = '\0';
}


static int alpn_handler(SSL *ssl, const uint8_t **out, uint8_t *out_len,
			const uint8_t *in, unsigned in_len, void *arg)
{
	const struct extra *x = arg;
	uint8_t *chosen = NULL;

	(void)ssl;

	if (SSL_select_next_proto(&chosen, out_len, x->alpn, x->alpn_len, in,
				  in_len) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;

	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}


static int set_alpn(SSL_CTX *ctx, struct extra *x, const char *alpn)
{
	const size_t len = alpn ? strlen(alpn) : 0;

	if (!alpn)
		return 0;
	if (!len || len >= ALPN_SIZE)
		return EINVAL;

	x->alpn[0] = (uint8_t)len;
	memcpy(x->alpn + 1, alpn, len);
	x->alpn_len = (unsigned)len + 1;

	SSL_CTX_set_alpn_select_cb(ctx, alpn_handler, x);

	return SSL_CTX_set_alpn_protos(ctx, x->alpn, x->alpn_len) ? ENOMEM : 0;
}


static int set_peer_name(SSL_CTX *ctx, struct extra *x, const char *name)
{
	X509_VERIFY_PARAM *vp = SSL_CTX_get0_param(ctx);
	struct sa sa;

	if (!name)
		return 0;
	if (!*name || strlen(name) >= NAME_SIZE)
		return EINVAL;

	X509_VERIFY_PARAM_set_hostflags(
		vp, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
			    X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);

	if (!sa_set_str(&sa, name, 0))
		return X509_VERIFY_PARAM_set1_ip_asc(vp, name) == 1 ? 0
								    : EINVAL;

	(void)snprintf(x->sni, sizeof(x->sni), "%s", name);
	return X509_VERIFY_PARAM_set1_host(vp, name, 0) == 1 ? 0 : ENOMEM;
}


static int check(const struct tlsctx_prm *prm, char *reason, size_t size)
{
	const char *lack = NULL;

	if (!prm->peer_name && !prm->require_client)
		lack = "neither the peer's name nor a client certificate is "
		       "asked for";
	else if (prm->require_client && !prm->ca)
		lack = "client certificates need a CA of their own";
	else if (prm->require_client && !prm->cert)
		lack = "a server needs a certificate";
	else if (prm->min_version != TLS1_2_VERSION &&
		 prm->min_version != TLS1_3_VERSION)
		lack = "the least version is neither TLS 1.2 nor 1.3";

	if (!lack)
		return 0;

	(void)snprintf(reason, size, "%s", lack);
	return EINVAL;
}


static int set_policy(SSL_CTX *ctx, const struct tlsctx_prm *prm)
{
	static const uint8_t sid[] = "sipis";
	struct extra *x;
	int err;

	err = extra_alloc(&x, ctx);
	if (err)
		return err;

	if (SSL_CTX_set_min_proto_version(ctx, prm->min_version) != 1)
		return EINVAL;

	(void)SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION |
					       SSL_OP_NO_COMPRESSION);
	(void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);

	/* One context may stand in both roles (a SIP stack does): whoever
	   comes to us must then show a certificate too */
	SSL_CTX_set_verify(ctx,
			   SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
			   verify_handler);

	/* Without it, OpenSSL throws out clients that resume */
	if (SSL_CTX_set_session_id_context(ctx, sid, sizeof(sid) - 1) != 1)
		return EINVAL;

	SSL_CTX_set_info_callback(ctx, info_handler);

	err = set_peer_name(ctx, x, prm->peer_name);
	return err ? err : set_alpn(ctx, x, prm->alpn);
}


int tlsctx_alloc(struct tls **tlsp, const struct tlsctx_prm *prm, char *reason,
		 size_t reason_sz)
{
	struct tls *tls = NULL;
	SSL_CTX *ctx;
	int err;

	if (!tlsp || !prm || !reason || !reason_sz)
		return EINVAL;

	reason[0] = '\0';

	err = check(prm, reason, reason_sz);
	if (err)
		return err;

	ERR_clear_error();

	err = tls_alloc(&tls, TLS_METHOD_SSLV23, NULL, NULL);
	if (err)
		goto out;

#ifdef HAVE_TLS_DISABLE_VERIFY_SERVER
	/* Else libre puts its own verify callback in place of ours */
	tls_disable_verify_server(tls);
#endif

	ctx = tls_openssl_context(tls);

	err = set_policy(ctx, prm);
	err = err ? err : load_cert(ctx, prm, reason, reason_sz);
	err = err ? err : load_ca(ctx, prm, reason, reason_sz);

out:
	if (err && !reason[0])
		(void)snprintf(reason, reason_sz, "cannot set up TLS: %s",
			       strerror(err));
	if (err)
		mem_deref(tls);
	else
		*tlsp = tls;

	return err;
}


int tlsctx_copy_cert(SSL_CTX *dst, SSL_CTX *src)
{
	STACK_OF(X509) *chain = NULL;
	X509 *cert;

	if (!dst || !src)
		return EINVAL;

	cert = SSL_CTX_get0_certificate(src);
	if (!cert)
		return 0;

	(void)SSL_CTX_get0_chain_certs(src, &chain);
	ERR_clear_error();
	if (SSL_CTX_use_cert_and_key(dst, cert, SSL_CTX_get0_privatekey(src),
				     chain, 1) == 1)
		return 0;

	ERR_clear_error();
	return EINVAL;
}


int tlsctx_renew(struct tls *live, struct tls *fresh)
{
	SSL_CTX *dst, *src;
	int err;

	if (!live || !fresh)
		return EINVAL;

	dst = tls_openssl_context(live);
	src = tls_openssl_context(fresh);
	err = tlsctx_copy_cert(dst, src);
	if (err)
		return err;

	SSL_CTX_set1_cert_store(dst, SSL_CTX_get_cert_store(src));
	if (SSL_CTX_get_client_CA_list(src))
		SSL_CTX_set_client_CA_list(
			dst, SSL_dup_CA_list(SSL_CTX_get_client_CA_list(src)));
	return 0;
}


/* Nothing but visible ASCII: the name goes into paths, logs and keys */
static int copy_uri(char *uri, size_t size, const ASN1_IA5STRING *s)
{
	const uint8_t *p = ASN1_STRING_get0_data(s);
	const int len = ASN1_STRING_length(s);

	if (len <= 0 || (size_t)len >= size)
		return EBADMSG;

	for (int i = 0; i < len; i++) {
		if (p[i] <= 0x20 || p[i] >= 0x7f)
			return EBADMSG;
	}

	memcpy(uri, p, (size_t)len);
	uri[len] = '\0';

	return 0;
}


static const ASN1_IA5STRING *one_uri(const GENERAL_NAMES *names, int *errp)
{
	const ASN1_IA5STRING *found = NULL;

	*errp = ENOENT;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *gn = sk_GENERAL_NAME_value(names, i);

		if (gn->type != GEN_URI)
			continue;
		*errp = found ? EBADMSG : 0;
		if (found)
			return NULL;
		found = gn->d.uniformResourceIdentifier;
	}

	return found;
}


int tlsctx_peer_uri(const struct tls_conn *tc, char *uri, size_t size)
{
	const ASN1_IA5STRING *s;
	GENERAL_NAMES *names;
	X509 *cert;
	SSL *ssl;
	int crit = 0, err = 0;

	if (!tc || !uri || !size)
		return EINVAL;

	/* The SSL is the first member in libre 1.1.0 and 2.0.1; there is no
	   getter */
	memcpy(&ssl, tc, sizeof(ssl));
	if (!ssl)
		return ENOENT;

	cert = SSL_get1_peer_certificate(ssl);
	if (!cert)
		return ENOENT;

	names = X509_get_ext_d2i(cert, NID_subject_alt_name, &crit, NULL);
	if (names) {
		s = one_uri(names, &err);
		err = err ? err : copy_uri(uri, size, s);
	}
	else {
		/* -1: there is no such extension; else it cannot be read or
		   stands there twice */
		err = crit == -1 ? ENOENT : EBADMSG;
	}

	GENERAL_NAMES_free(names);
	X509_free(cert);
	ERR_clear_error();

	return err;
}


const char *tlsctx_last_error(const struct tls *tls)
{
	const struct extra *x;

	x = tls ? extra_get(tls_openssl_context(tls)) : NULL;

	return x ? x->last_error : "";
}
