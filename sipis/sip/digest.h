/**
 * @file digest.h  Digest authentication, the client's side
 *
 * RFC 7616 and RFC 8760: several challenges in any order, MD5 and SHA-256,
 * each also as -sess, qop "auth" and none.  libre's own digest knows MD5
 * alone and stumbles over anything else.  No I/O here.
 */

#ifndef SIPIS_DIGEST_H
#define SIPIS_DIGEST_H

#include <re/re.h>
#include "sipis/sip/answer.h"
#include "sipis/store/store.h"

enum {
	DIGEST_MAX = 32,       /**< bytes of the longest hash */
	DIGEST_CHALLENGES = 8, /**< of one response; more are ignored */
};

struct digest_part {
	const void *p;
	size_t l;
};

/** Over the parts one after the other; returns its length, 0 on error */
size_t digest_hash(uint8_t md[DIGEST_MAX], enum digest_alg alg,
		   const struct digest_part *v, size_t n);

/** One challenge; points into the message */
struct digest_chall {
	struct pl realm, nonce, opaque; /**< as quoted, still escaped */
	enum digest_alg alg;
	bool alg_given, sess;
	bool qop;   /**< "auth" is offered */
	bool stale; /**< only the nonce was too old */
	bool proxy; /**< 407 */
};

/** All challenges that can be answered; the count, at most max.  *seen (may
    be NULL) counts the others as well */
unsigned digest_challenges(struct digest_chall *v, unsigned max,
			   unsigned *seen, const struct answer *ans);

/** What may be answered */
struct digest_pin {
	const char *realm; /**< NULL: any */
	enum digest_alg alg;
	bool exact; /**< only alg (there is but its HA1), else alg or better */
};

/** The strongest that the pin lets pass; EACCES: foreign realm, ENOTSUP:
    none that is strong enough, ENOENT: no challenge */
int digest_choose(const struct digest_chall **chp,
		  const struct digest_chall *v, unsigned n,
		  const struct digest_pin *pin);

/** A nonce and what belongs to it, good for many requests */
struct digest_nonce;

int digest_nonce_alloc(struct digest_nonce **np,
		       const struct digest_chall *ch);
/** RFC 7616 3.5: nextnonce of a 2xx; ENOENT if there is none */
int digest_nonce_next(struct digest_nonce **np, const struct digest_nonce *old,
		      const struct answer *ans);
bool digest_nonce_equal(const struct digest_nonce *n,
			const struct digest_chall *ch);
enum digest_alg digest_nonce_alg(const struct digest_nonce *n);
/** Without the escapes of a quoted string, as it goes into HA1; EOVERFLOW */
int digest_nonce_realm(char *buf, size_t size, const struct digest_nonce *n);
uint32_t digest_nonce_count(const struct digest_nonce *n);

/** Writes the (Proxy-)Authorization line; counts the use of the nonce.
    ha1 has the length of the nonce's algorithm */
int digest_authorize(struct mbuf *mb, struct digest_nonce *n, const char *user,
		     const uint8_t *ha1, const char *met, const char *uri);
/** The same with a client nonce of the caller's, for the RFC's examples */
int digest_nonce_set_cnonce(struct digest_nonce *n, const char *cnonce);

#endif
