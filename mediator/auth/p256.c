/**
 * @file auth/p256.c  Public keys on the curve P-256 as bytes
 */

#include <errno.h>
#include <stdbool.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/params.h>
#include "mediator/auth/p256.h"


int p256_point(uint8_t point[P256_POINT], const EVP_PKEY *pkey)
{
	BIGNUM *x = NULL, *y = NULL;
	bool ok = EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_EC_PUB_X, &x) &&
		  EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, &y);

	point[0] = P256_UNCOMPRESSED;
	ok = ok && BN_bn2binpad(x, point + 1, P256_HALF) == P256_HALF &&
	     BN_bn2binpad(y, point + 1 + P256_HALF, P256_HALF) == P256_HALF;
	BN_free(x);
	BN_free(y);

	return ok ? 0 : EINVAL;
}


EVP_PKEY *p256_public(const uint8_t point[P256_POINT])
{
	char group[] = "prime256v1";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME,
						 group, 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY,
						  (void *)point, P256_POINT),
		OSSL_PARAM_construct_end(),
	};
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	EVP_PKEY *pkey = NULL;

	if (point[0] != P256_UNCOMPRESSED || !ctx ||
	    EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
		pkey = NULL;
	EVP_PKEY_CTX_free(ctx);

	return pkey;
}
