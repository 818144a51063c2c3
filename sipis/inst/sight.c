/**
 * @file sight.c  Which phone is it that calls itself so?
 */

#include <string.h>
#include "sipis/inst/sight.h"


bool inst_is_called(const struct inst_row *inst, const char *name)
{
	static const char uuid[] = "urn:uuid:";
	const size_t head = sizeof(uuid) - 1;

	return !str_casecmp(name, inst->installation) ||
	       (!strncasecmp(name, uuid, head) &&
		!str_casecmp(name + head, inst->installation));
}
