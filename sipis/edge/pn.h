/**
 * @file pn.h  What a client says of its pushes in its Contact; RFC 8599, pure
 *
 *     <sip:100@...;pn-provider=apns;pn-param=TEAM.bundle.voip;pn-prid=TOKEN>
 *
 * Also as Linphone sends it for two tokens of one app:
 *
 *     pn-param=TEAM.bundle.remote&voip;pn-prid=TOKEN1:remote&TOKEN2:voip
 *
 * For webpush pn-prid is the URL of the subscription's endpoint, and there is
 * no pn-param: one app can have it, the one that edge.push gives a key.  The
 * keys of the subscription have no place in RFC 8599, so its pushes have no
 * text.
 */

#ifndef SIPIS_EDGE_PN_H
#define SIPIS_EDGE_PN_H

#include <re/re.h>
#include "sipis/cfg.h"
#include "sipis/inst/types.h"

enum edge_pn_kind {
	EDGE_PN_NONE,    /**< it does not speak of pushes */
	EDGE_PN_ASKS,    /**< what is there? */
	EDGE_PN_TOKENS,  /**< and this is how to reach it */
	EDGE_PN_FOREIGN, /**< nothing that we can push to: 555 */
};

enum {
	EDGE_PN_TOKEN = 1024,
	EDGE_PN_NAME = 256,
	EDGE_PN_UNTAKEN = 1, /**< in place of a hash: of tokens not in use */
};

struct edge_pn {
	enum edge_pn_kind kind;
	const char *app;             /**< as the mediator calls it */
	const char *provider;        /**< apns, fcm, webpush */
	const char *platform;        /**< as the API calls it */
	struct inst_token tokenv[2]; /**< point into here */
	unsigned tokenc;
	bool pnsreg;   /**< it can refresh by itself, without a push */
	bool pnspurr;  /**< and for what comes in its dialogs */
	uint32_t hash; /**< of all of it: has it changed? */
	char text[2][EDGE_PN_TOKEN], topic[2][EDGE_PN_NAME];
};

/** uri: of the Contact */
void edge_pn_read(struct edge_pn *pn, const struct edge_cfg *cfg,
		  const struct uri *uri);

struct edge_pn_offer {
	const struct edge_cfg *cfg;
	const char *provider; /**< the phone's, NULL: all that there are */
	uint32_t pnsreg_s;    /**< it has to refresh so long before the end; 0:
				 it is not told */
	const char *purr;     /**< NULL: it is not pushed in dialogs */
};

/** Feature-Caps, a line for each push service that is meant */
int edge_pn_caps(struct re_printf *pf, const struct edge_pn_offer *offer);

#endif
