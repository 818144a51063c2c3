/**
 * @file flow.h  TCP and TLS connections to a PBX
 *
 * libre keeps the connections and tells nobody when one dies.  A flow is our
 * note of one on which the PBX has spoken: it hears of the end at once, and
 * keeps an idle connection alive.  Both ends would close it: a PBX after as
 * little as 120 s in which it heard nothing, libre after 900 s.
 */

#ifndef SIPIS_FLOW_H
#define SIPIS_FLOW_H

#include <re/re.h>

struct flows;

/** The connection to peer is gone */
typedef void(flow_lost_h)(const struct sa *peer, enum sip_transp tp, int err,
			  void *arg);

/** sip must live as long.  keepalive_s: the longest silence towards the PBX;
    0: any */
int flows_alloc(struct flows **fsp, struct sip *sip, uint32_t keepalive_s,
		flow_lost_h *h, void *arg);
/** A message of the PBX came in; cheap for UDP and known connections */
void flows_heard(struct flows *fs, const struct sip_msg *msg);
bool flows_has(const struct flows *fs, const struct sip_msg *msg);
unsigned flows_count(const struct flows *fs);

#endif
