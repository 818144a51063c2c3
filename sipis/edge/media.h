/**
 * @file edge/media.h  The rtpengines of each profile, and its calls there
 */

#ifndef SIPIS_EDGE_MEDIA_H
#define SIPIS_EDGE_MEDIA_H

#include "sipis/edge/priv.h"
#include "sipis/media/media.h"

/** A client for each profile that has rtpengines */
int edge_media_open(struct edge *e);
void edge_media_close(struct edge *e);

/** NULL: it has none */
struct media *edge_media_of(const struct edge *e, const struct pbx *pbx);
bool edge_media_on(const struct edge *e, const struct pbx *pbx);

/** What they know the call of a message by.  EMSGSIZE: too long for them */
int edge_media_call(char **call, const uint8_t *phone,
		    const struct sip_msg *msg);
void edge_media_forget(struct media *m, const char *call);
/** Nobody takes that BYE on */
void edge_media_end(struct edge *e, struct pbx *pbx, const uint8_t *phone,
		    const struct sip_msg *bye);
/** A 2xx that has come again: the SDP that went up the first time.  False:
    it must not go up */
bool edge_media_again(struct sip_msg **mp, struct edge *e, struct pbx *pbx,
		      const uint8_t *phone, const struct sip_msg *resp);

#endif
