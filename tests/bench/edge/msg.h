/**
 * @file msg.h  SIP text, read and written; pure
 */

#ifndef BENCH_EDGE_MSG_H
#define BENCH_EDGE_MSG_H

#include <stdbool.h>
#include <stddef.h>

enum { MSG_MAX = 8192 };

/** Views into a text that ends with NUL */
struct msg {
	const char *text, *body;
	size_t len;
	int code;        /**< 0: a request */
	char method[16]; /**< of the CSeq */
	unsigned cseq;
};

/** Bytes of the first message, 0: not whole yet.  What comes before it
    (keep-alive) counts */
size_t msg_size(const char *buf, size_t len);
bool msg_read(struct msg *m, const char *buf, size_t len);
/** The value of the first such header; false: there is none */
bool msg_header(const struct msg *m, const char *name, char *val, size_t size);
/** What stands between < and >, else the whole value up to ; */
bool msg_uri(const struct msg *m, const char *name, char *val, size_t size);
/** name="value" or name=value */
bool msg_param(const char *val, const char *name, char *dst, size_t size);

struct out {
	char buf[MSG_MAX];
	size_t len;
};

void out_add(struct out *o, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/** All values of that name, as headers of another; reverse: the last first */
void out_copy(struct out *o, const struct msg *m, const char *name,
	      const char *as, bool reverse);

#endif
