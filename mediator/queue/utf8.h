/**
 * @file queue/utf8.h  Foreign text into text that providers accept
 */

#ifndef MEDIATOR_QUEUE_UTF8_H
#define MEDIATOR_QUEUE_UTF8_H

#include <stddef.h>

enum { UTF8_GROWTH = 3 }; /**< a bad byte becomes U+FFFD, three bytes */

/** Copies at most max bytes, never half a character; what is not UTF-8
    (RFC 3629) becomes U+FFFD, control characters become spaces.  dst has
    max + 1 bytes.  Returns the length written */
size_t utf8_copy(char *dst, const char *src, size_t max);

#endif
