/**
 * @file text.h  JSON, written into a buffer that grows
 *
 * Only what the answers need: objects, lists and scalars, with commas put
 * where they belong.  A failed allocation is remembered; look at failed once
 * at the end.  Strings that are not UTF-8 lose the offending bytes.
 */

#ifndef SIPIS_API_TEXT_H
#define SIPIS_API_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
	char *buf;
	size_t len, size;
	size_t head; /**< bytes kept free in front */
	bool comma;  /**< the next value needs one before it */
	bool failed;
};

/** head: room in front that the writer of the network wants */
void text_init(struct text *t, size_t head);
void text_free(struct text *t);
void text_raw(struct text *t, const char *p, size_t len);

/* name NULL: a value of a list */
void text_object(struct text *t, const char *name);
void text_object_end(struct text *t);
void text_list(struct text *t, const char *name);
void text_list_end(struct text *t);
void text_str(struct text *t, const char *name, const char *value);
void text_int(struct text *t, const char *name, int64_t value);
void text_bool(struct text *t, const char *name, bool value);
/** RFC 3339 in UTC with milliseconds; null if ms is 0 */
void text_time(struct text *t, const char *name, int64_t ms);
/** JSON that is one already */
void text_json(struct text *t, const char *name, const char *json);
void text_null(struct text *t, const char *name);

#endif
