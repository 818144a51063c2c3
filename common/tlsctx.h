/**
 * @file tlsctx.h  TLS contexts that verify
 *
 * libre 1.1.0 verifies nothing by default; every context of both daemons is
 * made here, and there is no way to ask for one that does not verify.
 */

#ifndef COMMON_TLSCTX_H
#define COMMON_TLSCTX_H

#include <re/re.h>

struct tlsctx_prm {
	const char *cert; /**< PEM chain; NULL = none (client only) */
	const char *key;  /**< PEM key; NULL = in the file of cert */
	const char *ca;   /**< PEM; NULL = the system's store */
	int min_version;  /**< TLS1_2_VERSION or TLS1_3_VERSION */
	/** Client: the name that the server must prove; it is also sent as
	    SNI unless it is an address */
	const char *peer_name;
	/** Server: demand a client certificate of ca.  The context then has
	    a session id context, so that resumption works */
	bool require_client;
	const char *alpn; /**< NULL = none */
};

/** *reason gets a sentence for the operator on failure ("cannot use
    certificate /x: No such file"); reason_sz >= 256 */
int tlsctx_alloc(struct tls **tlsp, const struct tlsctx_prm *prm, char *reason,
		 size_t reason_sz);

struct ssl_ctx_st;

/** From now on dst shows certificate, chain and key of src; connections that
    stand and handshakes under way keep theirs.  Nothing is changed on
    failure.  A src without a certificate changes nothing */
int tlsctx_copy_cert(struct ssl_ctx_st *dst, struct ssl_ctx_st *src);

/** The same, and dst trusts the CAs of src only.  For files that have been
    replaced: a fresh context of the same parameters proves that they are
    good, and live, which others hold, takes them over */
int tlsctx_renew(struct tls *live, struct tls *fresh);

/** Copies the one URI SAN of the peer into uri; ENOENT if none, EBADMSG if
    more than one or with NUL bytes */
int tlsctx_peer_uri(const struct tls_conn *tc, char *uri, size_t size);

/** Why the last handshake on this context failed, "" if none did */
const char *tlsctx_last_error(const struct tls *tls);

#endif
