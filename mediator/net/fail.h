/**
 * @file net/fail.h  How a request ended below HTTP
 */

#ifndef MEDIATOR_NET_FAIL_H
#define MEDIATOR_NET_FAIL_H

#include <stdbool.h>
#include <curl/curl.h>

enum net_fail {
	NET_OK,          /**< an HTTP answer is there */
	NET_UNSENT,      /**< never left: sending it again is safe */
	NET_TURNED_BACK, /**< by us, before it left */
	NET_UNTRUSTED, /**< the server could not prove who it is; never left */
	NET_BARRED,    /**< its address is not one to go to; never left */
	NET_LOST,      /**< the connection died; it may have been taken */
	NET_TIMEOUT,   /**< no answer in time; it may have been taken */
	NET_BROKEN,    /**< our own: out of memory, bad URL */
};

/** sent: the connection was up, so the request may have left */
enum net_fail net_fail(CURLcode rc, bool sent);

const char *net_fail_name(enum net_fail fail);

#endif
