/**
 * @file body.h  Bodies of requests: JSON in, checked structs out
 *
 * Strict: unknown members, duplicates, wrong types, lengths and ranges are
 * all refused, with a sentence that names the member.  What may stand where
 * is written in the tables of body.c and in docs/openapi.yaml.
 */

#ifndef SIPIS_API_BODY_H
#define SIPIS_API_BODY_H

#include "sipis/api/problem.h"
#include "sipis/inst/types.h"

#define BODY_MAX 16384

struct body {
	void *root; /**< the strings below live in it */
	char why[256];
	char user[130], domain[256];
	struct inst_creds creds;
	struct inst_options options;
	struct inst_token push[STORE_PUSH_MAX];

	/* as asked for */
	union {
		struct inst_new nw;
		struct inst_change change;
		struct inst_word word;
	};
};

/* PB_NONE, PB_NOT_JSON or PB_INVALID with why; body_free() in any case */
enum problem body_new(struct body *b, const char *p, size_t len);
enum problem body_change(struct body *b, const char *p, size_t len);
enum problem body_word(struct body *b, const char *p, size_t len);
/** Overwrites what was secret */
void body_free(struct body *b);

#endif
