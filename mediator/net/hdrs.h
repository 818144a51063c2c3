/**
 * @file net/hdrs.h  Header lines that many requests share
 *
 * Made once per bearer and kept while a request uses them: a request puts its
 * own few lines in front and copies nothing.
 */

#ifndef MEDIATOR_NET_HDRS_H
#define MEDIATOR_NET_HDRS_H

#include <curl/curl.h>

struct hdrs;

int hdrs_alloc(struct hdrs **hp);
/** "name: value"; "Name:" takes out a line that curl would add */
int hdrs_add(struct hdrs *h, const char *line);
struct curl_slist *hdrs_list(const struct hdrs *h);

#endif
