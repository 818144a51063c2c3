/**
 * @file hangup.h  A 2xx that nobody wants: ACK and BYE
 */

#ifndef SIPIS_EDGE_HANGUP_H
#define SIPIS_EDGE_HANGUP_H

#include "sipis/edge/priv.h"

/** To a phone, where it came from */
void edge_hang_up(struct edge *e, const struct sip_msg *resp);
/** To where the INVITE went */
void edge_hang_up_at(struct edge *e, struct sip *sip, const struct sa *dst,
		     enum sip_transp tp, const struct sip_msg *resp);

#endif
