/**
 * @file net/curl_loop.h  A curl multi handle on the libre loop; nothing else
 */

#ifndef MEDIATOR_NET_CURL_LOOP_H
#define MEDIATOR_NET_CURL_LOOP_H

#include <curl/curl.h>
#include <re/re.h>

struct curl_loop;

/** The transfer is over and already out of the multi handle; it may be added
    to one again.  May drop the loop itself */
typedef void(curl_loop_h)(CURL *easy, CURLcode rc, void *arg);

/** Dropping it needs all transfers removed before */
int curl_loop_alloc(struct curl_loop **clp, curl_loop_h *h, void *arg);

/** For options; transfers go through the two functions below */
CURLM *curl_loop_multi(struct curl_loop *cl);

int curl_loop_add(struct curl_loop *cl, CURL *easy);
void curl_loop_remove(struct curl_loop *cl, CURL *easy);

#endif
