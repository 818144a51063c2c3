/**
 * @file fact.h  The lines of a timeline that a restart reads again
 *
 * Their words are shown to people, and they are what is known of a call's
 * phones after kill -9: whoever writes one of these and whoever reads it takes
 * the words from here.  The detail begins with the phone's id where
 * it is of one.
 */

#ifndef SIPIS_CALL_FACT_H
#define SIPIS_CALL_FACT_H

#include <stdbool.h>

enum call_fact {
	CALL_FACT_ACCEPTED, /**< a provider has taken its push */
	CALL_FACT_AWAKE,
	CALL_FACT_REGISTERED,
	CALL_FACT_RINGING,
	CALL_FACT_DECLINED,
	CALL_FACT_REFUSED, /**< it cannot take it; nobody has declined */
	CALL_FACT_INVITED, /**< our INVITE has left for it (relay) */
	CALL_FACT_RANG,    /**< and it has said 180 */
	CALL_FACT_ECHO,    /**< a 302 went while we may still be listed */
	CALL_FACTS
};

const char *call_fact_who(enum call_fact f);
const char *call_fact_what(enum call_fact f);
/** Which one is it?  False: none */
bool call_fact_of(enum call_fact *fp, const char *who, const char *what);

#endif
