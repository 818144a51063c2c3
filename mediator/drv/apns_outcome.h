/**
 * @file drv/apns_outcome.h  What APNs answers
 *
 * "Handling notification responses from APNs".
 */

#ifndef MEDIATOR_DRV_APNS_OUTCOME_H
#define MEDIATOR_DRV_APNS_OUTCOME_H

#include <stddef.h>
#include "mediator/drv/verdict.h"

/** Fills reason and since_ms from the JSON body; anything else leaves the
    reason empty */
void apns_parse(struct answer *a, const char *body, size_t len);

/** Pure; knows every reason that Apple documents, and decides the others by
    their status class: none of those deletes a token */
void apns_judge(struct verdict *v, const struct answer *a);

#endif
