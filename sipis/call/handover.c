/**
 * @file handover.c  The ways there are
 */

#include <string.h>
#include "sipis/call/handover.h"


static const struct handover *const ways[] = {
	[CFG_HANDOVER_FORK] = &handover_fork,
	[CFG_HANDOVER_REDIRECT] = &handover_redirect,
	[CFG_HANDOVER_RELAY] = &handover_relay,
};


const struct handover *handover_of(enum cfg_handover how)
{
	return (unsigned)how < sizeof(ways) / sizeof(ways[0]) ? ways[how]
							      : ways[0];
}


const struct handover *handover_find(const char *name)
{
	for (unsigned i = 0; name && i < sizeof(ways) / sizeof(ways[0]); i++)
		if (!strcmp(ways[i]->name, name))
			return ways[i];

	return NULL;
}
