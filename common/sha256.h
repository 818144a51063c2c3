/**
 * @file sha256.h  OpenSSL's plain SHA-256, for texts that are short
 *
 * EVP looks an algorithm up by name and allocates each time, which costs many
 * times what the sum does.  Include this before any other of OpenSSL's
 * headers.
 */

#ifndef COMMON_SHA256_H
#define COMMON_SHA256_H

#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#endif
