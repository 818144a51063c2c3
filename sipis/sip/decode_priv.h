/**
 * @file decode_priv.h  What decode_msg.c and decode_part.c share
 */

#ifndef SIPIS_SIP_DECODE_PRIV_H
#define SIPIS_SIP_DECODE_PRIV_H

#include <stdbool.h>
#include <string.h>
#include <re/re.h>

static inline bool decode_is_ws(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}


static inline const char *decode_skip_ws(const char *p, const char *end)
{
	while (p < end && decode_is_ws(*p))
		++p;

	return p;
}

/** libre's own function of that name; NULL if there is none */
void *decode_theirs(const char *name);

#endif
