/**
 * @file text.h  Views into a SIP message, and what can be read from them
 *
 * Only as much of RFC 3261 as a load generator needs to be strict about what
 * it measures: no folding, no comma lists of contacts.
 */

#ifndef REGISTRAR_TEXT_H
#define REGISTRAR_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TEXT_VIAS 8

struct sv {
	const char *p;
	size_t l;
};

struct text {
	unsigned scode; /**< 0: a request */
	struct sv method, ruri;
	struct sv via[TEXT_VIAS];
	unsigned vian;
	struct sv branch; /**< of the top Via */
	struct sv from, to, callid, cseq_line, contact, expires_line, auth;
	struct sv cseq_method;
	uint32_t cseq;
	uint32_t expires; /**< of Contact, else of the header, else 3600 */
};

/** EBADMSG if a header that every message has is missing */
int text_read(struct text *t, const char *buf, size_t len);

bool sv_is(struct sv v, const char *s);
bool sv_isi(struct sv v, const char *s);
/** Value of ;name=value behind the angle brackets */
bool sv_param(struct sv v, const char *name, struct sv *val);
/** Value of name=value or name="value" in a list with commas */
bool sv_auth(struct sv v, const char *name, struct sv *val);
/** sip:USER@... or <sip:USER@...>: the user */
bool sv_user(struct sv v, struct sv *user);
/** What stands between < and >, or all of it up to the first ; */
struct sv sv_uri(struct sv v);
uint64_t sv_hash(uint64_t h, struct sv v);
uint32_t sv_u32(struct sv v);

#endif
