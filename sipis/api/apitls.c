/**
 * @file apitls.c  The API's certificate
 */

#include <errno.h>
#include <stdio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include "sipis/api/http.h"


int apitls_setup(SSL_CTX *ctx)
{
	static const unsigned char id[] = "sipis-api";

	if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1)
		return 1;

	(void)SSL_CTX_set_session_id_context(ctx, id, sizeof(id) - 1);
	(void)SSL_CTX_set_options(
		ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
			     SSL_OP_CIPHER_SERVER_PREFERENCE);
	return 0;
}


int apitls_load(SSL_CTX **ctxp, const struct api_cfg *cfg, char *reason,
		size_t reason_sz)
{
	const char *what = NULL;
	char text[160];
	SSL_CTX *ctx;

	if (!cfg->certificate || !cfg->key) {
		(void)snprintf(reason, reason_sz,
			       "the API needs certificate and key");
		return EINVAL;
	}

	ctx = SSL_CTX_new(TLS_server_method());
	if (!ctx)
		return ENOMEM;

	ERR_clear_error();
	if (SSL_CTX_use_certificate_chain_file(ctx, cfg->certificate) != 1)
		what = cfg->certificate;
	else if (SSL_CTX_use_PrivateKey_file(ctx, cfg->key,
					     SSL_FILETYPE_PEM) != 1 ||
		 SSL_CTX_check_private_key(ctx) != 1)
		what = cfg->key;
	if (!what) {
		*ctxp = ctx;
		return 0;
	}

	ERR_error_string_n(ERR_get_error(), text, sizeof(text));
	(void)snprintf(reason, reason_sz, "the API cannot use %s: %s", what,
		       text);
	SSL_CTX_free(ctx);
	return EINVAL;
}
