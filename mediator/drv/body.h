/**
 * @file drv/body.h  JSON into a buffer, for the bodies of all providers
 *
 * jansson would make a tree of thirty allocations of each push, a tenth of
 * all that a push costs; this writes as it goes.  RFC 8259.
 */

#ifndef MEDIATOR_DRV_BODY_H
#define MEDIATOR_DRV_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "mediator/net/req.h"
#include "mediator/queue/push.h"

enum { BODY_MAX = REQ_BODY_MAX };

/** Once it is full nothing more is written, and body_end() says so */
struct body {
	char *buf;
	size_t len, max;
	bool full;
	bool comma; /**< something stands before the next member */
};

void body_begin(struct body *b, char *buf, size_t max);

/** key NULL: the outermost */
void body_open(struct body *b, const char *key);
void body_close(struct body *b);

/** Left out if the text is empty.  Text is valid UTF-8; key needs no
    escaping */
void body_text(struct body *b, const char *key, const char *text);
void body_int(struct body *b, const char *key, int64_t n);
void body_bool(struct body *b, const char *key, bool on);

/** EMSGSIZE if it was more than max bytes */
int body_end(struct body *b, size_t *lenp);

#endif
