/**
 * @file drv/webpush_outcome.h  What push services of browsers answer
 *
 * RFC 8030 leaves the body open.  Mozilla's autopush writes
 * {"errno":103,"error":"Gone",...}, Apple {"reason":"BadJwtToken"}, others a
 * line of text: it is kept for the operator, and only the status decides.
 */

#ifndef MEDIATOR_DRV_WEBPUSH_OUTCOME_H
#define MEDIATOR_DRV_WEBPUSH_OUTCOME_H

#include <stddef.h>
#include "mediator/drv/verdict.h"

/** Fills reason, in ASCII */
void webpush_parse(struct answer *a, const char *body, size_t len);

/** Pure */
void webpush_judge(struct verdict *v, const struct answer *a);

#endif
