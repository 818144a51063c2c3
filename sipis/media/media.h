/**
 * @file media.h  The rtpengines of one profile
 *
 * Which of them has a call follows from the call alone (rendezvous hashing),
 * so it is found again without a table, also after a restart.  One that does
 * not answer is left out until it does; the next one takes its calls.
 */

#ifndef SIPIS_MEDIA_MEDIA_H
#define SIPIS_MEDIA_MEDIA_H

#include "sipis/cfg.h"
#include "sipis/media/ng.h"

struct media;
struct media_ask;

/** 0: sdp is what goes on (empty for a delete), who did it.  Else what came
    last: ETIMEDOUT, ENETUNREACH nobody answers, ENOENT nobody has the call,
    EPROTO refused, and who says why, or NULL */
typedef void(media_h)(int err, const struct pl *sdp, const char *who,
		      void *arg);

/** name: of the profile, for the log; both must live as long.  EINVAL: an
    address is none */
int media_alloc(struct media **mp, const struct media_cfg *cfg,
		const char *name);

/** Never calls h before it returns; mem_deref(*ap) to hear no more, ap NULL:
    nobody wants to hear of it.  EMSGSIZE */
int media_ask(struct media_ask **ap, struct media *m,
	      const struct ng_question *q, media_h *h, void *arg);

#endif
