/**
 * @file drv/body.h  What all providers' bodies have in common
 */

#ifndef MEDIATOR_DRV_BODY_H
#define MEDIATOR_DRV_BODY_H

#include <stddef.h>
#include "mediator/json.h"
#include "mediator/net/req.h"
#include "mediator/queue/push.h"

enum { BODY_MAX = REQ_BODY_MAX };

/** Takes the reference of value; NULL and errors make the body fail as a
    whole, so the callers need not look */
int body_add(json_t *obj, const char *key, json_t *value);

/** key is left out if the text is empty.  Text of a push is valid UTF-8 */
int body_add_text(json_t *obj, const char *key, const char *text);

/** Compact JSON into buf; EMSGSIZE if it needs more than max bytes */
int body_write(char *buf, size_t max, size_t *lenp, const json_t *root);

#endif
