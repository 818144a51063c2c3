/**
 * @file fact.c  The lines of a timeline that a restart reads again
 */

#include <string.h>
#include "sipis/call/fact.h"

static const struct {
	const char *who, *what;
} words[CALL_FACTS] = {
	[CALL_FACT_ACCEPTED] = { "provider", "accepted" },
	[CALL_FACT_AWAKE] = { "app", "awake" },
	[CALL_FACT_REGISTERED] = { "app", "registered" },
	[CALL_FACT_RINGING] = { "app", "ringing" },
	[CALL_FACT_DECLINED] = { "app", "decline" },
	[CALL_FACT_REFUSED] = { "app", "refuses" },
	[CALL_FACT_INVITED] = { "sipis", "INVITE to phone" },
	[CALL_FACT_RANG] = { "app", "180" },
	[CALL_FACT_ECHO] = { "sipis", "echo expected" },
};


const char *call_fact_who(enum call_fact f)
{
	return words[f].who;
}


const char *call_fact_what(enum call_fact f)
{
	return words[f].what;
}


bool call_fact_of(enum call_fact *fp, const char *who, const char *what)
{
	for (unsigned f = 0; f < CALL_FACTS; f++) {
		if (strcmp(words[f].who, who) || strcmp(words[f].what, what))
			continue;
		*fp = (enum call_fact)f;
		return true;
	}

	return false;
}
