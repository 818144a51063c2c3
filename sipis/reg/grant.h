/**
 * @file grant.h  What the answer to a REGISTER says of the bindings
 *
 * RFC 3261 10.3 (8).  Our own binding is known by its contact user or, where
 * a PBX rewrites even that, by a URI parameter of ours.  It may be one of
 * before a restart and lead to an address that is ours no more.
 */

#ifndef SIPIS_GRANT_H
#define SIPIS_GRANT_H

#include <re/re.h>
#include "sipis/sip/answer.h"
#include "sipis/store/store.h"

#define GRANT_PARAM    "sipis"
#define GRANT_MARK_LEN 8 /**< hex digits of the parameter's value */

enum { GRANT_HASHES = 16 };

struct grant {
	bool ours;       /**< a binding of our user is listed */
	bool here;       /**< and leads to where we are */
	bool gruu;       /**< and has the GRUU that was asked for */
	uint32_t ours_s; /**< its expiry; UINT32_MAX: not said */
	uint32_t low_s;  /**< the lowest of all; UINT32_MAX: none said */
	unsigned others; /**< bindings that are not ours */
	char other[256]; /**< URI of the one that lasts longest */
	uint32_t hashes[GRANT_HASHES]; /**< of the URIs of the first others */
	unsigned hashc;
};

/** What a REGISTER says of our address: host, port and transport */
struct grant_home {
	struct sa addr;
	enum sip_transp tp;
	const char *gruu; /**< that our binding may have, NULL: none */
};

/** mark has GRANT_MARK_LEN + 1 bytes */
void grant_mark(char *mark, const uint8_t contact[STORE_CONTACT]);

void grant_parse(struct grant *g, const struct answer *ans,
		 const uint8_t contact[STORE_CONTACT],
		 const struct grant_home *home);

/** Seconds to count on: of our own binding, else the lowest, else the
    Expires header, else what was asked; clamped */
uint32_t grant_seconds(const struct grant *g, const struct answer *ans,
		       uint32_t asked);

/** A decimal number that fits, else UINT32_MAX.  Values beyond 32 bits count
    as the largest one below that */
uint32_t grant_number(const struct pl *pl);

#endif
