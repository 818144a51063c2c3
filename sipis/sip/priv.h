/**
 * @file sipis/sip/priv.h  What the files around one profile share
 *
 *     pbx.c      making and closing, who is trusted
 *     door.c     what comes in
 *     way.c      next hops: where a request goes
 *     request.c  one request to the PBX
 *     revive.c   a stored message, as if it had just come in
 *     stranger.c who knocks and is not of the PBX
 *     tally.c    what is counted
 *
 * The other files of this folder know nothing of a profile.
 */

#ifndef SIPIS_SIP_PRIV_H
#define SIPIS_SIP_PRIV_H

#include "sipis/sip/flow.h"
#include "sipis/sip/pbx.h"
#include "sipis/sip/resolve.h"
#include "sipis/sip/stack.h"
#include "sipis/sip/stranger.h"
#include "sipis/sip/tally.h"
#include "sipis/sip/trust.h"
#include "sipis/sip/utrans.h"

struct pbx {
	const struct pbx_cfg *cfg;
	struct dnsc *dnsc;
	struct nameserv *nameserv;
	struct sip *sip;
	struct sip_lsnr *gate, *door, *resp;
	struct tls *tls;
	struct stack *stack;
	struct flows *flows;
	struct utrans_table *utrans;
	struct trust *trust;
	struct stranger *stranger;
	struct tally *tally;   /**< stays until the profile is freed */
	struct resolve *main;  /**< the profile's own next hop */
	struct hash *ht_proxy; /**< next hops of single accounts */
	pbx_acct_h *accth;
	pbx_request_h *inviteh, *dialogh, *messageh;
	pbx_nobody_h *nobodyh;
	pbx_cancel_h *cancelh;
	pbx_pass_h *passh;
	void *arg;
	pbx_path_h *pathh;
	void *path_arg;
	bool closed;
};

/** Listens to libre; the listeners are gate, door and resp */
int door_open(struct pbx *pbx);
/** The account of a contact user, or NULL */
struct acct *door_acct(struct pbx *pbx, const struct pl *user);

/** The resolver of the profile's own next hop; a numeric one is there at
    once */
int way_open(struct pbx *pbx, const char *host, uint16_t port);
void way_close(struct pbx *pbx);

#endif
