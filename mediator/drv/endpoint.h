/**
 * @file drv/endpoint.h  The URL that a browser's push service has given out
 *
 * It comes from a stranger: the URL says where this host connects to.  So it
 * is https, its host is on a list, and nothing in it means anything to us but
 * its origin.  Pure.
 *
 * A pattern is one of
 *
 *     push.example.net        that host, port 443
 *     push.example.net:8443   that host, that port
 *     *.push.example.net      any host below it, port 443
 *     *                       any host that has a name, port 443
 */

#ifndef MEDIATOR_DRV_ENDPOINT_H
#define MEDIATOR_DRV_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	ENDPOINT_MAX = 1000, /**< bytes; what UnifiedPush allows */
	ENDPOINT_HOST = 254, /**< with its final 0 */
	ENDPOINT_ORIGIN = ENDPOINT_HOST + 16,
};

struct endpoint {
	char host[ENDPOINT_HOST]; /**< lower case */
	uint16_t port;
	char origin[ENDPOINT_ORIGIN]; /**< RFC 6454 6.2 */
};

/** EBADMSG: not https://host[:port]/..., or it holds what has no place in a
    URL.  An IPv6 address is no host here */
int endpoint_read(struct endpoint *ep, const char *url, size_t len);

/** EINVAL: no such pattern as above */
int endpoint_pattern_check(const char *pattern);

bool endpoint_fits(const struct endpoint *ep, const char *pattern);

#endif
