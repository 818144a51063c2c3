/**
 * @file drv/verdict.h  What a provider's answer means, and what to do about it
 *
 * Each driver turns an answer into a verdict in one pure function.  The
 * outcome is what sipis hears if nothing more is tried; the act is what the
 * destination does first.
 */

#ifndef MEDIATOR_DRV_VERDICT_H
#define MEDIATOR_DRV_VERDICT_H

#include <stdbool.h>
#include <stdint.h>
#include "proto/wire.h"

enum drv_act {
	DRV_DONE,        /**< that is the result */
	DRV_RETRY,       /**< once more on another connection */
	DRV_RETRY_SLOW,  /**< once more after a pause, same bearer */
	DRV_REAUTH,      /**< once more with a new bearer */
	DRV_TOKEN,       /**< gone, unless suddenly many are */
	DRV_TOKEN_SINCE, /**< gone, if enrolled before answer.since_ms */
	DRV_TOKEN_FORM,  /**< gone, if other tokens pass with this form */
	DRV_TOKEN_PLACE, /**< gone, if other tokens pass at this place */
	DRV_TOKEN_AUTH,  /**< the same, after a try with a new bearer */
	DRV_BREAK,       /**< the credential is no good */
	DRV_BREAK_APP,   /**< the app is set up wrong */
	DRV_HOLD,        /**< the credential is over its quota */
};

struct verdict {
	Wire__Outcome outcome;
	enum drv_act act;
	bool renew_conn; /**< this connection serves no other request */
	bool clock;      /**< our clock may be wrong */
	bool unknown;    /**< judged by status class only */
};

/** What of an answer the judge needs; filled by the driver's parser */
struct answer {
	uint32_t status;
	char reason[64];         /**< the provider's word; "" if none */
	char id[128];            /**< the provider's id of the message */
	int64_t since_ms;        /**< apns 410: dead since; 0 if not told */
	uint32_t retry_after_ms; /**< 0 if not told */
	bool typed;              /**< fcm: the details name an FcmError */
	bool bad_token;          /**< fcm: the message blames the token */
	bool device_quota;       /**< fcm: the device's rate, not ours */
};

#endif
