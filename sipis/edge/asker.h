/**
 * @file asker.h  What a PBX asks phones for, and with which nonce
 *
 * A PBX hands out nonces that are good for minutes and for any account, and
 * asks for the password of some methods and not of others.  Both are learned
 * here, so that a request of the next phone brings the answer along; what was
 * never asked for is never shown.  A PBX whose nonces are refused three times
 * in a row is asked each time, for an hour.
 */

#ifndef SIPIS_EDGE_ASKER_H
#define SIPIS_EDGE_ASKER_H

#include <re/re.h>
#include "sipis/sip/digest.h"

struct pbx;

/** One realm of one PBX, one algorithm, 401 or 407 */
struct edge_asker {
	struct le le;
	const struct pbx *pbx;
	char *realm;
	enum digest_alg alg;
	bool proxy;
	uint32_t kinds; /**< edge_asker_kind() of what it asks for */
	struct digest_nonce *nonce;
	unsigned strikes;
	uint64_t paused; /**< monotonic ms: until then no nonce is kept */
};

/** A bit: the method, within a dialog or not */
uint32_t edge_asker_kind(const struct pl *met, bool within);

/** Made if it is not there; NULL: no memory */
struct edge_asker *edge_asker_get(struct list *askers, const struct pbx *pbx,
				  const char *realm,
				  const struct digest_chall *ch);
/** Its nonce is good for a request of this kind */
bool edge_asker_ready(const struct edge_asker *a, uint32_t kind);
/** An answer with n was right; next: of its Authentication-Info, or NULL */
void edge_asker_good(struct edge_asker *a, struct digest_nonce *n, bool kept,
		     struct digest_nonce *next, uint64_t now_ms);
/** A kept nonce was refused */
void edge_asker_bad(struct edge_asker *a, const struct digest_nonce *n,
		    uint64_t now_ms);

#endif
