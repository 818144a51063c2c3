/**
 * @file vouch.h  A phone's request to a PBX whose challenges we answer
 *
 * With "challenges: answer" the secret of the account stays here.  Each
 * answer is the request once more, with the next CSeq of its eight (stride.h):
 *
 *     kept nonce --refused--> fresh nonce --stale--> fresh nonce, once more
 *     nothing ----challenge-->     |                      |
 *                                  +----refused-----------+--> 403
 *
 * Only the realm to which the account is pinned is answered, and only for a
 * phone that has logged in over a connection: what somebody says who merely
 * has a token of the dialog, or the address of a phone, is not vouched for.
 * All else passes as it is.
 */

#ifndef SIPIS_EDGE_VOUCH_H
#define SIPIS_EDGE_VOUCH_H

#include <re/re.h>

struct edge_binding;
struct edge_forward_prm;
struct edge_routes;
struct edge_vouch;
struct pbx;

/** Is its CSeq strided?  r: of a phone's request */
bool edge_vouch_strides(const struct pbx *pbx, const struct edge_routes *r);

/** prm gets the first turn, and the vouch, which is the caller's.  prm->copy
    points into it.  b may be NULL */
int edge_vouch(struct edge_forward_prm *prm, struct pbx *pbx,
	       const struct edge_binding *b, const struct edge_routes *r,
	       const struct sa *laddr);

enum edge_vouched {
	EDGE_VOUCH_PASS,    /**< the response goes up */
	EDGE_VOUCH_AGAIN,   /**< prm is the next turn */
	EDGE_VOUCH_REFUSED, /**< the secret is wrong */
};

/** Every response but 100 */
enum edge_vouched edge_vouch_heard(struct edge_vouch *v,
				   const struct sip_msg *resp,
				   struct edge_forward_prm *prm);

/** What a PBX says of a REFER of the phone, with the phone's own CSeq; fits
    copy_prm.headerh, arg is the dialog's struct edge_stride */
bool edge_vouch_event(struct mbuf *mb, const struct sip_hdr *hdr, int *err,
		      void *arg);

#endif
