/**
 * @file drv/apns_body.h  A push as APNs wants it
 *
 * "Sending notification requests to APNs", "Responding to VoIP Notifications
 * from PushKit".  A VoIP push must be shown as a call by the app, or iOS
 * stops delivering them: so nothing but a call is one.
 */

#ifndef MEDIATOR_DRV_APNS_BODY_H
#define MEDIATOR_DRV_APNS_BODY_H

#include "mediator/drv/body.h"

enum apns_type { APNS_VOIP, APNS_ALERT, APNS_BACKGROUND, APNS_TYPES };

enum {
	APNS_MAX = 4096,
	APNS_MAX_VOIP = 5120,
};

/** EPERM: a PushKit token, and not a call */
int apns_type(enum apns_type *type, const struct push *p);

const char *apns_type_name(enum apns_type type);   /**< apns-push-type */
const char *apns_type_suffix(enum apns_type type); /**< of the topic */
unsigned apns_type_priority(enum apns_type type);

/** buf has BODY_MAX bytes.  EMSGSIZE: over Apple's limit for this type */
int apns_body(char *buf, size_t *lenp, enum apns_type type,
	      const struct push *p);

#endif
