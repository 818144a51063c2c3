/**
 * @file net/once.h  A single HTTPS POST, off the path of pushes
 */

#ifndef MEDIATOR_NET_ONCE_H
#define MEDIATOR_NET_ONCE_H

#include <stddef.h>
#include <stdint.h>
#include "mediator/net/fail.h"

struct once;

struct once_prm {
	const char *url, *ca; /**< ca NULL = the system's store */
	const char *content_type;
	const char *body;
	uint32_t timeout_ms;
};

/** status is 0 unless fail is NET_OK.  body ends with 0; date is the
    server's, wall ms, or 0 */
typedef void(once_h)(enum net_fail fail, uint32_t status, const char *body,
		     int64_t date_ms, void *arg);

/** mem_deref() it before the answer and h is not called */
int once_post(struct once **op, const struct once_prm *prm, once_h *h,
	      void *arg);

#endif
