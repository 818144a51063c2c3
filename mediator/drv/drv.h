/**
 * @file drv/drv.h  One kind of provider
 *
 * What differs between providers, and nothing else: all of it without I/O.
 * Connections, bearers, retries and pauses are the same for all: drv/dest.h.
 */

#ifndef MEDIATOR_DRV_DRV_H
#define MEDIATOR_DRV_DRV_H

#include "mediator/drv/verdict.h"
#include "mediator/net/req.h"
#include "mediator/queue/push.h"

/** What a driver is told about the place it sends to */
struct drv_place {
	const char *url;     /**< scheme and host */
	const char *project; /**< fcm */
};

/** What it is told about the app */
struct drv_app {
	const char *topic;   /**< apns: bundle id */
	const char *package; /**< fcm; NULL = not restricted */
};

struct drv {
	const char *name; /**< as in the wire's Enrol.provider */

	/** Form of a token as an app sends it: EBADMSG */
	int (*token_check)(const char *token);

	/** Kinds of header sets; all requests of one app, bearer and kind
	    share one */
	unsigned kinds;

	/** The kind of a push; EPERM: not with this token */
	int (*kind)(unsigned *kind, const struct push *p);

	/** Adds the shared lines */
	int (*headers)(struct hdrs *h, const char *bearer,
		       const struct drv_app *app, unsigned kind);

	/** Fills url, body and the lines of its own.  EMSGSIZE: too big.
	    now_ms: wall */
	int (*compose)(struct req *r, const struct push *p, unsigned kind,
		       const struct drv_place *place,
		       const struct drv_app *app, int64_t now_ms);

	/** a->status is set */
	void (*parse)(struct answer *a, const char *body, size_t len);
	void (*judge)(struct verdict *v, const struct answer *a);
};

extern const struct drv drv_apns, drv_fcm, drv_webpush;

/** NULL: no such provider */
const struct drv *drv_find(const char *name);

#endif
