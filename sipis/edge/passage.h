/**
 * @file passage.h  One request on its way through
 */

#ifndef SIPIS_EDGE_PASSAGE_H
#define SIPIS_EDGE_PASSAGE_H

#include "sipis/edge/forward.h"
#include "sipis/edge/priv.h"

struct edge_ends;

/** Its flow has ended before the phone has said anything, or the PBX has
    another target: once more */
typedef void(edge_again_h)(struct edge *e, const struct edge_ends *ends,
			   const struct sip_msg *msg);

/** Between whom */
struct edge_ends {
	struct pbx *pbx;
	const uint8_t *phone; /**< NULL: known by its token alone */
	const struct edge_routes *routes;
	bool to_phone;
	bool more;            /**< to the PBX: it has another target */
	edge_again_h *againh; /**< NULL: once is all */
};

/** in: the stack it came over.  prm->h and arg are the passage's */
void edge_passage_begin(struct sip *in, const struct edge_forward_prm *prm,
			const struct edge_ends *ends);

/** We are about to stop: phones that call hear so */
void edge_passages_give_up(struct edge *e);

#endif
