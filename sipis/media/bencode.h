/**
 * @file bencode.h  Bencode, as the ng protocol of rtpengine uses it; pure
 *
 *     string 3:abc   integer i-7e   list l...e   dictionary
 * d<string><value>...e
 *
 * A value is read where it lies: nothing is copied and nothing is built.
 */

#ifndef SIPIS_MEDIA_BENCODE_H
#define SIPIS_MEDIA_BENCODE_H

#include <re/re.h>

enum {
	BENCODE_DEPTH = 16, /**< lists and dictionaries in each other */
};

/* writing; mb grows */
int bencode_put_text(struct mbuf *mb, const struct pl *text);
int bencode_put_str(struct mbuf *mb, const char *str);
int bencode_put_int(struct mbuf *mb, int64_t n);
/** 'd', 'l', and 'e' for the end of either */
int bencode_put_mark(struct mbuf *mb, char mark);

/** The first value of in, whole; EBADMSG: there is none that is whole and
    good */
int bencode_value(struct pl *value, const struct pl *in);
/** The first one of that key, in a good dictionary; ENOENT */
int bencode_find(struct pl *value, const struct pl *dict, const char *key);
/** EBADMSG: it is no string */
int bencode_text(struct pl *text, const struct pl *value);

#endif
