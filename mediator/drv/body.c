/**
 * @file drv/body.c  What all providers' bodies have in common
 */

#include <errno.h>
#include "mediator/drv/body.h"


int body_add(json_t *obj, const char *key, json_t *value)
{
	return json_object_set_new_nocheck(obj, key, value) ? ENOMEM : 0;
}


int body_add_text(json_t *obj, const char *key, const char *text)
{
	if (!*text)
		return 0;

	return body_add(obj, key, json_string_nocheck(text));
}


int body_write(char *buf, size_t max, size_t *lenp, const json_t *root)
{
	size_t n = json_dumpb(root, buf, max, JSON_COMPACT);

	if (!n)
		return EINVAL;
	if (n > max)
		return EMSGSIZE;

	*lenp = n;
	return 0;
}
